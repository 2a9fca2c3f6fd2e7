package eviction_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/eviction"
)

// model is S3-FIFO written down from its description, on plain slices whose
// first element is the newest. It evicts before it inserts.
type model struct {
	capacity, smallLimit, ghostLimit int64
	small, main                      []*item
	ghost                            []*item
}

type item struct {
	key    policies.KeyHash
	weight int64
	freq   int
}

func newModel(capacity int64) *model {
	return &model{capacity: capacity, smallLimit: capacity / 10, ghostLimit: capacity * 9 / 10}
}

func sum(q []*item) (weight int64) {
	for _, it := range q {
		weight += it.weight
	}
	return weight
}

func find(q []*item, key policies.KeyHash) int {
	return slices.IndexFunc(q, func(it *item) bool { return it.key == key })
}

func (m *model) access(key policies.KeyHash, weight int64) bool {
	for _, q := range [][]*item{m.small, m.main} {
		if i := find(q, key); i >= 0 {
			q[i].freq++
			return true
		}
	}
	if weight > m.capacity {
		return false
	}
	returned := false
	if i := find(m.ghost, key); i >= 0 {
		m.ghost = slices.Delete(m.ghost, i, i+1)
		returned = true
	}
	for sum(m.small)+sum(m.main)+weight > m.capacity {
		m.evict()
	}
	it := &item{key: key, weight: weight}
	if returned {
		m.main = slices.Insert(m.main, 0, it)
	} else {
		m.small = slices.Insert(m.small, 0, it)
	}
	return false
}

func pop(q *[]*item) *item {
	last := len(*q) - 1
	it := (*q)[last]
	*q = (*q)[:last]
	return it
}

// evict drops one item: from the main queue where that exceeds its limit or
// the small one is empty, else from the small queue unless all of it moves on.
func (m *model) evict() {
	if len(m.small) > 0 && sum(m.main) <= m.capacity-m.smallLimit {
		for len(m.small) > 0 {
			it := pop(&m.small)
			if it.freq < 2 {
				m.remember(it)
				return
			}
			it.freq = 0
			m.main = slices.Insert(m.main, 0, it)
		}
	}
	for len(m.main) > 0 {
		it := pop(&m.main)
		if it.freq < 1 {
			return
		}
		it.freq = min(it.freq, 3) - 1
		m.main = slices.Insert(m.main, 0, it)
	}
}

func (m *model) remember(it *item) {
	if it.weight > m.ghostLimit {
		return
	}
	m.ghost = slices.Insert(m.ghost, 0, it)
	for sum(m.ghost) > m.ghostLimit {
		pop(&m.ghost)
	}
}

func TestS3FIFODecidesAsItsDescription(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.Int64Range(1, 120).Draw(t, "capacity")
		keys := rapid.Uint64Range(1, 3*uint64(capacity)+2).Draw(t, "keys")
		heaviest := rapid.Uint32Range(1, 9).Draw(t, "heaviest")
		stream := rapid.SliceOfN(rapid.Uint64Range(0, keys), 1, 600).Draw(t, "stream")
		m := newModel(capacity)
		d := newDriver(t, eviction.NewS3FIFO(), capacity)
		for i, k := range stream {
			weight := uint32(k)%heaviest + 1
			want := m.access(policies.KeyHash(k), int64(weight))
			if got := d.access(policies.KeyHash(k), weight); got != want {
				t.Fatalf("access %d to key %d: hit %v, want %v", i, k, got, want)
			}
		}
	})
}

func TestQueuesDecideAsPlainLists(t *testing.T) {
	for _, promote := range []bool{false, true} {
		rapid.Check(t, func(t *rapid.T) {
			capacity := rapid.IntRange(1, 40).Draw(t, "capacity")
			stream := rapid.SliceOfN(rapid.Uint64Range(0, uint64(2*capacity)), 1, 300).Draw(t, "stream")
			var p policies.Orderer = eviction.NewFIFO()
			if promote {
				p = eviction.NewLRU()
			}
			d := newDriver(t, p, int64(capacity))
			var order []uint64
			for i, k := range stream {
				at := slices.Index(order, k)
				if got := d.access(policies.KeyHash(k), 1); got != (at >= 0) {
					t.Fatalf("%s, access %d to key %d: hit %v, want %v", p.Info().Name, i, k, got, at >= 0)
				}
				switch {
				case at < 0:
					order = slices.Insert(order, 0, k)
					order = order[:min(len(order), capacity)]
				case promote:
					order = slices.Insert(slices.Delete(order, at, at+1), 0, k)
				}
			}
		})
	}
}
