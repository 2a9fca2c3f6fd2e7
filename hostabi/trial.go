package hostabi

import (
	"context"
	"fmt"
	"math"

	"github.com/perfopt/perfopt/policies"
)

// Trial runs the module's policy of a kind on inputs made for the purpose:
// ordinary ones, empty ones, full batches and extreme numbers. It refuses a
// policy that traps, runs out of fuel, or answers what a guard would not let
// pass. The inputs are always the same. It takes a few milliseconds, a Go guest
// some tens.
//
// A module that passes can still misbehave later; then its guard acts.
func (m *Module) Trial(ctx context.Context, kind policies.Kind, config map[string]any) error {
	t := trial{ctx: ctx, now: 1_700_000_000e9}
	env := Env{Config: config, Seed: 1, Now: func() policies.Nanos { return t.now }}
	var err error
	switch {
	case kind == policies.KindEviction && m.scores:
		err = t.score(m, env)
	case kind == policies.KindEviction:
		err = t.order(m, env)
	case kind == policies.KindTTL:
		err = t.ttl(m, env)
	case kind == policies.KindPrefetch:
		err = t.prefetch(m, env)
	case kind == policies.KindScaling:
		err = t.scaling(m, env)
	default:
		err = fmt.Errorf("unknown policy kind %q", kind)
	}
	if err != nil {
		return fmt.Errorf("trial: %w", err)
	}
	return nil
}

// trial makes the inputs.
type trial struct {
	ctx    context.Context
	now    policies.Nanos
	random random
	rows   policies.Candidates
}

func (t *trial) below(n int) int { return int(t.random.next() % uint64(n)) }

// batches are numbers of rows: one, few, full and one more than full.
func (t *trial) batches(m *Module) []int {
	return []int{1, 3, 64, int(m.manifest.MaxBatch), int(m.manifest.MaxBatch) + 1}
}

// extreme returns a value from the ends of what a column may hold.
func extreme(c policies.Column, random uint64) float64 {
	ends := []float64{0, 1, 1e-300, 1e9}
	switch c {
	case policies.ColTimeOfDay, policies.ColConfidence, policies.ColPrediction, policies.ColResident:
		ends = []float64{0, 1}
	case policies.ColFreq:
		ends = []float64{0, 63}
	case policies.ColTrend:
		ends = []float64{-1e9, 0, 1e9}
	case policies.ColOriginTTL:
		ends = []float64{0, 1e9, math.NaN()}
	case policies.ColTTLLeft:
		ends = []float64{-1e9, 0, math.Inf(1)}
	case policies.ColNextAccess:
		ends = []float64{0, 1e9, math.Inf(1)}
	}
	return ends[random%uint64(len(ends))]
}

// fill makes n rows with the columns that the policy reads. Every fourth row
// holds extremes.
func (t *trial) fill(n int, columns []policies.Column) {
	t.rows.Resize(n, columns)
	t.rows.Now = t.now
	for row := range n {
		t.rows.KeyHash[row] = policies.KeyHash(t.random.next())
		for _, c := range columns {
			v := ordinary(c, t.random.next())
			if row%4 == 3 {
				v = extreme(c, t.random.next())
			}
			t.rows.Set(c, row, v)
		}
		t.rows.Set(policies.ColMinTTL, row, 1)
		t.rows.Set(policies.ColMaxTTL, row, 86400)
	}
	t.now += 1e9
}

// ordinary makes a value from the column's usual range.
func ordinary(c policies.Column, random uint64) float64 {
	u := float64(random>>11) / (1 << 53)
	switch c {
	case policies.ColTimeOfDay, policies.ColConfidence, policies.ColPrediction:
		return u
	case policies.ColResident:
		return math.Round(u)
	case policies.ColSize:
		return math.Ceil(u * 1e6)
	case policies.ColTrend:
		return u - 0.5
	case policies.ColFreq, policies.ColChanged, policies.ColUnchanged:
		return math.Floor(u * 63)
	case policies.ColOriginTTL:
		if u < 0.5 {
			return math.NaN()
		}
	}
	return u * 3600
}

