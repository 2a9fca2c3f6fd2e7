;; Good for two thousand calls and loops from then on: a trial does not see it.
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "{\"name\":\"ttl-late\",\"abi\":1,\"kinds\":[\"ttl\"],\"features\":[\"base_ttl_s\"]}")
  (func (export "pf_abi_1"))
  (func (export "pf_manifest") (result i64) (i64.const 0x10_00000045))
  (func (export "pf_arena") (param $bytes i32) (result i32) (i32.const 1024))
  (func (export "pf_init") (result i32) (i32.const 0))
  (global $calls (mut i32) (i32.const 0))
  (func (export "pf_ttl") (param $n i32) (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (if (i32.gt_u (global.get $calls) (i32.const 2000)) (then (loop $forever (br $forever))))
    (local.get $n))
)
