package proxy

import (
	"iter"
	"maps"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Outcome says how a request ended.
type Outcome uint8

// The outcomes.
const (
	Hit         Outcome = iota // answered from the cache, the origin was not asked
	Miss                       // answered by the origin, or by a load that another request began
	Revalidated                // answered from the cache after the origin said that nothing changed
	Bypass                     // passed through, not a request that is cached
	Failed                     // 502 or 504: no whole answer from the origin; or the request was refused
	Rejected                   // 503: the scheduler admitted no origin request

	numOutcomes = iota
)

var outcomeNames = [numOutcomes]string{"hit", "miss", "revalidated", "bypass", "error", "rejected"}

// String returns the lower-case name of the outcome.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "unknown"
}

// Stats are the proxy's counters since it was made.
type Stats struct {
	Requests       uint64       `json:"requests"`
	Bytes          uint64       `json:"bytes"`           // of content sent to clients
	Aborted        uint64       `json:"aborted"`         // answers that could not be sent whole
	OriginRequests uint64       `json:"origin_requests"` // requests sent to the origin, prefetches included
	OriginErrors   uint64       `json:"origin_errors"`   // of these, without a whole answer or with a 5xx one
	Prefetches     uint64       `json:"prefetches"`      // origin requests of the prefetch policy
	ErrorRate      float64      `json:"error_rate"`      // failed and rejected over all requests, 0..1
	Routes         []RouteStats `json:"routes"`          // in the order of the rules, the default route last
	Latency        Latency      `json:"latency"`         // of all requests
}

// Latency are the mean and the percentiles of the last one to two minutes, in
// milliseconds, with an error of at most 7 %; 0 without requests.
type Latency struct {
	Mean float64 `json:"mean_ms"`
	P50  float64 `json:"p50_ms"`
	P95  float64 `json:"p95_ms"`
	P99  float64 `json:"p99_ms"`
}

// RouteStats are the counters of one route.
type RouteStats struct {
	Route    string         `json:"route"`
	Outcomes []OutcomeStats `json:"outcomes"` // one for each outcome, in their order
}

// OutcomeStats are the counters of the requests of one route that ended alike.
// Percentiles are of the last one to two minutes, in milliseconds, with an
// error of at most 7 %.
type OutcomeStats struct {
	Outcome string  `json:"outcome"`
	Count   uint64  `json:"count"`
	Bytes   uint64  `json:"bytes"`
	P50     float64 `json:"p50_ms"`
	P95     float64 `json:"p95_ms"`
	P99     float64 `json:"p99_ms"`
}

// routeStats counts for one route. Safe for concurrent use; a read while
// requests end may miss the newest.
type routeStats [numOutcomes]outcomeStats

// counted keeps the counters of every route that there ever was, so that they
// never go back. Rules change rarely and by hand, which bounds it. Safe for
// concurrent use.
type counted struct {
	mu sync.Mutex
	// guards the fields below
	order []string // labels as they came, "default" last
	by    map[string]*routeStats
}

func (c *counted) of(label string) *routeStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.by[label]; ok {
		return s
	}
	if c.by == nil {
		c.by = map[string]*routeStats{}
	}
	s := new(routeStats)
	c.by[label] = s
	if n := len(c.order); n > 0 && c.order[n-1] == "default" {
		c.order = slices.Insert(c.order, n-1, label)
	} else {
		c.order = append(c.order, label)
	}
	return s
}

// all yields the counters by label.
func (c *counted) all() iter.Seq2[string, *routeStats] {
	c.mu.Lock()
	order, by := slices.Clone(c.order), maps.Clone(c.by)
	c.mu.Unlock()
	return func(yield func(string, *routeStats) bool) {
		for _, label := range order {
			if !yield(label, by[label]) {
				return
			}
		}
	}
}

type outcomeStats struct {
	count, bytes atomic.Uint64
	recent       [2]histogram // of the even and of the odd minutes
}

// statsWindow is how long one of the two recent histograms is filled.
const statsWindow = time.Minute

func (s *outcomeStats) add(now int64, latency time.Duration, n int64) {
	s.count.Add(1)
	s.bytes.Add(uint64(n))
	window := now / int64(statsWindow)
	s.recent[window&1].add(window, latency)
}

