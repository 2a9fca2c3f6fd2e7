package features

import (
	"math"

	"github.com/perfopt/perfopt/policies"
)

// Pattern is what is known about a key at some moment.
type Pattern struct {
	Count      float64 // accesses known, halved with time and misses; 0..63
	Recency    float64 // seconds since the last access; +Inf = never
	Fast       float64 // accesses per minute, half-life 1 min
	Slow       float64 // accesses per minute, half-life 10 min
	Trend      float64 // (fast - slow) / 9
	TimeOfDay  float64 // request rate of this hour over that of the busiest hour; 0.5 = unknown
	Confidence float64 // n / (n + 4)
}

// Weights is the built-in predictor: p = sigmoid(w . x) * confidence with
// x = [slow rate, 1 / max(recency, 1), max(trend, 0), time-of-day pattern].
type Weights struct {
	Rate      float64
	Recency   float64
	Trend     float64
	TimeOfDay float64
}

// DefaultWeights returns the weights 0.4, 0.3, 0.2 and 0.1.
func DefaultWeights() Weights {
	return Weights{Rate: 0.4, Recency: 0.3, Trend: 0.2, TimeOfDay: 0.1}
}

// Predict returns the probability that the key is asked again within the
// predictor's horizon (10 minutes where nothing else is said), 0..1.
func (w Weights) Predict(p Pattern) float64 {
	z := w.Rate*p.Slow + w.Recency/max(p.Recency, 1) + w.Trend*max(p.Trend, 0) + w.TimeOfDay*p.TimeOfDay
	return 1 / (1 + math.Exp(-z)) * p.Confidence
}

// trendSpan divides the difference of the rates: 10 min - 1 min.
const trendSpan = 9

// confidenceHalf is the count at which confidence is one half.
const confidenceHalf = 4

// pattern decodes the words of a record at a moment.
func (t *Table) pattern(u use, w rest, now policies.Nanos, epoch uint64, timeOfDay float64) Pattern {
	tick := tickOf(now)
	past := ticksSince(tick, u.tick())
	p := Pattern{
		Count:     min(t.scales.value(countUnits(u, w, tick, epoch)), maxCount),
		Recency:   float64(past) / 16,
		Fast:      t.scales.value(decayed(u.fast(), past*fastDecay)) * math.Ln2,
		Slow:      t.scales.value(decayed(u.slow(), past*slowDecay)) * (math.Ln2 / 10),
		TimeOfDay: timeOfDay,
	}
	p.Trend = (p.Fast - p.Slow) / trendSpan
	p.Confidence = p.Count / (p.Count + confidenceHalf)
	return p
}

// unknown is the pattern of a key that nothing is known about.
func unknown(timeOfDay float64) Pattern {
	return Pattern{Recency: math.Inf(1), TimeOfDay: timeOfDay}
}
