package scaling

import (
	"fmt"

	"github.com/perfopt/perfopt/policies"
)

// FixedOptions are the settings of [Fixed].
type FixedOptions struct {
	// Limit is the limit to keep, within the scheduler's bounds. Default 0:
	// whatever the limit is when the policy is seated.
	Limit float64 `json:"limit"`
}

// Fixed keeps one limit. Its reason is [policies.ReasonFixed], by which the
// scheduler knows that it need not probe a baseline.
//
// Safe for concurrent use.
type Fixed struct{ limit float64 }

var _ policies.Scaling = (*Fixed)(nil)

// NewFixed returns a Fixed, or an error if the limit is negative or no number.
func NewFixed(o FixedOptions) (*Fixed, error) {
	if err := within("limit", o.Limit, 0, 1e9); err != nil {
		return nil, fmt.Errorf("scaling policy fixed: %w", err)
	}
	return &Fixed{limit: o.Limit}, nil
}

// Info implements [policies.Scaling].
func (f *Fixed) Info() policies.Info {
	return policies.Info{Name: "fixed", Version: "1", Kind: policies.KindScaling}
}

// Limit implements [policies.Scaling]. It never returns an error.
func (f *Fixed) Limit(in *policies.Load) (float64, policies.Reason, error) {
	if f.limit == 0 {
		return in.Limit, policies.ReasonFixed, nil
	}
	return min(max(f.limit, in.MinLimit), in.MaxLimit), policies.ReasonFixed, nil
}
