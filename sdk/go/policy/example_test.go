package policy_test

import (
	"fmt"

	"github.com/perfopt/perfopt/sdk/go/policy"
)

// heat lets entries that are asked for often stay fresh for longer.
type heat struct{ stretch float64 }

var _ policy.TTL = (*heat)(nil)

func (p *heat) Init(c *policy.Config) error {
	p.stretch = c.Number("stretch")
	return nil
}

func (p *heat) TTL(b *policy.Batch, out []float64) error {
	base, rate := b.F64(policy.BaseTTL), b.F64(policy.RateSlow)
	for i := range out {
		out[i] = base[i] * (1 + (p.stretch-1)*rate[i]/(rate[i]+10))
	}
	return nil
}

// A policy is an ordinary value: natively it is configured and asked by hand.
func Example() {
	schema := policy.Schema{"stretch": policy.Number(4, "how far a hot key's TTL is stretched").Between(1, 100)}
	config, err := policy.NewConfig(schema, `{"stretch": 3}`, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	p := &heat{}
	if err := p.Init(config); err != nil {
		fmt.Println(err)
		return
	}
	b := policy.NewBatch(0, []policy.KeyHash{1, 2}, policy.BaseTTL, policy.RateSlow)
	copy(b.F64(policy.BaseTTL), []float64{60, 60})
	copy(b.F64(policy.RateSlow), []float64{0, 10})
	out := make([]float64, b.Len())
	if err := p.TTL(b, out); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(out)
	// Output: [60 120]
}

func ExampleEvents_All() {
	e := policy.NewEvents(0,
		[]policy.Event{{Slot: policy.NoSlot, Op: policy.OpMiss}, {Slot: 4, Op: policy.OpInsert}, {Slot: 4, Op: policy.OpHit}},
		[]policy.Insert{{KeyHash: 0xCAFE}, {KeyHash: 0xCAFE, Weight: 512}})
	for ev, in := range e.All() {
		if in != nil {
			fmt.Printf("%s: key %x, weight %d\n", ev.Op, uint64(in.KeyHash), in.Weight)
		} else {
			fmt.Printf("%s: slot %d\n", ev.Op, ev.Slot)
		}
	}
	// Output:
	// miss: key cafe, weight 0
	// insert: key cafe, weight 512
	// hit: slot 4
}

func ExampleNewConfig() {
	schema := policy.Schema{"stretch": policy.Number(4, "").Between(1, 100)}
	_, err := policy.NewConfig(schema, `{"stretch": 500}`, 1)
	fmt.Println(err)
	// Output: setting "stretch": 500 is not in 1..100
}
