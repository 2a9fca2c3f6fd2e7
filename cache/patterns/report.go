package patterns

import (
	"math"
	"slices"
	"time"

	"github.com/perfopt/perfopt/policies"
)

// Report is what an [Analyzer] found. "Keys" and "weight" are estimates for the
// whole cache, scaled up from the sample; weight is in units of the capacity.
type Report struct {
	Hits        uint64  `json:"hits"`         // seen
	Misses      uint64  `json:"misses"`       // seen
	PerSecond   float64 `json:"per_second"`   // accesses seen, of late
	SampleRate  float64 `json:"sample_rate"`  // share of the keys in the sample; 1 = all is exact
	SampledKeys int     `json:"sampled_keys"` // in the sample
	MemoryBytes int     `json:"memory_bytes"` // of the analyzer, about

	// Capacity is the cache's, 0 where it is unknown; then the fields about it
	// are 0 too.
	Capacity  int64   `json:"capacity"`
	MissRatio float64 `json:"miss_ratio"` // of an LRU at Capacity
	// MarginalHitsPerMiB is how many more hits a second 2^20 more units of
	// capacity would bring.
	MarginalHitsPerMiB float64 `json:"marginal_hits_per_mib"`
	// RecommendedCapacity is the smallest on the curve from which on no doubling
	// saves more than one access in a hundred from missing; 0 = unknown.
	RecommendedCapacity int64 `json:"recommended_capacity"`
	// Curve is the miss ratio by capacity, smallest capacity first.
	Curve []Point `json:"curve"`

	// ReuseDistances is the share of accesses by distance, in doubling steps;
	// the share of first accesses (or beyond all) is FirstShare.
	ReuseDistances []Bucket `json:"reuse_distances"`
	FirstShare     float64  `json:"first_share"`

	// Zipf is the exponent s of count ~ 1/rank^s: the slope, by least squares,
	// of log count over log rank of the sampled keys, taken at ranks a quarter
	// of an octave apart (so that the many rare keys do not outvote the few
	// frequent ones) down to a count of three. ZipfFit is the R^2 of the line.
	// Both are 0 where fewer than six ranks remain.
	Zipf    float64 `json:"zipf"`
	ZipfFit float64 `json:"zipf_fit"`

	WorkingSet []Window `json:"working_set"` // keys asked for within a minute, ten, an hour
	// OneHitRatio is the share of the keys that were asked for once so far.
	OneHitRatio float64 `json:"one_hit_ratio"`
	Classes     []Class `json:"classes"`
}

// Point is a point of the miss-ratio curve.
type Point struct {
	Capacity  int64   `json:"capacity"`
	MissRatio float64 `json:"miss_ratio"`
}

// Bucket is a step of the reuse-distance histogram: the share of accesses at
// distances up to Distance and above the one before.
type Bucket struct {
	Distance float64 `json:"distance"`
	Share    float64 `json:"share"`
}

// Window is what was asked for within a time.
type Window struct {
	Seconds float64 `json:"seconds"`
	Keys    float64 `json:"keys"`
	Weight  float64 `json:"weight"`
}

// curveSteps is the number of points in an octave of the curve.
const curveSteps = 2

// recommendAt is the gain in hit ratio by a doubling that is worth it.
const recommendAt = 0.01

// Report returns what was found so far. Its cost is that of sorting the
// sampled keys.
func (a *Analyzer) Report() Report {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &a.sample
	r := Report{
		Hits: a.hits, Misses: a.misses, SampleRate: s.rate(), SampledKeys: s.len(), Capacity: a.o.Capacity,
		MemoryBytes: 8*cap(a.slots) + len(s.order.tree)*(8+8+4) + cap(s.keys)*(80+24) + 8*len(a.curve.counts),
		Curve:       []Point{}, ReuseDistances: []Bucket{}, WorkingSet: []Window{}, Classes: []Class{},
	}
	if a.seconds > 0 {
		r.PerSecond = a.accesses / a.seconds
	}
	if a.accesses == 0 {
		return r
	}
	a.describeCurve(&r)
	keys := make([]*tracked, 0, s.len())
	once := s.leftOnce
	for _, i := range s.index {
		keys = append(keys, &s.keys[i])
		if s.keys[i].asked == 1 {
			once++
		}
	}
	r.OneHitRatio = once / (float64(len(keys)) + s.left)
	slices.SortFunc(keys, func(x, y *tracked) int {
		switch {
		case x.count != y.count:
			return int(math.Copysign(1, float64(y.count-x.count)))
		case x.hash < y.hash:
			return -1
		}
		return 1
	})
	r.Zipf, r.ZipfFit = zipf(keys)
	for _, d := range []time.Duration{time.Minute, 10 * time.Minute, time.Hour} {
		w := Window{Seconds: d.Seconds()}
		for _, k := range keys {
			if a.now-k.last <= policies.Nanos(d) {
				w.Keys += 1 / s.rate()
				w.Weight += float64(s.weightOf(k)) / s.rate()
			}
		}
		r.WorkingSet = append(r.WorkingSet, w)
	}
	r.Classes = a.classify(keys)
	return r
}

