package perfopt

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perfopt/perfopt/cache/l2"
	"github.com/perfopt/perfopt/runtime/config"
	"github.com/perfopt/perfopt/scheduler"
)

// The scenes of TestTrafficMovesEveryNumber that need no HTTP. Those in a
// synctest bubble let minutes pass at once.

// hostile returns the path of a module that is made to misbehave.
func hostile(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs("../hostabi/testdata/" + name + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// lapse lets time pass, in a bubble at once.
func lapse(d time.Duration) { <-time.After(d) }

// embeddedScene asks a cache in ways that every pattern stands out of, for
// longer than the predictor's horizon.
func embeddedScene(t *testing.T, w *witness) {
	synctest.Test(t, func(t *testing.T) {
		failing := errors.New("the backend is down")
		rt, c := embed(t, func(cfg *Config) {
			cfg.Cache.Capacity, cfg.Prefetch.Enabled = 256<<10, false
		}, func(_ context.Context, key string) (string, error) {
			lapse(time.Duration(1+len(key)) * time.Millisecond)
			if strings.HasPrefix(key, "bad") {
				return "", failing
			}
			return key, nil
		})
		look := func() { w.look(t, t.Name(), rt) }
		get := func(format string, args ...any) {
			if _, err := c.GetOrLoad(t.Context(), fmt.Sprintf(format, args...)); err != nil && err != failing {
				t.Error(err)
			}
		}
		look()

		rng := rand.New(rand.NewPCG(1, 2))
		zipf := rand.NewZipf(rng, 1.2, 1, 500)
		for second := range 30 {
			get("periodic")
			for range 10 + second {
				get("hot %d", zipf.Uint64())
			}
			get("bad %d", second)
			lapse(time.Second)
			if second%10 == 0 {
				look()
			}
		}
		for i := range 3 * 1800 { // in turn, hardly more than there is room for
			get("turn %d", i%1800)
		}
		lapse(time.Second)
		look()
		for i := range 10_000 { // a scan, larger than what is sampled
			get("scan %d", i)
		}
		var together sync.WaitGroup
		for range 3 {
			together.Go(func() { get("together") })
		}
		together.Wait()
		if err := c.Delete(t.Context(), "together"); err != nil {
			t.Error(err)
		}
		look()
		for range 14 { // past the freshness of all and past the horizon
			lapse(time.Minute)
			for i := range 300 { // enough that the predictor's sample has some
				get("hot %d", i)
			}
			get("periodic")
			look()
		}
	})
}

// prefetchScene asks for keys until their freshness is about to end, and then
// goes on or not.
func prefetchScene(t *testing.T, w *witness) {
	synctest.Test(t, func(t *testing.T) {
		var failing atomic.Bool
		rt, c := embed(t, func(cfg *Config) {
			brief := config.Duration(10 * time.Second)
			cfg.Cache.TTLDefault, cfg.Cache.TTLMax = brief, brief
			cfg.Prefetch.MaxShare = 0.4
		}, func(_ context.Context, key string) (string, error) {
			lapse(5 * time.Millisecond)
			if failing.Load() {
				return "", errors.New("the backend is down")
			}
			return key, nil
		})
		look := func() { w.look(t, t.Name(), rt) }
		look()
		n := 0
		ask := func(seconds int, keys ...string) {
			for range 5 * seconds {
				for _, key := range keys {
					c.GetOrLoad(t.Context(), key) // fails when the backend is down
				}
				n++
				c.GetOrLoad(t.Context(), fmt.Sprint("once ", n))
				lapse(200 * time.Millisecond)
			}
			look()
		}
		ask(40, "a", "b", "c") // useful
		for range 6 {
			ask(2, "a", "b", "c")
		}
		failing.Store(true)
		ask(10, "a", "b", "c")
		failing.Store(false)
		ask(9, "d", "e", "f")
		ask(30) // of those that were prefetched none is asked for
		got := rt.Stats().Caches["texts"].Prefetch
		if got.Useful == 0 || got.Wasted == 0 || got.Failed == 0 {
			t.Errorf("prefetch: %+v", got)
		}
	})
}

// overloadScene gives a scheduler more than it can take, in every way.
func overloadScene(t *testing.T, w *witness) {
	synctest.Test(t, func(t *testing.T) {
		rt, _ := embed(t, func(cfg *Config) {
			s := &cfg.Scheduler
			s.MinLimit, s.InitialLimit, s.MaxLimit, s.QueueLength = 2, 4, 6, 6
			s.Tick = config.Duration(10 * time.Millisecond)
			cfg.Proxy.DrainTimeout = config.Duration(10 * time.Minute)
		}, func(context.Context, string) (string, error) { return "", nil })
		look := func() { w.look(t, t.Name(), rt) }
		look()
		work := func(d time.Duration) func(context.Context) (int, error) {
			return func(ctx context.Context) (int, error) {
				select {
				case <-time.After(d):
					return 0, nil
				case <-ctx.Done():
					return 0, ctx.Err()
				}
			}
		}
		// More than the limit at once, for as long as the history has halves.
		stop := make(chan struct{})
		var load sync.WaitGroup
		for i := range 8 {
			load.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					if _, err := Do(t.Context(), rt, Normal, work(time.Duration(5+i)*time.Millisecond)); err != nil {
						lapse(time.Millisecond) // rejected
					}
					if n%20 == 2*i {
						hasty, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond) // ends late
						Do(hasty, rt, Critical, work(time.Second))
						cancel()
					}
					if n%20 == i {
						Do(t.Context(), rt, Normal, func(context.Context) (int, error) { return 0, errors.New("failed") })
					}
				}
			})
		}
		for i := range 200 {
			lapse(10 * time.Millisecond)
			load.Go(func() { // too late, would be too late, or in time
				brief, leave := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond/4)
				defer leave()
				Do(brief, rt, Background, work(time.Millisecond))
			})
			w.stats(t, t.Name(), rt)
		}
		for range 5 {
			lapse(time.Second)
			look()
		}
		close(stop)
		load.Wait()
		left, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, leave)
		Do(left, rt, Critical, work(time.Second)) // its caller leaves
		lapse(time.Second)
		rejectEverything(t, rt, look)
	})
}

