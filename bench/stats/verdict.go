package stats

import (
	"fmt"
	"math"
)

// Verdict is the answer to "is B better than A".
type Verdict string

// The verdicts.
const (
	Improved     Verdict = "improved"
	Regressed    Verdict = "regressed"
	Equivalent   Verdict = "equivalent"
	Inconclusive Verdict = "inconclusive"
)

// Judgement is a verdict with what it rests on.
type Judgement struct {
	Verdict Verdict
	// Change is mean(b)/mean(a) - 1 with its interval.
	Change Interval
	// Margin is the relative change that does not matter.
	Margin float64
	// Visible is the smallest relative change that this experiment would have
	// called significant in four of five repetitions.
	Visible float64
}

// power is the probability with which Judgement.Visible would have been seen.
const power = 0.8

// Judge compares paired, nearly independent observations (batch means) of a
// quantity of which less is better. The change is relative to a. The verdict is
//   - equivalent where the change lies within +-margin, shown by two one-sided
//     tests at 1-level, also if it is certain not to be 0: margin is what does
//     not matter;
//   - improved or regressed where the interval excludes 0;
//   - inconclusive else.
//
// An error means that no judgement is possible: too few pairs, or a mean of a
// that is not clearly above 0.
//
// Source: D. J. Schuirmann, A Comparison of the Two One-Sided Tests Procedure,
// Journal of Pharmacokinetics and Biopharmaceutics 15 (1987), on the intervals
// of Fieller (see RatioInterval).
func Judge(a, b []float64, level, margin float64) (Judgement, error) {
	if !(margin >= 0 && margin < 1) {
		return Judgement{}, fmt.Errorf("margin %v: want at least 0 and less than 1", margin)
	}
	ratio, err := RatioInterval(a, b, level)
	if err != nil {
		return Judgement{}, err
	}
	if ratio.Estimate < 0 || Mean(a) < 0 {
		return Judgement{}, fmt.Errorf("a ratio of %g: want positive means", ratio.Estimate)
	}
	oneSided, err := RatioInterval(a, b, 2*level-1)
	if err != nil {
		return Judgement{}, err
	}
	d, _ := differences(b, a) // lengths agree: RatioInterval has looked
	visible, err := VisibleChange(d, level, power)
	if err != nil {
		return Judgement{}, err
	}
	j := Judgement{Change: ratio.Shift(-1), Margin: margin, Visible: math.Abs(visible / Mean(a))}
	within := oneSided.Shift(-1)
	switch {
	case within.Low >= -margin && within.High <= margin:
		j.Verdict = Equivalent
	case j.Change.High < 0:
		j.Verdict = Improved
	case j.Change.Low > 0:
		j.Verdict = Regressed
	default:
		j.Verdict = Inconclusive
	}
	return j, nil
}
