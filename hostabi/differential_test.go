package hostabi_test

import (
	"errors"
	"testing"

	"github.com/perfopt/perfopt/hostabi"
	"github.com/perfopt/perfopt/policies"
)

// TestCompilerAndInterpreterAgree runs modules by wazero's compiler and by its
// interpreter: the same answers, the same faults, the same fuel to the unit.
// Runaway recursion is not among them: the interpreter's stack is shorter.
func TestCompilerAndInterpreterAgree(t *testing.T) {
	compiled := newHost(t, hostabi.Options{})
	interpreted := newHost(t, hostabi.Options{Interpreter: true})
	type result struct {
		out   [70]policies.Nanos
		fault policies.FaultReason
		fuel  uint64
	}
	for _, name := range []string{"ttl-seven", "ttl-base", "ttl-state", "ttl-simd", "ttl-clock", "ttl-loop", "ttl-nested", "ttl-tree",
		"ttl-fill", "ttl-sqrt", "ttl-grow", "ttl-divide", "ttl-outside", "ttl-logs", "ttl-logs-indirect"} {
		var results [2]result
		for i, h := range []*hostabi.Host{compiled, interpreted} {
			p := closing[policies.TTL](t)(loadNamed(t, h, name).TTL(hostabi.Env{}))
			r := &results[i]
			for range 3 {
				err := p.TTL(ttlBatch(p, len(r.out), 5), r.out[:])
				var fault *policies.Fault
				if errors.As(err, &fault) {
					r.fault = fault.Reason
				}
			}
			r.fuel = p.(interface{ FuelUsed() uint64 }).FuelUsed()
		}
		if results[0] != results[1] {
			t.Errorf("%s: compiled %+v, interpreted %+v", name, results[0], results[1])
		}
	}
}
