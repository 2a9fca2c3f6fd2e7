package perfopt

import (
	"maps"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/perfopt/perfopt/bench/stats"
	"github.com/perfopt/perfopt/policies/guard"
	"github.com/perfopt/perfopt/runtime/proxy"
	"github.com/perfopt/perfopt/scheduler"
)

// Stats is what a runtime knows about itself: the document behind /v1/stats.
// Numbers of different parts are read one after the other, so they may be some
// operations apart.
type Stats struct {
	At            time.Time             `json:"at"`
	Version       string                `json:"version"`
	UptimeSeconds float64               `json:"uptime_seconds"`
	System        SystemStats           `json:"system"`
	Caches        map[string]CacheStats `json:"caches"`
	Scheduler     scheduler.Stats       `json:"scheduler"`
	Proxy         *proxy.Stats          `json:"proxy"` // null without origin
	Seats         []SeatStats           `json:"seats"`
	PolicyMetrics []PolicyMetric        `json:"policy_metrics"` // that modules report
	// Series has a point a second of the last five minutes, oldest first.
	Series []Point `json:"series"`
}

// SystemStats are about the process and about how steadily it serves.
type SystemStats struct {
	Goroutines int     `json:"goroutines"`
	HeapBytes  uint64  `json:"heap_bytes"`
	CPU        float64 `json:"cpu"`    // share of what limits this process, 0..1
	Memory     float64 `json:"memory"` // likewise
	// Stability and trend over the points of Series that had requests.
	Stability Stability `json:"stability"`
}

// Stability says how much a runtime's service varies over time: coefficients
// of variation (standard deviation over mean, 0 = perfectly steady) of the
// windows of one second, and the change from the older half of the windows to
// the newer, as a share of the older (0.1 = 10 % up).
type Stability struct {
	Windows         int     `json:"windows"`
	LatencyCV       float64 `json:"latency_cv"`
	ThroughputCV    float64 `json:"throughput_cv"`
	LatencyTrend    float64 `json:"latency_trend"`
	ThroughputTrend float64 `json:"throughput_trend"`
	HitRatioTrend   float64 `json:"hit_ratio_trend"` // difference, not a share
}

// The states of a seat.
const (
	StateActive      = "active"
	StateQuarantined = "quarantined" // the built-in decides until the next policy is seated
	StateOff         = "off"         // switched off: no policy is asked
)

// SeatStats are about one seat and the policy in it.
type SeatStats struct {
	Seat    string    `json:"seat"`
	Kind    string    `json:"kind"`
	Name    string    `json:"name"`
	Version string    `json:"version,omitempty"`
	Use     string    `json:"use"`
	Digest  string    `json:"digest,omitempty"`
	Source  string    `json:"source"` // file, push, rollback, quarantine
	Since   time.Time `json:"since"`
	State   string    `json:"state"`
	Why     string    `json:"why,omitempty"`

	Calls       uint64            `json:"calls"`
	Rows        uint64            `json:"rows"`
	Faults      uint64            `json:"faults"`
	FaultsBy    map[string]uint64 `json:"faults_by_reason"`
	LastFault   string            `json:"last_fault,omitempty"`
	Clamped     uint64            `json:"clamped"`
	Dropped     uint64            `json:"dropped"`
	MeanNanos   float64           `json:"mean_ns"` // of a call
	P99Nanos    float64           `json:"p99_ns"`
	RowNanos    float64           `json:"row_ns"`
	Fuel        uint64            `json:"fuel"`
	FuelPerCall float64           `json:"fuel_per_call"`
}

func (s *seat) describe() SeatStats {
	h, _ := s.holds()
	return s.describeHeld(h)
}

