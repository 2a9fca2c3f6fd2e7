package stats

import (
	"fmt"
	"math"
	"slices"
)

// maxFlips bounds the enumeration of SignFlip: 2^24 sums, about 50 ms.
const maxFlips = 24

// SignFlip returns the exact two-sided p-value of the hypothesis that the
// differences are symmetric around 0: the share of all 2^n assignments of
// signs whose sum is at least as far from 0 as the observed one. From 1 to 24
// differences; the smallest possible answer is 2^(1-n). O(2^n).
//
// Source: R. A. Fisher, The Design of Experiments (1935), section 21.
func SignFlip(d []float64) (p float64, err error) {
	if err := check(d, 1); err != nil {
		return 0, err
	}
	if len(d) > maxFlips {
		return 0, fmt.Errorf("%d differences: want at most %d", len(d), maxFlips)
	}
	var observed, size float64
	for _, v := range d {
		observed += v
		size += math.Abs(v)
	}
	// Sums that are equal on paper may differ by rounding.
	bound := math.Abs(observed) - 1e-12*size
	// The sign of the first difference stays: the other half mirrors it.
	extreme := 0
	rest := d[1:]
	for flips := range uint32(1) << len(rest) {
		sum := d[0]
		for i, v := range rest {
			if flips>>i&1 != 0 {
				v = -v
			}
			sum += v
		}
		if math.Abs(sum) >= bound {
			extreme++
		}
	}
	return float64(extreme) / float64(uint64(1)<<len(rest)), nil
}

// HodgesLehmann returns the pseudo-median of differences: the median of the
// means of all pairs, each value paired with itself too. It is a robust
// estimate of a shift. At least one difference; O(n^2 log n).
//
// Source: J. L. Hodges and E. L. Lehmann, Estimates of Location Based on Rank
// Tests, Annals of Mathematical Statistics 34 (1963).
func HodgesLehmann(d []float64) (float64, error) {
	if err := check(d, 1); err != nil {
		return 0, err
	}
	walsh := make([]float64, 0, len(d)*(len(d)+1)/2)
	for i := range d {
		for j := i; j < len(d); j++ {
			walsh = append(walsh, d[i]/2+d[j]/2)
		}
	}
	slices.Sort(walsh)
	return quantileSorted(walsh, 0.5), nil
}