func (t *trial) ttl(m *Module, env Env) error {
	p, err := m.started(policies.KindTTL, env)
	if err != nil {
		return err
	}
	defer p.Close()
	decide := &ttlPolicy{p}
	for _, n := range t.batches(m) {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		t.fill(n, p.Info().Columns)
		out := make([]policies.Nanos, n)
		if err := decide.TTL(&policies.TTLBatch{Rows: t.rows.Rows}, out); err == ErrWarmingUp {
			continue
		} else if err != nil {
			return err
		}
		for row, d := range out {
			if d < 0 {
				return m.fault(policies.KindTTL, policies.FaultOutput, fmt.Sprintf("row %d of %d: lifetime %v s is negative", row, n, float64(d)/1e9))
			}
		}
	}
	return nil
}

func (t *trial) score(m *Module, env Env) error {
	p, err := m.scorer(env)
	if err != nil {
		return err
	}
	defer p.Close()
	for _, n := range t.batches(m) {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		t.fill(n, p.Info().Columns)
		if err := p.Score(&t.rows, make([]float64, n)); err != nil {
			return err
		}
	}
	return nil
}

func (t *trial) scaling(m *Module, env Env) error {
	i, err := m.started(policies.KindScaling, env)
	if err != nil {
		return err
	}
	defer i.Close()
	p := &scalingPolicy{i}
	limit := 10.0
	for tick := range 50 {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		t.now += 100e6
		in := policies.Load{Now: t.now, Tick: uint64(tick + 1), Limit: limit, MinLimit: 1, MaxLimit: 1000,
			InFlight: limit, MaxInFlight: limit, CPU: 0.4, Memory: 0.3, MeanMillis: 12, P50Millis: 10, P95Millis: 30, P99Millis: 60,
			Target: 50, Baseline: 8, Completions: 40, Arrivals: 400, Throughput: 400, WindowNanos: 100e6}
		switch {
		case tick%10 == 3: // overloaded
			in.CPU, in.MeanMillis, in.ErrorRate, in.Queued = 1, 400, 0.2, [policies.NumPriorities]float64{1, 5, 50, 100, 500}
		case tick%10 == 7: // idle and unknown
			nan := math.NaN()
			in.InFlight, in.MaxInFlight, in.Completions, in.Arrivals, in.Throughput = 0, 0, 0, 0, 0
			in.MeanMillis, in.P50Millis, in.P95Millis, in.P99Millis, in.Target, in.Baseline = nan, nan, nan, nan, nan, nan
		}
		next, _, err := p.Limit(&in)
		if err == ErrWarmingUp {
			continue
		} else if err != nil {
			return err
		}
		if math.IsNaN(next) || math.IsInf(next, 0) {
			return m.fault(policies.KindScaling, policies.FaultOutput, fmt.Sprintf("limit %v after tick %d is not a number", next, tick+1))
		}
		limit = min(max(next, in.MinLimit), in.MaxLimit)
	}
	return nil
}

func (t *trial) prefetch(m *Module, env Env) error {
	policy, err := m.Prefetch(env)
	if err != nil {
		return err
	}
	p := policy.(*prefetchPolicy)
	defer p.Close()
	shown := map[policies.KeyHash]bool{}
	for _, n := range t.batches(m) {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		events := make([]policies.Event, n)
		inserts := make([]policies.Insert, n)
		for i := range events {
			h := policies.KeyHash(t.below(200))
			shown[h] = true
			events[i] = policies.Event{Slot: policies.NoSlot, Op: policies.OpMiss}
			inserts[i] = policies.Insert{KeyHash: h}
		}
		if err := p.Observe(events, inserts); err != nil {
			return err
		}
		t.fill(n, p.Info().Columns)
		for _, h := range t.rows.KeyHash {
			shown[h] = true
		}
		out := make([]policies.KeyHash, 32)
		k, err := p.Propose(&t.rows, len(out), out)
		if err != nil {
			return err
		}
		seen := map[policies.KeyHash]bool{}
		for i, h := range out[:k] {
			if !shown[h] || seen[h] {
				return m.fault(policies.KindPrefetch, policies.FaultOutput, fmt.Sprintf("proposal %d of %d is a key that was not shown, or is there twice", i, k))
			}
			seen[h] = true
		}
	}
	return nil
}
