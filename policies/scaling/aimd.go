package scaling

import (
	"errors"
	"fmt"

	"github.com/perfopt/perfopt/policies"
)

// AIMDOptions are the settings of [AIMD]. A zero field means the default.
type AIMDOptions struct {
	Marks

	Increase float64 `json:"increase"` // added to the limit in a good window; default 1
	Decrease float64 `json:"decrease"` // factor of a cut in a bad window; default 0.9
	// UsedShare is the share of the limit that must have been in flight at
	// the peak of a window before the limit grows. Default 0.8.
	UsedShare float64 `json:"used_share"`
}

// AIMD adds a constant while a window is good and multiplies by a factor below
// one when it is bad (Chiu and Jain, Analysis of the Increase and Decrease
// Algorithms for Congestion Avoidance, 1989). Good and bad are the marks that
// [Linear] uses; unlike Linear it asks for no stability and undoes nothing.
//
// Not safe for concurrent use.
type AIMD struct {
	o    AIMDOptions
	peak float64 // highest in flight since the last judged window
}

var _ policies.Scaling = (*AIMD)(nil)

// NewAIMD returns an AIMD, or an error that names every setting that is out of
// range.
func NewAIMD(o AIMDOptions) (*AIMD, error) {
	o.Marks = o.Marks.withDefaults()
	fill(&o.Increase, 1)
	fill(&o.Decrease, 0.9)
	fill(&o.UsedShare, 0.8)
	err := errors.Join(
		o.Marks.validate(),
		within("increase", o.Increase, 0, 1000),
		within("decrease", o.Decrease, 0.5, 1),
		within("used_share", o.UsedShare, 0, 1),
	)
	if err != nil {
		return nil, fmt.Errorf("scaling policy aimd: %w", err)
	}
	return &AIMD{o: o}, nil
}

// Info implements [policies.Scaling].
func (a *AIMD) Info() policies.Info {
	return policies.Info{Name: "aimd", Version: "1", Kind: policies.KindScaling}
}

// Limit implements [policies.Scaling]. It never returns an error.
func (a *AIMD) Limit(in *policies.Load) (float64, policies.Reason, error) {
	a.peak = max(a.peak, in.MaxInFlight)
	if in.Completions < a.o.MinCompletions {
		return in.Limit, policies.ReasonWindow, nil
	}
	peak := a.peak
	a.peak = in.InFlight
	if reason, high := a.o.high(in); high {
		return max(in.Limit*a.o.Decrease, in.MinLimit), reason, nil
	}
	switch {
	case !a.o.low(in):
		return in.Limit, policies.ReasonHold, nil
	case peak < a.o.UsedShare*in.Limit:
		return in.Limit, policies.ReasonUnused, nil
	case in.Limit >= in.MaxLimit:
		return in.Limit, policies.ReasonBound, nil
	}
	return min(in.Limit+a.o.Increase, in.MaxLimit), policies.ReasonGrow, nil
}
