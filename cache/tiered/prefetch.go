package tiered

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/policies"
)

// PrefetchOptions configure loading ahead of clients. What is loaded is what
// the policy proposes among residents whose freshness is about to end, keys that
// were evicted, keys that were missed at least twice, and keys it saw in the
// stream of events. Bounds keep a bad policy from harm: see MaxShare and
// MinAccuracy.
type PrefetchOptions[K comparable, V any] struct {
	// Enabled starts the engine.
	Enabled bool
	// Load loads a key without a client, at low priority: required. A key for
	// which it fails is not tried again until a client has asked for it.
	Load Loader[K, V]
	// Policy proposes. nil: nothing, until [Cache.UsePrefetch].
	Policy policies.Prefetch
	// Tick is the time between proposals. Default 1 s.
	Tick time.Duration
	// Budget bounds the proposals of a tick. Default 16.
	Budget int
	// MaxShare bounds prefetches among the last 1,000 loads. Default 0.05.
	MaxShare float64
	// MinAccuracy is the break-even: when less of the last 1,000 settled
	// prefetches was useful, none is issued but a trickle of probes (one a
	// minute, doubling to one an hour while they are wasted; of 16 probes half
	// must be useful to go on). Default 0.5.
	MinAccuracy float64
	// Pressure reports that the origin has no room for work nobody waits for;
	// nil: never. Called by the engine once a tick and before each load.
	Pressure func() bool
	// RecentKeys bounds the keys remembered to be asked for again, and the
	// residents whose end is awaited. Default 8,192 each.
	RecentKeys int
}

func (o *PrefetchOptions[K, V]) fill() error {
	if !o.Enabled {
		return nil
	}
	if o.Tick <= 0 {
		o.Tick = time.Second
	}
	if o.Budget <= 0 {
		o.Budget = 16
	}
	if o.MaxShare == 0 {
		o.MaxShare = 0.05
	}
	if o.MinAccuracy == 0 {
		o.MinAccuracy = 0.5
	}
	if o.RecentKeys <= 0 {
		o.RecentKeys = 8192
	}
	if o.Load == nil {
		return errors.New("prefetch: Load is missing")
	}
	if o.MaxShare < 0 || o.MaxShare > 1 || o.MinAccuracy < 0 || o.MinAccuracy > 1 {
		return fmt.Errorf("prefetch: share %v and accuracy %v: want 0 to 1", o.MaxShare, o.MinAccuracy)
	}
	return nil
}

const (
	// maxCandidates bounds what is shown to a policy at once.
	maxCandidates = 512
	// prefetchLoads bounds the loads under way.
	prefetchLoads = 4
	// eventBatch is the largest batch of events that a policy is shown.
	eventBatch = 1024
)

// engine loads ahead. Its methods do nothing on a nil engine. Locks: turn is
// held during calls of the policy, by the engine's goroutine and UsePrefetch
// alone; it is taken before all others.
type engine[K comparable, V any] struct {
	c      *Cache[K, V]
	o      PrefetchOptions[K, V]
	budget budget
	recent *recentKeys[K]
	due    endings[K]
	tee    tee
	asked  chan ending[K] // residents that an access found near their end
	slots  chan struct{}  // one for each load under way
	last   atomic.Pointer[lastTick]
	name   atomic.Pointer[string]
	state  atomic.Pointer[string]
	faults atomic.Uint64

	turn sync.Mutex
	// guards the fields below and calls of the policy
	policy  policies.Prefetch
	info    policies.Info
	rows    policies.Candidates
	out     []policies.KeyHash
	events  []policies.Event
	inserts []policies.Insert

	unsettled sync.Mutex // guards the field below
	waiting   []*held[V] // prefetches whose use is not settled; up to maxOutstanding
}

// lastTick is what the last proposal was about.
type lastTick struct {
	at                            policies.Nanos
	candidates, proposed, refused int
}

