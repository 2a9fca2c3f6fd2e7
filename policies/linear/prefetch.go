package linear

import (
	"fmt"
	"slices"
	"time"

	"github.com/perfopt/perfopt/policies"
)

// PrefetchOptions are the settings of prefetch. The zero value means the
// defaults.
type PrefetchOptions struct {
	Options
	// Threshold is the least probability of a proposal. Default 0.6.
	Threshold float64 `json:"threshold"`
	// Ahead is how long before its expiry a resident may be loaded again;
	// without Strict only. Default 5 s.
	Ahead time.Duration `json:"ahead"`
}

// Prefetch proposes the candidates that are likely asked again, those first
// that save most. Not safe for concurrent use.
type Prefetch struct {
	predictor *Predictor
	threshold float64
	ahead     float64 // seconds; negative = not looked at
	order     []candidate
}

type candidate struct {
	row     int
	benefit float64
}

var _ policies.Prefetch = (*Prefetch)(nil)

// NewPrefetch returns the prefetch policy.
func NewPrefetch(o PrefetchOptions) (*Prefetch, error) {
	p, err := NewPredictor(o.Options)
	if err != nil {
		return nil, err
	}
	f := &Prefetch{predictor: p, threshold: 0.6, ahead: 5}
	if o.Threshold != 0 {
		f.threshold = o.Threshold
	}
	if o.Ahead != 0 {
		f.ahead = o.Ahead.Seconds()
	}
	switch {
	case !(f.threshold > 0 && f.threshold <= 1):
		return nil, fmt.Errorf("threshold: %v, want a probability above 0", o.Threshold)
	case f.ahead < 0:
		return nil, fmt.Errorf("ahead: %v, want a time that is not negative", o.Ahead)
	}
	if o.Strict {
		f.ahead = -1
	}
	return f, nil
}

// Info describes the policy.
func (f *Prefetch) Info() policies.Info {
	return info(policies.KindPrefetch, policies.ColLoadCost, policies.ColTTLLeft, policies.ColResident)
}

// Observe does nothing: the host keeps the past of keys.
func (f *Prefetch) Observe([]policies.Event, []policies.Insert) error { return nil }

// Propose writes the most useful candidates, best first.
func (f *Prefetch) Propose(in *policies.Candidates, budget int, out []policies.KeyHash) (int, error) {
	f.order = f.order[:0]
	for i := range in.Len() {
		if f.ahead >= 0 && in.Value(policies.ColResident, i) == 1 && in.Value(policies.ColTTLLeft, i) > f.ahead {
			continue
		}
		if p := f.predictor.row(&in.Rows, i); p >= f.threshold {
			f.order = append(f.order, candidate{row: i, benefit: p * cost(&in.Rows, i)})
		}
	}
	slices.SortStableFunc(f.order, func(a, b candidate) int {
		switch {
		case a.benefit > b.benefit:
			return -1
		case a.benefit < b.benefit:
			return 1
		}
		return 0
	})
	n := 0
	for _, c := range f.order {
		if n == min(budget, len(out)) {
			break
		}
		if h := in.KeyHash[c.row]; !slices.Contains(out[:n], h) {
			out[n] = h
			n++
		}
	}
	return n, nil
}
