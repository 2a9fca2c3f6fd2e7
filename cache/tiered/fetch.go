package tiered

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/cache/l2"
	"github.com/perfopt/perfopt/policies"
)

// Get returns the entry of a key if it is resident in L1 and fresh. It counts
// as an access and takes no lock.
func (c *Cache[K, V]) Get(key K) (Item[V], bool) {
	h, ok := c.l1.Get(key)
	if !ok {
		return Item[V]{}, false
	}
	now := c.now()
	if now >= h.freshUntil || c.void(key, h.asOf) {
		c.n.stale.Add(1)
		c.engine.wasted(h)
		return Item[V]{}, false
	}
	if now >= h.nearFrom || h.prefetch.Load() != prefetchNone {
		c.engine.accessed(key, h, now)
	}
	return h.item(SourceL1), true
}

// Peek returns what L1 holds of a key, fresh or stale, and counts as nothing.
func (c *Cache[K, V]) Peek(key K) (Item[V], bool) {
	h, ok := c.resident(key)
	if !ok {
		return Item[V]{}, false
	}
	return h.item(SourceL1), true
}

// resident returns what L1 holds and no purge has voided.
func (c *Cache[K, V]) resident(key K) (*held[V], bool) {
	e, ok := c.l1.Peek(key)
	if !ok || c.void(key, e.Value.asOf) {
		return nil, false
	}
	return e.Value, true
}

// Fetch returns a fresh value of a key: from L1, from L2, or from the loader.
// Callers of one key share one load and its error; whoever's ctx ends leaves
// with its error and the others stay; the load's context ends when the last
// has left. Errors: the ctx's, the loader's, [*PanicError], [ErrLoadTimeout],
// [ErrClosed] where Close came during the load.
func (c *Cache[K, V]) Fetch(ctx context.Context, key K, load Loader[K, V]) (Item[V], error) {
	if item, ok := c.Get(key); ok {
		return item, nil
	}
	if err := ctx.Err(); err != nil {
		return Item[V]{}, err
	}
	c.engine.missed(key)
	for {
		if c.solos.has(key) {
			return c.alone(ctx, key, load)
		}
		f, first := c.flights.join(ctx, key, false)
		if f == nil {
			return c.alone(ctx, key, load) // closed
		}
		if first {
			go c.fly(f, load)
		}
		item, err := c.await(ctx, f, first, load)
		if errors.Is(err, errPrefetchFailed) {
			continue // the client's own load may do better
		}
		return item, err
	}
}

// errPrefetchFailed tells a client that the prefetch it waited for brought
// nothing that it may have.
var errPrefetchFailed = errors.New("prefetch failed")

// await waits for a flight on behalf of a client.
func (c *Cache[K, V]) await(ctx context.Context, f *flight[K, V], first bool, load Loader[K, V]) (Item[V], error) {
	select {
	case <-f.done:
	case <-ctx.Done():
		c.flights.leave(f)
		return Item[V]{}, ctx.Err()
	case <-f.ctx.Done():
		select {
		case <-f.done: // the flight has landed: its context ends last
		default:
			c.flights.leave(f)
			if c.flights.life.Err() != nil {
				return Item[V]{}, ErrClosed
			}
			return Item[V]{}, ErrLoadTimeout
		}
	}
	if f.prefetch {
		if f.err != nil || f.private {
			return Item[V]{}, errPrefetchFailed
		}
		c.engine.used(f.loaded)
	}
	switch {
	case f.err != nil:
		return Item[V]{}, f.err
	case f.private && !first:
		return c.alone(ctx, f.key, load)
	}
	item := f.item
	if !first && item.Source != SourceL1 {
		item.Source = SourceCoalesced
		c.n.coalesced.Add(1)
	}
	return item, nil
}

// fly runs a flight; whatever happens, it lands.
func (c *Cache[K, V]) fly(f *flight[K, V], load Loader[K, V]) {
	f.err = errLoaderExited
	defer c.flights.land(f)
	f.item, f.private, f.err = c.resolve(f, load)
}

var errLoaderExited = errors.New("the loader ended its goroutine without returning")

