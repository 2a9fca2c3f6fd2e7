// Package ttl holds the native policies that decide how long an entry stays
// fresh, beside the built-in default, which is in package linear.
//
// [Fixed] gives every entry the same lifetime, or the one that the route or
// the origin says. It is the baseline that any adaptive policy has to beat.
// [ChangeRate] follows how often reloads find the value changed.
//
// A policy here is a [policies.TTL]: a pure function of the columns of a row,
// so a host may use several instances and ask them from any goroutine. The
// package must not know clocks, keys or the cache that asks.
//
// Caveats. A lifetime is a wish: the host moves it into the bounds of the row,
// and explicit freshness of the origin is an upper bound that nothing raises.
package ttl

import (
	"fmt"
	"math"
	"time"

	"github.com/perfopt/perfopt/policies"
)

// FixedOptions are the settings of [Fixed].
type FixedOptions struct {
	// TTL is the lifetime of every entry. Default 0: the row's base, which is
	// the origin's freshness or the route's default.
	TTL time.Duration `json:"ttl"`
}

// Fixed gives every entry the same lifetime. Safe for concurrent use.
type Fixed struct{ ttl time.Duration }

var _ policies.TTL = (*Fixed)(nil)

// NewFixed returns a fixed policy.
func NewFixed(o FixedOptions) (*Fixed, error) {
	if o.TTL < 0 {
		return nil, fmt.Errorf("ttl: %v, want a time that is not negative", o.TTL)
	}
	return &Fixed{ttl: o.TTL}, nil
}

// Info describes the policy.
func (f *Fixed) Info() policies.Info {
	return policies.Info{
		Name: "fixed", Version: "1", Kind: policies.KindTTL,
		Columns: []policies.Column{policies.ColBaseTTL, policies.ColOriginTTL},
	}
}

// TTL writes one lifetime a row.
func (f *Fixed) TTL(in *policies.TTLBatch, out []policies.Nanos) error {
	for i := range in.Len() {
		ttl := policies.Nanos(f.ttl)
		if f.ttl == 0 {
			ttl = nanos(in.Value(policies.ColBaseTTL, i))
		}
		if origin := in.Value(policies.ColOriginTTL, i); origin == origin {
			ttl = min(ttl, nanos(origin))
		}
		out[i] = ttl
	}
	return nil
}

// nanos converts a number of seconds that may be NaN, negative or endless.
func nanos(seconds float64) policies.Nanos {
	switch ns := seconds * 1e9; {
	case ns >= math.MaxInt64:
		return math.MaxInt64
	case ns > 0:
		return policies.Nanos(math.Round(ns))
	default:
		return 0
	}
}
