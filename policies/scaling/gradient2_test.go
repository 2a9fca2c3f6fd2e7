package scaling

import (
	"testing"

	"github.com/perfopt/perfopt/policies"
)

func TestGradient2FollowsTheLatency(t *testing.T) {
	g := NewGradient2()
	load := policies.Load{Limit: 20, MinLimit: 4, MaxLimit: 200, MaxInFlight: 20, Completions: 100, MeanMillis: 10}
	ask := func() policies.Reason {
		limit, reason, err := g.Limit(&load)
		if err != nil {
			t.Fatal(err)
		}
		load.Limit, load.MaxInFlight = limit, min(load.MaxInFlight, limit)
		return reason
	}
	if reason := ask(); reason != policies.ReasonGradient || load.Limit != 20.8 {
		t.Errorf("steady: limit %v, %v; want 20.8, gradient", load.Limit, reason)
	}
	for range 50 {
		ask()
	}
	before := load.Limit
	load.MeanMillis, load.MaxInFlight = 60, before
	if ask(); load.Limit >= before {
		t.Errorf("slow: limit %v after %v, want less", load.Limit, before)
	}
	load.MaxInFlight = 1
	if reason := ask(); reason != policies.ReasonUnused {
		t.Errorf("unused: %v", reason)
	}
	load.Completions = 3
	if reason := ask(); reason != policies.ReasonWindow {
		t.Errorf("too few: %v", reason)
	}
}
