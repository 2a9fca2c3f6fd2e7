package linear_test

import (
	"math/rand/v2"
	"testing"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/eviction"
	"github.com/perfopt/perfopt/policies/features"
	"github.com/perfopt/perfopt/policies/linear"
)

// simulation is a cache of objects with one policy, at 1,000 requests a second.
type simulation struct {
	t        testing.TB
	policy   policies.Orderer
	table    *features.Table
	capacity int
	now      policies.Nanos
	slotOf   map[uint64]policies.Slot
	keyOf    []uint64
	free     policies.Slot
}

func simulate(t testing.TB, capacity int, create func(*features.Table) (policies.Orderer, error)) *simulation {
	t.Helper()
	s := &simulation{t: t, table: features.New(features.Options{MaxSlots: uint32(capacity) + 1}), capacity: capacity, now: 1e18,
		slotOf: map[uint64]policies.Slot{}, keyOf: make([]uint64, capacity+1)}
	p, err := create(s.table)
	if err != nil {
		t.Fatal(err)
	}
	s.policy = p
	if err := p.Reset(policies.Capacity{Weight: int64(capacity), MaxSlots: uint32(capacity) + 1}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *simulation) show(e policies.Event, in ...policies.Insert) {
	s.table.Observe(s.now, []policies.Event{e}, in)
	if err := s.policy.Observe([]policies.Event{e}, in); err != nil {
		s.t.Fatal(err)
	}
}

func (s *simulation) access(key uint64) bool {
	s.now += 1e6
	if slot, ok := s.slotOf[key]; ok {
		s.show(policies.Event{Slot: slot, Op: policies.OpHit})
		return true
	}
	s.show(policies.Event{Slot: policies.NoSlot, Op: policies.OpMiss}, policies.Insert{KeyHash: policies.KeyHash(key)})
	slot := s.free
	if len(s.slotOf) < s.capacity {
		slot = policies.Slot(len(s.slotOf))
		s.free = slot + 1
	}
	s.slotOf[key], s.keyOf[slot] = slot, key
	s.show(policies.Event{Slot: slot, Op: policies.OpInsert}, policies.Insert{KeyHash: policies.KeyHash(key), Weight: 1})
	if len(s.slotOf) > s.capacity {
		var out [1]policies.Slot
		if n, err := s.policy.Victims(1, out[:]); n != 1 || err != nil {
			s.t.Fatalf("%d victims, %v", n, err)
		}
		s.table.Evicted(out[0])
		delete(s.slotOf, s.keyOf[out[0]])
		s.free = out[0]
	}
	return false
}

func newLRU(*features.Table) (policies.Orderer, error) { return eviction.NewLRU(), nil }

// TestRecoversFromACompleteChangeOfTheKeySet: without the decay of counts the
// dead keys would stay at half the confidence for ever and every newcomer would
// be the victim.
func TestRecoversFromACompleteChangeOfTheKeySet(t *testing.T) {
	const capacity, keys, before, after, measured = 500, 3000, 100_000, 20_000, 20_000
	for strict, skew := range map[bool]float64{true: 1.05, false: 1.3} {
		create := func(table *features.Table) (policies.Orderer, error) {
			return linear.NewEviction(table, linear.EvictionOptions{Options: linear.Options{Strict: strict}}, 1)
		}
		ours, lru := simulate(t, capacity, create), simulate(t, capacity, newLRU)
		z := rand.NewZipf(rand.New(rand.NewPCG(5, 5)), skew, 4, keys-1)
		var hits, lruHits float64
		for i := range before + after + measured {
			key := z.Uint64()
			if i >= before {
				key += 1 << 32
			}
			hit, lruHit := ours.access(key), lru.access(key)
			if i >= before+after && hit {
				hits++
			}
			if i >= before+after && lruHit {
				lruHits++
			}
		}
		hits, lruHits = 100*hits/measured, 100*lruHits/measured
		t.Logf("strict %v, skew %v: hit ratio %.1f %%, lru %.1f %%", strict, skew, hits, lruHits)
		if hits < lruHits-5 {
			t.Errorf("strict %v, skew %v: hit ratio %.1f %% after the change, lru %.1f %%", strict, skew, hits, lruHits)
		}
	}
}

func BenchmarkVictim(b *testing.B) {
	const capacity = 1 << 14
	s := simulate(b, capacity, func(table *features.Table) (policies.Orderer, error) {
		return linear.NewEviction(table, linear.EvictionOptions{}, 1)
	})
	key := uint64(0)
	for ; key < 2*capacity; key++ {
		s.access(key)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.access(key)
		key++
	}
}
