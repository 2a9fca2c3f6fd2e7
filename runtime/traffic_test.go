package perfopt

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
)

func TestPushedTTLIsSeenInCacheStatus(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	if got := s.get("/before").cacheStatus(); strings.Contains(got, "ttl=7;") {
		t.Fatalf("before the push: %s", got)
	}
	push := s.admin("PUT", "/v1/policies/ttl", string(module(t, "../hostabi/testdata/ttl-seven.wasm")), "Content-Type", "application/wasm")
	if push.status != 200 {
		t.Fatalf("push: %d %s", push.status, push.body)
	}
	for i := range 3 {
		path := fmt.Sprintf("/after/%d", i)
		if got := s.get(path).cacheStatus(); !strings.Contains(got, "ttl=7;") {
			t.Errorf("a miss after the push: %s", got)
		}
		if got := s.get(path).cacheStatus(); !strings.Contains(got, "hit; ttl=7") && !strings.Contains(got, "hit; ttl=6") {
			t.Errorf("a hit after the push: %s", got)
		}
	}
	if got := s.seatStats("ttl"); got.Name != "ttl-seven" || got.Calls < 3 || got.Faults != 0 || got.Fuel == 0 {
		t.Errorf("the seat: %+v", got)
	}
}

// TestBurnerShowsInDecisions: work that the scheduler knows nothing of takes
// the processor, and the next decisions are made knowing it.
func TestBurnerShowsInDecisions(t *testing.T) {
	s := start(t, "[scheduler]\ntick = \"20ms\"\n")
	cpu := func() []float64 {
		var got struct {
			Decisions []struct{ Inputs map[string]float64 }
		}
		if err := json.Unmarshal([]byte(s.admin("GET", "/v1/decisions/scaling", "").body), &got); err != nil {
			t.Fatal(err)
		}
		var all []float64
		for _, d := range got.Decisions {
			all = append(all, d.Inputs["cpu"])
		}
		return all
	}
	var idle float64
	eventually(t, "decisions", func() bool {
		seen := cpu()
		for _, v := range seen {
			idle += v / float64(len(seen))
		}
		return len(seen) >= 3
	})
	var burn atomic.Bool
	burn.Store(true)
	var burners sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		burners.Go(func() {
			for burn.Load() {
			}
		})
	}
	defer burners.Wait()
	defer burn.Store(false)
	eventually(t, fmt.Sprintf("cpu above %.2f in a decision", idle), func() bool {
		newest := cpu()
		return len(newest) > 0 && newest[0] > min(idle+0.05, 0.95)
	})
	if got := s.rt.Stats().Scheduler.CPU; got <= 0 {
		t.Errorf("statistics: cpu %v", got)
	}
}

// TestLinearRecoversFromAChangeOfAllKeys gives two runtimes the same traffic:
// after every key was replaced, the default is within five points of LRU.
func TestLinearRecoversFromAChangeOfAllKeys(t *testing.T) {
	ratios := map[string]float64{}
	for _, use := range []string{"builtin:linear", "builtin:lru"} {
		synctest.Test(t, func(t *testing.T) {
			rt, c := embed(t, func(cfg *Config) {
				cfg.Cache.MaxEntries, cfg.Prefetch.Enabled = 300, false
				cfg.Policy.Eviction = Policy{Use: use}
			}, func(_ context.Context, key string) (string, error) { return key, nil })
			rng := rand.New(rand.NewPCG(7, 8))
			zipf := rand.NewZipf(rng, 1.1, 1, 2000)
			ask := func(world string, n int) float64 {
				before := rt.Stats().Caches["texts"]
				for i := range n {
					if _, err := c.GetOrLoad(t.Context(), fmt.Sprint(world, zipf.Uint64())); err != nil {
						t.Fatal(err)
					}
					if i%10 == 0 {
						lapse(10 * time.Millisecond)
						c.tiered.Sync()
					}
				}
				after := rt.Stats().Caches["texts"]
				return float64(after.Hits-before.Hits) / float64(n)
			}
			ask("old ", 40_000)
			ask("new ", 10_000)
			ratios[use] = ask("new ", 10_000)
		})
	}
	t.Logf("hit ratios after the change: %v", ratios)
	if lru := ratios["builtin:lru"]; lru < 0.2 || ratios["builtin:linear"] < lru-0.05 {
		t.Errorf("hit ratios after the change: %v", ratios)
	}
}

