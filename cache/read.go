package cache

import "github.com/perfopt/perfopt/policies"

// Get returns the value of a key. On a hit it takes no lock, calls no policy
// and allocates nothing.
func (c *Cache[K, V]) Get(key K) (V, bool) {
	hash := c.hasher.index(key)
	s := &c.shards[hash>>c.shardShift]
	e, pos := s.table.Load().find(hash, key)
	if e == nil {
		c.missed(key, hash)
		var zero V
		return zero, false
	}
	if e.expiry() != neverTick && c.expired(e.expiry()) {
		c.dropExpired(key, hash)
		c.missed(key, hash)
		var zero V
		return zero, false
	}
	if c.inline {
		c.hitInline(e)
	} else {
		c.stripes.mine().hit(e.slot(), uint32(hash>>c.shardShift)<<c.posBits|pos)
	}
	return e.value, true
}

func (c *Cache[K, V]) hitInline(e *entry[K, V]) {
	c.stripes[0].hits.Add(1)
	c.recorded.Add(1)
	c.stage(policies.Event{Slot: e.slot(), Op: policies.OpHit}, policies.Insert{})
}

// missed counts a miss and queues it for the policies. A full queue drops it:
// a read waits for nobody.
func (c *Cache[K, V]) missed(key K, hash uint64) {
	miss := record{
		policies.Event{Slot: policies.NoSlot, Op: policies.OpMiss},
		policies.Insert{KeyHash: c.hasher.public(key, hash)},
	}
	if c.inline {
		c.stripes[0].misses.Add(1)
		c.stage(miss.event, miss.row)
		return
	}
	c.stripes.mine().misses.Add(1)
	s, number := c.shardOf(hash)
	s.mu.Lock()
	if len(s.queue) < queueBound-1 {
		c.enqueue(s, number, miss)
	} else {
		s.counts.missesDropped++
	}
	s.mu.Unlock()
}

// dropExpired removes the entry of a key if its time has come.
func (c *Cache[K, V]) dropExpired(key K, hash uint64) {
	s, number := c.shardOf(hash)
	s.mu.Lock()
	e, pos := s.table.Load().find(hash, key)
	if e == nil || !c.expired(e.expiry()) {
		s.mu.Unlock()
		return
	}
	c.expire(s, number, e, pos)
	s.mu.Unlock()
	c.settle(s)
	c.notify(e, CauseExpired)
}

// Peek returns what the cache holds of a key. It is no access: nothing is
// counted, no policy hears of it.
func (c *Cache[K, V]) Peek(key K) (Entry[K, V], bool) {
	hash := c.hasher.index(key)
	s, _ := c.shardOf(hash)
	e, _ := s.table.Load().find(hash, key)
	if e == nil || c.expired(e.expiry()) {
		return Entry[K, V]{}, false
	}
	return c.show(e), true
}

func (c *Cache[K, V]) show(e *entry[K, V]) Entry[K, V] {
	return Entry[K, V]{e.key, e.value, c.slots.weight(e.slot()), c.expiresIn(e)}
}
