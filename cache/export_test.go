package cache

// LockAll takes every lock of the cache and returns what gives them up.
func (c *Cache[K, V]) LockAll() (unlock func()) {
	c.swap.Lock()
	c.turn.Lock()
	c.intake.Lock()
	for i := range c.shards {
		c.shards[i].mu.Lock()
	}
	c.slots.mu.Lock()
	c.life.mu.Lock()
	return func() {
		c.life.mu.Unlock()
		c.slots.mu.Unlock()
		for i := range c.shards {
			c.shards[i].mu.Unlock()
		}
		c.intake.Unlock()
		c.turn.Unlock()
		c.swap.Unlock()
	}
}

// SlotsUsed returns how many slot numbers were ever handed out.
func (c *Cache[K, V]) SlotsUsed() uint32 { return c.slots.used() }

// Shards returns the number of shards.
func (c *Cache[K, V]) Shards() int { return len(c.shards) }

// HoldTurn takes the turn, as a policy that does not come back would.
func (c *Cache[K, V]) HoldTurn() (release func()) {
	c.turn.Lock()
	return c.turn.Unlock
}

// TeeBound is the number of events that a log for a policy being taught takes.
const TeeBound = teeBound

// Weight returns the weight of the residents at this moment.
func (c *Cache[K, V]) Weight() int64 { return c.used.Load() }
