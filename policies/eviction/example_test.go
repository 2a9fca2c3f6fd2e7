package eviction_test

import (
	"fmt"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/eviction"
)

func ExampleLRU() {
	p := eviction.NewLRU()
	if err := p.Reset(policies.Capacity{Weight: 2, MaxSlots: 3}); err != nil {
		fmt.Println(err)
		return
	}
	events := []policies.Event{
		{Slot: 0, Op: policies.OpInsert},
		{Slot: 1, Op: policies.OpInsert},
		{Slot: 0, Op: policies.OpHit},
		{Slot: 2, Op: policies.OpInsert},
	}
	inserts := []policies.Insert{{KeyHash: 10, Weight: 1}, {KeyHash: 11, Weight: 1}, {KeyHash: 12, Weight: 1}}
	if err := p.Observe(events, inserts); err != nil {
		fmt.Println(err)
		return
	}
	victims := make([]policies.Slot, 8)
	n, err := p.Victims(1, victims)
	fmt.Println(victims[:n], err)
	// Output: [1] <nil>
}
