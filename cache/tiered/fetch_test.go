package tiered

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestFetchThenGet(t *testing.T) {
	c := newCache(t, nil)
	if item := mustFetch(t, c, "k", constant("v")); item.Value != "v" || item.Source != SourceLoad {
		t.Errorf("first: %+v", item)
	}
	if item := mustFetch(t, c, "k", never(t)); item.Value != "v" || item.Source != SourceL1 {
		t.Errorf("second: %+v", item)
	}
	item, ok := c.Get("k")
	if !ok || item.FreshUntil <= item.StoredAt {
		t.Errorf("get: %+v, %v", item, ok)
	}
	s := c.Stats()
	if s.Hits != 2 || s.L1.Misses != 1 || s.L1.Loads != 1 {
		t.Errorf("stats %+v", s)
	}
}

// Freshness ends before the entry does, and what is stale is validated.
func TestFreshnessAndPhysicalLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, nil)
		load := func(l Loaded[string], wantPrior string) Loader[string, string] {
			return func(_ context.Context, _ string, p Prior[string]) (Loaded[string], error) {
				if p.Value != wantPrior || p.Exists != (wantPrior != "") {
					t.Errorf("prior %+v, want %q", p, wantPrior)
				}
				l.Keep = time.Minute
				return l, nil
			}
		}
		mustFetch(t, c, "k", load(fresh("v1", 10*time.Second), ""))
		<-time.After(11 * time.Second)
		if _, ok := c.Get("k"); ok {
			t.Error("stale entry served")
		}
		if item, ok := c.Peek("k"); !ok || item.Value != "v1" {
			t.Errorf("stale entry gone: %+v, %v", item, ok)
		}
		same := fresh("", 10*time.Second)
		same.NotModified = true
		if item := mustFetch(t, c, "k", load(same, "v1")); item.Value != "v1" || item.Source != SourceRevalidated {
			t.Errorf("validated: %+v", item)
		}
		mustFetch(t, c, "k", never(t))
		<-time.After(11 * time.Second)
		mustFetch(t, c, "k", load(fresh("v2", 10*time.Second), "v1"))
		<-time.After(11 * time.Second)
		mustFetch(t, c, "k", load(fresh("v2", 10*time.Second), "v2"))
		x, ok := c.ExplainKey("k")
		if !ok || x.Changed != 1 || x.Unchanged != 2 {
			t.Errorf("changed %d, unchanged %d (%v), want 1 and 2: a validation and an equal reload", x.Changed, x.Unchanged, ok)
		}
		<-time.After(71 * time.Second)
		if item, ok := c.Peek("k"); ok {
			t.Errorf("entry outlived its validation time: %+v", item)
		}
		if s := c.Stats(); s.Stale != 4 || s.Hits != 1 {
			t.Errorf("stale %d, hits %d, want 4 and 1", s.Stale, s.Hits)
		}
	})
}

func TestFreshness(t *testing.T) {
	tests := map[string]struct {
		in   FreshnessInput
		want time.Duration
	}{
		"default":                  {Default(), time.Minute},
		"zero is stale at once":    {FreshnessInput{}, 0},
		"origin caps the base":     {FreshnessInput{Base: time.Hour, Origin: time.Second}, time.Second},
		"base of the load":         {FreshnessInput{Base: 90 * time.Second, Origin: NoOrigin}, 90 * time.Second},
		"bounds of the options":    {FreshnessInput{Base: time.Hour, Origin: NoOrigin}, 2 * time.Minute},
		"bounds of the load":       {FreshnessInput{Base: time.Hour, Origin: NoOrigin, Max: time.Hour}, time.Hour},
		"lower bound":              {FreshnessInput{Base: time.Millisecond, Origin: NoOrigin}, time.Second},
		"origin below lower bound": {FreshnessInput{Base: time.Hour, Origin: time.Millisecond}, time.Millisecond},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, func(o *Options[string, string]) { o.TTL, o.MinTTL, o.MaxTTL = time.Minute, time.Second, 2*time.Minute })
				item := mustFetch(t, c, "k", func(context.Context, string, Prior[string]) (Loaded[string], error) {
					return Loaded[string]{Value: "v", Fresh: test.in}, nil
				})
				if got := time.Duration(item.FreshUntil - item.StoredAt); got != test.want {
					t.Errorf("fresh for %v, want %v", got, test.want)
				}
				if _, ok := c.Peek("k"); ok != (test.want > 0) {
					t.Errorf("stored: %v with freshness %v", ok, test.want)
				}
			})
		})
	}
}

