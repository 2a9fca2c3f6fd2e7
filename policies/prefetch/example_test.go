package prefetch_test

import (
	"fmt"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/prefetch"
)

func ExampleAssociation() {
	p, err := prefetch.NewAssociation(prefetch.AssociationOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ask := func(keys ...policies.KeyHash) {
		for _, h := range keys {
			event := []policies.Event{{Slot: policies.NoSlot, Op: policies.OpMiss}}
			if err := p.Observe(event, []policies.Insert{{KeyHash: h}}); err != nil {
				fmt.Println(err)
			}
		}
	}
	for other := policies.KeyHash(100); other < 112; other += 4 {
		ask(7, 8, other, other+1, other+2, other+3)
	}
	ask(7) // 8 followed three times
	out := make([]policies.KeyHash, 4)
	n, err := p.Propose(new(policies.Candidates), 4, out)
	fmt.Println(out[:n], err)
	// Output: [8] <nil>
}