// TestNothingBurstsToTheOrigin asks for the same keys before and after what
// could have emptied a cache.
func TestNothingBurstsToTheOrigin(t *testing.T) {
	const keys = 400
	ask := func(t *testing.T, c *Cache[string, string]) {
		t.Helper()
		var together sync.WaitGroup
		for w := range 4 {
			together.Go(func() {
				for i := w; i < keys; i += 4 {
					key := fmt.Sprint("key ", i)
					if v, err := c.GetOrLoad(t.Context(), key); err != nil || v != key {
						t.Errorf("%s: %q, %v", key, v, err)
					}
				}
			})
		}
		together.Wait()
	}
	open := func(t *testing.T, change func(*Config)) (*Runtime, *Cache[string, string], *atomic.Int64) {
		t.Helper()
		var loads atomic.Int64
		rt, c := embed(t, func(cfg *Config) {
			cfg.Prefetch.Enabled = false
			change(cfg)
		}, func(_ context.Context, key string) (string, error) {
			loads.Add(1)
			return key, nil
		})
		return rt, c, &loads
	}

	t.Run("swap", func(t *testing.T) {
		t.Parallel()
		rt, c, loads := open(t, func(*Config) {})
		ask(t, c)
		for _, seat := range []struct{ name, use string }{
			{"eviction@texts", "builtin:s3fifo"}, {"eviction@texts", "shipped:lru-c"}, {"ttl@texts", "builtin:fixed"},
			{"scaling", "builtin:aimd"}, {"eviction@texts", "builtin:linear"},
		} {
			if err := rt.Swap(t.Context(), seat.name, seat.use); err != nil {
				t.Fatal(err)
			}
			ask(t, c)
		}
		if err := rt.Rollback("eviction@texts"); err != nil {
			t.Fatal(err)
		}
		ask(t, c)
		if n := loads.Load(); n != keys {
			t.Errorf("%d loads of %d keys over six exchanges", n, keys)
		}
	})

	t.Run("fault", func(t *testing.T) {
		t.Parallel()
		rt, c, loads := open(t, func(cfg *Config) {
			cfg.Cache.MaxEntries = keys + 100
			cfg.Policy.Eviction = Policy{Use: hostile(t, "evict-trap")}
		})
		ask(t, c)
		others := 0
		eventually(t, "the policy is in quarantine", func() bool {
			for range 20 { // there is room for a hundred
				others++
				c.Set(fmt.Sprint("other ", others), "x")
			}
			ask(t, c) // what is in use stays
			return rt.Stats().Seats[1].Source == "quarantine"
		})
		if n := rt.Stats().Caches["texts"].L1.Entries; n < keys {
			t.Errorf("%d entries are left of %d", n, keys+100)
		}
		// The host's sampler and the built-in may give up some that are in use.
		if n := loads.Load() - keys; n > keys/2 {
			t.Errorf("%d loads for %d other entries over the faults", n, others)
		}
	})

	t.Run("restart", func(t *testing.T) {
		t.Parallel()
		redis := startRedisServer(t)
		dir := t.TempDir()
		configure := func(cfg *Config) { cfg.Cache.L2.URL, cfg.State.Dir = redis.url(), dir }
		first, c, loads := open(t, configure)
		ask(t, c)
		if n := loads.Load(); n != keys {
			t.Errorf("%d loads of %d keys", n, keys)
		}
		end(t, first)

		second, c, loads := open(t, configure)
		n := 0
		eventually(t, "the second tier is read", func() bool {
			key := fmt.Sprint("key ", n%keys)
			n++
			if _, err := c.GetOrLoad(t.Context(), key); err != nil {
				t.Error(err)
			}
			return second.Stats().Caches["texts"].L2.Hits > 0
		})
		early := loads.Load()
		ask(t, c)
		if n := loads.Load() - early; n != 0 {
			t.Errorf("%d loads of keys that the second tier holds", n)
		}
	})
}

// stuck is an eviction policy that does not return from its first batch until
// it is let go.
type stuck struct {
	entered chan struct{}
	letGo   chan struct{}
	once    sync.Once
}

func (p *stuck) Info() policies.Info {
	return policies.Info{Name: "stuck", Kind: policies.KindEviction}
}
func (p *stuck) Reset(policies.Capacity) error { return nil }

func (p *stuck) Observe(events []policies.Event, _ []policies.Insert) error {
	for _, e := range events {
		if e.Op == policies.OpHit {
			p.once.Do(func() { close(p.entered) })
			<-p.letGo
		}
	}
	return nil
}

func (p *stuck) Victims(int64, []policies.Slot) (int, error) { return 0, nil }

// TestHitsDoNotWaitForMaintenance: while a policy is stuck in maintenance,
// hits go on.
func TestHitsDoNotWaitForMaintenance(t *testing.T) {
	t.Parallel()
	rt, c := embed(t, func(cfg *Config) { cfg.Prefetch.Enabled = false }, func(_ context.Context, key string) (string, error) { return key, nil })
	if _, err := c.GetOrLoad(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	p := &stuck{entered: make(chan struct{}), letGo: make(chan struct{})}
	if err := c.tiered.UseEviction(t.Context(), func(*features.Table) (policies.Orderer, error) { return p, nil }); err != nil {
		t.Fatal(err)
	}
	defer close(p.letGo)
	entered := func() bool {
		select {
		case <-p.entered:
			return true
		default:
			return false
		}
	}
	eventually(t, "maintenance is stuck", func() bool {
		c.Get("a")
		return entered()
	})
	before := rt.Stats().Caches["texts"].Hits
	done := make(chan bool)
	go func() {
		for range 100_000 {
			if _, ok := c.Get("a"); !ok {
				done <- false
				return
			}
		}
		done <- true
	}()
	select {
	case ok := <-done:
		if !ok {
			t.Error("a resident key was missed")
		}
	case <-time.After(patience):
		t.Fatal("hits wait for maintenance")
	}
	if n := rt.Stats().Caches["texts"].Hits - before; n < 100_000 {
		t.Errorf("%d hits were counted", n)
	}
}
