;; Logs for ever.
(module
  (import "perfopt_v1" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 2)
  (data (i32.const 16) "{\"name\":\"ttl-logs\",\"abi\":1,\"kinds\":[\"ttl\"],\"features\":[\"base_ttl_s\"]}")
  (func (export "pf_abi_1"))
  (func (export "pf_manifest") (result i64) (i64.const 0x10_00000045))
  (func (export "pf_arena") (param $bytes i32) (result i32) (i32.const 1024))
  (func (export "pf_init") (result i32) (i32.const 0))
  (func (export "pf_ttl") (param $n i32) (result i32)
    (loop $forever (call $log (i32.const 2) (i32.const 16) (i32.const 20)) (br $forever))
    (unreachable))
)
