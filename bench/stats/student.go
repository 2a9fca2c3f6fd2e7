package stats

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// TQuantile returns the p-quantile of Student's t distribution with df degrees
// of freedom. Source: gonum distuv.StudentsT.
func TQuantile(p, df float64) float64 {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df}.Quantile(p)
}

// MeanInterval returns the mean of independent observations with its
// two-sided interval: mean +- t(1 - (1-level)/2, n-1) * s / sqrt(n). At least
// two observations.
//
// Source: Student, The Probable Error of a Mean, Biometrika 6 (1908).
func MeanInterval(x []float64, level float64) (Interval, error) {
	if err := check(x, 2); err != nil {
		return Interval{}, err
	}
	if err := checkLevel(level); err != nil {
		return Interval{}, err
	}
	mean := Mean(x)
	half := tOf(level, len(x)) * standardError(x)
	return Interval{Estimate: mean, Low: mean - half, High: mean + half, Level: level}, nil
}

// PairedInterval returns the mean of a[i] - b[i] with its interval, as
// MeanInterval does.
func PairedInterval(a, b []float64, level float64) (Interval, error) {
	d, err := differences(a, b)
	if err != nil {
		return Interval{}, err
	}
	return MeanInterval(d, level)
}

// RatioInterval returns the ratio of the means of paired observations,
// mean(b) / mean(a), with its interval: all ratios r for which the paired t
// test of b - r*a does not reject. So 1 lies outside exactly if the
// PairedInterval of b and a excludes 0. Where mean(a) is not clearly different
// from 0 that set is unbounded, which is an error.
//
// Source: E. C. Fieller, Some Problems in Interval Estimation, Journal of the
// Royal Statistical Society B 16 (1954).
func RatioInterval(a, b []float64, level float64) (Interval, error) {
	if len(a) != len(b) {
		return Interval{}, fmt.Errorf("pairs of %d and %d observations: want as many of each", len(a), len(b))
	}
	if err := check(a, 2); err != nil {
		return Interval{}, err
	}
	if err := check(b, 2); err != nil {
		return Interval{}, err
	}
	if err := checkLevel(level); err != nil {
		return Interval{}, err
	}
	n := float64(len(a))
	t := tOf(level, len(a))
	ma, mb := Mean(a), Mean(b)
	scale := t * t / n
	// (mb - r ma)^2 <= scale (vb - 2 r cab + r^2 va), a quadratic in r.
	qa := ma*ma - scale*Variance(a)
	qb := ma*mb - scale*Covariance(a, b)
	qc := mb*mb - scale*Variance(b)
	if !(qa > 0) {
		return Interval{}, fmt.Errorf("the ratio has no bounds: the mean it is relative to, %g, is not clearly different from 0", ma)
	}
	root := math.Sqrt(max(qb*qb-qa*qc, 0))
	return Interval{Estimate: mb / ma, Low: (qb - root) / qa, High: (qb + root) / qa, Level: level}, nil
}

// VisibleChange returns the smallest true difference of paired means that an
// experiment with these differences would have called significant with
// probability power, both ways: (t(1-alpha/2, n-1) + t(power, n-1)) * s / sqrt(n),
// alpha = 1 - level.
//
// Source: H. S. Bloom, Minimum Detectable Effects, Evaluation Review 19 (1995).
func VisibleChange(d []float64, level, power float64) (float64, error) {
	if err := check(d, 2); err != nil {
		return 0, err
	}
	if err := checkLevel(level); err != nil {
		return 0, err
	}
	if !(power >= 0.5 && power < 1) {
		return 0, fmt.Errorf("power %v: want at least 0.5 and less than 1", power)
	}
	return (tOf(level, len(d)) + TQuantile(power, float64(len(d)-1))) * standardError(d), nil
}

// tOf returns the factor of the standard error in a two-sided interval.
func tOf(level float64, n int) float64 { return TQuantile(0.5+level/2, float64(n-1)) }

func standardError(x []float64) float64 { return math.Sqrt(Variance(x) / float64(len(x))) }
