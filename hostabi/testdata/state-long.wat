;; Claims a chunk longer than the region.
(module
  (memory (export "memory") 4)
  (data (i32.const 16) "{\"name\":\"state-long\",\"abi\":1,\"kinds\":[\"ttl\"],\"features\":[\"base_ttl_s\"],\"state_version\":1}")
  (func (export "pf_abi_1"))
  (func (export "pf_manifest") (result i64) (i64.const 0x10_00000059))
  (func (export "pf_arena") (param $bytes i32) (result i32) (i32.const 1024))
  (func (export "pf_init") (result i32) (i32.const 0))
  (func (export "pf_ttl") (param $n i32) (result i32)
    (local.get $n))
  (func (export "pf_export_state") (param i32) (result i32) (i32.const 1000000))
  (func (export "pf_import_state") (param i32 i32) (result i32) (unreachable))
)
