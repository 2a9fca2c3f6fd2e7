package cache

import (
	"time"

	"github.com/perfopt/perfopt/policies"
)

// Locate returns the hash under which policies know a key, resident or not,
// and the slot of one that is resident. It is no access.
func (c *Cache[K, V]) Locate(key K) (h policies.KeyHash, slot policies.Slot, resident bool) {
	hash := c.hasher.index(key)
	h = c.hasher.public(key, hash)
	s, _ := c.shardOf(hash)
	if e, _ := s.table.Load().find(hash, key); e != nil && !c.expired(e.expiry()) {
		return h, e.slot(), true
	}
	return h, policies.NoSlot, false
}

// NoteLoad counts a load that was made outside of [Cache.GetOrLoad], such as
// between Begin and Fill.
func (c *Cache[K, V]) NoteLoad(cost time.Duration, err error) { c.loads.observe(cost, err) }