func (s *outcomeStats) snapshot(o Outcome, now int64, all *[histogramBuckets]uint64) OutcomeStats {
	window := now / int64(statsWindow)
	var sum [histogramBuckets]uint64
	for i := range s.recent {
		if s.recent[i].window.Load() >= window-1 {
			s.recent[i].addTo(&sum)
		}
	}
	for i, n := range sum {
		all[i] += n
	}
	return OutcomeStats{
		Outcome: o.String(), Count: s.count.Load(), Bytes: s.bytes.Load(),
		P50: quantile(&sum, 0.50), P95: quantile(&sum, 0.95), P99: quantile(&sum, 0.99),
	}
}

// histogram counts latencies in buckets, eight for each doubling, from 1 us to
// some 2 minutes. The first addition of another window empties it; additions
// that race with this may be lost.
type histogram struct {
	window  atomic.Int64
	buckets [histogramBuckets]atomic.Uint64
}

const (
	subBuckets       = 8
	histogramBuckets = 28 * subBuckets
)

func (h *histogram) add(window int64, latency time.Duration) {
	if old := h.window.Load(); old != window && h.window.CompareAndSwap(old, window) {
		for i := range h.buckets {
			h.buckets[i].Store(0)
		}
	}
	h.buckets[bucketOf(latency)].Add(1)
}

func (h *histogram) addTo(sum *[histogramBuckets]uint64) {
	for i := range h.buckets {
		sum[i] += h.buckets[i].Load()
	}
}

// bucketOf returns the bucket of a latency: below 8 us one for each
// microsecond, then eight for each doubling.
func bucketOf(latency time.Duration) int {
	us := uint64(max(latency.Microseconds(), 0))
	if us < subBuckets {
		return int(us)
	}
	exponent := bits.Len64(us) - 4 // us >> exponent is in 8..15
	return min((exponent+1)*subBuckets+int(us>>exponent)-subBuckets, histogramBuckets-1)
}

// bucketMiddle returns the middle of a bucket in milliseconds.
func bucketMiddle(i int) float64 {
	if i < subBuckets {
		return (float64(i) + 0.5) / 1000
	}
	exponent := i/subBuckets - 1
	low := float64(uint64(i%subBuckets+subBuckets) << exponent)
	return (low + float64(uint64(1)<<exponent)/2) / 1000
}

// quantile returns a quantile in milliseconds, 0 without latencies.
func quantile(sum *[histogramBuckets]uint64, q float64) float64 {
	var total uint64
	for _, n := range sum {
		total += n
	}
	if total == 0 {
		return 0
	}
	rank := uint64(q*float64(total-1)) + 1
	for i, n := range sum {
		if rank <= n {
			return bucketMiddle(i)
		}
		rank -= n
	}
	return bucketMiddle(histogramBuckets - 1)
}

// mean returns the mean in milliseconds, 0 without latencies.
func mean(sum *[histogramBuckets]uint64) float64 {
	total, n := 0.0, uint64(0)
	for i, count := range sum {
		total += float64(count) * bucketMiddle(i)
		n += count
	}
	if n == 0 {
		return 0
	}
	return total / float64(n)
}

// Stats returns the counters. Safe for concurrent use.
func (p *Proxy) Stats() Stats {
	now := time.Now().UnixNano()
	s := Stats{
		Aborted: p.aborted.Load(), OriginRequests: p.originRequests.Load(),
		OriginErrors: p.originErrors.Load(), Prefetches: p.prefetches.Load(),
	}
	var failed uint64
	var all [histogramBuckets]uint64
	for label, stats := range p.counted.all() {
		rs := RouteStats{Route: label, Outcomes: make([]OutcomeStats, numOutcomes)}
		for o := range Outcome(numOutcomes) {
			snap := stats[o].snapshot(o, now, &all)
			rs.Outcomes[o] = snap
			s.Requests += snap.Count
			s.Bytes += snap.Bytes
			if o == Failed || o == Rejected {
				failed += snap.Count
			}
		}
		s.Routes = append(s.Routes, rs)
	}
	s.Latency = Latency{Mean: mean(&all), P50: quantile(&all, 0.50), P95: quantile(&all, 0.95), P99: quantile(&all, 0.99)}
	if s.Requests > 0 {
		s.ErrorRate = float64(failed) / float64(s.Requests)
	}
	return s
}
