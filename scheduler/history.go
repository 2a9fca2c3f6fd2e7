package scheduler

import (
	"math"
	"sync"
	"time"

	"github.com/perfopt/perfopt/policies"
)

const (
	// historyWindows is how many windows of one second the history holds: what
	// statistics over "the last minute" are computed from.
	historyWindows = 60
	// latencyEvery is how many of those windows share a reading of the
	// histograms, which are large.
	latencyEvery = 5
)

// moment is a reading of everything that statistics are differences of.
type moment struct {
	reading
	area       [policies.NumPriorities]float64
	cpuSeconds float64
	rssBytes   float64
	// used is the sum over the ticks of in flight over limit; ticks their
	// number.
	used  float64
	ticks float64
}

// histogramReading is a reading of the histograms.
type histogramReading struct {
	now       int64
	ended     int64 // admitted work by then, as far as it has ended
	latencies counts
	waits     counts
}

// history is the last minute in windows of a second.
type history struct {
	mu sync.Mutex // guards the fields below

	moments    []moment // oldest first; the windows lie between them
	histograms []histogramReading
	used       float64
	ticks      float64
}

// tick takes note of one tick and, once a second has passed, of a window.
func (h *history) tick(m moment, utilization float64, read func(*histogramReading)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.used += utilization
	h.ticks++
	m.used, m.ticks = h.used, h.ticks
	if n := len(h.moments); n > 0 && m.now-h.moments[n-1].now < int64(time.Second) {
		return
	}
	h.moments = keep(h.moments, m, historyWindows+1)
	if n := len(h.histograms); n > 0 && m.now-h.histograms[n-1].now < latencyEvery*int64(time.Second) {
		return
	}
	r := histogramReading{now: m.now, ended: m.ended()}
	read(&r)
	h.histograms = keep(h.histograms, r, historyWindows/latencyEvery+1)
}

// keep appends to a slice of bounded length, dropping the oldest.
func keep[T any](s []T, v T, bound int) []T {
	if len(s) == bound {
		copy(s, s[1:])
		s = s[:bound-1]
	}
	return append(s, v)
}

// variation returns the coefficients of variation of the mean latency and of
// the throughput over the windows, and their trends: the relative difference
// of the later half of the windows from the earlier one. The caller holds mu.
func (h *history) variation() (latency, throughput, latencyTrend, throughputTrend float64) {
	var means, rates []float64
	for i := 1; i < len(h.moments); i++ {
		from, to := &h.moments[i-1], &h.moments[i]
		seconds := float64(to.now-from.now) / float64(time.Second)
		rates = append(rates, float64(to.completions()-from.completions())/seconds)
		if n := to.latencies() - from.latencies(); n > 0 {
			means = append(means, float64(to.timed-from.timed)/float64(n))
		}
	}
	return variation(means), variation(rates), trend(means), trend(rates)
}

// variation is the standard deviation over the mean; 0 without values.
func variation(values []float64) float64 {
	m := mean(values)
	square := 0.0
	for _, v := range values {
		square += (v - m) * (v - m)
	}
	return ratio(math.Sqrt(ratio(square, float64(len(values)))), m)
}

// trend is the mean of the later half over that of the earlier half, less 1; 0
// for fewer than four values.
func trend(values []float64) float64 {
	half := len(values) / 2
	if half < 2 {
		return 0
	}
	early := mean(values[:half])
	return ratio(mean(values[len(values)-half:])-early, early)
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return ratio(sum, float64(len(values)))
}

// ratio is a over b, 0 where that is no number: statistics are printed as JSON,
// which has no NaN.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
