package ttl

import (
	"math"
	"testing"
	"time"

	"github.com/perfopt/perfopt/policies"
)

func TestFixedLifetimes(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name         string
		ttl          time.Duration
		base, origin float64
		want         time.Duration
	}{
		{"its own", 7 * time.Second, 60, nan, 7 * time.Second},
		{"the base", 0, 60, nan, time.Minute},
		{"the origin's is an upper bound", 7 * time.Second, 5, 5, 5 * time.Second},
		{"and is not reached for", 7 * time.Second, 60, 60, 7 * time.Second},
		{"nothing is known", 0, nan, nan, 0},
		{"for ever", 0, math.Inf(1), nan, math.MaxInt64},
		{"not fresh at all", time.Second, 0, -1, 0},
	} {
		p, err := NewFixed(FixedOptions{TTL: c.ttl})
		if err != nil {
			t.Fatal(err)
		}
		in := new(policies.TTLBatch)
		in.Resize(1, p.Info().Columns)
		in.Set(policies.ColBaseTTL, 0, c.base)
		in.Set(policies.ColOriginTTL, 0, c.origin)
		out := make([]policies.Nanos, 1)
		if err := p.TTL(in, out); err != nil || time.Duration(out[0]) != c.want {
			t.Errorf("%s: %v, %v; want %v", c.name, time.Duration(out[0]), err, c.want)
		}
	}
}
