;; The largest entry goes first.
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "{\"name\":\"score-size\",\"abi\":1,\"kinds\":[\"eviction\"],\"features\":[\"size\"]}")
  (func (export "pf_abi_1"))
  (func (export "pf_manifest") (result i64) (i64.const 0x10_00000046))
  (func (export "pf_arena") (param $bytes i32) (result i32) (i32.const 1024))
  (func (export "pf_init") (result i32) (i32.const 0))
  (func (export "pf_score") (param $n i32) (result i32)
    (local $i i32)
    (loop $row
      (f64.store (i32.add (i32.const 1024) (i32.add (i32.load (i32.const 1040)) (i32.shl (local.get $i) (i32.const 3))))
        (f64.neg (f64.load (i32.add (i32.add (i32.const 1024) (i32.load (i32.const 1032))) (i32.add (i32.shl (i32.load (i32.const 1076)) (i32.const 3)) (i32.shl (local.get $i) (i32.const 3)))))))
      (br_if $row (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.get $n))
)
