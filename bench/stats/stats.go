// Package stats judges measurements: what a number is, how far it may be off,
// and whether two series differ by more than that.
//
// The main types are [Interval], an estimate with its bounds, and [Judgement],
// one of four verdicts with the smallest change that could have been seen.
// [MeanInterval] and [RatioInterval] serve independent observations;
// [BatchMeans] makes nearly independent ones of a dependent series and
// [SelfNormalised] does without; [SignFlip] is exact for a handful of pairs.
// Every function names its source. Distributions are gonum's.
//
// It must not know what is measured: no traces, no latencies, no policies.
//
// Caveats. Requests of one run are not independent observations: a test on
// them rejects far too often (windows of an AR(0.6) series under a paired t
// test: 33 % instead of 5 %), so nothing here takes single requests. "Not
// significant" is never called "no change": the verdict is then inconclusive,
// or equivalent where the interval shows that. Functions leave their arguments
// as they are; NaN and infinities among them are errors.
package stats

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"
)

// ErrTooFew is wrapped where there are not enough observations for an answer.
var ErrTooFew = errors.New("too few observations")

// Interval is an estimate with the bounds that contain the truth in the share
// Level of such experiments.
type Interval struct {
	Estimate float64
	Low      float64
	High     float64
	Level    float64 // 0..1, such as 0.95
}

// Contains reports whether v lies between the bounds, both included.
func (i Interval) Contains(v float64) bool { return i.Low <= v && v <= i.High }

// Shift returns the interval with d added to its estimate and bounds.
func (i Interval) Shift(d float64) Interval {
	return Interval{Estimate: i.Estimate + d, Low: i.Low + d, High: i.High + d, Level: i.Level}
}

// Mean returns the arithmetic mean, NaN of no values. Source: gonum
// stat.Mean.
func Mean(x []float64) float64 { return stat.Mean(x, nil) }

// Variance returns the unbiased sample variance (divisor n - 1), NaN of fewer
// than two values. Source: gonum stat.Variance, the corrected two-pass
// algorithm of Chan, Golub and LeVeque (1983).
func Variance(x []float64) float64 {
	if len(x) < 2 {
		return math.NaN()
	}
	return stat.Variance(x, nil)
}

// Covariance returns the unbiased sample covariance (divisor n - 1) of pairs,
// NaN of fewer than two. It panics where the lengths differ.
func Covariance(x, y []float64) float64 {
	if len(x) != len(y) {
		panic("stats: covariance of series of different lengths")
	}
	if len(x) < 2 {
		return math.NaN()
	}
	mx, my := Mean(x), Mean(y)
	var sum float64
	for i := range x {
		sum += (x[i] - mx) * (y[i] - my)
	}
	return sum / float64(len(x)-1)
}

// differences returns a[i] - b[i].
func differences(a, b []float64) ([]float64, error) {
	if len(a) != len(b) {
		return nil, fmt.Errorf("pairs of %d and %d observations: want as many of each", len(a), len(b))
	}
	d := make([]float64, len(a))
	for i := range a {
		d[i] = a[i] - b[i]
	}
	return d, nil
}

// check returns an error where fewer than least values are given or one is
// not a number.
func check(x []float64, least int) error {
	if len(x) < least {
		return fmt.Errorf("%w: %d, want at least %d", ErrTooFew, len(x), least)
	}
	for i, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("observation %d is %v: want finite numbers", i, v)
		}
	}
	return nil
}

func checkLevel(level float64) error {
	if !(level > 0 && level < 1) {
		return fmt.Errorf("level %v: want more than 0 and less than 1", level)
	}
	return nil
}