func newEngine[K comparable, V any](c *Cache[K, V]) *engine[K, V] {
	o := c.o.Prefetch
	e := &engine[K, V]{
		c: c, o: o, budget: budget{maxShare: o.MaxShare, minAccuracy: o.MinAccuracy},
		recent: newRecentKeys[K](o.RecentKeys), due: endings[K]{bound: o.RecentKeys},
		asked: make(chan ending[K], maxCandidates), slots: make(chan struct{}, prefetchLoads),
	}
	e.seat(o.Policy)
	e.setState(prefetchNoPolicy)
	return e
}

// UsePrefetch seats a prefetch policy (nil: none) and returns the former one,
// which is not in use any more. It waits for a call of it under way. Without
// an engine p is returned.
func (c *Cache[K, V]) UsePrefetch(p policies.Prefetch) (former policies.Prefetch) {
	if c.engine == nil {
		return p
	}
	c.engine.turn.Lock()
	defer c.engine.turn.Unlock()
	former = c.engine.policy
	c.engine.seat(p)
	return former
}

// seat puts a policy in place; the turn is held, or nobody knows the engine
// yet.
func (e *engine[K, V]) seat(p policies.Prefetch) {
	e.policy, e.info = p, policies.Info{}
	if p != nil {
		e.info = p.Info()
	}
	e.name.Store(&e.info.Name)
}

func (e *engine[K, V]) setState(s string) { e.state.Store(&s) }

// run proposes and loads once a tick until the cache is closed.
func (e *engine[K, V]) run() {
	tick := time.NewTicker(e.o.Tick)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			e.step()
		case <-e.c.stop:
			return
		}
	}
}

// close closes the policy.
func (e *engine[K, V]) close() {
	if e == nil {
		return
	}
	e.turn.Lock()
	p := e.policy
	e.seat(nil)
	e.turn.Unlock()
	if p, ok := p.(io.Closer); ok {
		if err := p.Close(); err != nil {
			e.c.log.Warn("prefetch policy failed to close", "cache", e.c.o.Name, "error", err)
		}
	}
}

// step is one tick.
func (e *engine[K, V]) step() {
	now := e.c.now()
	e.settleOver(now)
	chosen, err := e.choose(now)
	if err != nil {
		e.faults.Add(1)
		e.setState(prefetchFault)
		e.c.log.Warn("prefetch policy failed and was unseated", "cache", e.c.o.Name, "error", err)
		return
	}
	for _, key := range chosen {
		e.begin(key)
	}
}

// choose asks the policy and returns the keys to load. An error of the policy
// empties its seat.
func (e *engine[K, V]) choose(now policies.Nanos) (keys []K, err error) {
	e.turn.Lock()
	defer e.turn.Unlock()
	e.events, e.inserts = e.tee.take(e.events, e.inserts)
	if e.policy == nil {
		if s := *e.state.Load(); s != prefetchFault {
			e.setState(prefetchNoPolicy)
		}
		return nil, nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
		if err != nil {
			e.seat(nil)
		}
	}()
	if err := e.show(); err != nil {
		return nil, err
	}
	n, state := 0, prefetchPressure
	if e.o.Pressure == nil || !e.o.Pressure() {
		n, state = e.budget.allow(time.Now(), e.o.Budget)
	}
	e.setState(state)
	if n == 0 {
		return nil, nil
	}
	offered := e.candidates(now)
	if cap(e.out) < n {
		e.out = make([]policies.KeyHash, e.o.Budget)
	}
	proposed, err := e.policy.Propose(&e.rows, n, e.out[:n])
	if err != nil {
		return nil, err
	}
	if proposed < 0 || proposed > n {
		return nil, fmt.Errorf("proposed %d keys, want 0 to %d", proposed, n)
	}
	for _, h := range e.out[:proposed] {
		if key, ok := e.loadable(h, offered, now); ok {
			keys = append(keys, key)
		}
	}
	e.last.Store(&lastTick{now, e.rows.Len(), proposed, proposed - len(keys)})
	return keys, nil
}

