package prefetch

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/perfopt/perfopt/policies"
)

// RefreshAheadOptions are the settings of [RefreshAhead]. The zero value means
// the defaults.
type RefreshAheadOptions struct {
	// Ahead is how long before its expiry an entry may be loaded again.
	// Default 5 s.
	Ahead time.Duration `json:"ahead"`
	// Threshold is the least probability that the key is asked for in its next
	// lifetime. Default 0.6.
	Threshold float64 `json:"threshold"`
	// Lifetime is the next lifetime where the row has no base TTL. Default
	// 1 min.
	Lifetime time.Duration `json:"lifetime"`
	// MinAccesses is how many accesses must be known. Default 2.
	MinAccesses float64 `json:"min_accesses"`
}

// RefreshAhead proposes residents that are about to expire and likely to be
// asked for again: with requests at the slow rate r of a Poisson process, an
// entry is asked for within its next lifetime T with probability 1 - exp(-rT).
// What saves most load time goes first. Not safe for concurrent use.
type RefreshAhead struct {
	ahead, threshold, lifetime, least float64
	choices                           []choice
}

var _ policies.Prefetch = (*RefreshAhead)(nil)

// NewRefreshAhead returns a refresh-ahead policy.
func NewRefreshAhead(o RefreshAheadOptions) (*RefreshAhead, error) {
	r := &RefreshAhead{ahead: 5, threshold: 0.6, lifetime: 60, least: 2}
	if o.Ahead != 0 {
		r.ahead = o.Ahead.Seconds()
	}
	if o.Threshold != 0 {
		r.threshold = o.Threshold
	}
	if o.Lifetime != 0 {
		r.lifetime = o.Lifetime.Seconds()
	}
	if o.MinAccesses != 0 {
		r.least = o.MinAccesses
	}
	switch {
	case r.ahead < 0:
		return nil, fmt.Errorf("ahead: %v, want a time that is not negative", o.Ahead)
	case !(r.threshold > 0 && r.threshold <= 1):
		return nil, fmt.Errorf("threshold: %v, want a probability above 0", o.Threshold)
	case r.lifetime < 0:
		return nil, fmt.Errorf("lifetime: %v, want a time that is not negative", o.Lifetime)
	case !(r.least >= 0 && r.least <= 63):
		return nil, fmt.Errorf("min_accesses: %v, want 0 to 63", o.MinAccesses)
	}
	return r, nil
}

// Info describes the policy.
func (r *RefreshAhead) Info() policies.Info {
	return policies.Info{
		Name: "refresh-ahead", Version: "1", Kind: policies.KindPrefetch,
		Columns: []policies.Column{
			policies.ColResident, policies.ColTTLLeft, policies.ColFreq, policies.ColRateSlow,
			policies.ColBaseTTL, policies.ColLoadCost,
		},
	}
}

// Observe does nothing: the host keeps the past of keys.
func (r *RefreshAhead) Observe([]policies.Event, []policies.Insert) error { return nil }

// countSlack is what a count may have lost by age since it was reached.
const countSlack = 0.25

// Propose writes the entries to load again, best first.
func (r *RefreshAhead) Propose(in *policies.Candidates, budget int, out []policies.KeyHash) (int, error) {
	r.choices = r.choices[:0]
	for i := range in.Len() {
		left := in.Value(policies.ColTTLLeft, i)
		if in.Value(policies.ColResident, i) != 1 || !(left <= r.ahead) ||
			!(in.Value(policies.ColFreq, i) >= r.least-countSlack) {
			continue
		}
		next := in.Value(policies.ColBaseTTL, i)
		if !(next > 0) {
			next = r.lifetime
		}
		p := 1 - math.Exp(-in.Value(policies.ColRateSlow, i)/60*next)
		if p >= r.threshold {
			saved := in.Value(policies.ColLoadCost, i)
			if !(saved > 0) {
				saved = 1
			}
			r.choices = append(r.choices, choice{key: in.KeyHash[i], value: p * saved})
		}
	}
	slices.SortFunc(r.choices, better)
	return write(r.choices, budget, out), nil
}