func TestCoalescing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, nil)
		var loads atomic.Int32
		load := func(context.Context, string, Prior[string]) (Loaded[string], error) {
			loads.Add(1)
			<-time.After(time.Second)
			return fresh("v", time.Minute), nil
		}
		var sources sync.Map
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				item, err := c.Fetch(t.Context(), "k", load)
				if err != nil || item.Value != "v" {
					t.Errorf("caller %d: %+v, %v", i, item, err)
				}
				n, _ := sources.LoadOrStore(item.Source, new(atomic.Int32))
				n.(*atomic.Int32).Add(1)
			})
		}
		wg.Wait()
		first, _ := sources.Load(SourceLoad)
		others, _ := sources.Load(SourceCoalesced)
		if loads.Load() != 1 || first.(*atomic.Int32).Load() != 1 || others.(*atomic.Int32).Load() != 999 {
			t.Errorf("%d loads", loads.Load())
		}
	})
}

// The caller that began a load leaves; those who wait are served.
func TestLeaderCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, nil)
		load := func(ctx context.Context, _ string, _ Prior[string]) (Loaded[string], error) {
			select {
			case <-time.After(time.Second):
				return fresh("v", time.Minute), nil
			case <-ctx.Done():
				return Loaded[string]{}, ctx.Err()
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.Fetch(ctx, "k", load); !errors.Is(err, context.Canceled) {
				t.Errorf("leader: %v, want cancelled", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if item, err := c.Fetch(t.Context(), "k", never(t)); err != nil || item.Value != "v" {
				t.Errorf("waiter: %+v, %v", item, err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
	})
}

// When the last caller has left the load's context ends, and the next caller
// begins anew.
func TestLastCallerEndsTheLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, nil)
		ended := make(chan error, 1)
		load := func(ctx context.Context, _ string, _ Prior[string]) (Loaded[string], error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return Loaded[string]{}, ctx.Err()
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { c.Fetch(ctx, "k", load) })
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("load's context: %v", err)
		}
		if item := mustFetch(t, c, "k", constant("v")); item.Source != SourceLoad {
			t.Errorf("next: %+v", item)
		}
	})
}

func TestFailuresReachAllWaiters(t *testing.T) {
	boom := errors.New("boom")
	loaders := map[string]struct {
		load func()
		is   func(error) bool
	}{
		"panic":       {func() { panic(boom) }, func(err error) bool { var p *PanicError; return errors.As(err, &p) && errors.Is(err, boom) }},
		"goexit":      {runtime.Goexit, func(err error) bool { return errors.Is(err, errLoaderExited) }},
		"too slow":    {func() { <-time.After(time.Hour) }, func(err error) bool { return errors.Is(err, ErrLoadTimeout) }},
		"plain error": {nil, func(err error) bool { return errors.Is(err, boom) }},
	}
	for name, test := range loaders {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, nil)
				load := func(context.Context, string, Prior[string]) (Loaded[string], error) {
					<-time.After(time.Second)
					if test.load != nil {
						test.load()
					}
					return Loaded[string]{}, boom
				}
				var wg sync.WaitGroup
				for range 10 {
					wg.Go(func() {
						if item, err := c.Fetch(t.Context(), "k", load); !test.is(err) {
							t.Errorf("%+v, %v", item, err)
						}
					})
				}
				wg.Wait()
				if item := mustFetch(t, c, "k", constant("v")); item.Value != "v" {
					t.Errorf("afterwards: %+v", item)
				}
			})
		})
	}
}

// An answer that turns out private is seen by the caller that began the load
// and by no other: each of them loads for itself.
func TestNoStoreIsNeverShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, nil)
		var loads atomic.Int32
		fetch := func(who string) {
			item, err := c.Fetch(t.Context(), "k", func(context.Context, string, Prior[string]) (Loaded[string], error) {
				loads.Add(1)
				<-time.After(time.Second)
				return Loaded[string]{Value: who, NoStore: true}, nil
			})
			if err != nil || item.Value != who || item.Source != SourcePrivate {
				t.Errorf("%s got %+v, %v", who, item, err)
			}
		}
		for round := range 2 { // later callers do not even wait for each other
			var wg sync.WaitGroup
			start := time.Now()
			for i := range 20 {
				wg.Go(func() { fetch("caller " + strconv.Itoa(i)) })
			}
			wg.Wait()
			if took, want := time.Since(start), time.Duration(2-round)*time.Second; took != want {
				t.Errorf("round %d took %v, want %v", round, took, want)
			}
		}
		if loads.Load() != 40 {
			t.Errorf("%d loads, want 40", loads.Load())
		}
		if item, ok := c.Peek("k"); ok {
			t.Errorf("stored: %+v", item)
		}
	})
}