// rejectEverything shows every reason for which work is not admitted, and ends
// the runtime.
func rejectEverything(t *testing.T, rt *Runtime, look func()) {
	var permits []scheduler.Permit
	hold := func() {
		for !rt.scheduler.Pressure() {
			p, err := rt.scheduler.Acquire(t.Context(), Critical)
			if err != nil {
				t.Fatal(err)
			}
			permits = append(permits, p)
		}
	}
	hold()
	lapse(50 * time.Millisecond)
	hold()                                       // the limit may have grown
	long := func(context.Context) (int, error) { // one that is admitted makes no room for others
		lapse(time.Minute)
		return 0, nil
	}
	var waiting sync.WaitGroup
	queue := func(ctx context.Context, p Priority) {
		waiting.Go(func() {
			Do(ctx, rt, p, long) // how it ends is counted
		})
		synctest.Wait()
	}
	gone, leave := context.WithCancel(t.Context())
	queue(gone, Normal)
	leave()
	for p := Critical; p <= Background; p++ {
		queue(t.Context(), p)
	}
	lapse(100 * time.Millisecond)
	look()
	for range 6 {
		queue(t.Context(), Low)
	}
	lapse(100 * time.Millisecond)
	look()
	queue(t.Context(), Background) // queue_full
	queue(t.Context(), High)       // sheds one
	lapse(35 * time.Second)        // timeout
	for range 3 {
		look()
		lapse(time.Second)
	}
	ended := make(chan error)
	go func() { ended <- rt.Shutdown(context.Background()) }()
	synctest.Wait()
	queue(t.Context(), Critical) // draining
	look()
	for _, p := range permits {
		p.Release(scheduler.OK)
	}
	waiting.Wait()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	queue(t.Context(), Critical) // closed
	waiting.Wait()
	look()
	for reason, n := range rt.Stats().Scheduler.TotalRejected {
		if n == 0 {
			t.Errorf("nothing was rejected for %s", reason)
		}
	}
}

// twoTiersScene takes a second tier through everything: used, wrong, full,
// away, back.
func twoTiersScene(t *testing.T, w *witness) {
	redis := startRedisServer(t)
	open := func() (*Runtime, *Cache[string, string]) {
		rt, c := embed(t, func(cfg *Config) {
			cfg.Cache.L2.URL, cfg.Cache.L2.MaxValue, cfg.Prefetch.Enabled = redis.url(), 1<<20, false
		}, func(_ context.Context, key string) (string, error) { return "value of " + key, nil })
		return rt, c
	}
	first, a := open()
	second, b := open()
	look := func() { w.look(t, t.Name(), second) }
	stats := func(rt *Runtime) L2Stats { return *rt.Stats().Caches["texts"].L2 }
	load := func(c *Cache[string, string], key string) {
		if v, err := c.GetOrLoad(t.Context(), key); err != nil || v != "value of "+key {
			t.Errorf("%s: %q, %v", key, v, err)
		}
	}
	idle := func(rt *Runtime) {
		t.Helper()
		eventually(t, "all is written", func() bool { return stats(rt).Pending == 0 })
	}
	look()
	eventually(t, "the second tier is read", func() bool {
		a.Set("shared", "value of shared")
		idle(first)
		if err := b.Delete(t.Context(), "shared"); err != nil {
			t.Fatal(err)
		}
		idle(second)
		a.Set("shared", "value of shared")
		idle(first)
		load(b, "shared")
		return stats(second).Hits > 0
	})
	look()
	load(a, "wrong")
	idle(first)
	for key := range strings.FieldsSeq(redis.do("KEYS", "*wrong")) {
		redis.do("SET", key, "garbage")
	}
	load(b, "wrong")
	if stats(second).Corrupt == 0 {
		t.Errorf("garbage was not noticed: %+v", stats(second))
	}
	redis.do("CONFIG", "SET", "maxmemory", "1")
	b.Set("refused", "x")
	eventually(t, "a write was refused", func() bool { return stats(second).Refused > 0 })
	redis.do("CONFIG", "SET", "maxmemory", "0")
	look()

	redis.kill()
	n := 0
	eventually(t, "the second tier is left alone", func() bool {
		n++
		load(b, fmt.Sprint("away ", n))
		return stats(second).Errors > 0 && stats(second).Skipped > 0 && stats(second).WriteErrors > 0
	})
	look()
	large := strings.Repeat("x", 900<<10)
	for i := range 50 {
		b.Set(fmt.Sprint("large ", i), large)
	}
	for i := range 1<<16 + 100 {
		if err := b.Delete(t.Context(), fmt.Sprint("gone ", i)); err != nil {
			t.Fatal(err)
		}
	}
	if got := stats(second); got.Overflows == 0 || got.Dropped == 0 {
		t.Errorf("the queue is without bound: %+v", got)
	}
	b.Set("last", large)
	look()
	redis.start()
	eventually(t, "the second tier is back", func() bool {
		return stats(second).State == l2.StateClosed && stats(second).Pending == 0
	})
	look()
}

