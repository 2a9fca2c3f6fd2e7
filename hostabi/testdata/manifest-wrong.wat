;; Wrong in every field.
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "{\"name\":\"../x\",\"version\":\"\\u001b\",\"abi\":9,\"kinds\":[\"ttl\",\"ttl\",\"cache\"],\"features\":[\"moon\",\"size\",\"size?\"],\"max_batch\":4096,\"metrics\":[{\"name\":\"A\",\"type\":\"t\"}],\"config\":{\"K\":{\"type\":\"x\"},\"a\":{\"type\":\"number\"},\"b\":{\"type\":\"integer\",\"default\":1.5},\"c\":{\"type\":\"number\",\"default\":3,\"max\":2}}}")
  (func (export "pf_abi_1"))
  (func (export "pf_manifest") (result i64) (i64.const 0x10_00000121))
  (func (export "pf_arena") (param $bytes i32) (result i32) (i32.const 1024))
  (func (export "pf_init") (result i32) (i32.const 0))
  (func (export "pf_ttl") (param $n i32) (result i32)
    (local.get $n))
)
