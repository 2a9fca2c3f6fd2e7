package cache

import (
	"iter"
	"math/bits"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
)

// Explanation says why a key is in the cache.
type Explanation[K comparable, V any] struct {
	Entry Entry[K, V]
	// KeyHash and Slot are the names under which policies know the entry.
	KeyHash policies.KeyHash
	Slot    policies.Slot
	// Record is what features know of its past; Known is false for an entry so
	// young that maintenance has not seen it.
	Record features.Record
	Known  bool
	// Policy is the name of the eviction policy; Sampler says that it failed
	// and the host makes room.
	Policy  string
	Sampler bool
}

// Explain returns what is known about a resident. It is no access.
func (c *Cache[K, V]) Explain(key K) (Explanation[K, V], bool) {
	hash := c.hasher.index(key)
	s, _ := c.shardOf(hash)
	e, _ := s.table.Load().find(hash, key)
	if e == nil || c.expired(e.expiry()) {
		return Explanation[K, V]{}, false
	}
	name := c.name.Load()
	x := Explanation[K, V]{
		Entry: c.show(e), KeyHash: c.hasher.public(key, hash), Slot: e.slot(),
		Policy: name.policy, Sampler: name.sampler,
	}
	x.Record, x.Known = c.features.Record(e.slot(), c.readClock())
	x.Known = x.Known && x.Record.KeyHash == x.KeyHash
	return x, true
}

// Hottest returns up to n residents, the one that was asked for last first.
// Its cost is that of sorting all residents.
func (c *Cache[K, V]) Hottest(n int) []Entry[K, V] {
	return c.list(n, c.features.Hottest(c.readClock()))
}

// Coldest returns up to n residents, the one that was asked for longest ago
// first. Its cost is that of sorting all residents.
func (c *Cache[K, V]) Coldest(n int) []Entry[K, V] {
	return c.list(n, c.features.Coldest(c.readClock()))
}

func (c *Cache[K, V]) list(n int, slots iter.Seq[policies.Slot]) []Entry[K, V] {
	var out []Entry[K, V]
	if n <= 0 {
		return out
	}
	for slot := range slots {
		if e := c.holder(slot); e != nil && !c.expired(e.expiry()) {
			if out = append(out, c.show(e)); len(out) == n {
				break
			}
		}
	}
	return out
}

// holder returns the entry that holds a slot, nil where none does at this
// moment. It takes no lock.
func (c *Cache[K, V]) holder(slot policies.Slot) *entry[K, V] {
	where := c.slots.where(slot)
	if where == nowhere {
		return nil
	}
	e := c.shards[where>>c.posBits].table.Load().at(where & (1<<c.posBits - 1))
	if e == nil || e.slot() != slot {
		return nil
	}
	return e
}

// KeyOf returns the resident key of a hash that a policy named.
func (c *Cache[K, V]) KeyOf(h policies.KeyHash) (K, bool) {
	hash := c.hasher.spread(h)
	s, _ := c.shardOf(hash)
	t := s.table.Load()
	for i, n := t.home(hash), 0; n < min(maxProbe, len(t.lines)); n++ {
		l := &t.lines[i]
		meta := l.meta.Load()
		for m := matchTag(meta, tagOf(hash)); m != 0; m &= m - 1 {
			e := l.entry[bits.TrailingZeros64(m)>>3].Load()
			if e != nil && c.hasher.public(e.key, c.hasher.index(e.key)) == h && !c.expired(e.expiry()) {
				return e.key, true
			}
		}
		if meta>>56 == 0 {
			break
		}
		if i++; i == len(t.lines) {
			i = 0
		}
	}
	var zero K
	return zero, false
}
