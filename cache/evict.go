package cache

import (
	"math/rand/v2"
	"runtime"
	"sync"

	"github.com/perfopt/perfopt/policies"
)

const (
	// victimBatch is the number of victims asked for at once.
	victimBatch = 64
	// sampleSize is the number of residents that a writer compares when it
	// evicts by itself, and sampleTries the random slots it looks at for them.
	sampleSize  = 8
	sampleTries = 64
)

// weightOver returns by how much the residents exceed the capacity less a
// margin; entriesOver likewise for their number.
func (c *Cache[K, V]) weightOver(margin int64) int64 { return c.used.Load() - (c.capacity - margin) }
func (c *Cache[K, V]) entriesOver() int64            { return c.entries.Load() - c.maxEntries }

// makeRoom is called by a writer that added weight. It returns when the
// residents fit, or when it has evicted as much as it added while others, who
// also added, are still at it.
func (c *Cache[K, V]) makeRoom(weight uint32) {
	var mine int64
	for tries := 0; c.weightOver(0) > 0 || c.entriesOver() > 0; tries++ {
		if c.tryTurn() {
			continue
		}
		if tries == 0 {
			runtime.Gosched() // whoever has the turn may be waiting for this processor
			continue
		}
		if mine > 0 && mine >= int64(weight) {
			return
		}
		w := c.sampleOut()
		if w == 0 {
			runtime.Gosched()
		}
		mine += w
	}
}

// evict makes room by the policy's choice, down to the margin below the
// capacity that spares writers the work. The turn is held.
func (c *Cache[K, V]) evict() {
	m := &c.m
	idle := 0
	for idle < 2 {
		need, over := c.weightOver(c.margin), c.entriesOver()
		if need <= 0 && over <= 0 {
			return
		}
		if m.seat.policy == nil {
			break
		}
		want := victimBatch
		if need <= 0 {
			want = int(min(over, victimBatch))
		}
		n, err := victims(m.seat.policy, max(need, 1), m.named[:want])
		if err == nil {
			err = c.checkNamed(m.named[:n])
		}
		if err != nil {
			c.faulted(err)
			break
		}
		if c.evictNamed(m.named[:n], false) == 0 {
			idle++ // nothing named, or only what had just left
		}
	}
	for {
		need, over := c.weightOver(c.margin), c.entriesOver()
		if need <= 0 && over <= 0 {
			return
		}
		n := c.features.Room(max(need, over), func(s policies.Slot) int64 { return int64(c.slots.weight(s)) }, m.named)
		if n == 0 || c.evictNamed(m.named[:n], true) == 0 {
			return // what is left has not been delivered yet, or left just now
		}
		c.flush() // features must not name them again
	}
}

// checkNamed takes named victims out of what the policy holds; one that it
// does not hold is a fault.
func (c *Cache[K, V]) checkNamed(named []policies.Slot) error {
	m := &c.m
	for i, s := range named {
		if !m.held.has(s) {
			for _, ok := range named[:i] {
				m.held.set(ok) // they stay resident
			}
			return fault(m.seat.policy, policies.FaultOutput, "named slot %d, which it does not hold", s)
		}
		m.held.clear(s)
	}
	return nil
}

// evictNamed evicts what the policy named (already out of held) or the host
// sampled, and returns how many were still there. A named slot may have another
// holder by now, whose insert nobody has been shown: that one stays. The turn is
// held.
func (c *Cache[K, V]) evictNamed(named []policies.Slot, sampled bool) int {
	evicted := 0
	c.intake.Lock()
	for _, slot := range named {
		if c.arriving.has(slot) {
			continue // the insert of another holder is in the log
		}
		s, number, e, pos := c.lockSlot(slot)
		if s == nil {
			continue // its removal is still queued
		}
		hash := c.hasher.index(e.key)
		if c.hasher.public(e.key, hash) != c.features.KeyHash(slot) {
			s.mu.Unlock()
			continue // the insert of another holder is in the shard's queue
		}
		c.take(s, hash, pos, e)
		s.counts.evicted++
		if sampled {
			s.counts.sampled++
		}
		if len(s.queue) == 0 && len(s.free) < cap(s.free) {
			s.free = append(s.free, slot)
		} else { // if the queue has an insert of the same key under the same slot, this follows it
			c.enqueue(s, number, record{event: policies.Event{Slot: slot, Op: policies.OpRemove}})
		}
		s.mu.Unlock()
		evicted++
		if c.onRemoval != nil {
			c.removed = append(c.removed, Removal[K, V]{e.key, e.value, CauseEvicted})
		}
	}
	c.intake.Unlock()
	for _, slot := range named {
		remove := policies.Event{Slot: slot, Op: policies.OpRemove}
		if sampled { // no policy knows yet
			c.deliver(remove, policies.Insert{})
			continue
		}
		if c.m.tee != nil {
			c.m.tee.add(remove, policies.Insert{})
		}
		c.features.Evicted(slot)
		c.m.wheel.remove(slot)
	}
	return evicted
}

// sampler is what a writer needs to evict by itself.
type sampler struct {
	rows  policies.Rows
	slots []policies.Slot
}

var recencyOnly = []policies.Column{policies.ColRecency}

func newSamplers() *sync.Pool {
	return &sync.Pool{New: func() any { return &sampler{slots: make([]policies.Slot, 0, sampleSize)} }}
}

// sampleOut evicts the one of a few random residents that was asked for
// longest ago and returns its weight, 0 where it found none. It is how a writer
// makes room while another has the turn; it calls no policy.
func (c *Cache[K, V]) sampleOut() int64 {
	p := c.samplers.Get().(*sampler)
	defer c.samplers.Put(p)
	used := c.slots.used()
	if used == 0 {
		return 0
	}
	p.slots = p.slots[:0]
	for range sampleTries {
		slot := policies.Slot(rand.Uint32N(used))
		if c.slots.where(slot) != nowhere {
			if p.slots = append(p.slots, slot); len(p.slots) == sampleSize {
				break
			}
		}
	}
	if len(p.slots) == 0 {
		return 0
	}
	p.rows.Now = policies.Nanos(c.clock.Load())
	p.rows.Resize(len(p.slots), recencyOnly)
	c.features.Fill(&p.rows, p.slots)
	coldest, longest := p.slots[0], -1.0
	for i, r := range p.rows.Column(policies.ColRecency) {
		if r > longest && c.features.Resident(p.slots[i]) {
			coldest, longest = p.slots[i], r
		}
	}
	s, number, e, pos := c.lockSlot(coldest)
	if s == nil {
		return 0
	}
	weight := c.take(s, c.hasher.index(e.key), pos, e)
	s.counts.evicted++
	s.counts.sampled++
	c.enqueue(s, number, record{event: policies.Event{Slot: coldest, Op: policies.OpRemove}})
	s.mu.Unlock()
	c.notify(e, CauseEvicted)
	return int64(weight)
}

// notify tells the listener, if there is one. No lock is held.
func (c *Cache[K, V]) notify(e *entry[K, V], cause Cause) {
	if c.onRemoval != nil && e != nil {
		c.onRemoval(Removal[K, V]{e.key, e.value, cause})
	}
}
