package features_test

import (
	"fmt"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
)

// smallest keeps what is small: the largest entry goes first.
type smallest struct{}

func (smallest) Info() policies.Info {
	return policies.Info{Name: "smallest", Kind: policies.KindEviction, Columns: []policies.Column{policies.ColSize}}
}

func (smallest) Score(in *policies.Candidates, out []float64) error {
	for i, size := range in.Column(policies.ColSize) {
		out[i] = -size
	}
	return nil
}

func ExampleSampled() {
	table := features.New(features.Options{MaxSlots: 3})
	policy := features.Sampled(smallest{}, table, features.SampledOptions{})
	events := []policies.Event{{Slot: 0, Op: policies.OpInsert}, {Slot: 1, Op: policies.OpInsert}, {Slot: 2, Op: policies.OpInsert}}
	inserts := []policies.Insert{{KeyHash: 10, Weight: 5}, {KeyHash: 11, Weight: 50}, {KeyHash: 12, Weight: 7}}
	table.Observe(0, events, inserts)
	if err := policy.Observe(events, inserts); err != nil {
		fmt.Println(err)
		return
	}

	victims := make([]policies.Slot, 1)
	n, err := policy.Victims(1, victims)
	fmt.Println(victims[:n], err)
	table.Evicted(victims[0])
	fmt.Println(table.Len(), "left")
	// Output:
	// [1] <nil>
	// 2 left
}
