package perfopt

import (
	"time"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/cache/l2"
	"github.com/perfopt/perfopt/cache/patterns"
	"github.com/perfopt/perfopt/cache/tiered"
	"github.com/perfopt/perfopt/policies/linear"
)

// CacheStats are about one cache. Counters are since the start.
type CacheStats struct {
	// Answers of memory that were fresh, over all accesses; the plain and the
	// recent ratio (last minute) are the same over different times.
	Hits              uint64  `json:"hits"`
	Misses            uint64  `json:"misses"`
	HitRatio          float64 `json:"hit_ratio"`
	RecentHitRatio    float64 `json:"recent_hit_ratio"`
	RequestsPerSecond float64 `json:"requests_per_second"` // of the last minute

	Stale     uint64 `json:"stale"`     // accesses of entries whose freshness was over
	Coalesced uint64 `json:"coalesced"` // answers from a load that another caller had begun
	Private   uint64 `json:"private"`   // answers that were not stored

	L1       L1Stats         `json:"l1"`
	L2       *L2Stats        `json:"l2"`       // null: there is none
	Prefetch *PrefetchStats  `json:"prefetch"` // null: it is off
	Predict  PredictionStats `json:"prediction"`
	Patterns patterns.Report `json:"patterns"`
}

// L1Stats are about the tier in memory.
type L1Stats struct {
	Hits          uint64  `json:"hits"` // stale ones included
	Misses        uint64  `json:"misses"`
	RecordedShare float64 `json:"recorded_share"` // of the hits, those that the policy heard of, 0..1
	Sets          uint64  `json:"sets"`
	Refused       uint64  `json:"refused"` // too heavy to be stored
	Deletes       uint64  `json:"deletes"`

	Entries       int64 `json:"entries"`
	MaxEntries    int64 `json:"max_entries"`
	Bytes         int64 `json:"bytes"`
	CapacityBytes int64 `json:"capacity_bytes"`

	Evictions map[string]uint64 `json:"evictions"` // by cause: policy, host, expired
	Loads     LoadStats         `json:"loads"`

	Policy         string `json:"policy"`
	HostMakesRoom  bool   `json:"host_makes_room"` // the policy failed
	PolicySwaps    uint64 `json:"policy_swaps"`
	EvictionFaults uint64 `json:"eviction_faults"`
}

// LoadStats are about loads: origin requests of the proxy, calls of an
// embedder's loader.
type LoadStats struct {
	Count  uint64  `json:"count"`
	Errors uint64  `json:"errors"`
	Mean   float64 `json:"mean_ms"`
	P50    float64 `json:"p50_ms"` // percentiles within a factor of two
	P95    float64 `json:"p95_ms"`
	P99    float64 `json:"p99_ms"`
}

// L2Stats are about the shared tier.
type L2Stats struct {
	l2.Stats
	HitRatio float64 `json:"hit_ratio"`
}

// PrefetchStats are about loading ahead.
type PrefetchStats struct {
	State       string  `json:"state"` // "on", or why not
	Policy      string  `json:"policy"`
	Issued      uint64  `json:"issued"`
	Useful      uint64  `json:"useful"`
	Wasted      uint64  `json:"wasted"`
	Failed      uint64  `json:"failed"`
	Outstanding int     `json:"outstanding"`
	Accuracy    float64 `json:"accuracy"` // useful share of the last 1,000 settled
	MinAccuracy float64 `json:"min_accuracy"`
	Share       float64 `json:"share"` // of the last 1,000 loads
	MaxShare    float64 `json:"max_share"`
	Candidates  int     `json:"candidates"`
	Proposed    int     `json:"proposed"`
}

