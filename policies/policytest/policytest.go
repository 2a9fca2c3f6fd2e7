// Package policytest is the suite that every policy of a kind passes, native or
// WebAssembly: answers in range, victims resident and distinct, every slot
// freed once, the same answers to the same events, and after Reset the same as
// fresh.
//
// A test calls [Eviction], [TTL], [Prefetch] or [Scaling] with a constructor;
// each runs the suite of its kind as subtests. A policy is added to a table of
// such tests, not given copies of them.
//
// The suite plays a small cache with its own table of features, so a policy in
// the scoring form is tested as its host would use it. It must not know any
// particular policy. It says nothing about how good a policy is: that is for a
// replay.
//
// Caveats. The streams are random from fixed seeds, so that a failure repeats.
// A policy that answers fewer victims than needed passes: its host makes room
// by itself; one that never names a victim while entries are resident fails.
package policytest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
)

// NewEviction constructs a fresh instance over a table that the suite keeps up
// to date.
type NewEviction func(t *features.Table) (policies.Orderer, error)

// Eviction runs the suite of eviction policies.
func Eviction(t *testing.T, create NewEviction) {
	t.Helper()
	for _, c := range []struct {
		name string
		load load
	}{
		{name: "objects", load: load{seed: 1, capacity: 100, keys: 300, heaviest: 1, steps: 6000}},
		{name: "weights", load: load{seed: 2, capacity: 400, keys: 300, heaviest: 9, steps: 6000}},
		{name: "tiny", load: load{seed: 3, capacity: 1, keys: 5, heaviest: 1, steps: 500}},
		{name: "all resident", load: load{seed: 4, capacity: 1000, keys: 50, heaviest: 3, steps: 1000}},
		{name: "one-hit keys", load: load{seed: 5, capacity: 50, keys: 1 << 40, heaviest: 1, steps: 3000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			first := newCache(t, create, c.load).run()
			if second := newCache(t, create, c.load).run(); !slices.Equal(first, second) {
				t.Errorf("two instances named different victims: %v", difference(first, second))
			}
		})
	}
	t.Run("reset as fresh", func(t *testing.T) {
		// Two hosts with the same past; one keeps its instance, the other takes
		// a fresh one.
		run := func(fresh bool) []policies.Slot {
			c := newCache(t, create, load{seed: 7, capacity: 64, keys: 100, heaviest: 1, steps: 2000})
			c.run()
			c.empty()
			if fresh {
				c.replace()
			}
			return c.begin(load{seed: 6, capacity: 80, keys: 200, heaviest: 2, steps: 3000}).run()
		}
		if got, want := run(false), run(true); !slices.Equal(got, want) {
			t.Errorf("after Reset other victims were named than by a fresh instance: %v", difference(got, want))
		}
	})
	t.Run("restored residents", func(t *testing.T) {
		c := newCache(t, create, load{seed: 8, capacity: 100, keys: 250, heaviest: 1, steps: 2000})
		c.run()
		c.reseat()
		before := len(c.slotOf)
		victims := c.drain()
		if victims != before {
			t.Errorf("%d of %d restored residents were named", victims, before)
		}
	})
	t.Run("info", func(t *testing.T) {
		p, err := create(features.New(features.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		checkInfo(t, p.Info(), policies.KindEviction)
	})
}

// difference describes where two lists of victims part.
func difference(a, b []policies.Slot) any {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return struct {
				At        int
				Got, Want policies.Slot
			}{i, a[i], b[i]}
		}
	}
	return struct{ Got, Want int }{len(a), len(b)}
}

func checkInfo(t *testing.T, info policies.Info, kind policies.Kind) {
	t.Helper()
	if info.Name == "" {
		t.Error("Info has no name")
	}
	if info.Kind != kind {
		t.Errorf("Info has kind %q, want %q", info.Kind, kind)
	}
	for i, c := range info.Columns {
		if c >= policies.NumColumns || slices.Contains(info.Columns[:i], c) {
			t.Errorf("Info asks for column %v, which is unknown or asked for twice", c)
		}
	}
}

// NewTTL constructs a fresh instance.
type NewTTL func() (policies.TTL, error)

