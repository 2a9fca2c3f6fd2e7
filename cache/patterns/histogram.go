package patterns

import "math"

const (
	// fineBits is the resolution of distances: 64 buckets an octave, 1.6 %.
	fineBits = 6
	fine     = 1 << fineBits
	// octaves of distances, up to 2^48 units.
	octaves = 48
)

// histogram counts distances, each bucket holding those up to its bound and
// above the one before: whole numbers up to 64, then 64 buckets an octave.
type histogram struct {
	counts [fine + octaves*fine]float64
	sum    float64 // of all, infinite distances included
}

// bucket returns the bucket of a distance from 1 on.
func bucket(d float64) int {
	if d <= fine {
		return max(int(math.Ceil(d))-1, 0)
	}
	fraction, exponent := math.Frexp(d) // d = fraction * 2^exponent, 0.5 <= fraction < 1
	octave := exponent - 1 - fineBits
	return min(fine+octave*fine+int(math.Ceil((2*fraction-1)*fine))-1, len(histogram{}.counts)-1)
}

// bound returns the largest distance of a bucket.
func bound(b int) float64 {
	if b < fine {
		return float64(b + 1)
	}
	octave, step := (b-fine)/fine, (b-fine)%fine
	return math.Ldexp(1+float64(step+1)/fine, octave+fineBits)
}

func (h *histogram) add(distance, weight float64) {
	h.sum += weight
	if !math.IsInf(distance, 1) {
		h.counts[bucket(distance)] += weight
	}
}

func (h *histogram) scale(f float64) {
	for i := range h.counts {
		h.counts[i] *= f
	}
	h.sum *= f
}

// within returns the accesses at distances up to d; inside of a bucket they are
// spread evenly.
func (h *histogram) within(d float64) float64 {
	if d < 1 {
		return 0
	}
	last := bucket(d)
	n := 0.0
	for _, c := range h.counts[:last] {
		n += c
	}
	low := 0.0
	if last > 0 {
		low = bound(last - 1)
	}
	if d >= bound(last) {
		return n + h.counts[last]
	}
	return n + h.counts[last]*(d-low)/(bound(last)-low)
}
