;; Calls itself twice to a depth of 60: two to the power of 60 calls.
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "{\"name\":\"ttl-tree\",\"abi\":1,\"kinds\":[\"ttl\"],\"features\":[\"base_ttl_s\"]}")
  (func (export "pf_abi_1"))
  (func (export "pf_manifest") (result i64) (i64.const 0x10_00000045))
  (func (export "pf_arena") (param $bytes i32) (result i32) (i32.const 1024))
  (func (export "pf_init") (result i32) (i32.const 0))
  (func $tree (param i32) (if (local.get 0) (then
    (call $tree (i32.sub (local.get 0) (i32.const 1)))
    (call $tree (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "pf_ttl") (param $n i32) (result i32)
    (call $tree (i32.const 60))
    (local.get $n))
)
