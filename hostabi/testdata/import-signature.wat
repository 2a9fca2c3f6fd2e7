;; Wants log with two parameters.
(module
  (import "perfopt_v1" "log" (func (param i32 i32)))
  (memory (export "memory") 2)
  (data (i32.const 16) "{\"name\":\"import-signature\",\"abi\":1,\"kinds\":[\"ttl\"],\"features\":[\"base_ttl_s\"]}")
  (func (export "pf_abi_1"))
  (func (export "pf_manifest") (result i64) (i64.const 0x10_0000004d))
  (func (export "pf_arena") (param $bytes i32) (result i32) (i32.const 1024))
  (func (export "pf_init") (result i32) (i32.const 0))
  (func (export "pf_ttl") (param $n i32) (result i32)
    (local.get $n))
)
