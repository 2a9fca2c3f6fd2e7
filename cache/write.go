package cache

import (
	"math"
	"time"

	"github.com/perfopt/perfopt/policies"
)

// Write says how an entry is written. The zero value lets the cache decide.
type Write struct {
	// TTL is the entry's life: 0 = as decided by the TTL policy, without one
	// by Decide.Base or Options.DefaultTTL; negative = it does not expire.
	TTL time.Duration
	// Decide is what the TTL policy is asked with.
	Decide TTLInput
	// LoadCost is what loading the value took; 0 = unknown.
	LoadCost time.Duration
	// Prefetched marks a value that no caller has asked for.
	Prefetched bool
}

// Set stores a value and returns false where it is too heavy to be stored (see
// Options.MaxWeight; what the key had is then deleted). A policy may evict the
// entry at once: that is admission.
func (c *Cache[K, V]) Set(key K, value V) bool { return c.SetWith(key, value, Write{}) }

// SetWith is Set with more to say about the write.
func (c *Cache[K, V]) SetWith(key K, value V, w Write) bool {
	return c.write(key, value, w, c.hasher.index(key), nil)
}

// lease is what a conditional write must find unchanged under the shard's lock.
type lease[V any] struct {
	generation uint32
	call       *call[V] // or this load still in flight and not void
}

// write stores a value unless its lease is void.
func (c *Cache[K, V]) write(key K, value V, w Write, hash uint64, l *lease[V]) bool {
	s, number := c.shardOf(hash)
	weight := uint32(1)
	if c.weigher != nil {
		weight = c.weigher(key, value)
	}
	if weight > c.maxWeight {
		c.refuse(key, hash, l)
		return false
	}
	ttl := w.TTL
	if ttl == 0 {
		ttl = c.decide(key, hash, w, weight)
	}
	e := newEntry(key, value, c.expiryAfter(ttl))
	r := record{
		policies.Event{Op: policies.OpInsert, Class: costClass(w.LoadCost)},
		policies.Insert{KeyHash: c.hasher.public(key, hash), Weight: weight, TTLMillis: millis(ttl), LoadCostMicros: micros(w.LoadCost)},
	}
	if w.Prefetched {
		r.event.Flags, r.row.Flags = policies.FlagPrefetched, policies.FlagPrefetched
	}
	s.mu.Lock()
	for !c.ready(s) {
		s.mu.Unlock()
		c.relieve()
		s.mu.Lock()
	}
	if !s.holds(l, hash) {
		s.counts.fillsRefused++
		s.mu.Unlock()
		return false
	}
	added := int64(weight)
	old, pos := s.table.Load().find(hash, key)
	if old != nil {
		r.event.Op, r.event.Slot = policies.OpUpdate, old.slot()
		e.bits |= uint64(old.slot())
		s.table.Load().replace(pos, e)
		added -= int64(c.slots.weight(old.slot()))
		c.slots.weigh(old.slot(), weight)
	} else {
		r.event.Slot = c.add(s, number, hash, e, weight)
		c.entries.Add(1)
	}
	used := c.used.Add(added)
	s.counts.sets++
	if l == nil {
		s.voidLease(hash, key)
	}
	c.enqueue(s, number, r)
	out := s.crowdedOut
	s.crowdedOut = nil
	s.mu.Unlock()
	c.settle(s)
	for _, e := range out {
		c.notify(e, CauseEvicted)
	}
	c.afterWrite(used, weight)
	if old != nil {
		cause := CauseReplaced
		if c.expired(old.expiry()) {
			cause = CauseExpired
		}
		c.notify(old, cause)
	}
	return true
}

// afterWrite keeps the bound: maintenance is asked for room when half of the
// margin is used up; a writer that finds a quarter left makes room for all if
// nobody is at it, and one that finds none makes its own.
func (c *Cache[K, V]) afterWrite(used int64, weight uint32) {
	switch left := c.capacity - used; {
	case left < 0 || c.entries.Load() > c.maxEntries:
		c.makeRoom(weight)
	case left < c.margin/4:
		c.tryTurn()
	case left < c.margin/2:
		c.wakeUp()
	}
}

// ready reports whether the shard can take a write: room in its queue and a
// slot in stock. The shard's lock is held.
func (c *Cache[K, V]) ready(s *shard[K, V]) bool {
	if len(s.queue) >= queueBound {
		return false
	}
	if len(s.free) == 0 {
		s.free = c.slots.take(s.free, cap(s.free)/2)
	}
	return len(s.free) > 0
}

// relieve empties the queues and brings back the slots of what has left. The
// writer does a part of maintenance's work where much is waiting, and waits for
// a call of the policy only behind logBound events. No lock is held.
func (c *Cache[K, V]) relieve() {
	if c.inline {
		c.settle(&c.shards[0]) // what an eviction after the last write freed
		return
	}
	c.intake.Lock()
	waiting := len(c.log.events)
	if waiting < logBound {
		c.gather()
	}
	c.intake.Unlock()
	switch {
	case waiting >= logBound:
		c.takeTurn()
	case waiting >= logBound/8:
		c.tryTurn()
	default:
		c.wakeUp()
	}
}

// refuse turns a write away that is too heavy and deletes what the key had,
// which the caller meant to replace.
func (c *Cache[K, V]) refuse(key K, hash uint64, l *lease[V]) {
	s, _ := c.shardOf(hash)
	s.mu.Lock()
	s.counts.refused++
	valid := s.holds(l, hash)
	s.mu.Unlock()
	if valid {
		c.remove(key, hash, CauseReplaced)
	}
}

// Delete removes a key and reports whether it was there. Loads of the key that
// began before are not stored.
func (c *Cache[K, V]) Delete(key K) bool {
	return c.remove(key, c.hasher.index(key), CauseDeleted)
}

func (c *Cache[K, V]) remove(key K, hash uint64, cause Cause) bool {
	s, number := c.shardOf(hash)
	s.mu.Lock()
	for len(s.queue) >= queueBound {
		s.mu.Unlock()
		c.relieve()
		s.mu.Lock()
	}
	s.voidLease(hash, key)
	e, pos := s.table.Load().find(hash, key)
	if e == nil {
		s.mu.Unlock()
		return false
	}
	expired := c.expired(e.expiry())
	if expired {
		c.expire(s, number, e, pos)
		cause = CauseExpired
	} else {
		c.take(s, hash, pos, e)
		if cause == CauseDeleted {
			s.counts.deletes++
		}
		c.enqueue(s, number, record{event: policies.Event{Slot: e.slot(), Op: policies.OpRemove}})
	}
	s.mu.Unlock()
	c.settle(s)
	c.notify(e, cause)
	return !expired
}

// costClass is the code of a load cost in an event.
func costClass(d time.Duration) uint16 { return classOfMicros(micros(d)) }

func classOfMicros(us uint32) uint16 {
	if us == 0 {
		return 0
	}
	return uint16(math.Round(16 * math.Log2(1+float64(us))))
}

func micros(d time.Duration) uint32 {
	return uint32(min(max(d/time.Microsecond, 0), math.MaxUint32))
}

// millis is a life in milliseconds, at least 1; 0 where it has no end.
func millis(ttl time.Duration) uint32 {
	if ttl < 0 {
		return 0
	}
	return uint32(min(max((ttl+tick-1)/tick, 1), math.MaxUint32))
}
