package main

import (
	"testing"

	"github.com/perfopt/perfopt/sdk/go/policy"
	"github.com/perfopt/perfopt/sdk/go/policytest"
)

func TestConforms(t *testing.T) { policytest.Check(t) }

func TestWhatSavesMorePerByteStays(t *testing.T) {
	p := policytest.Start(t, &worth{}, `{"half_life_s": 60}`)
	typical := policytest.Row{policy.Freq: 8, policy.Recency: 60, policy.LoadCost: 10, policy.Size: 100}
	for name, c := range map[string]struct {
		column policy.Column
		value  float64
		more   bool
	}{
		"asked more often": {policy.Freq, 16, true}, "idle for longer": {policy.Recency, 600, false},
		"dearer to load": {policy.LoadCost, 20, true}, "larger": {policy.Size, 200, false},
	} {
		other := policytest.Row{}
		for k, v := range typical {
			other[k] = v
		}
		other[c.column] = c.value
		out := make([]float64, 2)
		if err := p.Score(policytest.Rows(typical, other), out); err != nil {
			t.Fatal(err)
		}
		if (out[1] > out[0]) != c.more {
			t.Errorf("%s: scores are %v: want the second one higher: %v", name, out, c.more)
		}
	}
}