// PredictionStats say how good the built-in predictor's "asked again within
// the horizon" was.
type PredictionStats struct {
	HorizonSeconds float64 `json:"horizon_seconds"`
	Outcomes       uint64  `json:"outcomes"`
	SampledShare   float64 `json:"sampled_share"` // of the keys
	Brier          float64 `json:"brier"`         // mean squared error, lower is better
	BaseBrier      float64 `json:"base_brier"`    // of always predicting the base rate
	// Skill is 1 - brier/base_brier: 1 = perfect, 0 = as good as the base rate.
	Skill            float64          `json:"skill"`
	BaseRate         float64          `json:"base_rate"`
	CalibrationError float64          `json:"calibration_error"`
	Calibration      []CalibrationBin `json:"calibration"`
}

// CalibrationBin is one tenth of the predictions.
type CalibrationBin struct {
	Low       float64 `json:"low"`
	High      float64 `json:"high"`
	Outcomes  uint64  `json:"outcomes"`
	Predicted float64 `json:"predicted"`
	Observed  float64 `json:"observed"`
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func ratio(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// cacheStats translates what the parts of a cache say.
func cacheStats(s tiered.Stats, r linear.Report, p patterns.Report) CacheStats {
	out := CacheStats{
		Hits: s.Hits, Misses: s.L1.Misses + s.Stale, Stale: s.Stale, Coalesced: s.Coalesced, Private: s.Private,
		L1: l1Stats(s.L1), Predict: predictionStats(r), Patterns: p,
	}
	out.HitRatio = ratio(out.Hits, out.Hits+out.Misses)
	if s.L2 != nil {
		out.L2 = &L2Stats{Stats: *s.L2, HitRatio: ratio(s.L2.Hits, s.L2.Hits+s.L2.Misses)}
	}
	if f := s.Prefetch; f != nil {
		out.Prefetch = &PrefetchStats{
			State: f.State, Policy: f.Policy, Issued: f.Issued, Useful: f.Useful, Wasted: f.Wasted, Failed: f.Failed,
			Outstanding: f.Outstanding, Accuracy: finite(f.Accuracy), MinAccuracy: f.MinAccuracy, Share: finite(f.Share),
			MaxShare: f.MaxShare, Candidates: f.Candidates, Proposed: f.Proposed,
		}
	}
	return out
}

func l1Stats(s cache.Stats) L1Stats {
	out := L1Stats{
		Hits: s.Hits, Misses: s.Misses, RecordedShare: ratio(s.Recorded, s.Hits), Sets: s.Sets, Refused: s.Refused, Deletes: s.Deletes,
		Entries: s.Entries, MaxEntries: s.MaxEntries, Bytes: s.Weight, CapacityBytes: s.Capacity,
		Evictions: map[string]uint64{"policy": s.Evicted - min(s.Sampled, s.Evicted), "host": s.Sampled, "expired": s.Expired},
		Loads: LoadStats{
			Count: s.Loads, Errors: s.LoadErrors, P50: millis(s.LoadP50), P95: millis(s.LoadP95), P99: millis(s.LoadP99),
		},
		Policy: s.Policy, HostMakesRoom: s.Sampler, PolicySwaps: s.EvictionSwaps, EvictionFaults: s.EvictionFaults,
	}
	if n := s.Loads + s.LoadErrors; n > 0 {
		out.Loads.Mean = millis(s.LoadTime) / float64(n)
	}
	return out
}

func predictionStats(r linear.Report) PredictionStats {
	out := PredictionStats{
		HorizonSeconds: r.Horizon.Seconds(), Outcomes: r.Outcomes, SampledShare: r.Share, Brier: r.Brier, BaseBrier: r.BaseBrier,
		BaseRate: r.Base, CalibrationError: r.CalibrationError, Calibration: []CalibrationBin{},
	}
	if r.BaseBrier > 0 {
		out.Skill = 1 - r.Brier/r.BaseBrier
	}
	for _, b := range r.Bins {
		out.Calibration = append(out.Calibration, CalibrationBin{b.Low, b.High, b.Outcomes, b.Predicted, b.Observed})
	}
	return out
}
