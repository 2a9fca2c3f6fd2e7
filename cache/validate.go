package cache

import (
	"errors"
	"fmt"

	"github.com/perfopt/perfopt/policies"
)

// Validate brings everything up to date and checks that index, slots, weights,
// features and what the policy was shown agree. For tests and debugging: it
// holds every lock and its cost is that of reading everything. Faults of the
// cache only; no write may be in progress.
func (c *Cache[K, V]) Validate() error {
	c.Sync()
	c.turn.Lock()
	defer c.turn.Unlock()
	for i := range c.shards {
		c.shards[i].mu.Lock()
		defer c.shards[i].mu.Unlock()
	}
	var problems []error
	wrong := func(format string, args ...any) {
		if len(problems) < 10 {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	var count int64
	var weight int64
	var residents bitmap
	for i := range c.shards {
		n := c.validateShard(i, &residents, &weight, wrong)
		count += int64(n)
	}
	if e, w := c.entries.Load(), c.used.Load(); e != count || w != weight {
		wrong("counts say %d entries of weight %d, the index has %d of %d", e, w, count, weight)
	}
	if weight > c.capacity || count > c.maxEntries {
		wrong("%d entries of weight %d exceed %d entries, weight %d", count, weight, c.maxEntries, c.capacity)
	}
	used := c.slots.used()
	for s := range policies.Slot(used) {
		resident, free := residents.has(s), c.slots.where(s) == nowhere
		if resident == free {
			wrong("slot %d: resident %t, place free %t", s, resident, free)
		}
		if resident != c.m.held.has(s) || resident != c.features.Resident(s) {
			wrong("slot %d: resident %t, shown to the policy %t, to features %t", s, resident, c.m.held.has(s), c.features.Resident(s))
		}
	}
	c.validateFree(residents, used, wrong)
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("cache: %w", errors.Join(problems...))
}

// validateShard checks one shard, adds its slots and weights and returns how
// many entries it has.
func (c *Cache[K, V]) validateShard(i int, residents *bitmap, weight *int64, wrong func(string, ...any)) int {
	s := &c.shards[i]
	t := s.table.Load()
	n := 0
	for j := range t.lines {
		for p := range t.lines[j].entry {
			e := t.lines[j].entry[p].Load()
			if tagged := t.lines[j].meta.Load()>>(8*p)&0xFF != 0; tagged != (e != nil) {
				wrong("shard %d line %d position %d: tag %t, entry %t", i, j, p, tagged, e != nil)
			}
			if e == nil {
				continue
			}
			n++
			*weight += int64(c.slots.weight(e.slot()))
			if residents.has(e.slot()) {
				wrong("slot %d is held twice", e.slot())
			}
			residents.set(e.slot())
			hash := c.hasher.index(e.key)
			if found, _ := t.find(hash, e.key); found != e {
				wrong("shard %d: the entry at line %d position %d is not found by its key", i, j, p)
			}
			if c.slots.where(e.slot()) != uint32(i)<<c.posBits|uint32(j<<3|p) || hash>>c.shardShift != uint64(i) {
				wrong("slot %d: place %x, the entry is in shard %d line %d position %d", e.slot(), c.slots.where(e.slot()), i, j, p)
			}
		}
	}
	if n != s.count {
		wrong("shard %d counts %d entries, its table has %d", i, s.count, n)
	}
	return n
}

// validateFree checks that each slot in use is free once, or held, or waits in
// a queue for its removal to be delivered.
func (c *Cache[K, V]) validateFree(residents bitmap, used uint32, wrong func(string, ...any)) {
	var free bitmap
	note := func(s policies.Slot, where string) {
		if free.has(s) || residents.has(s) {
			wrong("slot %d is free twice or held (%s)", s, where)
		}
		free.set(s)
	}
	for i := range c.shards {
		for _, s := range c.shards[i].free {
			note(s, "in a shard's stock")
		}
		for _, r := range c.shards[i].queue {
			if r.event.Op == policies.OpRemove || r.event.Op == policies.OpExpire {
				note(r.event.Slot, "in a shard's queue")
			}
		}
	}
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	for _, s := range c.slots.free {
		note(s, "in the stock of all")
	}
	for s := range policies.Slot(used) {
		if !free.has(s) && !residents.has(s) {
			wrong("slot %d is lost", s)
		}
	}
}
