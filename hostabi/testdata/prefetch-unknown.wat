;; Proposes a key that it made up.
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "{\"name\":\"prefetch-unknown\",\"abi\":1,\"kinds\":[\"prefetch\"],\"features\":[]}")
  (func (export "pf_abi_1"))
  (func (export "pf_manifest") (result i64) (i64.const 0x10_00000046))
  (func (export "pf_arena") (param $bytes i32) (result i32) (i32.const 1024))
  (func (export "pf_init") (result i32) (i32.const 0))
  (func (export "pf_prefetch") (param $n i32) (result i32) 
      (i64.store (i32.add (i32.const 1024) (i32.load (i32.const 1040))) (i64.const 12345678901)) (i32.const 1))
)