// The leader leaves before its private answer comes: nobody gets it.
func TestNoStoreOfALeaderWhoLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		private := func(who string) Loader[string, string] {
			return func(context.Context, string, Prior[string]) (Loaded[string], error) {
				<-time.After(time.Second)
				return Loaded[string]{Value: who, NoStore: true}, nil
			}
		}
		var wg sync.WaitGroup
		wg.Go(func() { c.Fetch(ctx, "k", private("leader")) })
		synctest.Wait()
		for range 3 {
			wg.Go(func() {
				if item, err := c.Fetch(t.Context(), "k", private("waiter")); err != nil || item.Value != "waiter" {
					t.Errorf("got %+v, %v", item, err)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
	})
}

// A delete or write during a load is not overwritten by it, and callers that
// come afterwards do not wait for it.
func TestWritesDuringALoad(t *testing.T) {
	writes := map[string]struct {
		write func(*Cache[string, string])
		want  string // what is there afterwards
	}{
		"delete": {func(c *Cache[string, string]) { c.Delete(context.Background(), "k") }, "new"},
		"set":    {func(c *Cache[string, string]) { c.Set("k", "set") }, "set"},
		"put":    {func(c *Cache[string, string]) { c.Put(context.Background(), "k", fresh("put", time.Minute)) }, "put"},
		"purge":  {func(c *Cache[string, string]) { c.PurgePrefix(context.Background(), "") }, "new"},
	}
	for name, test := range writes {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, nil)
				var wg sync.WaitGroup
				wg.Go(func() {
					item, err := c.Fetch(t.Context(), "k", func(context.Context, string, Prior[string]) (Loaded[string], error) {
						<-time.After(time.Second)
						return fresh("old", time.Hour), nil
					})
					if err != nil || item.Value != "old" {
						t.Errorf("the caller before: %+v, %v", item, err)
					}
				})
				<-time.After(time.Millisecond)
				test.write(c)
				<-time.After(time.Millisecond)
				if item := mustFetch(t, c, "k", constant("new")); item.Value != test.want {
					t.Errorf("during the load: %+v, want %s", item, test.want)
				}
				wg.Wait()
				if item := mustFetch(t, c, "k", constant("later")); item.Value != test.want {
					t.Errorf("after the load: %+v, want %s", item, test.want)
				}
			})
		})
	}
}

func TestCloseEndsLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, nil)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := c.Fetch(t.Context(), "k", func(ctx context.Context, _ string, _ Prior[string]) (Loaded[string], error) {
				<-ctx.Done()
				return Loaded[string]{}, ErrClosed
			})
			if !errors.Is(err, ErrClosed) {
				t.Errorf("error %v, want ErrClosed", err)
			}
		})
		synctest.Wait()
		c.Close()
		c.Close()
		wg.Wait()
		if item := mustFetch(t, c, "k", constant("v")); item.Value != "v" {
			t.Errorf("after close: %+v", item)
		}
		mustFetch(t, c, "k", never(t))
	})
}

func TestGetAllocatesNothing(t *testing.T) {
	c := newCache(t, func(o *Options[string, string]) {
		o.Prefetch = PrefetchOptions[string, string]{Enabled: true, Load: never(t)}
	})
	c.Set("k", "v")
	if n := testing.AllocsPerRun(1000, func() { c.Get("k") }); n != 0 {
		t.Errorf("%v allocations a hit, want 0", n)
	}
}

func BenchmarkGet(b *testing.B) {
	c := newCache(b, nil)
	c.Set("k", "v")
	b.ReportAllocs()
	for b.Loop() {
		c.Get("k")
	}
}

func TestHammer(t *testing.T) {
	c := newCache(t, func(o *Options[string, string]) {
		o.L1.Capacity = 50
		o.Prefetch = PrefetchOptions[string, string]{Enabled: true, Load: constant("prefetched"), Tick: time.Millisecond}
	})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				key := strconv.Itoa((g*7 + i) % 100)
				switch i % 8 {
				case 0:
					c.Delete(t.Context(), key)
				case 1:
					c.Set(key, key)
				case 2:
					c.PurgePrefix(t.Context(), key)
				case 3:
					c.Stats()
					c.ExplainKey(key)
				default:
					c.Fetch(t.Context(), key, constant(key))
				}
			}
		})
	}
	wg.Wait()
}
