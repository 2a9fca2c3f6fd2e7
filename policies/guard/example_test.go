package guard_test

import (
	"fmt"
	"time"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/guard"
)

// forgetful answers a negative lifetime.
type forgetful struct{}

func (forgetful) Info() policies.Info {
	return policies.Info{Name: "forgetful", Kind: policies.KindTTL}
}

func (forgetful) TTL(_ *policies.TTLBatch, out []policies.Nanos) error {
	for i := range out {
		out[i] = -1
	}
	return nil
}

func ExampleTTL() {
	health := guard.NewHealth(guard.Options{Faults: 2, OnQuarantine: func(why string) { fmt.Println("quarantine:", why) }})
	p := guard.TTL(forgetful{}, nil, health) // no fallback: the base TTL decides
	in := new(policies.TTLBatch)
	in.Resize(1, p.Info().Columns)
	for c, seconds := range map[policies.Column]float64{
		policies.ColBaseTTL: 30, policies.ColOriginTTL: 20, policies.ColMinTTL: 1, policies.ColMaxTTL: 60,
	} {
		in.Set(c, 0, seconds)
	}
	out := make([]policies.Nanos, 1)
	for range 3 {
		err := p.TTL(in, out)
		fmt.Println(time.Duration(out[0]), err)
	}
	s := health.Snapshot()
	fmt.Println(s.Calls, "calls,", s.Faults[policies.FaultOutput], "faults")
	// Output:
	// 20s <nil>
	// quarantine: 2 faults within 1m0s; the last: row 0 has the negative lifetime -1 ns
	// 20s <nil>
	// 20s <nil>
	// 2 calls, 2 faults
}