// faultScene seats modules that fault in each way; a module that policies.toml
// names is not tried first.
func faultScene(t *testing.T, w *witness) {
	for _, module := range []string{"ttl-trap", "ttl-loop", "ttl-grow", "ttl-status", "ttl-nan", "ttl-reports"} {
		t.Run(module, func(t *testing.T) {
			t.Parallel()
			rt, c := embed(t, func(cfg *Config) {
				cfg.Guard.Faults = 1000
				cfg.Policy.TTL = Policy{Use: hostile(t, module)}
			}, func(_ context.Context, key string) (string, error) { return key, nil })
			for i := range 5 {
				w.look(t, t.Name(), rt)
				if _, err := c.GetOrLoad(t.Context(), fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
			}
			w.look(t, t.Name(), rt)
		})
	}
	t.Run("quarantine", func(t *testing.T) {
		t.Parallel()
		rt, c := embed(t, func(cfg *Config) {
			cfg.Policy.TTL = Policy{Use: hostile(t, "ttl-trap")}
		}, func(_ context.Context, key string) (string, error) { return key, nil })
		n := 0
		eventually(t, "the policy is in quarantine", func() bool {
			w.look(t, t.Name(), rt)
			n++
			if _, err := c.GetOrLoad(t.Context(), fmt.Sprint(n)); err != nil {
				t.Error(err)
			}
			return rt.Stats().Seats[2].Source == "quarantine"
		})
		w.look(t, t.Name(), rt)
	})
	t.Run("clamp", func(t *testing.T) {
		t.Parallel()
		rt, c := embed(t, func(cfg *Config) {
			cfg.Policy.TTL = Policy{Use: "builtin:fixed", Config: map[string]any{"ttl": "48h"}}
		}, func(_ context.Context, key string) (string, error) { return key, nil })
		w.look(t, t.Name(), rt)
		if _, err := c.GetOrLoad(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		w.look(t, t.Name(), rt)
	})
}

// evictionFaultScene lets an eviction policy fail while its seat is held, so
// that the host goes on making room.
func evictionFaultScene(t *testing.T, w *witness) {
	rt, c := embed(t, func(cfg *Config) {
		cfg.Cache.Capacity = 64 << 10
		cfg.Policy.Eviction = Policy{Use: hostile(t, "evict-trap")}
	}, func(_ context.Context, key string) (string, error) { return key, nil })
	w.look(t, t.Name(), rt)
	s, err := rt.seat("eviction@texts")
	if err != nil {
		t.Fatal(err)
	}
	fill := func() {
		for i := range 2000 {
			c.Set(fmt.Sprint(i), "value")
		}
	}
	closed := func(v bool) { // a closed seat does not replace its policy
		s.mu.Lock()
		defer s.mu.Unlock()
		s.closed = v
	}
	closed(true)
	fill()
	eventually(t, "the host makes room", func() bool { return rt.Stats().Caches["texts"].L1.HostMakesRoom })
	fill()
	w.look(t, t.Name(), rt)
	closed(false)
	if err := rt.Swap(t.Context(), "eviction@texts", "builtin:lru"); err != nil {
		t.Fatal(err)
	}
	fill()
	w.look(t, t.Name(), rt)
}

// prefetchFaultScene seats a policy that proposes keys nobody knows: a fault,
// and once the guard has forgotten keys a proposal to leave out.
func prefetchFaultScene(t *testing.T, w *witness) {
	synctest.Test(t, func(t *testing.T) {
		rt, c := embed(t, func(cfg *Config) {
			cfg.Guard.Faults = 1000
			cfg.Policy.Prefetch = Policy{Use: hostile(t, "prefetch-unknown")}
		}, func(_ context.Context, key string) (string, error) { return key, nil })
		for i := range 3000 {
			if _, err := c.GetOrLoad(t.Context(), fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
			if i%500 == 0 {
				lapse(time.Second)
				w.look(t, t.Name(), rt)
			}
		}
		lapse(time.Second)
		w.look(t, t.Name(), rt)
	})
}
