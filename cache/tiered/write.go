package tiered

import (
	"context"
	"hash/maphash"
	"math"
	"reflect"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/cache/l2"
	"github.com/perfopt/perfopt/policies"
)

// Set stores a value with the freshness that the cache gives by itself, in
// both tiers, and voids what is being loaded.
func (c *Cache[K, V]) Set(key K, value V) {
	c.put(key, timed[V]{Loaded[V]{Value: value, Fresh: Default()}, c.now()})
}

// Put stores what was loaded elsewhere, in both tiers, and voids what is being
// loaded. ctx is not waited on. Errors: [ErrNoStore].
func (c *Cache[K, V]) Put(_ context.Context, key K, l Loaded[V]) (Item[V], error) {
	if l.NoStore {
		return Item[V]{}, ErrNoStore
	}
	return c.put(key, timed[V]{l, c.now()}), nil
}

func (c *Cache[K, V]) put(key K, l timed[V]) Item[V] {
	prior, _ := c.resident(key)
	h := c.settle(key, l, prior)
	sequence := &c.writes[maphash.Comparable(c.seed, key)%writeStripes]
	mine := sequence.Add(1)
	if c.l2 != nil {
		name := c.o.KeyString(key)
		if h.keep > 0 && h.encoded != nil {
			c.l2.Put(name, c.envelope(h))
		} else {
			c.l2.Delete(name)
		}
	}
	stored := h.keep > 0 && c.l1.SetWith(key, h.held, cache.Write{TTL: h.keep, LoadCost: h.cost})
	if !stored {
		c.l1.Delete(key)
	}
	c.flights.forget(key)
	if c.l2 != nil && sequence.Load() != mine {
		// Another write has overlapped this one and the tiers may have taken
		// them in different orders: what this one wrote must go.
		c.l2.Delete(c.o.KeyString(key))
		c.l1.Delete(key)
		c.n.overlaps.Add(1)
	}
	if stored {
		c.engine.stored(key, h.held)
	}
	return h.item(SourceLoad)
}

// Delete voids a key in both tiers. From its return on no caller of this
// process gets what the cache held, nor what a load that began before brings.
// Other processes may serve their own copy until its freshness is over. ctx is
// not waited on and the error is nil: deletes reach L2 when it can be reached.
func (c *Cache[K, V]) Delete(_ context.Context, key K) error {
	c.writes[maphash.Comparable(c.seed, key)%writeStripes].Add(1)
	// L2 first: a caller that finds L1 empty must not find the value there.
	if c.l2 != nil {
		c.l2.Delete(c.o.KeyString(key))
	}
	c.l1.Delete(key)
	c.flights.forget(key)
	return nil
}

// store puts what was loaded into both tiers as far as the rights still hold.
func (c *Cache[K, V]) store(t begun[K], l timed[V], prior *held[V], f *flight[K, V]) Item[V] {
	h := c.settle(t.key, l, prior)
	prefetch := f != nil && f.prefetch
	if prefetch {
		c.engine.issued(f, h.held, prior)
	}
	filled := false
	if h.keep > 0 && !c.void(t.key, h.asOf) { // purged meanwhile: it must not replace what came since
		if h.encoded != nil && c.l2 != nil {
			c.l2.Fill(t.l2, c.envelope(h))
		}
		filled = c.l1.Fill(t.l1, h.held, cache.Write{TTL: h.keep, LoadCost: h.cost, Prefetched: prefetch})
	}
	if filled {
		c.engine.stored(t.key, h.held)
	} else if prefetch {
		c.engine.wasted(h.held)
	}
	source := SourceLoad
	if l.NotModified {
		source = SourceRevalidated
	}
	return h.item(source)
}

// settled is what is about to be stored, for keep (0: not at all).
type settled[V any] struct {
	*held[V]
	keep    time.Duration
	encoded []byte // nil: there is no encoding
}

// settle turns what was loaded into what is held.
func (c *Cache[K, V]) settle(key K, l timed[V], prior *held[V]) settled[V] {
	h := settled[V]{held: &held[V]{value: l.Value, asOf: l.asOf, cost: l.Cost}}
	if prior != nil {
		h.changed, h.unchanged = prior.changed, prior.unchanged
		if l.NotModified && reflect.ValueOf(&h.value).Elem().IsZero() {
			h.value = prior.value
		}
	}
	if c.o.Codec != nil && (c.l2 != nil || prior != nil) {
		if b, err := encode(c.o.Codec, h.value); err != nil {
			c.n.codecErrors.Add(1)
		} else {
			h.encoded, h.digest = b, digestOf(b)
		}
	}
	if c.o.Identity != nil {
		h.digest = max(c.o.Identity(h.value), 1)
	}
	switch {
	case prior == nil:
	case l.NotModified || (h.digest != 0 && h.digest == prior.digest):
		h.unchanged++
	case h.digest == 0 || prior.digest == 0: // there is nothing to compare
	default:
		h.changed++
	}
	fresh := c.freshness(key, l, h.held)
	h.storedAt = c.now()
	h.freshUntil = h.storedAt + policies.Nanos(fresh)
	c.engine.plan(h.held)
	h.keep = min(fresh+max(l.Keep, 0), maxKept)
	return h
}

// freshness asks the TTL seat.
func (c *Cache[K, V]) freshness(key K, l timed[V], h *held[V]) time.Duration {
	in := l.Fresh
	ask := cache.TTLInput{
		Base: in.Base, Origin: in.Origin, Min: in.Min, Max: in.Max, Size: 1, LoadCost: l.Cost,
		Changed: h.changed, Unchanged: h.unchanged,
	}
	if ask.Base <= 0 {
		ask.Base = c.o.TTL
	}
	if ask.Min <= 0 {
		ask.Min = c.o.MinTTL
	}
	if ask.Max <= 0 {
		ask.Max = c.o.MaxTTL
	}
	if c.o.L1.Weigher != nil {
		ask.Size = int64(c.o.L1.Weigher(key, h.value))
	}
	return max(c.l1.DecideTTL(key, ask), 0)
}

// envelope is an entry for L2.
func (c *Cache[K, V]) envelope(h settled[V]) l2.Entry {
	return l2.Entry{
		Value: h.encoded, Codec: c.o.CodecID, Created: moment(h.asOf), FreshUntil: moment(h.freshUntil),
		Expires: moment(h.storedAt).Add(h.keep), LoadCost: h.cost,
		Changed: uint16(min(h.changed, math.MaxUint16)), Unchanged: uint16(min(h.unchanged, math.MaxUint16)),
	}
}

// passing is an answer that is not stored.
func (c *Cache[K, V]) passing(l timed[V], prior *held[V], s Source) Item[V] {
	v := l.Value
	if l.NotModified && prior != nil && reflect.ValueOf(&v).Elem().IsZero() {
		v = prior.value
	}
	now := c.now()
	return Item[V]{Value: v, StoredAt: now, FreshUntil: now, Source: s}
}

// digestOf is the digest of an encoding, never 0.
func digestOf(b []byte) uint64 { return max(xxhash.Sum64(b), 1) }
