package stats

import (
	"math"
	"slices"
)

// Quantile returns the q-quantile, 0 <= q <= 1, by definition 7: linear
// interpolation between the order statistics around position (n-1)q; the
// default of R, NumPy and spreadsheets. NaN of no values, of a NaN among them
// and of q out of range. O(n log n).
//
// Source: R. J. Hyndman and Y. Fan, Sample Quantiles in Statistical Packages,
// The American Statistician 50 (1996). gonum's stat.LinInterp is another
// definition: its median of 1..5 is 2.5.
func Quantile(x []float64, q float64) float64 {
	if len(x) == 0 || !(q >= 0 && q <= 1) || slices.ContainsFunc(x, math.IsNaN) {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(x))
	return quantileSorted(sorted, q)
}

// Median returns the 0.5-quantile.
func Median(x []float64) float64 { return Quantile(x, 0.5) }

func quantileSorted(sorted []float64, q float64) float64 {
	h := float64(len(sorted)-1) * q
	low := math.Floor(h)
	i := int(low)
	if i+1 == len(sorted) || h == low {
		return sorted[i]
	}
	return sorted[i] + (h-low)*(sorted[i+1]-sorted[i])
}