// TTL runs the suite of TTL policies.
func TTL(t *testing.T, create NewTTL) {
	t.Helper()
	p, err := create()
	if err != nil {
		t.Fatal(err)
	}
	checkInfo(t, p.Info(), policies.KindTTL)
	rng := rand.New(rand.NewPCG(1, 1))
	for round := range 200 {
		in := new(policies.TTLBatch)
		fillRows(rng, &in.Rows, rng.IntN(40), p.Info().Columns)
		out := make([]policies.Nanos, in.Len())
		if err := p.TTL(in, out); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for i, ttl := range out {
			if ttl < 0 {
				t.Fatalf("round %d, row %d: the lifetime %d ns is negative", round, i, ttl)
			}
		}
		again := make([]policies.Nanos, in.Len())
		other, err := create()
		if err != nil {
			t.Fatal(err)
		}
		if err := other.TTL(in, again); err != nil || !slices.Equal(out, again) {
			t.Fatalf("round %d: another instance answers %v, %v, want %v", round, again, err, out)
		}
	}
}

// NewPrefetch constructs a fresh instance.
type NewPrefetch func() (policies.Prefetch, error)

// Prefetch runs the suite of prefetch policies.
func Prefetch(t *testing.T, create NewPrefetch) {
	t.Helper()
	run := func() (proposals []policies.KeyHash) {
		p, err := create()
		if err != nil {
			t.Fatal(err)
		}
		checkInfo(t, p.Info(), policies.KindPrefetch)
		rng := rand.New(rand.NewPCG(2, 2))
		shown := map[policies.KeyHash]bool{}
		for round := range 300 {
			var events []policies.Event
			var inserts []policies.Insert
			for range 20 {
				key := policies.KeyHash(rng.Uint64N(40))
				shown[key] = true
				events = append(events, policies.Event{Slot: policies.NoSlot, Op: policies.OpMiss},
					policies.Event{Slot: policies.Slot(key), Op: policies.OpInsert}, policies.Event{Slot: policies.Slot(rng.Uint32N(40)), Op: policies.OpHit})
				inserts = append(inserts, policies.Insert{KeyHash: key}, policies.Insert{KeyHash: key, Weight: 1})
			}
			if err := p.Observe(events, inserts); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			in := new(policies.Candidates)
			fillRows(rng, &in.Rows, rng.IntN(20), p.Info().Columns)
			budget := rng.IntN(8)
			out := make([]policies.KeyHash, 8)
			n, err := p.Propose(in, budget, out)
			if err != nil || n < 0 || n > budget {
				t.Fatalf("round %d: %d proposals, %v, with a budget of %d", round, n, err, budget)
			}
			for i, h := range out[:n] {
				if slices.Contains(out[:i], h) {
					t.Fatalf("round %d: key %x is proposed twice", round, h)
				}
				if !shown[h] && !slices.Contains(in.KeyHash, h) {
					t.Fatalf("round %d: key %x was never shown", round, h)
				}
			}
			proposals = append(proposals, out[:n]...)
		}
		return proposals
	}
	if first, second := run(), run(); !slices.Equal(first, second) {
		t.Error("two instances proposed different keys")
	}
}

// NewScaling constructs a fresh instance.
type NewScaling func() (policies.Scaling, error)

// Scaling runs the suite of scaling policies.
func Scaling(t *testing.T, create NewScaling) {
	t.Helper()
	run := func() (limits []float64) {
		p, err := create()
		if err != nil {
			t.Fatal(err)
		}
		checkInfo(t, p.Info(), policies.KindScaling)
		rng := rand.New(rand.NewPCG(3, 3))
		limit := 10.0
		for tick := range uint64(500) {
			in := randomLoad(rng, tick+1, limit)
			next, _, err := p.Limit(&in)
			if err != nil || math.IsNaN(next) || math.IsInf(next, 0) {
				t.Fatalf("tick %d: limit %v, %v", tick+1, next, err)
			}
			limit = min(max(next, in.MinLimit, limit/2), in.MaxLimit, limit*1.5)
			limits = append(limits, limit)
		}
		return limits
	}
	if first, second := run(), run(); !slices.Equal(first, second) {
		t.Error("two instances answered differently")
	}
}
