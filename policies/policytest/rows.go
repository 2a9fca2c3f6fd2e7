package policytest

import (
	"math"
	"math/rand/v2"

	"github.com/perfopt/perfopt/policies"
)

// fillRows writes random rows with sensible values, some of them unknown.
func fillRows(rng *rand.Rand, rows *policies.Rows, n int, columns []policies.Column) {
	rows.Now = policies.Nanos(rng.Int64N(1 << 60))
	rows.Resize(n, columns)
	for i := range n {
		rows.KeyHash[i] = policies.KeyHash(rng.Uint64N(100))
		least := rng.Float64() * 10
		for c, v := range map[policies.Column]float64{
			policies.ColFreq: rng.Float64() * 63, policies.ColRecency: rng.ExpFloat64() * 100,
			policies.ColRateSlow: rng.ExpFloat64(), policies.ColRateFast: rng.ExpFloat64() * 3,
			policies.ColTrend: rng.NormFloat64(), policies.ColTimeOfDay: rng.Float64(),
			policies.ColConfidence: rng.Float64(), policies.ColPrediction: rng.Float64(),
			policies.ColSize: 1 + rng.ExpFloat64()*1000, policies.ColLoadCost: rng.ExpFloat64() * 20,
			policies.ColAge: rng.ExpFloat64() * 100, policies.ColTTLLeft: 10 - rng.ExpFloat64()*10,
			policies.ColBaseTTL: rng.ExpFloat64() * 100, policies.ColOriginTTL: rng.ExpFloat64() * 100,
			policies.ColMinTTL: least, policies.ColMaxTTL: least + rng.ExpFloat64()*1000,
			policies.ColChanged: float64(rng.IntN(5)), policies.ColUnchanged: float64(rng.IntN(5)),
			policies.ColResident: float64(rng.IntN(2)), policies.ColNextAccess: rng.ExpFloat64() * 100,
		} {
			rows.Set(c, i, v)
		}
		switch rng.IntN(4) {
		case 0:
			rows.Set(policies.ColOriginTTL, i, math.NaN())
			rows.Set(policies.ColLoadCost, i, 0)
		case 1:
			rows.Set(policies.ColTTLLeft, i, math.Inf(1))
			rows.Set(policies.ColNextAccess, i, math.Inf(1))
			rows.Set(policies.ColAge, i, math.NaN())
		case 2:
			rows.Set(policies.ColFreq, i, 0)
			rows.Set(policies.ColRecency, i, math.Inf(1))
			rows.Set(policies.ColRateSlow, i, 0)
			rows.Set(policies.ColBaseTTL, i, math.NaN())
		}
	}
}

// randomLoad is a window of a scheduler that is sometimes idle, sometimes
// overloaded.
func randomLoad(rng *rand.Rand, tick uint64, limit float64) policies.Load {
	in := policies.Load{
		Now: policies.Nanos(tick * 1e8), Tick: tick, Limit: limit, MinLimit: 1, MaxLimit: 1000,
		InFlight: rng.Float64() * limit, MaxInFlight: rng.Float64() * limit,
		CPU: rng.Float64(), Memory: rng.Float64(), ErrorRate: max(rng.Float64()-0.8, 0),
		MeanMillis: rng.ExpFloat64() * 50, Target: 60, Baseline: 20,
		Completions: float64(rng.IntN(60)), Arrivals: rng.Float64() * 300, Throughput: rng.Float64() * 300, WindowNanos: 1e8,
	}
	in.P50Millis, in.P95Millis, in.P99Millis = in.MeanMillis*0.8, in.MeanMillis*2, in.MeanMillis*4
	for i := range in.Queued {
		in.Queued[i] = float64(rng.IntN(10))
	}
	if rng.IntN(5) == 0 {
		in.MeanMillis, in.P50Millis, in.P95Millis, in.P99Millis = math.NaN(), math.NaN(), math.NaN(), math.NaN()
		in.Completions, in.Target, in.Baseline = 0, math.NaN(), math.NaN()
	}
	return in
}
