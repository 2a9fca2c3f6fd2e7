;; Logs from its start with a pointer outside.
(module
  (import "perfopt_v1" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 2)
  (data (i32.const 16) "{\"name\":\"start-log\",\"abi\":1,\"kinds\":[\"ttl\"],\"features\":[\"base_ttl_s\"]}")
  (func (export "pf_abi_1"))
  (func (export "pf_manifest") (result i64) (i64.const 0x10_00000046))
  (func (export "pf_arena") (param $bytes i32) (result i32) (i32.const 1024))
  (func (export "pf_init") (result i32) (i32.const 0))
  (func $begin (call $log (i32.const 0) (i32.const -1) (i32.const 10)))
  (start $begin)
  (func (export "pf_ttl") (param $n i32) (result i32)
    (local.get $n))
)