// resolve finds the value of a flight's key.
func (c *Cache[K, V]) resolve(f *flight[K, V], load Loader[K, V]) (item Item[V], private bool, err error) {
	key := f.key
	t := c.begin(key)
	prior, resident := c.resident(key)
	if resident && !f.prefetch && c.now() < prior.freshUntil {
		return prior.item(SourceL1), false, nil // stored since the caller looked
	}
	if e, ok := c.readL2(f.ctx, key); ok {
		switch {
		case c.now() < e.freshUntil && (!resident || e.freshUntil > prior.freshUntil):
			if f.prefetch {
				c.engine.issued(f, e.held, prior)
			}
			if c.l1.Fill(t.l1, e.held, cache.Write{TTL: e.left, LoadCost: e.cost, Prefetched: f.prefetch}) {
				c.engine.stored(key, e.held)
			} else {
				c.engine.wasted(e.held)
			}
			return e.item(SourceL2), false, nil
		case !resident || e.asOf > prior.asOf:
			prior, resident = e.held, true
		}
	}
	loaded, err := c.call(f.ctx, key, load, prior, f.prefetch)
	if err != nil {
		return Item[V]{}, false, err
	}
	if loaded.NoStore {
		c.n.private.Add(1)
		c.solos.add(key)
		return c.passing(loaded, prior, SourcePrivate), true, nil
	}
	c.solos.drop(key)
	return c.store(t, loaded, prior, f), false, nil
}

// alone loads for one caller that shares with nobody: after an answer of this
// key was private.
func (c *Cache[K, V]) alone(ctx context.Context, key K, load Loader[K, V]) (Item[V], error) {
	if c.o.LoadTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.o.LoadTimeout, ErrLoadTimeout)
		defer cancel()
	}
	t := c.begin(key)
	prior, _ := c.resident(key)
	loaded, err := c.call(ctx, key, load, prior, false)
	if err != nil {
		return Item[V]{}, err
	}
	if loaded.NoStore {
		c.n.private.Add(1)
		c.solos.add(key)
		return c.passing(loaded, prior, SourcePrivate), nil
	}
	c.solos.drop(key)
	return c.store(t, loaded, prior, nil), nil
}

// timed is what a loader found and how long it took.
type timed[V any] struct {
	Loaded[V]
	asOf policies.Nanos
}

// call runs a loader; a panic becomes an error.
func (c *Cache[K, V]) call(ctx context.Context, key K, load Loader[K, V], prior *held[V], prefetch bool) (t timed[V], err error) {
	var p Prior[V]
	if prior != nil {
		p = Prior[V]{Value: prior.value, Exists: true}
	}
	start := c.now()
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
		c.l1.NoteLoad(time.Duration(c.now()-start), err)
	}()
	c.engine.loading(prefetch)
	t.asOf = start
	t.Loaded, err = load(ctx, key, p)
	if t.Cost <= 0 {
		t.Cost = time.Duration(c.now() - start)
	}
	return t, err
}

// begun are the rights to fill both tiers with what is loaded from now on.
type begun[K comparable] struct {
	key K
	l1  cache.Token[K]
	l2  l2.Lease
}

func (c *Cache[K, V]) begin(key K) begun[K] {
	t := begun[K]{key: key, l1: c.l1.Begin(key)}
	if c.l2 != nil {
		t.l2 = c.l2.Lease(c.o.KeyString(key))
	}
	return t
}

// fromL2 is an entry of the second tier.
type fromL2[V any] struct {
	*held[V]
	left time.Duration // until it must be gone
}

// readL2 returns a valid entry of the second tier, fresh or stale.
func (c *Cache[K, V]) readL2(ctx context.Context, key K) (fromL2[V], bool) {
	if c.l2 == nil {
		return fromL2[V]{}, false
	}
	name := c.o.KeyString(key)
	var e l2.Entry
	var answer l2.Answer
	if c.purges.known.Load() {
		e, answer = c.l2.Read(ctx, name)
	} else {
		e, answer = c.l2.ReadPending(name)
	}
	if answer != l2.Hit {
		return fromL2[V]{}, false
	}
	asOf := policies.Nanos(e.Created.UnixNano())
	if c.void(key, asOf) {
		return fromL2[V]{}, false
	}
	if e.Codec != c.o.CodecID {
		return fromL2[V]{}, false
	}
	v, err := decode(c.o.Codec, e.Value)
	if err != nil {
		c.n.codecErrors.Add(1)
		c.l2.Delete(name)
		return fromL2[V]{}, false
	}
	now := c.now()
	h := &held[V]{
		value: v, asOf: asOf, storedAt: now, freshUntil: policies.Nanos(e.FreshUntil.UnixNano()), cost: e.LoadCost,
		digest: digestOf(e.Value), changed: uint32(e.Changed), unchanged: uint32(e.Unchanged),
	}
	c.engine.plan(h)
	return fromL2[V]{h, max(e.Expires.Sub(moment(now)), time.Millisecond)}, true
}