// describeHeld describes the seat with what it holds or held.
func (s *seat) describeHeld(h *held) SeatStats {
	d := SeatStats{Seat: string(s.name), Kind: string(s.kind), State: StateActive, FaultsBy: map[string]uint64{}}
	if h == nil {
		return d
	}
	e, n := h.entry, h.health.Snapshot()
	d.Name, d.Version, d.Use, d.Digest = e.Name, e.Version, e.Use, e.Digest
	d.Source, d.Since = string(e.Source), e.At
	d.Calls, d.Rows, d.Faults, d.Clamped, d.Dropped = n.Calls, n.Rows, n.TotalFaults(), n.Clamped, n.Dropped
	d.MeanNanos, d.P99Nanos, d.RowNanos, d.Fuel = finite(n.MeanNanos), finite(n.P99Nanos), finite(n.RowNanos), n.Fuel
	if n.Calls > 0 {
		d.FuelPerCall = float64(n.Fuel) / float64(n.Calls)
	}
	for reason, count := range n.Faults {
		d.FaultsBy[string(reason)] = count
	}
	if n.LastFault != nil {
		d.LastFault = n.LastFault.Error()
	}
	if why := s.owner.off(); why != "" {
		d.State, d.Why = StateOff, why
	} else if n.Quarantined {
		d.State, d.Why = StateQuarantined, n.Why
	}
	return d
}

func (s *seat) decisions() []guard.Decision {
	h, _ := s.holds()
	if h == nil {
		return nil
	}
	return h.health.Decisions()
}

// cacheList returns the caches, sorted by name.
func (rt *Runtime) cacheList() []*observed {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	var list []*observed
	for _, name := range slices.Sorted(maps.Keys(rt.caches)) {
		list = append(list, rt.caches[name])
	}
	return list
}

// Stats returns what /v1/stats shows.
func (rt *Runtime) Stats() Stats {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	s := Stats{
		At: time.Now().UTC(), Version: rt.version, UptimeSeconds: time.Since(rt.started).Seconds(),
		Caches: map[string]CacheStats{}, Scheduler: rt.scheduler.Stats(), PolicyMetrics: rt.policyMetrics.list(),
		Series: rt.sampler.points(),
	}
	s.System = SystemStats{
		Goroutines: runtime.NumGoroutine(), HeapBytes: memory.HeapAlloc,
		CPU: s.Scheduler.CPU, Memory: s.Scheduler.Memory, Stability: stability(s.Series),
	}
	if rt.front != nil {
		p := rt.front.proxy.Stats()
		s.Proxy = &p
	}
	for _, c := range rt.cacheList() {
		own := cacheStats(c.Stats(), c.accuracy.Report(), c.patterns.Report())
		own.RecentHitRatio, own.RequestsPerSecond = rt.sampler.recent(c.name)
		s.Caches[c.name] = own
	}
	for _, seat := range rt.seatList() {
		s.Seats = append(s.Seats, seat.describe())
	}
	return s
}

// stability looks at the windows that had requests.
func stability(series []Point) Stability {
	var latency, throughput, hits []float64
	for _, p := range series {
		if p.RequestsPerSecond > 0 {
			throughput = append(throughput, p.RequestsPerSecond)
			hits = append(hits, p.HitRatio)
			if p.MeanMillis > 0 {
				latency = append(latency, p.MeanMillis)
			}
		}
	}
	s := Stability{Windows: len(throughput), LatencyCV: variation(latency), ThroughputCV: variation(throughput)}
	s.LatencyTrend, s.ThroughputTrend = trend(latency), trend(throughput)
	if half := len(hits) / 2; half > 0 {
		s.HitRatioTrend = stats.Mean(hits[half:]) - stats.Mean(hits[:half])
	}
	return s
}

func variation(x []float64) float64 {
	if len(x) < 2 {
		return 0
	}
	mean := stats.Mean(x)
	if mean == 0 {
		return 0
	}
	sum := 0.0
	for _, v := range x {
		sum += (v - mean) * (v - mean)
	}
	return math.Sqrt(sum/float64(len(x)-1)) / mean
}

func trend(x []float64) float64 {
	half := len(x) / 2
	if half == 0 {
		return 0
	}
	older := stats.Mean(x[:half])
	if older == 0 {
		return 0
	}
	return stats.Mean(x[half:])/older - 1
}

// finite returns 0 for what JSON cannot say.
func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}
