package linear

import (
	"fmt"
	"math"

	"github.com/perfopt/perfopt/policies"
)

// TTLOptions are the settings of lifetimes. The zero value means the defaults.
type TTLOptions struct {
	Options
	// Factor is by how much a lifetime is stretched for a key that is certain
	// to be asked again, and shortened for one that is not. Default 4.
	Factor float64 `json:"factor"`
	// Once is the number of accesses up to which the base lifetime is kept.
	// Default 1.
	Once float64 `json:"once"`
}

// TTL gives a key that is likely asked again a longer lifetime. Safe for
// concurrent use.
type TTL struct {
	predictor *Predictor
	factor    float64
	once      float64
}

var _ policies.TTL = (*TTL)(nil)

// NewTTL returns the lifetime policy.
func NewTTL(o TTLOptions) (*TTL, error) {
	p, err := NewPredictor(o.Options)
	if err != nil {
		return nil, err
	}
	t := &TTL{predictor: p, factor: 4, once: 1}
	if o.Factor != 0 {
		t.factor = o.Factor
	}
	if o.Once != 0 {
		t.once = o.Once
	}
	switch {
	case !(t.factor >= 1 && t.factor <= 1000):
		return nil, fmt.Errorf("factor: %v, want 1 to 1000", o.Factor)
	case !(t.once >= 0 && t.once <= 63):
		return nil, fmt.Errorf("once: %v, want 0 to 63", o.Once)
	}
	return t, nil
}

// Info describes the policy.
func (t *TTL) Info() policies.Info {
	return info(policies.KindTTL, policies.ColBaseTTL, policies.ColOriginTTL, policies.ColMinTTL, policies.ColMaxTTL)
}

// TTL writes one lifetime a row.
func (t *TTL) TTL(in *policies.TTLBatch, out []policies.Nanos) error {
	for i := range in.Len() {
		seconds := in.Value(policies.ColBaseTTL, i)
		if in.Value(policies.ColFreq, i) > t.once {
			p := t.predictor.row(&in.Rows, i)
			seconds *= math.Pow(t.factor, 2*p-1)
			seconds = bounded(seconds, in.Value(policies.ColMinTTL, i), in.Value(policies.ColMaxTTL, i))
		}
		if origin := in.Value(policies.ColOriginTTL, i); origin < seconds {
			seconds = origin
		}
		out[i] = nanos(seconds)
	}
	return nil
}

// bounded moves v into its bounds; NaN is no bound.
func bounded(v, least, most float64) float64 {
	if v < least {
		v = least
	}
	if v > most {
		v = most
	}
	return v
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
