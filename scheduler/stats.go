package scheduler

import (
	"math"
	"time"

	"github.com/perfopt/perfopt/policies"
)

// Stats is what the scheduler shows. Rates, means, percentiles and shares are
// over about the last minute (Seconds says how much); fields named Total count
// since the start. An unknown number is 0, never NaN.
type Stats struct {
	Policy    string  `json:"policy"`     // name of the seated policy
	Limit     float64 `json:"limit"`      // work that may be in flight; fractions are kept for the next step
	MinLimit  float64 `json:"min_limit"`  // bounds of the limit
	MaxLimit  float64 `json:"max_limit"`  //
	Reason    string  `json:"reason"`     // why the limit is what it is
	Adaptive  bool    `json:"adaptive"`   // the policy moves the limit
	Probing   bool    `json:"probing"`    // the limit is halved for a moment to measure the baseline
	Draining  bool    `json:"draining"`   // nothing more is admitted
	Ticks     uint64  `json:"ticks"`      // questions since the policy was seated
	Faults    uint64  `json:"faults"`     // answers since the start that could not be used
	LastFault string  `json:"last_fault"` // the last of them
	// TargetMillis is the target latency; with an automatic target 0 until the
	// first probe. BaselineMillis is the probed latency without queueing.
	TargetMillis   float64 `json:"target_ms"`
	BaselineMillis float64 `json:"baseline_ms"`

	Seconds         float64              `json:"seconds"`          // time that the statistics below cover
	InFlight        int                  `json:"in_flight"`        // at this moment
	Utilization     float64              `json:"utilization"`      // in flight over limit at this moment
	UtilizationMean float64              `json:"utilization_mean"` // the same, mean over the ticks
	Queued          PerPriority[int]     `json:"queued"`           // at this moment
	QueuedMean      PerPriority[float64] `json:"queued_mean"`      // time-weighted mean
	QueueTime       Percentiles          `json:"queue_time"`       // of admitted work, whether it had to wait or not

	Arrivals   float64     `json:"arrivals_per_second"`
	Throughput float64     `json:"throughput_per_second"` // completed work: OK, late or failed
	Rejected   float64     `json:"rejected_per_second"`
	ErrorRate  float64     `json:"error_rate"` // failed and late over completed, 0..1
	Latency    Percentiles `json:"latency"`    // from permit to release, of work that ended OK or Late

	TotalOK       uint64            `json:"total_ok"`
	TotalLate     uint64            `json:"total_late"`
	TotalFailed   uint64            `json:"total_failed"`
	TotalIgnored  uint64            `json:"total_ignored"`
	TotalLeft     uint64            `json:"total_left"`     // callers that cancelled while they waited
	TotalRejected map[string]uint64 `json:"total_rejected"` // by reason; every reason is present

	CPU               float64 `json:"cpu"`       // share of what limits this process, 0..1
	Memory            float64 `json:"memory"`    // likewise
	Throttled         float64 `json:"throttled"` // share of CPU periods that were throttled, 0..1
	ResourceSource    string  `json:"resource_source"`
	TasksPerCPUSecond float64 `json:"tasks_per_cpu_second"` // completed work over CPU time of this process
	TasksPerGiB       float64 `json:"tasks_per_gib"`        // throughput (per second) over resident memory of this process

	// Stability: coefficients of variation over windows of a second, and the
	// relative change from the earlier half of those windows to the later.
	LatencyVariation    float64 `json:"latency_variation"`
	ThroughputVariation float64 `json:"throughput_variation"`
	LatencyTrend        float64 `json:"latency_trend"`
	ThroughputTrend     float64 `json:"throughput_trend"`
}

// Percentiles of a duration, in milliseconds.
type Percentiles struct {
	Mean float64 `json:"mean_ms"`
	P50  float64 `json:"p50_ms"`
	P95  float64 `json:"p95_ms"`
	P99  float64 `json:"p99_ms"`
}

// Stats returns the present statistics. Safe for concurrent use; it costs tens
// of microseconds.
func (s *Scheduler) Stats() Stats {
	now := s.now()
	state := s.gate.state(now)
	read := s.meter.read(now)
	read.waiting = state.waiting()

	s.publicMu.Lock()
	st := s.public
	s.publicMu.Unlock()

	st.Draining = state.draining
	st.InFlight = int(state.inFlight)
	st.Utilization = ratio(float64(state.inFlight), math.Floor(st.Limit))
	st.Queued = perPriority(state.queued)
	st.TotalOK, st.TotalLate = uint64(read.done[OK]), uint64(read.done[Late])
	st.TotalFailed, st.TotalIgnored = uint64(read.done[Failed]), uint64(read.done[Ignored])
	st.TotalLeft = uint64(read.left)
	st.TotalRejected = make(map[string]uint64, numRejectReasons)
	for i, n := range read.rejected {
		st.TotalRejected[RejectReason(i).String()] = uint64(n)
	}
	s.history.fill(&st, moment{reading: read, area: state.area}, s.readHistograms)
	return st
}

// fill computes what is a difference between now and the oldest window.
func (h *history) fill(st *Stats, now moment, read func(*histogramReading)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.moments) == 0 {
		return
	}
	from, last := &h.moments[0], &h.moments[len(h.moments)-1]
	seconds := float64(now.now-from.now) / float64(time.Second)
	completions := float64(now.completions() - from.completions())
	st.Seconds = seconds
	st.UtilizationMean = ratio(h.used-from.used, h.ticks-from.ticks)
	st.Arrivals = max(0, ratio(float64(now.arrivals()-from.arrivals()), seconds))
	st.Throughput = ratio(completions, seconds)
	st.Rejected = ratio(float64(now.rejections()-from.rejections()), seconds)
	st.ErrorRate = ratio(completions-float64(now.done[OK]-from.done[OK]), completions)
	var queued [policies.NumPriorities]float64
	for p := range queued {
		queued[p] = ratio(now.area[p]-from.area[p], float64(now.now-from.now))
	}
	st.QueuedMean = perPriority(queued)

	cpuTasks := float64(last.completions() - from.completions())
	st.TasksPerCPUSecond = ratio(cpuTasks, last.cpuSeconds-from.cpuSeconds)
	st.TasksPerGiB = ratio(st.Throughput, last.rssBytes/(1<<30))
	st.LatencyVariation, st.ThroughputVariation, st.LatencyTrend, st.ThroughputTrend = h.variation()

	current := histogramReading{now: now.now, ended: now.ended()}
	read(&current)
	oldest := &h.histograms[0]
	latencies := current.latencies.sub(&oldest.latencies)
	st.Latency = percentiles(&latencies, 0)
	st.Latency.Mean = millis(ratio(float64(now.timed-from.timed), float64(now.latencies()-from.latencies())))
	waits := current.waits.sub(&oldest.waits)
	ended := uint64(max(current.ended-oldest.ended, 0))
	st.QueueTime = percentiles(&waits, ended-min(ended, waits.total()))
	st.QueueTime.Mean = millis(ratio(float64(now.waited-from.waited), float64(now.ended()-from.ended())))
}

func percentiles(c *counts, zeros uint64) Percentiles {
	return Percentiles{
		P50: millis(float64(c.percentile(0.50, zeros))),
		P95: millis(float64(c.percentile(0.95, zeros))),
		P99: millis(float64(c.percentile(0.99, zeros))),
	}
}

func (s *Scheduler) readHistograms(r *histogramReading) {
	s.meter.latencies(&r.latencies)
	s.meter.queueTimes(&r.waits)
}

// finite returns v, 0 where it is no number.
func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}
