package perfopt

import (
	"strconv"

	"github.com/perfopt/perfopt/runtime/metrics"
)

// metricsSource is the runtime as /metrics sees it: the same numbers as
// /v1/stats, in base units, under perfopt_.
type metricsSource struct{ rt *Runtime }

var _ metrics.Source = metricsSource{}

// samples collects with little ceremony.
type samples struct{ list []metrics.Sample }

type labels = map[string]string

func (s *samples) gauge(name, help string, l labels, v float64) {
	s.list = append(s.list, metrics.Sample{Name: name, Help: help, Labels: l, Value: v})
}

func (s *samples) count(name, help string, l labels, v uint64) {
	s.list = append(s.list, metrics.Sample{Name: name, Help: help, Kind: metrics.Counter, Labels: l, Value: float64(v)})
}

func (s *samples) quantiles(name, help string, l labels, p50, p95, p99 float64) {
	for q, v := range map[string]float64{"0.5": p50, "0.95": p95, "0.99": p99} {
		with := labels{"quantile": q}
		for k, v := range l {
			with[k] = v
		}
		s.gauge(name, help, with, v/1000)
	}
}

// Samples returns one moment's numbers.
func (m metricsSource) Samples() []metrics.Sample {
	stats := m.rt.Stats()
	var s samples
	s.gauge("info", "Version of this daemon.", labels{"version": stats.Version}, 1)
	s.gauge("uptime_seconds", "Time since the start.", nil, stats.UptimeSeconds)
	for name, c := range stats.Caches {
		s.cache(name, c)
	}
	s.scheduler(stats)
	s.proxy(stats)
	for _, seat := range stats.Seats {
		s.seat(seat)
	}
	for _, p := range stats.PolicyMetrics {
		s.gauge("policy_metric", "A number that a policy reports about itself.", labels{"seat": p.Seat, "policy": p.Policy, "name": p.Name}, p.Value)
	}
	s.gauge("stability_latency_cv", "Coefficient of variation of latency over windows of a second.", nil, stats.System.Stability.LatencyCV)
	s.gauge("stability_throughput_cv", "Coefficient of variation of requests per second.", nil, stats.System.Stability.ThroughputCV)
	return s.list
}

func (s *samples) cache(name string, c CacheStats) {
	l := labels{"cache": name}
	tier := func(t string) labels { return labels{"cache": name, "tier": t} }
	s.count("cache_hits_total", "Fresh answers from a tier.", tier("l1"), c.Hits)
	s.count("cache_misses_total", "Look-ups of a tier without fresh answer.", tier("l1"), c.Misses)
	s.gauge("cache_hit_ratio", "Hits over requests of the last minute.", l, c.RecentHitRatio)
	s.gauge("cache_requests_per_second", "Requests of the last minute.", l, c.RequestsPerSecond)
	s.gauge("cache_bytes", "Weight of the residents.", l, float64(c.L1.Bytes))
	s.gauge("cache_capacity_bytes", "Bound of the weight.", l, float64(c.L1.CapacityBytes))
	s.gauge("cache_entries", "Residents.", l, float64(c.L1.Entries))
	s.gauge("cache_recorded_share", "Share of the hits that the policy heard of.", l, c.L1.RecordedShare)
	s.count("cache_coalesced_total", "Answers from a load that another caller had begun.", l, c.Coalesced)
	s.count("cache_stale_total", "Accesses of entries whose freshness was over.", l, c.Stale)
	s.count("cache_refused_total", "Values too heavy to be stored.", l, c.L1.Refused)
	for cause, n := range c.L1.Evictions {
		s.count("cache_evictions_total", "Entries that left, by cause.", labels{"cache": name, "cause": cause}, n)
	}
	s.count("cache_loads_total", "Loads that returned a value.", l, c.L1.Loads.Count)
	s.count("cache_load_errors_total", "Loads that failed.", l, c.L1.Loads.Errors)
	s.quantiles("cache_load_seconds", "Time of a load.", l, c.L1.Loads.P50, c.L1.Loads.P95, c.L1.Loads.P99)
	s.count("cache_policy_swaps_total", "Exchanges of the eviction policy.", l, c.L1.PolicySwaps)
	if two := c.L2; two != nil {
		s.count("cache_hits_total", "Fresh answers from a tier.", tier("l2"), two.Hits)
		s.count("cache_misses_total", "Look-ups of a tier without fresh answer.", tier("l2"), two.Misses)
		s.count("l2_errors_total", "Reads in which the second tier failed.", l, two.Errors)
		s.count("l2_corrupt_total", "Values of the second tier that were no valid entries.", l, two.Corrupt)
		s.count("l2_skipped_total", "Reads not made while the second tier was away.", l, two.Skipped)
		s.gauge("l2_pending", "Writes and deletes that wait for the second tier.", l, float64(two.Pending))
		up := 0.0
		if two.StateName == "closed" {
			up = 1
		}
		s.gauge("l2_up", "1 while the second tier is used, 0 while it is away.", l, up)
	}
	if p := c.Prefetch; p != nil {
		s.count("prefetch_issued_total", "Prefetches that brought an entry.", l, p.Issued)
		s.count("prefetch_useful_total", "Prefetched entries that a client asked for.", l, p.Useful)
		s.count("prefetch_wasted_total", "Prefetched entries that nobody asked for.", l, p.Wasted)
		s.gauge("prefetch_accuracy", "Useful share of the last prefetches.", l, p.Accuracy)
		s.gauge("prefetch_share", "Share of prefetches in the last 1,000 loads.", l, p.Share)
	}
	s.gauge("prediction_brier", "Brier score of the built-in predictor.", l, c.Predict.Brier)
	s.gauge("prediction_skill", "1 - Brier score over that of the base rate.", l, c.Predict.Skill)
	s.gauge("prediction_calibration_error", "Mean distance of prediction and outcome.", l, c.Predict.CalibrationError)
	s.gauge("cache_marginal_hits_per_mib", "Hits per second that one more MiB would bring.", l, c.Patterns.MarginalHitsPerMiB)
	s.gauge("cache_recommended_capacity_bytes", "Capacity beyond which more brings little.", l, float64(c.Patterns.RecommendedCapacity))
	s.gauge("pattern_zipf_exponent", "Exponent of the popularity law.", l, c.Patterns.Zipf)
	for _, w := range c.Patterns.WorkingSet {
		s.gauge("pattern_working_set_keys", "Keys asked for within a time.", labels{"cache": name, "seconds": strconv.Itoa(int(w.Seconds))}, w.Keys)
	}
	for _, k := range c.Patterns.Classes {
		s.gauge("pattern_class_keys", "Keys by what their accesses look like.", labels{"cache": name, "class": k.Name}, k.Keys)
	}
	s.gauge("pattern_one_hit_ratio", "Share of the keys that were asked for once.", l, c.Patterns.OneHitRatio)
}

