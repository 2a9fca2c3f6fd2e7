package main

import (
	"math"
	"testing"

	"github.com/perfopt/perfopt/sdk/go/policy"
	"github.com/perfopt/perfopt/sdk/go/policytest"
)

func TestConforms(t *testing.T) { policytest.Check(t) }

func TestLimitFollowsTheLoad(t *testing.T) {
	p := policytest.Start(t, &tides{}, `{"step": 2, "cut": 0.5, "cpu": 0.8}`)
	calm := policy.Load{Limit: 10, MinLimit: 6, MaxLimit: 100, MaxInFlight: 10, CPU: 0.2, Completions: 50, MeanMillis: 100, TargetMillis: 200}
	for _, c := range []struct {
		name   string
		change func(*policy.Load)
		limit  float64
		reason policy.Reason
	}{
		{"calm", func(*policy.Load) {}, 12, policy.ReasonGrow},
		{"busy", func(l *policy.Load) { l.CPU = 0.81 }, 6, policy.ReasonCPU},
		{"full", func(l *policy.Load) { l.Memory = 0.95 }, 6, policy.ReasonMemory},
		{"failing", func(l *policy.Load) { l.ErrorRate = 0.2 }, 6, policy.ReasonErrors},
		{"slow", func(l *policy.Load) { l.MeanMillis = 401 }, 6, policy.ReasonLatency},
		{"no target yet", func(l *policy.Load) { l.TargetMillis = math.NaN() }, 12, policy.ReasonGrow},
		{"too few to judge", func(l *policy.Load) { l.Completions, l.ErrorRate = 9, 1 }, 10, policy.ReasonWindow},
		{"idle", func(l *policy.Load) { l.MaxInFlight = 3 }, 10, policy.ReasonUnused},
		{"upper bound", func(l *policy.Load) { l.MaxLimit = 11 }, 11, policy.ReasonGrow},
	} {
		in := calm
		c.change(&in)
		limit, reason, err := p.Limit(&in)
		if err != nil || limit != c.limit || reason != c.reason {
			t.Errorf("%s: limit %v, reason %d, error %v: want %v, %d", c.name, limit, reason, err, c.limit, c.reason)
		}
	}
}
