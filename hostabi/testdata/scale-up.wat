;; One more than the present limit, with a reason of its own.
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "{\"name\":\"scale-up\",\"abi\":1,\"kinds\":[\"scaling\"],\"features\":[]}")
  (func (export "pf_abi_1"))
  (func (export "pf_manifest") (result i64) (i64.const 0x10_0000003d))
  (func (export "pf_arena") (param $bytes i32) (result i32) (i32.const 1024))
  (func (export "pf_init") (result i32) (i32.const 0))
  (func (export "pf_scale") (result i32)
    (f64.store (i32.add (i32.const 1024) (i32.load (i32.const 1040))) (f64.add (f64.const 1) (f64.load offset=8 (i32.add (i32.const 1024) (i32.load (i32.const 1032))))))
    (i32.store offset=8 (i32.add (i32.const 1024) (i32.load (i32.const 1040))) (i32.const 1007))
    (i32.const 0))
)
