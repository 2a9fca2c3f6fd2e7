package ttl

import (
	"math"
	"testing"

	"github.com/perfopt/perfopt/policies"
)

func TestLifetimesByChangeRate(t *testing.T) {
	p, err := NewChangeRate(ChangeRateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	nan := math.NaN()
	accepted := -math.Log(0.9)
	for _, c := range []struct {
		name                             string
		base, origin, changed, unchanged float64
		want                             float64 // seconds
	}{
		{"never reloaded", 60, nan, 0, 0, 60},
		{"unknown", 60, nan, nan, nan, 60},
		{"changes half of the time", 60, nan, 5, 5, 60 * accepted / -math.Log(5.5/10.5)},
		{"changes always", 60, nan, 10, 0, 60 * accepted / -math.Log(0.5/10.5)},
		{"never seen to change", 60, nan, 0, 100, 60 * accepted / -math.Log(100/100.5)},
		{"the origin's is an upper bound", 60, 60, 0, 100, 60},
	} {
		in := new(policies.TTLBatch)
		in.Resize(1, p.Info().Columns)
		for column, v := range map[policies.Column]float64{
			policies.ColBaseTTL: c.base, policies.ColOriginTTL: c.origin, policies.ColChanged: c.changed, policies.ColUnchanged: c.unchanged,
		} {
			in.Set(column, 0, v)
		}
		out := make([]policies.Nanos, 1)
		if err := p.TTL(in, out); err != nil || math.Abs(float64(out[0])/1e9-c.want) > 1e-6 {
			t.Errorf("%s: %v s, %v; want %v s", c.name, float64(out[0])/1e9, err, c.want)
		}
	}
	if _, err := NewChangeRate(ChangeRateOptions{Stale: 1}); err == nil {
		t.Error("stale 1: want an error")
	}
}
