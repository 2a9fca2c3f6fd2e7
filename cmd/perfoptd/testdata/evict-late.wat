;; First in, first out, and traps once it has seen 16,384 events: a trial does not
;; show it. For caches of at most 65,536 slots. Built by: wat2wasm evict-late.wat
(module
  (memory (export "memory") 8)
  (data (i32.const 16) "{\"name\":\"evict-late\",\"abi\":1,\"kinds\":[\"eviction\"],\"features\":[]}")
  (func (export "pf_abi_1"))
  (func (export "pf_manifest") (result i64) (i64.const 0x10_00000040))
  (func (export "pf_arena") (param $bytes i32) (result i32) (i32.const 1024))
  (func (export "pf_init") (result i32) (i32.const 0))
  (global $seen (mut i32) (i32.const 0))
  ;; A ring of slots at 196,608, and at 458,752 a byte a slot: 1 = resident.
  (global $head (mut i32) (i32.const 0))
  (global $tail (mut i32) (i32.const 0))
  (func $cell (param $i i32) (result i32)
    (i32.add (i32.const 196608) (i32.shl (i32.and (local.get $i) (i32.const 65535)) (i32.const 2))))
  (func $mark (param $slot i32) (result i32)
    (i32.add (i32.const 458752) (i32.and (local.get $slot) (i32.const 65535))))
  (func (export "pf_events") (param $n i32) (result i32)
    (local $i i32) (local $at i32) (local $slot i32) (local $op i32)
    (global.set $seen (i32.add (global.get $seen) (local.get $n)))
    (if (i32.gt_u (global.get $seen) (i32.const 16384)) (then (unreachable)))
    (local.set $at (i32.add (i32.const 1024) (i32.load (i32.const 1032))))
    (block $done
      (loop $event
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $slot (i32.load (local.get $at)))
        (local.set $op (i32.load8_u offset=4 (local.get $at)))
        (if (i32.or (i32.eq (local.get $op) (i32.const 2)) (i32.eq (local.get $op) (i32.const 7)))
          (then
            (i32.store (call $cell (global.get $tail)) (local.get $slot))
            (global.set $tail (i32.add (global.get $tail) (i32.const 1)))
            (i32.store8 (call $mark (local.get $slot)) (i32.const 1))))
        (if (i32.or (i32.eq (local.get $op) (i32.const 4)) (i32.eq (local.get $op) (i32.const 5)))
          (then (i32.store8 (call $mark (local.get $slot)) (i32.const 0))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $event)))
    (local.get $n))
  (func (export "pf_evict") (param $want i32) (result i32)
    (local $n i32) (local $slot i32)
    (block $done
      (loop $next
        (br_if $done (i32.or (i32.ge_u (local.get $n) (local.get $want)) (i32.eq (global.get $head) (global.get $tail))))
        (local.set $slot (i32.load (call $cell (global.get $head))))
        (global.set $head (i32.add (global.get $head) (i32.const 1)))
        (if (i32.load8_u (call $mark (local.get $slot)))
          (then
            (i32.store8 (call $mark (local.get $slot)) (i32.const 0))
            (i32.store (i32.add (i32.const 1024) (i32.add (i32.load (i32.const 1040)) (i32.shl (local.get $n) (i32.const 2)))) (local.get $slot))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))))
        (br $next)))
    (local.get $n))
)
