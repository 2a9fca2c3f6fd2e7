;; Calls itself for ever in pf_init.
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "{\"name\":\"init-recursion\",\"abi\":1,\"kinds\":[\"ttl\"],\"features\":[\"base_ttl_s\"]}")
  (func (export "pf_abi_1"))
  (func (export "pf_manifest") (result i64) (i64.const 0x10_0000004b))
  (func (export "pf_arena") (param $bytes i32) (result i32) (i32.const 1024))
  (func (export "pf_init") (result i32) (call $deep (i32.const 1)))
  (func $deep (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0))))
  (func (export "pf_ttl") (param $n i32) (result i32)
    (local.get $n))
)