// hitsWithin is how many accesses an LRU of that capacity would have hit.
func (a *Analyzer) hitsWithin(capacity float64) float64 {
	if capacity < 1 {
		return 0
	}
	// SHARDS-adj: what the sample has too few (or too many) of are accesses of
	// keys so hot that a few of them decide, and those have short distances.
	missing := a.accesses - a.curve.sum
	return min(max(a.curve.within(capacity)+missing, 0), a.accesses)
}

func (a *Analyzer) missRatio(capacity float64) float64 {
	return 1 - a.hitsWithin(capacity)/a.accesses
}

func (a *Analyzer) describeCurve(r *Report) {
	longest := 1.0
	for b, n := range a.curve.counts {
		if n > 0 {
			longest = bound(b)
		}
	}
	low, high := 1.0, longest
	if c := float64(a.o.Capacity); c > 0 {
		r.MissRatio = a.missRatio(c)
		if a.seconds > 0 {
			near := max(c/10, 1)
			gained := a.hitsWithin(c+near) - a.hitsWithin(c-near)
			r.MarginalHitsPerMiB = max(gained, 0) / (2 * near) * (1 << 20) / a.seconds
		}
		low, high = max(c/64, 1), c*a.o.Reach
	}
	for c := low; c <= high*1.0001; c *= math.Exp2(1.0 / curveSteps) {
		r.Curve = append(r.Curve, Point{int64(math.Round(c)), a.missRatio(math.Round(c))})
	}
	r.RecommendedCapacity = recommend(r.Curve)
	hits := a.hitsWithin(longest)
	r.FirstShare = 1 - hits/a.accesses
	former := 0.0
	for d := 1.0; former < hits; d *= 2 {
		n := a.hitsWithin(d)
		if d > 2*longest {
			break
		}
		r.ReuseDistances = append(r.ReuseDistances, Bucket{d, (n - former) / a.accesses})
		former = n
	}
}

// recommend returns the smallest capacity of a curve from which on no doubling
// is worth it.
func recommend(curve []Point) int64 {
	best := int64(0)
	for i := len(curve) - 1 - curveSteps; i >= 0; i-- {
		if curve[i].MissRatio-curve[i+curveSteps].MissRatio > recommendAt {
			return curve[i+1].Capacity
		}
		best = curve[i].Capacity
	}
	return best
}

// zipf fits a line through log count over log rank; keys are sorted by falling
// count.
func zipf(keys []*tracked) (exponent, fit float64) {
	const leastCount, leastRanks = 3, 6
	var n, sx, sy, sxx, sxy, syy float64
	for x, last := 0.0, 0; ; x += 0.25 {
		rank := int(math.Exp2(x))
		if rank > len(keys) || keys[rank-1].count < leastCount {
			break
		}
		if rank == last {
			continue
		}
		last = rank
		lx, ly := math.Log(float64(rank)), math.Log(float64(keys[rank-1].count))
		n++
		sx, sy, sxx, sxy, syy = sx+lx, sy+ly, sxx+lx*lx, sxy+lx*ly, syy+ly*ly
	}
	vx, vy, cov := n*sxx-sx*sx, n*syy-sy*sy, n*sxy-sx*sy
	if n < leastRanks || vx == 0 {
		return 0, 0
	}
	if vy == 0 {
		return 0, 1 // all keys alike: the line is flat and exact
	}
	return -cov / vx, cov * cov / (vx * vy)
}
