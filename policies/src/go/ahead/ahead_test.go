package main

import (
	"testing"

	"github.com/perfopt/perfopt/sdk/go/policy"
	"github.com/perfopt/perfopt/sdk/go/policytest"
)

func TestConforms(t *testing.T) { policytest.Check(t) }

func TestTheBestAreProposedInOrder(t *testing.T) {
	p := policytest.Start(t, &ahead{}, `{"lead_s": 5, "probability": 0.5}`)
	row := func(left, likely, cost, resident float64) policytest.Row {
		return policytest.Row{policy.TTLLeft: left, policy.Prediction: likely, policy.LoadCost: cost, policy.Resident: resident}
	}
	batch := policytest.Rows(
		row(3, 0.9, 10, 1),  // gain 9
		row(3, 0.6, 100, 1), // gain 60
		row(60, 0.9, 99, 1), // not yet
		row(3, 0.1, 99, 1),  // not likely
		row(3, 0.9, 99, 0),  // not resident
		row(-1, 0.9, 99, 1), // expired
		row(3, 0.8, 50, 1),  // gain 40
	)
	for budget, want := range map[int][]int{0: {}, 1: {2}, 2: {2, 7}, 8: {2, 7, 1}} {
		out := make([]policy.KeyHash, budget)
		n, err := p.Propose(batch, out)
		if err != nil {
			t.Fatal(err)
		}
		ok := n == len(want)
		for i := range min(n, len(want)) {
			ok = ok && out[i] == policytest.Key(want[i])
		}
		if !ok {
			t.Errorf("budget %d: proposed %v, want %v", budget, out[:n], want)
		}
	}
}
