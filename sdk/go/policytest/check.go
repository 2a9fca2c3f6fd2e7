package policytest

import (
	"bytes"
	"math"
	"testing"

	"github.com/perfopt/perfopt/sdk/go/policy"
)

// rounds is how many batches a check asks about: enough that a counter of a few
// batches overflows or a warm-up ends.
const rounds = 50

// Check runs the suite of each kind that the served policy decides.
func Check(t *testing.T) {
	m, p, ok := policy.Served()
	if !ok {
		t.Fatal("no policy is served: call policy.Serve in func init")
	}
	if p, ok := p.(policy.TTL); ok {
		t.Run("ttl", func(t *testing.T) { checkTTL(t, m, p) })
	}
	if p, ok := p.(policy.Scorer); ok {
		t.Run("scorer", func(t *testing.T) { checkScorer(t, m, p) })
	}
	if p, ok := p.(policy.Orderer); ok {
		t.Run("orderer", func(t *testing.T) { checkOrderer(t, p) })
	}
	if p, ok := p.(policy.Prefetch); ok {
		t.Run("prefetch", func(t *testing.T) { checkPrefetch(t, m, p) })
	}
	if p, ok := p.(policy.Scaling); ok {
		t.Run("scaling", func(t *testing.T) { checkScaling(t, p) })
	}
	if p, ok := p.(policy.Stateful); ok {
		t.Run("state", func(t *testing.T) { checkState(t, m, p) })
	}
}

// twice runs a history of decisions from a fresh start, and again, and wants
// the same answers.
func twice[T comparable](t testing.TB, p any, history func() []T) {
	t.Helper()
	Start(t, p, "")
	first := history()
	Start(t, p, "")
	second := history()
	for i := range first {
		if i >= len(second) || first[i] != second[i] {
			t.Fatalf("decision %d differs between two runs over the same inputs: Init must leave nothing of a former life, and time and randomness come from the host", i)
		}
	}
}

func usable(t testing.TB, err error) bool {
	t.Helper()
	if err != nil && err != policy.ErrWarmingUp {
		t.Fatalf("unexpected error: %v", err)
	}
	return err == nil
}

func checkTTL(t testing.TB, m policy.Manifest, p policy.TTL) {
	twice(t, p, func() (all []float64) {
		for round := range uint64(rounds) {
			b := sample(m, 64, round)
			out := make([]float64, b.Len())
			if !usable(t, p.TTL(b, out)) {
				continue
			}
			for i, v := range out {
				if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
					t.Fatalf("round %d, row %d: TTL is %v: want a finite number of seconds >= 0", round, i, v)
				}
			}
			all = append(all, out...)
		}
		return all
	})
}

func checkScorer(t testing.TB, m policy.Manifest, p policy.Scorer) {
	twice(t, p, func() (all []float64) {
		for round := range uint64(rounds) {
			b := sample(m, 64, round)
			out := make([]float64, b.Len())
			if !usable(t, p.Score(b, out)) {
				continue
			}
			for i, v := range out {
				if math.IsNaN(v) {
					t.Fatalf("round %d, row %d: score is NaN", round, i)
				}
			}
			all = append(all, out...)
		}
		return all
	})
}

func checkOrderer(t testing.TB, p policy.Orderer) {
	twice(t, p, func() []bool {
		c := NewCache(t, p, 64)
		var hits []bool
		r := uint64(1)
		for i := range 20_000 {
			r = mix(r)
			key := policy.KeyHash(1 + (r&0xFF)*(r>>8&0xFF)>>8) // small keys are asked for more often
			hits = append(hits, c.Access(key))
			if i%97 == 0 {
				c.Delete(policy.KeyHash(1 + r>>16&0xFF))
			}
			if i%89 == 0 {
				c.Update(policy.KeyHash(1 + r>>24&0xFF))
			}
			if i%5000 == 4999 {
				c.Restart()
			}
		}
		return hits
	})
}

func checkPrefetch(t testing.TB, m policy.Manifest, p policy.Prefetch) {
	twice(t, p, func() (all []policy.KeyHash) {
		shown := map[policy.KeyHash]bool{}
		for round := range uint64(rounds) {
			r := mix(round)
			in := policy.Insert{KeyHash: policy.KeyHash(r&63 + 1), Weight: 1}
			shown[in.KeyHash] = true
			usable(t, p.Observe(policy.NewEvents(Now+policy.Nanos(round)*1e9, []policy.Event{
				{Slot: policy.NoSlot, Op: policy.OpMiss},
				{Slot: policy.Slot(r & 63), Op: policy.OpInsert},
				{Slot: policy.Slot(r & 63), Op: policy.OpHit},
				{Slot: policy.Slot(r & 63), Op: policy.OpExpire},
			}, []policy.Insert{in, in})))
			b := sample(m, 64, round)
			for _, k := range b.Keys() {
				shown[k] = true
			}
			out := make([]policy.KeyHash, 16)
			n, err := p.Propose(b, out)
			if !usable(t, err) {
				continue
			}
			if n < 0 || n > len(out) {
				t.Fatalf("round %d: Propose returned %d: want 0 to %d", round, n, len(out))
			}
			for _, k := range out[:n] {
				if !shown[k] {
					t.Fatalf("round %d: Propose invented key %#x: only keys that were shown may be proposed", round, k)
				}
			}
			all = append(all, out[:n]...)
		}
		return all
	})
}

func checkScaling(t testing.TB, p policy.Scaling) {
	twice(t, p, func() (all []float64) {
		limit := 10.0
		for round := range uint64(rounds) {
			r := mix(round)
			share := func(shift int) float64 { return float64(r>>shift&0xFF) / 255 }
			in := &policy.Load{Tick: float64(round + 1), Limit: limit, MinLimit: 1, MaxLimit: 1000,
				InFlight: limit * share(0), MaxInFlight: limit, CPU: share(8), Memory: share(16), ErrorRate: share(24) / 4,
				MeanMillis: 400 * share(32), P50Millis: 300 * share(32), P95Millis: 600 * share(32), P99Millis: 900 * share(32),
				TargetMillis: 200, BaselineMillis: 50, Completions: float64(r >> 40 & 63), Arrivals: 100, Throughput: 90, WindowNanos: 1e8}
			if round%8 == 0 {
				in.TargetMillis, in.BaselineMillis, in.Completions = math.NaN(), math.NaN(), 0
				in.MeanMillis, in.P50Millis, in.P95Millis, in.P99Millis = math.NaN(), math.NaN(), math.NaN(), math.NaN()
			}
			next, _, err := p.Limit(in)
			if !usable(t, err) {
				continue
			}
			if math.IsNaN(next) || math.IsInf(next, 0) || next < 0 {
				t.Fatalf("round %d: limit is %v: want a finite number >= 0", round, next)
			}
			limit = max(in.MinLimit, min(next, in.MaxLimit))
			all = append(all, next)
		}
		return all
	})
}

func checkState(t testing.TB, m policy.Manifest, p policy.Stateful) {
	first, err := p.ExportState(nil)
	if err != nil {
		t.Fatalf("ExportState: %v", err)
	}
	if err := p.ImportState(first, m.StateVersion); err != nil {
		t.Fatalf("ImportState of what ExportState gave: %v", err)
	}
	second, err := p.ExportState(nil)
	if err != nil {
		t.Fatalf("ExportState: %v", err)
	}
	if !bytes.Equal(first, second) {
		t.Errorf("state of %d bytes is another one after import and export", len(first))
	}
}
