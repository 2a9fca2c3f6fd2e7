package cache

import (
	"math"
	"time"

	"github.com/perfopt/perfopt/policies"
)

// clockSlack is how far the stored clock may lag behind the true one without
// a reader asking it: maintenance stores it at least every maxPause, writers at
// every write. Only if a policy call holds up maintenance for longer, and
// nobody writes, may an entry be served up to that call's length too long.
const clockSlack = 1000 // ticks

// realClock is the wall clock at its creation, moved on monotonically: a jump
// of the wall clock does not move it.
func realClock() func() policies.Nanos {
	start := time.Now()
	wall := policies.Nanos(start.UnixNano())
	return func() policies.Nanos { return wall + policies.Nanos(time.Since(start)) }
}

// readClock reads the clock and stores the reading for readers.
func (c *Cache[K, V]) readClock() policies.Nanos {
	now := c.now()
	if old := c.clock.Load(); int64(now) > old {
		c.clock.CompareAndSwap(old, int64(now))
	}
	return now
}

// tickAt returns the tick of a moment.
func (c *Cache[K, V]) tickAt(now policies.Nanos) uint64 {
	return uint64(max(now-c.epoch, 0)) / uint64(tick)
}

// expiryAfter returns the tick at which an entry expires; a negative ttl never.
// Lives are rounded up to a tick.
func (c *Cache[K, V]) expiryAfter(ttl time.Duration) uint64 {
	if ttl < 0 {
		return neverTick
	}
	at := uint64(max(c.readClock()-c.epoch, 0)) + uint64(max(ttl, 1))
	return min((at+uint64(tick)-1)/uint64(tick), neverTick-1)
}

// expired reports whether an expiry has come. On the path of a hit: it asks
// the clock only close to the expiry.
func (c *Cache[K, V]) expired(expiry uint64) bool {
	if expiry == neverTick {
		return false
	}
	if !c.exactClock {
		at := c.tickAt(policies.Nanos(c.clock.Load()))
		if at >= expiry {
			return true
		}
		if expiry-at > clockSlack {
			return false
		}
	}
	return c.tickAt(c.readClock()) >= expiry
}

// expiresIn returns the life that is left, negative where there is no end.
func (c *Cache[K, V]) expiresIn(e *entry[K, V]) time.Duration {
	if e.expiry() == neverTick {
		return -1
	}
	end := c.epoch + policies.Nanos(min(e.expiry(), math.MaxInt64/uint64(tick)))*policies.Nanos(tick)
	return time.Duration(max(end-c.readClock(), 0))
}

// expireDue removes entries whose time has come, at most expireBound a round,
// and reports whether more are waiting. The turn is held.
func (c *Cache[K, V]) expireDue() (more bool) {
	m := &c.m
	if m.wheel.count == 0 {
		m.wheel.advance(c.tickAt(m.now), 0, nil)
		return false
	}
	due, done := m.wheel.advance(c.tickAt(m.now), expireBound, m.expire[:0])
	for _, slot := range due {
		s, number, e, pos := c.lockSlot(slot)
		if s == nil {
			continue
		}
		switch x := e.expiry(); {
		case x == neverTick: // an update that is still queued took the end away
			s.mu.Unlock()
		case x > c.tickAt(m.now):
			s.mu.Unlock()
			m.wheel.schedule(slot, x)
		default:
			c.expire(s, number, e, pos)
			s.mu.Unlock()
			c.settle(s)
			if c.onRemoval != nil {
				c.removed = append(c.removed, Removal[K, V]{e.key, e.value, CauseExpired})
			}
		}
	}
	m.expire = due
	return !done
}

// expire removes an entry whose time has come. The shard's lock is held.
func (c *Cache[K, V]) expire(s *shard[K, V], number uint32, e *entry[K, V], pos uint32) {
	c.take(s, c.hasher.index(e.key), pos, e)
	s.counts.expired++
	c.enqueue(s, number, record{event: policies.Event{Slot: e.slot(), Op: policies.OpExpire}})
}
