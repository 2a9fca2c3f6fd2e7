package cache_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/eviction"
	"github.com/perfopt/perfopt/policies/features"
)

// strange is an LRU whose methods a test replaces.
type strange struct {
	policies.Orderer
	observe func([]policies.Event) error
	victims func(need int64, out []policies.Slot) (int, error)
	reset   func() error
	closed  atomic.Int32
}

func (s *strange) Reset(c policies.Capacity) error {
	if s.reset != nil {
		if err := s.reset(); err != nil {
			return err
		}
	}
	return s.Orderer.Reset(c)
}

func (s *strange) Observe(ev []policies.Event, in []policies.Insert) error {
	if s.observe != nil {
		if err := s.observe(ev); err != nil {
			return err
		}
	}
	return s.Orderer.Observe(ev, in)
}

func (s *strange) Victims(need int64, out []policies.Slot) (int, error) {
	if s.victims != nil {
		return s.victims(need, out)
	}
	return s.Orderer.Victims(need, out)
}

func (s *strange) Close() error { s.closed.Add(1); return nil }

func TestSwapsKeepResidentsAndValues(t *testing.T) {
	const n, swaps = 2000, 1000
	c := newCache(t, cache.Options[int, int]{Capacity: n + n/4, Eviction: use(lru)})
	for i := range n {
		c.Set(i, i)
	}
	turns, evictions := make(chan struct{}, 3), c.Stats().Evicted
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range turns {
				for range 50 {
					k := rand.IntN(n)
					if v, ok := c.Get(k); ok && v != k {
						t.Errorf("%d = %d", k, v)
					}
					c.Set(k, k)
				}
			}
		})
	}
	makers := []func() policies.Orderer{s3fifo, lru, fifo}
	for i := range swaps {
		create := use(makers[i%3])
		if i%4 == 3 {
			create = scoring
		}
		turns <- struct{}{} // fifty reads and writes beside the swap
		if err := c.UseEviction(t.Context(), create); err != nil {
			t.Fatal(err)
		}
	}
	close(turns)
	wg.Wait()
	st := c.Stats()
	if st.Entries < n*99/100 || st.Evicted != evictions || st.EvictionSwaps != swaps || st.EvictionFaults != 0 {
		t.Errorf("%+v", st)
	}
}

func scoring(t *features.Table) (policies.Orderer, error) {
	return features.Sampled(recency{}, t, features.SampledOptions{}), nil
}

// recency scores by recency: an approximate LRU in the scoring form.
type recency struct{}

func (recency) Info() policies.Info {
	return policies.Info{Name: "recency", Kind: policies.KindEviction, Columns: []policies.Column{policies.ColRecency}}
}

func (recency) Score(in *policies.Candidates, out []float64) error {
	for i := range out {
		out[i] = -in.Value(policies.ColRecency, i)
	}
	return nil
}

func TestASwapTeachesColdestFirst(t *testing.T) {
	now := policies.Nanos(1e18)
	c := newCache(t, cache.Options[int, int]{
		Capacity: 100, Inline: true, Eviction: use(fifo), Now: func() policies.Nanos { return now },
	})
	for i := range 100 {
		now += 1e9
		c.Set(i, i)
	}
	now += 1e9
	for i := range 50 { // the older half becomes the hotter one
		c.Get(i)
	}
	if err := c.UseEviction(t.Context(), use(lru)); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		c.Set(1000+i, i)
	}
	for i := range 100 {
		if _, ok := c.Peek(i); ok != (i < 50) {
			t.Errorf("%d is resident: %t", i, ok)
		}
	}
}

func TestTheFormerPolicyIsClosedOnceAndNotTheNext(t *testing.T) {
	first, second := &strange{Orderer: eviction.NewLRU()}, &strange{Orderer: eviction.NewLRU()}
	c := newCache(t, cache.Options[int, int]{Capacity: 10, Eviction: use(func() policies.Orderer { return first })})
	if err := c.UseEviction(t.Context(), use(func() policies.Orderer { return second })); err != nil {
		t.Fatal(err)
	}
	if first.closed.Load() != 1 || second.closed.Load() != 0 {
		t.Errorf("closed %d and %d times", first.closed.Load(), second.closed.Load())
	}
	c.Close()
	if err := c.UseEviction(t.Context(), use(lru)); !errors.Is(err, cache.ErrClosed) {
		t.Errorf("a swap after Close: %v", err)
	}
	if second.closed.Load() != 1 {
		t.Errorf("Close closed the policy %d times", second.closed.Load())
	}
}