// show lets the policy observe the events that have collected.
func (e *engine[K, V]) show() error {
	events, inserts := e.events, e.inserts
	for len(events) > 0 {
		n, rows := min(len(events), eventBatch), 0
		for _, event := range events[:n] {
			if event.Op.HasInsert() {
				rows++
			}
		}
		if err := e.policy.Observe(events[:n], inserts[:rows]); err != nil {
			return err
		}
		events, inserts = events[n:], inserts[rows:]
	}
	return nil
}

// candidates fills the rows and returns the keys in them.
func (e *engine[K, V]) candidates(now policies.Nanos) map[policies.KeyHash]K {
	offered := make(map[policies.KeyHash]K)
	ends := e.due.due(now, maxCandidates/2)
	for len(e.asked) > 0 {
		ends = append(ends, <-e.asked)
	}
	type row struct {
		hash policies.KeyHash
		slot policies.Slot
		held *held[V]
	}
	var rows []row
	for _, x := range ends {
		h, ok := e.c.resident(x.key)
		if !ok || h.freshUntil != x.until || now >= h.freshUntil {
			continue
		}
		if again := now + policies.Nanos(e.o.Tick); again < h.freshUntil {
			e.due.add(ending[K]{x.key, again, x.until})
		}
		hash, slot, resident := e.c.l1.Locate(x.key)
		if _, twice := offered[hash]; resident && !twice {
			offered[hash] = x.key
			rows = append(rows, row{hash, slot, h})
		}
	}
	for _, hash := range e.c.l1.Features().RecentCandidates(nil, maxCandidates/2) {
		key, ok := e.recent.get(hash)
		if _, twice := offered[hash]; !ok || twice {
			continue
		}
		offered[hash] = key
		rows = append(rows, row{hash, policies.NoSlot, nil})
	}
	r := &e.rows.Rows
	r.Now = now
	r.Resize(len(rows), e.info.Columns)
	for i, x := range rows {
		e.c.l1.Features().FillKey(r, i, x.hash, x.slot, x.held != nil)
		if h := x.held; h != nil {
			r.Set(policies.ColAge, i, seconds(now-h.storedAt))
			r.Set(policies.ColTTLLeft, i, seconds(h.freshUntil-now))
			r.Set(policies.ColBaseTTL, i, seconds(h.freshUntil-h.storedAt))
			r.Set(policies.ColLoadCost, i, h.cost.Seconds()*1e3)
			r.Set(policies.ColChanged, i, float64(h.changed))
			r.Set(policies.ColUnchanged, i, float64(h.unchanged))
		}
	}
	return offered
}

// loadable returns the key of a proposed hash if it may be loaded ahead: a
// candidate, or a key that is not resident and has been evicted or asked for
// twice.
func (e *engine[K, V]) loadable(h policies.KeyHash, offered map[policies.KeyHash]K, now policies.Nanos) (key K, ok bool) {
	if key, ok = offered[h]; !ok {
		if key, ok = e.recent.get(h); !ok {
			return key, false
		}
		past, known := e.c.l1.Features().Recent(h)
		if !known || (past.Weight == 0 && math.Round(past.Count) < 2) {
			return key, false
		}
	}
	held, resident := e.c.resident(key)
	if resident && now < min(held.nearFrom, held.freshUntil) {
		return key, false
	}
	return key, !e.c.flights.flying(key)
}

// begin starts the load of a key unless too many are under way.
func (e *engine[K, V]) begin(key K) {
	if e.o.Pressure != nil && e.o.Pressure() {
		return
	}
	select {
	case e.slots <- struct{}{}:
	default:
		return
	}
	f, first := e.c.flights.join(context.Background(), key, true)
	if !first {
		if f != nil {
			e.c.flights.leave(f)
		}
		<-e.slots
		return
	}
	go func() {
		defer func() { <-e.slots }()
		e.c.fly(f, e.o.Load)
		if f.loaded == nil { // nothing came, or nothing that may be kept
			e.budget.fail()
			h, _, _ := e.c.l1.Locate(key)
			e.recent.drop(h)
		}
	}()
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

func seconds(n policies.Nanos) float64 { return time.Duration(n).Seconds() }
