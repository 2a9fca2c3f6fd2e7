;; Logs a thousand lines a call, which the host drops beyond a hundred.
(module
  (import "perfopt_v1" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 2)
  (data (i32.const 16) "{\"name\":\"ttl-floods\",\"abi\":1,\"kinds\":[\"ttl\"],\"features\":[\"base_ttl_s\"]}")
  (func (export "pf_abi_1"))
  (func (export "pf_manifest") (result i64) (i64.const 0x10_00000047))
  (func (export "pf_arena") (param $bytes i32) (result i32) (i32.const 1024))
  (func (export "pf_init") (result i32) 
    (local $i i32)
    (loop $more
      (call $log (i32.const 2) (i32.const 16) (i32.const 20))
      (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))
    (i32.const 0))
  (func (export "pf_ttl") (param $n i32) (result i32)
    (i32.const -4))
)
