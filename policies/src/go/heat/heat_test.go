package main

import (
	"testing"

	"github.com/perfopt/perfopt/sdk/go/policy"
	"github.com/perfopt/perfopt/sdk/go/policytest"
)

func TestConforms(t *testing.T) { policytest.Check(t) }

func TestLifetimes(t *testing.T) {
	p := policytest.Start(t, &heat{}, `{"stretch": 3, "hot_rate": 10}`)
	row := func(change policytest.Row) policytest.Row {
		r := policytest.Row{policy.BaseTTL: 60, policy.MinTTL: 1, policy.MaxTTL: 3600, policy.RateSlow: 0, policy.Changed: 0, policy.Unchanged: 0}
		for k, v := range change {
			r[k] = v
		}
		return r
	}
	for _, c := range []struct {
		name   string
		change policytest.Row
		want   float64
	}{
		{"cold", nil, 60},
		{"warm", policytest.Row{policy.RateSlow: 10}, 120},
		{"changes at every reload", policytest.Row{policy.Changed: 2}, 30},
		{"seldom changes", policytest.Row{policy.Changed: 1, policy.Unchanged: 8}, 60},
		{"origin's bound", policytest.Row{policy.RateSlow: 10, policy.OriginTTL: 90}, 90},
		{"origin below the minimum", policytest.Row{policy.MinTTL: 40, policy.OriginTTL: 10}, 10},
		{"upper bound", policytest.Row{policy.RateSlow: 10, policy.MaxTTL: 100}, 100},
		{"lower bound", policytest.Row{policy.MinTTL: 70}, 70},
	} {
		out := make([]float64, 1)
		if err := p.TTL(policytest.Rows(row(c.change)), out); err != nil {
			t.Fatal(err)
		}
		if out[0] != c.want {
			t.Errorf("%s: lifetime is %v s, want %v", c.name, out[0], c.want)
		}
	}
}
