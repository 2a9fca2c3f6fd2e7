;; Proposes the candidates in the order in which they stand; wants no events.
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "{\"name\":\"prefetch-first\",\"abi\":1,\"kinds\":[\"prefetch\"],\"features\":[]}")
  (func (export "pf_abi_1"))
  (func (export "pf_manifest") (result i64) (i64.const 0x10_00000044))
  (func (export "pf_arena") (param $bytes i32) (result i32) (i32.const 1024))
  (func (export "pf_init") (result i32) (i32.const 0))
  (func (export "pf_events") (param $n i32) (result i32) (i32.const -1))
  (func (export "pf_prefetch") (param $n i32) (result i32) (local $k i32)
    (local.set $k (select (local.get $n) (i32.load (i32.const 1084)) (i32.lt_u (local.get $n) (i32.load (i32.const 1084)))))
    (memory.copy (i32.add (i32.const 1024) (i32.load (i32.const 1040))) (i32.add (i32.const 1024) (i32.load (i32.const 1032))) (i32.shl (local.get $k) (i32.const 3)))
    (local.get $k))
)
