;; Takes square roots for ever.
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "{\"name\":\"ttl-sqrt\",\"abi\":1,\"kinds\":[\"ttl\"],\"features\":[\"base_ttl_s\"]}")
  (func (export "pf_abi_1"))
  (func (export "pf_manifest") (result i64) (i64.const 0x10_00000045))
  (func (export "pf_arena") (param $bytes i32) (result i32) (i32.const 1024))
  (func (export "pf_init") (result i32) (i32.const 0))
  (func (export "pf_ttl") (param $n i32) (result i32)
    (local $x f64)
    (loop $forever (local.set $x (f64.sqrt (f64.sqrt (f64.div (local.get $x) (f64.const 3))))) (br $forever))
    (unreachable))
)