func TestAFailedSwapLeavesTheFormerPolicy(t *testing.T) {
	boom := errors.New("boom")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, s := range map[string]struct {
		ctx    context.Context
		create func(*features.Table) (policies.Orderer, error)
		want   string
	}{
		"constructor":       {t.Context(), func(*features.Table) (policies.Orderer, error) { return nil, boom }, "boom"},
		"constructor panic": {t.Context(), func(*features.Table) (policies.Orderer, error) { panic("ouch") }, "ouch"},
		"nothing made":      {t.Context(), func(*features.Table) (policies.Orderer, error) { return nil, nil }, "returned none"},
		"reset": {t.Context(), use(func() policies.Orderer {
			return &strange{Orderer: eviction.NewLRU(), reset: func() error { return boom }}
		}), "lru: boom"},
		"restore": {t.Context(), use(func() policies.Orderer {
			return &strange{Orderer: eviction.NewLRU(), observe: func([]policies.Event) error { panic("at restore") }}
		}), "at restore"},
		"cancelled": {cancelled, use(lru), "canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			forBoth(t, func(t *testing.T, inline bool) {
				c := newCache(t, cache.Options[int, int]{Capacity: 100, Inline: inline, Eviction: use(fifo)})
				for i := range 50 {
					c.Set(i, i)
				}
				err := c.UseEviction(s.ctx, s.create)
				if err == nil || !strings.Contains(err.Error(), s.want) {
					t.Errorf("error %v, want %q in it", err, s.want)
				}
				// Beside maintenance the sampler may do the first evictions alone.
				chosen := func(st cache.Stats) bool { return st.Evicted > st.Sampled && (!inline || st.Sampled == 0) }
				for i := 0; i < 200 || !chosen(c.Stats()) && i < 1<<20; i++ {
					c.Set(i, i)
				}
				c.Sync()
				if st := c.Stats(); st.Policy != "fifo" || st.Sampler || st.EvictionFaults != 0 || !chosen(st) {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// TestAPolicyThatFallsBehindIsTaughtFromFeatures writes more during each batch
// that the next policy is shown than the log for it takes.
func TestAPolicyThatFallsBehindIsTaughtFromFeatures(t *testing.T) {
	const capacity = 1000
	c := newCache(t, cache.Options[int, int]{Capacity: capacity, Eviction: use(fifo), Inline: true})
	for i := range capacity {
		c.Set(i, i)
	}
	bursts := 2
	slow := &strange{Orderer: eviction.NewLRU()}
	slow.observe = func([]policies.Event) error {
		if bursts--; bursts >= 0 {
			for i := range cache.TeeBound {
				c.Set(i, i)
			}
		}
		return nil
	}
	if err := c.UseEviction(t.Context(), use(func() policies.Orderer { return slow })); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	for i := range capacity {
		c.Set(-i-1, i) // the policy can name every resident
	}
	if st := c.Stats(); st.Policy != "lru" || st.EvictionFaults != 0 || st.Sampled != 0 || st.Entries != capacity {
		t.Errorf("%+v", st)
	}
}

// TestAFaultHandsOverToTheSampler seats policies that lie or fail: the bound
// holds, the owner hears of it once, and the next policy is taught.
func TestAFaultHandsOverToTheSampler(t *testing.T) {
	boom := errors.New("boom")
	for name, s := range map[string]*strange{
		"error from Observe": {observe: func(ev []policies.Event) error {
			for _, e := range ev {
				if e.Op == policies.OpInsert && e.Slot%40 == 39 {
					return boom
				}
			}
			return nil
		}},
		"error from Victims": {victims: func(int64, []policies.Slot) (int, error) { return 0, boom }},
		"panic":              {victims: func(int64, []policies.Slot) (int, error) { panic("ouch") }},
		"too many": {victims: func(_ int64, out []policies.Slot) (int, error) {
			return len(out) + 1, nil
		}},
		"negative": {victims: func(int64, []policies.Slot) (int, error) { return -1, nil }},
		"unknown slot": {victims: func(_ int64, out []policies.Slot) (int, error) {
			out[0] = 1 << 26
			return 1, nil
		}},
		"NoSlot": {victims: func(_ int64, out []policies.Slot) (int, error) {
			out[0] = policies.NoSlot
			return 1, nil
		}},
		"one slot twice": {victims: func(_ int64, out []policies.Slot) (int, error) {
			if len(out) < 2 {
				return 0, nil
			}
			out[0], out[1] = 3, 3
			return 2, nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			forBoth(t, func(t *testing.T, inline bool) {
				const capacity = 200
				var faults atomic.Int32
				liar := &strange{Orderer: eviction.NewLRU(), observe: s.observe, victims: s.victims}
				var c *cache.Cache[int, int]
				c = newCache(t, cache.Options[int, int]{
					Capacity: capacity, Inline: inline, Eviction: use(func() policies.Orderer { return liar }),
					OnPolicyFault: func(err error) {
						faults.Add(1)
						c.LockAll()() // every lock is free
					},
				})
				// Beside maintenance the sampler may do the first evictions alone.
				for i := 0; i < 5*capacity || faults.Load() == 0 && i < 1<<20; i++ {
					c.Set(i, i)
					if st := c.Stats(); st.Weight > capacity {
						t.Fatalf("%d residents", st.Weight)
					}
				}
				c.Sync()
				st := c.Stats()
				if faults.Load() != 1 || st.EvictionFaults != 1 || !st.Sampler || st.Sampled == 0 || st.Entries < capacity*9/10 || liar.closed.Load() != 1 {
					t.Errorf("%d faults told, closed %d times, %+v", faults.Load(), liar.closed.Load(), st)
				}
				if err := c.Validate(); err != nil {
					t.Error(err)
				}
				if err := c.UseEviction(t.Context(), use(s3fifo)); err != nil {
					t.Fatal(err)
				}
				sampled := c.Stats().Sampled
				if inline {
					for i := range capacity {
						c.Set(-i-1, i)
					}
					if st := c.Stats(); st.Sampler || st.Sampled != sampled || st.Policy != "s3fifo" {
						t.Errorf("after the next swap: %+v", st)
					}
				}
			})
		})
	}
}

// TestAPolicyThatNamesNobodyIsHelpedOut covers short answers, which are no
// fault.
func TestAPolicyThatNamesNobodyIsHelpedOut(t *testing.T) {
	mute := &strange{Orderer: eviction.NewLRU(), victims: func(int64, []policies.Slot) (int, error) { return 0, nil }}
	c := newCache(t, cache.Options[int, int]{Capacity: 50, Inline: true, Eviction: use(func() policies.Orderer { return mute })})
	for i := range 200 {
		c.Set(i, i)
	}
	if st := c.Stats(); st.Entries != 50 || st.Sampled != 150 || st.EvictionFaults != 0 || st.Sampler {
		t.Errorf("%+v", st)
	}
}

// TestAPolicySeesOnlyWhatItHolds checks the stream that every policy relies on,
// under concurrent writes, deletes, evictions and swaps.
func TestAPolicySeesOnlyWhatItHolds(t *testing.T) {
	checked := func() policies.Orderer {
		held := map[policies.Slot]bool{}
		inner := eviction.NewLRU()
		s := &strange{Orderer: inner}
		s.reset = func() error { clear(held); return nil }
		s.observe = func(events []policies.Event) error {
			if len(events) > 1024 {
				t.Errorf("a batch of %d events", len(events))
			}
			for _, e := range events {
				switch e.Op {
				case policies.OpInsert, policies.OpRestore:
					if held[e.Slot] {
						t.Errorf("slot %d: %v of what is held", e.Slot, e.Op)
					}
					held[e.Slot] = true
				case policies.OpMiss:
				case policies.OpHit, policies.OpUpdate:
					if !held[e.Slot] {
						t.Errorf("slot %d: %v of what is not held", e.Slot, e.Op)
					}
				default:
					if !held[e.Slot] {
						t.Errorf("slot %d: %v of what is not held", e.Slot, e.Op)
					}
					delete(held, e.Slot)
				}
			}
			return nil
		}
		s.victims = func(need int64, out []policies.Slot) (int, error) {
			n, err := inner.Victims(need, out)
			for _, v := range out[:n] {
				delete(held, v)
			}
			return n, err
		}
		return s
	}
	c := newCache(t, cache.Options[int, int]{Capacity: 100, Eviction: use(checked)})
	hammer(6, 4000, func(g, i int) {
		k := rand.IntN(250)
		switch {
		case g == 0 && i%40 == 0:
			if err := c.UseEviction(t.Context(), use(checked)); err != nil {
				t.Error(err)
			}
		case i%5 == 0:
			c.Delete(k)
		case i%3 == 0:
			c.Set(k, i)
		default:
			c.Get(k)
		}
	})
	if st := c.Stats(); st.EvictionFaults != 0 {
		t.Errorf("%+v", st)
	}
}

// stateful counts what it has seen and carries the count over.
type stateful struct {
	policies.Orderer
	seen int
}

func (s *stateful) Info() policies.Info {
	return policies.Info{Name: "stateful", Kind: policies.KindEviction, StateVersion: 3}
}
func (s *stateful) Observe(ev []policies.Event, in []policies.Insert) error {
	s.seen += len(ev)
	return s.Orderer.Observe(ev, in)
}
func (s *stateful) ExportState(dst []byte) ([]byte, error) { return append(dst, byte(s.seen)), nil }
func (s *stateful) ImportState(state []byte) error {
	s.seen = int(state[0])
	return nil
}

func TestStateIsCarriedOver(t *testing.T) {
	var last *stateful
	create := use(func() policies.Orderer { last = &stateful{Orderer: eviction.NewLRU()}; return last })
	c := newCache(t, cache.Options[int, int]{Capacity: 100, Inline: true, Eviction: create})
	for i := range 10 {
		c.Set(i, i)
	}
	if err := c.UseEviction(t.Context(), create); err != nil {
		t.Fatal(err)
	}
	if last.seen != 20 { // ten inserts by its predecessor, ten restores
		t.Errorf("seen %d events, want 20", last.seen)
	}
}
