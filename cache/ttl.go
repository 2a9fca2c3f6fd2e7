package cache

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/perfopt/perfopt/policies"
)

// TTLInput is what the TTL policy is asked with, besides what features know of
// the key.
type TTLInput struct {
	// Base is the freshness to start from. 0 = Options.DefaultTTL.
	Base time.Duration
	// Origin is explicit freshness from the origin, an upper bound that nothing
	// raises; negative = none. (In a zero TTLInput there is none either.)
	Origin time.Duration
	// Min and Max bound the answer; Max 0 = no upper bound.
	Min, Max time.Duration
	// Size is the weight of the entry; 0 = as the Weigher says.
	Size int64
	// LoadCost is what loading took; 0 = unknown.
	LoadCost time.Duration
	// Changed and Unchanged count the reloads that found the value so.
	Changed, Unchanged uint32
}

// bound returns a life within the bounds.
func (in TTLInput) bound(ttl time.Duration) time.Duration {
	ttl = max(ttl, in.Min, 0)
	if in.Max > 0 {
		ttl = min(ttl, in.Max)
	}
	if in.Origin >= 0 {
		ttl = min(ttl, in.Origin)
	}
	return ttl
}

// ttlSeat is the TTL policy in force.
type ttlSeat struct {
	policy policies.TTL
	info   policies.Info
	rows   sync.Pool // of *policies.TTLBatch
}

// UseTTL seats a TTL policy and returns the former one, which the caller may
// close when calls in flight have returned; nil stands for none. The policy
// must be safe for concurrent use.
func (c *Cache[K, V]) UseTTL(p policies.TTL) policies.TTL {
	var next *ttlSeat
	if p != nil {
		next = &ttlSeat{policy: p, info: p.Info()}
		next.rows.New = func() any { return new(policies.TTLBatch) }
	}
	if former := c.ttl.Swap(next); former != nil {
		return former.policy
	}
	return nil
}

// DecideTTL asks the TTL policy how long the entry of a key should live, on the
// caller. Without a policy, or where it fails, the answer is the base within
// the bounds. A negative answer means that the entry does not expire: there is
// neither a policy nor a base.
func (c *Cache[K, V]) DecideTTL(key K, in TTLInput) time.Duration {
	return c.decideTTL(key, c.hasher.index(key), in)
}

// decide returns the life of an entry whose write leaves it open.
func (c *Cache[K, V]) decide(key K, hash uint64, w Write, weight uint32) time.Duration {
	in := w.Decide
	if in == (TTLInput{}) {
		in.Origin = -1
	}
	if in.Size == 0 {
		in.Size = int64(weight)
	}
	if in.LoadCost == 0 {
		in.LoadCost = w.LoadCost
	}
	return c.decideTTL(key, hash, in)
}

func (c *Cache[K, V]) decideTTL(key K, hash uint64, in TTLInput) time.Duration {
	if in == (TTLInput{}) {
		in.Origin = -1
	}
	if in.Base == 0 {
		in.Base = c.defaultTTL
	}
	seat := c.ttl.Load()
	if seat == nil {
		if in.Base == 0 && in.Min <= 0 && in.Max <= 0 && in.Origin < 0 {
			return -1
		}
		return in.bound(in.Base)
	}
	ttl, err := c.askTTL(seat, key, hash, in)
	if err != nil {
		c.loads.ttlFaults.Add(1)
		ttl = in.Base
	}
	return in.bound(ttl)
}

func (c *Cache[K, V]) askTTL(seat *ttlSeat, key K, hash uint64, in TTLInput) (ttl time.Duration, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	b := seat.rows.Get().(*policies.TTLBatch)
	defer seat.rows.Put(b)
	s, _ := c.shardOf(hash)
	e, _ := s.table.Load().find(hash, key)
	slot := policies.NoSlot
	if e != nil {
		slot = e.slot()
	}
	b.Now = c.readClock()
	b.Resize(1, seat.info.Columns)
	c.features.FillKey(&b.Rows, 0, c.hasher.public(key, hash), slot, e != nil)
	origin, most := math.NaN(), math.Inf(1)
	if in.Origin >= 0 {
		origin = in.Origin.Seconds()
	}
	if in.Max > 0 {
		most = in.Max.Seconds()
	}
	b.Set(policies.ColSize, 0, float64(in.Size))
	b.Set(policies.ColLoadCost, 0, float64(in.LoadCost)/float64(time.Millisecond))
	b.Set(policies.ColAge, 0, 0)
	b.Set(policies.ColBaseTTL, 0, in.Base.Seconds())
	b.Set(policies.ColOriginTTL, 0, origin)
	b.Set(policies.ColMinTTL, 0, in.Min.Seconds())
	b.Set(policies.ColMaxTTL, 0, most)
	b.Set(policies.ColChanged, 0, float64(in.Changed))
	b.Set(policies.ColUnchanged, 0, float64(in.Unchanged))
	var out [1]policies.Nanos
	if err := seat.policy.TTL(b, out[:]); err != nil {
		return 0, err
	}
	if out[0] < 0 {
		return 0, fmt.Errorf("negative life %v", time.Duration(out[0]))
	}
	return time.Duration(out[0]), nil
}
