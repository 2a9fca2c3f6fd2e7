// Package linear is the built-in predictor and the policies that decide from
// it: the default of the seats eviction, ttl and prefetch.
//
//   - [Predictor] says how likely a key is asked again within the horizon:
//     p = sigmoid(w . x) * n / (n + 4), with x = [slow rate in accesses per
//     minute, 1 / max(seconds since the last access, 1), max(trend, 0),
//     time-of-day pattern] and w = (0.4, 0.3, 0.2, 0.1).
//   - [Learned] is the default of eviction: an online logistic model.
//   - [Scorer] is eviction by the plain formula: the benefit per unit of weight, p * load cost /
//     size; the lowest goes. It becomes an ordering policy through
//     features.Sampled with 16 residents and the newest entry.
//   - [TTL] is base * 4^(2p - 1) within the bounds, and base for a key that was
//     asked for once.
//   - [Prefetch] proposes candidates with p >= 0.6, highest p * load cost first.
//   - [Accuracy] measures the predictor against what then happened.
//
// All these numbers are settings. With Strict the rules are exactly these.
// Without it eviction is by [Learned], and Prefetch leaves out residents that
// are not near their expiry: loading them again gains nothing.
//
// The package must not know caches, keys or clocks: it reads columns. The
// patterns behind the columns are kept by package features.
//
// Caveats. Learned keeps what its comment says; the others are stateless but
// for scratch memory: TTL and
// Predictor are safe for concurrent use, Scorer and Prefetch are not. A load
// cost that is unknown counts as 1 ms, a size of 0 as 1.
package linear

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
)

// DefaultHorizon is the time within which a key is predicted to be asked
// again.
const DefaultHorizon = 10 * time.Minute

// Options are the settings that all policies of the package share. The zero
// value means the defaults.
type Options struct {
	// Strict keeps the plain rules of the package comment.
	Strict bool `json:"strict"`
	// Weights are w: of the slow rate, recency, trend and time of day.
	// Default 0.4, 0.3, 0.2, 0.1.
	Weights []float64 `json:"weights"`
	// Confidence is the number of accesses at which confidence is one half.
	// Default 4.
	Confidence float64 `json:"confidence"`
	// Horizon is the time within which a key is predicted to be asked again.
	// The weights are what they are for 10 minutes, the default; the setting
	// says against what the predictor is measured.
	Horizon time.Duration `json:"horizon"`
}

// Predictor predicts accesses. Safe for concurrent use.
type Predictor struct {
	weights    features.Weights
	confidence float64
	horizon    time.Duration
}

// NewPredictor returns a predictor with those settings.
func NewPredictor(o Options) (*Predictor, error) {
	p := &Predictor{weights: features.DefaultWeights(), confidence: 4, horizon: DefaultHorizon}
	var problems []error
	if o.Weights != nil {
		if len(o.Weights) != 4 {
			return nil, fmt.Errorf("weights: %d numbers, want 4: of rate, recency, trend and time of day", len(o.Weights))
		}
		for i, w := range o.Weights {
			if math.IsNaN(w) || math.Abs(w) > 1e6 {
				problems = append(problems, fmt.Errorf("weights[%d]: %v, want a number within -1e6..1e6", i, w))
			}
		}
		p.weights = features.Weights{Rate: o.Weights[0], Recency: o.Weights[1], Trend: o.Weights[2], TimeOfDay: o.Weights[3]}
	}
	if o.Confidence != 0 {
		p.confidence = o.Confidence
		if !(o.Confidence > 0 && o.Confidence <= 63) {
			problems = append(problems, fmt.Errorf("confidence: %v, want a number in 0..63", o.Confidence))
		}
	}
	if o.Horizon != 0 {
		p.horizon = o.Horizon
		if o.Horizon < time.Second || o.Horizon > 24*time.Hour {
			problems = append(problems, fmt.Errorf("horizon: %v, want 1s to 24h", o.Horizon))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return p, nil
}

// Horizon returns the time within which a key is predicted to be asked again.
func (p *Predictor) Horizon() time.Duration { return p.horizon }

// Predict returns the probability that the key is asked again within the
// horizon, 0..1.
func (p *Predictor) Predict(x features.Pattern) float64 {
	x.Confidence = x.Count / (x.Count + p.confidence)
	return p.weights.Predict(x)
}

// columns are what a prediction reads.
func columns(more ...policies.Column) []policies.Column {
	return append([]policies.Column{
		policies.ColFreq, policies.ColRecency, policies.ColRateSlow, policies.ColTrend, policies.ColTimeOfDay,
	}, more...)
}

// row returns the prediction for a row. Unknown values count as none.
func (p *Predictor) row(in *policies.Rows, i int) float64 {
	known := func(c policies.Column, otherwise float64) float64 {
		if v := in.Value(c, i); v == v {
			return v
		}
		return otherwise
	}
	return p.Predict(features.Pattern{
		Count:     known(policies.ColFreq, 0),
		Recency:   known(policies.ColRecency, math.Inf(1)),
		Slow:      known(policies.ColRateSlow, 0),
		Trend:     known(policies.ColTrend, 0),
		TimeOfDay: known(policies.ColTimeOfDay, 0.5),
	})
}

// cost returns the load cost of a row in milliseconds, 1 where it is unknown.
func cost(in *policies.Rows, i int) float64 {
	if c := in.Value(policies.ColLoadCost, i); c > 0 {
		return c
	}
	return 1
}

func info(kind policies.Kind, more ...policies.Column) policies.Info {
	return policies.Info{Name: "linear", Version: "1", Kind: kind, Columns: columns(more...)}
}
