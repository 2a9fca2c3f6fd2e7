package ttl

import (
	"fmt"
	"math"

	"github.com/perfopt/perfopt/policies"
)

// ChangeRateOptions are the settings of [ChangeRate].
type ChangeRateOptions struct {
	// Stale is the accepted probability that the value has changed at the end
	// of its lifetime, above 0 and below 1. Default 0.1.
	Stale float64 `json:"stale"`
}

// ChangeRate gives lifetimes by how often reloads found the value changed, by
// the estimator of Cho and Garcia-Molina ("Estimating frequency of change",
// 2003): of n reloads X found a change, so it changes at a rate of
// -ln((n - X + 0.5) / (n + 0.5)) per interval. The interval counts as the
// row's base: where lifetimes become longer than that, more reloads find a
// change and they shorten again. A key that was never reloaded gets the base.
// Safe for concurrent use.
type ChangeRate struct{ accepted float64 }

var _ policies.TTL = (*ChangeRate)(nil)

// NewChangeRate returns a policy by the rate of change.
func NewChangeRate(o ChangeRateOptions) (*ChangeRate, error) {
	if o.Stale == 0 {
		o.Stale = 0.1
	}
	if !(o.Stale > 0 && o.Stale < 1) {
		return nil, fmt.Errorf("stale: %v, want a number above 0 and below 1", o.Stale)
	}
	return &ChangeRate{accepted: -math.Log1p(-o.Stale)}, nil
}

// Info describes the policy.
func (c *ChangeRate) Info() policies.Info {
	return policies.Info{
		Name: "change-rate", Version: "1", Kind: policies.KindTTL,
		Columns: []policies.Column{policies.ColBaseTTL, policies.ColOriginTTL, policies.ColChanged, policies.ColUnchanged},
	}
}

// TTL writes one lifetime a row.
func (c *ChangeRate) TTL(in *policies.TTLBatch, out []policies.Nanos) error {
	for i := range in.Len() {
		seconds := in.Value(policies.ColBaseTTL, i)
		changed, unchanged := in.Value(policies.ColChanged, i), in.Value(policies.ColUnchanged, i)
		if n := changed + unchanged; n > 0 && changed >= 0 && unchanged >= 0 {
			// Without a change yet half of one is assumed: lifetimes grow with
			// the reloads that found none.
			x := max(changed, 0.5)
			seconds *= c.accepted / -math.Log((max(n-x, 0)+0.5)/(n+0.5))
		}
		if origin := in.Value(policies.ColOriginTTL, i); origin == origin {
			seconds = min(seconds, origin)
		}
		out[i] = nanos(seconds)
	}
	return nil
}
