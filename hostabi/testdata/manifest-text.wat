;; Is not JSON.
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "name = x")
  (func (export "pf_abi_1"))
  (func (export "pf_manifest") (result i64) (i64.const 0x10_00000008))
  (func (export "pf_arena") (param $bytes i32) (result i32) (i32.const 1024))
  (func (export "pf_init") (result i32) (i32.const 0))
  (func (export "pf_ttl") (param $n i32) (result i32)
    (local.get $n))
)
