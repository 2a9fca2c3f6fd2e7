;; Copies its memory again and again, without a loop: by calling itself.
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "{\"name\":\"ttl-copy\",\"abi\":1,\"kinds\":[\"ttl\"],\"features\":[\"base_ttl_s\"]}")
  (func (export "pf_abi_1"))
  (func (export "pf_manifest") (result i64) (i64.const 0x10_00000045))
  (func (export "pf_arena") (param $bytes i32) (result i32) (i32.const 1024))
  (func (export "pf_init") (result i32) (i32.const 0))
  (func $again (memory.copy (i32.const 0) (i32.const 65536) (i32.const 65536)) (call $again))
  (func (export "pf_ttl") (param $n i32) (result i32)
    (call $again)
    (unreachable))
)