func (s *samples) scheduler(stats Stats) {
	c := stats.Scheduler
	s.gauge("limit", "Work that may be in flight.", nil, c.Limit)
	s.gauge("limit_reason", "Why the limit is what it is.", labels{"reason": c.Reason}, 1)
	s.gauge("in_flight", "Work in flight.", nil, float64(c.InFlight))
	s.gauge("utilization", "In flight over limit.", nil, c.Utilization)
	s.gauge("throughput_per_second", "Work completed.", nil, c.Throughput)
	s.gauge("arrivals_per_second", "Work that asked for admission.", nil, c.Arrivals)
	s.gauge("error_ratio", "Failed over completed work.", nil, c.ErrorRate)
	s.gauge("cpu_ratio", "Share of the CPU that limits this process.", nil, c.CPU)
	s.gauge("memory_ratio", "Share of the memory that limits this process.", nil, c.Memory)
	s.gauge("tasks_per_cpu_second", "Completed work over CPU time.", nil, c.TasksPerCPUSecond)
	s.gauge("tasks_per_gib", "Throughput over resident memory.", nil, c.TasksPerGiB)
	s.quantiles("task_seconds", "Time of admitted work.", nil, c.Latency.P50, c.Latency.P95, c.Latency.P99)
	s.quantiles("queue_seconds", "Time in the queue.", nil, c.QueueTime.P50, c.QueueTime.P95, c.QueueTime.P99)
	for priority, n := range map[string]float64{
		"critical": c.QueuedMean.Critical, "high": c.QueuedMean.High, "normal": c.QueuedMean.Normal,
		"low": c.QueuedMean.Low, "background": c.QueuedMean.Background,
	} {
		s.gauge("queue_length", "Waiting work, time-weighted mean.", labels{"priority": priority}, n)
	}
	for reason, n := range c.TotalRejected {
		s.count("rejected_total", "Work that was not admitted.", labels{"reason": reason}, n)
	}
	for outcome, n := range map[string]uint64{"ok": c.TotalOK, "late": c.TotalLate, "failed": c.TotalFailed, "ignored": c.TotalIgnored, "left": c.TotalLeft} {
		s.count("tasks_total", "Work by how it ended.", labels{"outcome": outcome}, n)
	}
}

func (s *samples) proxy(stats Stats) {
	p := stats.Proxy
	if p == nil {
		return
	}
	s.count("proxy_requests_total", "Requests of clients.", nil, p.Requests)
	s.count("proxy_bytes_total", "Content sent to clients.", nil, p.Bytes)
	s.count("origin_requests_total", "Requests sent to the origin.", nil, p.OriginRequests)
	s.count("origin_errors_total", "Origin requests without a whole answer, or with a 5xx one.", nil, p.OriginErrors)
	s.quantiles("request_seconds", "Time of a client's request.", nil, p.Latency.P50, p.Latency.P95, p.Latency.P99)
	for _, r := range p.Routes {
		for _, o := range r.Outcomes {
			l := labels{"route": r.Route, "outcome": o.Outcome}
			s.count("route_requests_total", "Requests of clients by route and outcome.", l, o.Count)
			s.quantiles("route_request_seconds", "Time of a client's request by route and outcome.", l, o.P50, o.P95, o.P99)
		}
	}
}

func (s *samples) seat(seat SeatStats) {
	l := labels{"seat": seat.Seat}
	s.gauge("policy_info", "The policy in a seat.", labels{
		"seat": seat.Seat, "policy": seat.Name, "sha256": seat.Digest, "source": seat.Source, "state": seat.State,
	}, 1)
	s.count("policy_calls_total", "Calls of the policy since it was seated.", l, seat.Calls)
	for reason, n := range seat.FaultsBy {
		s.count("policy_faults_total", "Answers that could not be used.", labels{"seat": seat.Seat, "reason": reason}, n)
	}
	s.gauge("policy_call_seconds", "Mean time of a call.", l, seat.MeanNanos/1e9)
	s.count("policy_fuel_total", "Fuel that the policy used.", l, seat.Fuel)
	quarantined := 0.0
	if seat.State == StateQuarantined || seat.Source == "quarantine" {
		quarantined = 1
	}
	s.gauge("policy_quarantined", "1 while the seat's own policy is in quarantine.", l, quarantined)
}
