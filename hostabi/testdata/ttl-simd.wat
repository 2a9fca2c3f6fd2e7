;; Answers with vectors, two rows at a time; the out region has room for one row more.
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "{\"name\":\"ttl-simd\",\"abi\":1,\"kinds\":[\"ttl\"],\"features\":[\"base_ttl_s\"]}")
  (func (export "pf_abi_1"))
  (func (export "pf_manifest") (result i64) (i64.const 0x10_00000045))
  (func (export "pf_arena") (param $bytes i32) (result i32) (i32.const 1024))
  (func (export "pf_init") (result i32) (i32.const 0))
  (func (export "pf_ttl") (param $n i32) (result i32)
    (local $i i32)
    (loop $row
      (v128.store (i32.add (i32.const 1024) (i32.add (i32.load (i32.const 1040)) (i32.shl (local.get $i) (i32.const 3))))
        (f64x2.add (f64x2.splat (f64.const 2)) (f64x2.splat (f64.const 3))))
      (br_if $row (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 2))) (local.get $n))))
    (local.get $n))
)
