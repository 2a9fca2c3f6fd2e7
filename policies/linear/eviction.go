package linear

import (
	"fmt"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
)

// EvictionOptions are the settings of eviction. The zero value means the
// defaults.
type EvictionOptions struct {
	Options
	// Sample is how many random residents are compared beside the newest entry.
	// Default 8, of the plain formula 16; at most 256.
	Sample int `json:"sample"`
}

// Scorer scores entries by their benefit per unit of weight: p * load cost /
// size. Not safe for concurrent use.
type Scorer struct {
	predictor *Predictor
}

var _ policies.Scorer = (*Scorer)(nil)

// NewScorer returns the scoring form of eviction.
func NewScorer(o EvictionOptions) (*Scorer, error) {
	p, err := NewPredictor(o.Options)
	if err != nil {
		return nil, err
	}
	if o.Sample < 0 || o.Sample > 256 {
		return nil, fmt.Errorf("sample: %d, want 1 to 256", o.Sample)
	}
	return &Scorer{predictor: p}, nil
}

// NewEviction returns the ordering form of eviction: [Learned], or with Strict
// the plain formula of [Scorer] over the residents of the table. Weights,
// confidence and horizon are settings of the formula and choose it too.
func NewEviction(t *features.Table, o EvictionOptions, seed uint64) (policies.Orderer, error) {
	s, err := NewScorer(o)
	if err != nil {
		return nil, err
	}
	if !o.Strict && o.Weights == nil && o.Confidence == 0 && o.Horizon == 0 {
		return NewLearned(o.Sample, seed), nil
	}
	return features.Sampled(s, t, features.SampledOptions{Sample: o.Sample, Seed: seed}), nil
}

// Info describes the policy.
func (s *Scorer) Info() policies.Info {
	return info(policies.KindEviction, policies.ColLoadCost, policies.ColSize)
}

// Score writes one score a row.
func (s *Scorer) Score(in *policies.Candidates, out []float64) error {
	for i := range in.Len() {
		size := in.Value(policies.ColSize, i)
		if !(size > 0) {
			size = 1
		}
		out[i] = s.predictor.row(&in.Rows, i) * cost(&in.Rows, i) / size
	}
	return nil
}
