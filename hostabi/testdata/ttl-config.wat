;; Has a config schema and answers its length in bytes.
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "{\"name\":\"ttl-config\",\"abi\":1,\"kinds\":[\"ttl\"],\"features\":[\"base_ttl_s\"],\"config\":{\"floor\":{\"type\":\"number\",\"default\":1.5,\"min\":0,\"max\":10},\"mode\":{\"type\":\"string\",\"default\":\"soft\",\"enum\":[\"soft\",\"hard\"]},\"steps\":{\"type\":\"integer\",\"default\":4,\"min\":1},\"strict\":{\"type\":\"boolean\",\"default\":false}}}")
  (func (export "pf_abi_1"))
  (func (export "pf_manifest") (result i64) (i64.const 0x10_00000127))
  (func (export "pf_arena") (param $bytes i32) (result i32) (i32.const 1024))
  (func (export "pf_init") (result i32) 
    (global.set $length (i32.load (i32.add (i32.const 1036) (i32.load (i32.const 1032)))))
    (i32.const 0))
  (global $length (mut i32) (i32.const 0))
  (func (export "pf_ttl") (param $n i32) (result i32)
    (local $i i32)
    (loop $row
      (f64.store (i32.add (i32.const 1024) (i32.add (i32.load (i32.const 1040)) (i32.shl (local.get $i) (i32.const 3))))
        (f64.convert_i32_u (global.get $length)))
      (br_if $row (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.get $n))
)
