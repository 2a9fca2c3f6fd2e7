package tiered

import (
	"math"
	"time"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/policies"
)

// plan says when the freshness of an entry is near its end: in its last tenth,
// at least two ticks, at most half of it.
func (e *engine[K, V]) plan(h *held[V]) {
	if e == nil {
		h.nearFrom = math.MaxInt64
		return
	}
	fresh := h.freshUntil - h.storedAt
	h.nearFrom = h.freshUntil - min(max(fresh/10, 2*policies.Nanos(e.o.Tick)), fresh/2)
}

// stored notes an entry that is resident from now on.
func (e *engine[K, V]) stored(key K, h *held[V]) {
	if e != nil && h.freshUntil > h.storedAt {
		e.due.add(ending[K]{key, h.nearFrom, h.freshUntil})
	}
}

// accessed notes that a client got a resident that was prefetched or is near
// its end.
func (e *engine[K, V]) accessed(key K, h *held[V], now policies.Nanos) {
	if e == nil {
		return
	}
	if h.prefetch.Load() == prefetchIssued && now >= h.usefulFrom {
		e.used(h)
	}
	if now >= h.nearFrom && !h.offered.Load() && h.offered.CompareAndSwap(false, true) {
		select {
		case e.asked <- ending[K]{key, now, h.freshUntil}:
		default: // the heap may still have it
		}
	}
}

// missed notes a key that a client has to load.
func (e *engine[K, V]) missed(key K) {
	if e != nil {
		h, _, _ := e.c.l1.Locate(key)
		e.recent.add(h, key)
	}
}

// removed notes an entry that left the first tier.
func (e *engine[K, V]) removed(key K, h *held[V], cause cache.Cause) {
	e.wasted(h)
	if cause == cache.CauseEvicted && e.c.l1 != nil {
		hash, _, _ := e.c.l1.Locate(key)
		e.recent.add(hash, key)
	}
}

// loading counts a load that begins.
func (e *engine[K, V]) loading(prefetch bool) {
	if e != nil {
		e.budget.loaded(prefetch)
	}
}

// issued notes that a prefetch brought an entry, which is about to be stored.
func (e *engine[K, V]) issued(f *flight[K, V], h, former *held[V]) {
	if former != nil && former.freshUntil > e.c.now() {
		h.usefulFrom = former.freshUntil
	}
	h.prefetch.Store(prefetchIssued)
	f.loaded = h
	e.budget.issue()
	e.unsettled.Lock()
	defer e.unsettled.Unlock()
	e.waiting = append(e.waiting, h)
}

// used notes that a client got what a prefetch brought.
func (e *engine[K, V]) used(h *held[V]) {
	if e != nil && h != nil && h.settlePrefetch() {
		e.budget.settle(time.Now(), true)
	}
}

// wasted notes that nobody will get what a prefetch brought, if h is that.
func (e *engine[K, V]) wasted(h *held[V]) {
	if e != nil && h.settlePrefetch() {
		e.budget.settle(time.Now(), false)
	}
}

// settleOver ends the question for prefetches whose freshness is over.
func (e *engine[K, V]) settleOver(now policies.Nanos) {
	e.unsettled.Lock()
	var over []*held[V]
	kept := e.waiting[:0]
	for _, h := range e.waiting {
		switch {
		case h.prefetch.Load() != prefetchIssued:
		case now >= h.freshUntil:
			over = append(over, h)
		default:
			kept = append(kept, h)
		}
	}
	clear(e.waiting[len(kept):])
	e.waiting = kept
	e.unsettled.Unlock()
	for _, h := range over {
		e.wasted(h)
	}
}
