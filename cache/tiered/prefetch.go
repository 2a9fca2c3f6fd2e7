package tiered

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

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
	name := e.info.Name // a copy: Stats reads it while another is seated
	e.name.Store(&name)
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
