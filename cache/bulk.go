package cache

import "iter"

// GetAll returns the keys that the cache has, with their values.
func (c *Cache[K, V]) GetAll(keys []K) map[K]V {
	found := make(map[K]V, len(keys))
	for _, k := range keys {
		if v, ok := c.Get(k); ok {
			found[k] = v
		}
	}
	return found
}

// SetAll stores the entries and returns how many were stored.
func (c *Cache[K, V]) SetAll(entries map[K]V) int {
	n := 0
	for k, v := range entries {
		if c.Set(k, v) {
			n++
		}
	}
	return n
}

// DeleteAll removes the keys and returns how many were there.
func (c *Cache[K, V]) DeleteAll(keys []K) int {
	n := 0
	for _, k := range keys {
		if c.Delete(k) {
			n++
		}
	}
	return n
}

// All yields the entries that have not expired, in no order. Entries that come
// or go meanwhile may be missing or be yielded; none is yielded twice by one
// table, but one that is replaced while its part of the index grows may be
// yielded with its former value. No access is counted.
func (c *Cache[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for i := range c.shards {
			t := c.shards[i].table.Load()
			for j := range t.lines {
				for p := range t.lines[j].entry {
					e := t.lines[j].entry[p].Load()
					if e != nil && !c.expired(e.expiry()) && !yield(e.key, e.value) {
						return
					}
				}
			}
		}
	}
}

// Clear deletes all entries that were there when it was called and voids all
// loads in flight. Its cost is that of deleting each.
func (c *Cache[K, V]) Clear() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		if s.leases != nil {
			for j := range s.leases {
				s.leases[j]++
			}
		}
		for key, call := range s.calls {
			call.void = true
			delete(s.calls, key)
		}
		s.mu.Unlock()
	}
	for k := range c.All() {
		c.Delete(k)
	}
}
