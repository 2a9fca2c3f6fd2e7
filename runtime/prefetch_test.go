package perfopt

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perfopt/perfopt/runtime/config"
	"github.com/perfopt/perfopt/scheduler"
)

// shop is a runtime in a synctest bubble whose loader takes 50 ms of its time:
// a client who waits that long saw a miss. Entries are fresh for ten seconds.
type shop struct {
	*testing.T
	rt    *Runtime
	cache *Cache[string, string]
	loads map[string]int
	mu    sync.Mutex // guards loads
	once  int
}

const loadTime = 50 * time.Millisecond

func openShop(t *testing.T, change func(*Config)) *shop {
	s := &shop{T: t, loads: map[string]int{}}
	s.rt, s.cache = embed(t, func(cfg *Config) {
		fresh := config.Duration(10 * time.Second)
		cfg.Cache.TTLDefault, cfg.Cache.TTLMin, cfg.Cache.TTLMax = fresh, fresh, fresh
		change(cfg)
	}, func(_ context.Context, key string) (string, error) {
		s.mu.Lock()
		s.loads[key]++
		s.mu.Unlock()
		lapse(loadTime)
		return key, nil
	})
	return s
}

// ask asks for a key and reports whether the client had to wait.
func (s *shop) ask(key string) (waited bool) {
	s.Helper()
	start := time.Now()
	if v, err := s.cache.GetOrLoad(s.Context(), key); err != nil || v != key {
		s.Errorf("%s: %q, %v", key, v, err)
	}
	return time.Since(start) > 0
}

// others makes n clients ask for keys that nobody asks for again.
func (s *shop) others(n int) {
	var together sync.WaitGroup
	for range n {
		s.once++
		key := fmt.Sprint("once ", s.once)
		together.Go(func() { s.ask(key) })
	}
	together.Wait()
}

func (s *shop) prefetch() PrefetchStats {
	s.Helper()
	return *s.rt.Stats().Caches["texts"].Prefetch
}

func prefetchBy(use string) func(*Config) {
	return func(cfg *Config) { cfg.Policy.Prefetch = Policy{Use: use} }
}

// TestRefreshBeforeAClientWaits: a key that is asked for all the time is
// loaded again before its freshness is over, so that after the first load no
// client waits. Without prefetch somebody waits every ten seconds.
func TestRefreshBeforeAClientWaits(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*Config)
		waiting bool
	}{
		"linear":        {prefetchBy("builtin:linear"), false},
		"refresh-ahead": {prefetchBy("builtin:refresh-ahead"), false},
		"none":          {prefetchBy("builtin:none"), true},
		"off":           {func(cfg *Config) { cfg.Prefetch.Enabled = false }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := openShop(t, c.change)
				s.others(100) // prefetches are a share of loads
				s.ask("hot")
				waits := 0
				for i := range 1200 {
					if s.ask("hot") {
						waits++
					}
					if i%10 == 0 {
						s.others(5)
					}
					lapse(100 * time.Millisecond)
				}
				if (waits > 0) != c.waiting {
					t.Errorf("clients waited %d times: %+v", waits, s.rt.Stats().Caches["texts"].Prefetch)
				}
				if n := s.loads["hot"]; n < 10 || n > 30 {
					t.Errorf("%d loads in two minutes of entries that are fresh for ten seconds", n)
				}
			})
		})
	}
}

// TestSuccessorIsLoadedAhead: one key is often asked for two seconds after
// another, when both are stale.
func TestSuccessorIsLoadedAhead(t *testing.T) {
	for use, ahead := range map[string]bool{"builtin:association": true, "builtin:none": false} {
		t.Run(use, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := openShop(t, prefetchBy(use))
				const rounds, learning = 20, 6
				waits := 0
				for round := range rounds {
					s.others(60)
					lapse(time.Second)
					if !s.ask("first") {
						t.Errorf("round %d: first was resident", round)
					}
					lapse(2 * time.Second)
					if s.ask("second") && round >= learning {
						waits++
					}
					lapse(30 * time.Second)
				}
				if ahead && waits > 0 || !ahead && waits != rounds-learning {
					t.Errorf("clients waited for the successor in %d of %d rounds: %+v", waits, rounds-learning, s.prefetch())
				}
			})
		})
	}
}

// TestPrefetchFallsToZeroOnRandomKeys: where nothing can be foreseen nothing
// is loaded ahead, after a trial at most.
func TestPrefetchFallsToZeroOnRandomKeys(t *testing.T) {
	greedy := hostile(t, "prefetch-first")
	for _, use := range []string{"builtin:linear", "builtin:association", "builtin:refresh-ahead", greedy} {
		t.Run(use[strings.LastIndexAny(use, ":/")+1:], func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := openShop(t, func(cfg *Config) {
					cfg.Cache.MaxEntries = 200
					prefetchBy(use)(cfg)
				})
				rng := rand.New(rand.NewPCG(5, 6))
				minute := func() {
					for range 300 {
						for range 3 {
							s.ask(fmt.Sprint(rng.IntN(3000)))
						}
						lapse(100 * time.Millisecond)
					}
				}
				for range 5 {
					minute()
				}
				before := s.prefetch().Issued
				for range 5 {
					minute()
				}
				if use == greedy && before == 0 {
					t.Error("nothing was tried")
				}
				// While it is off one is tried now and then.
				after := s.prefetch()
				if n := after.Issued - before; n > 5 {
					t.Errorf("%d prefetches of random keys within five minutes: %+v", n, after)
				}
			})
		})
	}
}

// TestPrefetchKeepsToItsShare lets a policy propose all that it is shown, and
// its proposals be useful.
func TestPrefetchKeepsToItsShare(t *testing.T) {
	for _, share := range []float64{0.01, 0.05, 0.3} {
		t.Run(fmt.Sprint(share), func(t *testing.T) {
			t.Parallel()
			use := hostile(t, "prefetch-first")
			synctest.Test(t, func(t *testing.T) {
				s := openShop(t, func(cfg *Config) {
					cfg.Prefetch.MaxShare = config.Ratio(share)
					prefetchBy(use)(cfg)
				})
				for second := range 180 {
					for key := range 40 {
						s.ask(fmt.Sprint("hot ", key))
					}
					s.others(5)
					lapse(time.Second)
					if second%5 != 0 {
						continue
					}
					p, loads := s.prefetch(), s.rt.Stats().Caches["texts"].L1.Loads.Count
					if p.Share > share {
						t.Fatalf("share %v of the last loads: %+v", p.Share, p)
					}
					if n := float64(p.Issued + p.Failed); n > share*float64(loads)+1 {
						t.Fatalf("%v prefetches in %d loads: %+v", n, loads, p)
					}
				}
				if p := s.prefetch(); p.Issued == 0 {
					t.Errorf("nothing was prefetched: %+v", p)
				}
			})
		})
	}
}

// TestPrefetchIsOffUnderPressure: while the limit is reached no load is spent
// on what nobody waits for.
func TestPrefetchIsOffUnderPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openShop(t, func(cfg *Config) {
			cfg.Scheduler.AdaptiveLimit = false
			cfg.Scheduler.InitialLimit = 4
		})
		hot := func(seconds int) {
			for range 10 * seconds {
				s.ask("hot")
				lapse(100 * time.Millisecond)
			}
		}
		s.others(200)
		hot(8)
		var permits []scheduler.Permit
		for !s.rt.scheduler.Pressure() {
			p, err := s.rt.scheduler.Acquire(t.Context(), Normal)
			if err != nil {
				t.Fatal(err)
			}
			permits = append(permits, p)
		}
		before := s.prefetch()
		stop := time.After(10 * time.Second)
		for pressed := true; pressed; {
			ctx, leave := context.WithTimeout(t.Context(), 10*time.Millisecond)
			_, err := s.cache.GetOrLoad(ctx, "hot") // stale at some time, and then nobody loads
			leave()
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			lapse(90 * time.Millisecond)
			select {
			case <-stop:
				pressed = false
			default:
			}
		}
		if p := s.prefetch(); p.Issued != before.Issued || p.State != "off: under pressure" {
			t.Errorf("under pressure: %+v, before %+v", p, before)
		}
		for _, p := range permits {
			p.Release(scheduler.OK)
		}
		hot(30)
		if p := s.prefetch(); p.Issued == before.Issued {
			t.Errorf("after the pressure: %+v", p)
		}
	})
}

// TestPrefetchCarriesNothingOfAClient: what the proxy asks for by itself is a
// GET that clients made, without who they are.
func TestPrefetchCarriesNothingOfAClient(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	alone := map[string]http.Header{} // requests that no client made, by path
	s := behind(t, "[prefetch]\ntick = \"20ms\"\nmax_share = \"50%\"\n", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Client") == "" {
			mu.Lock()
			alone[r.Method+" "+r.URL.Path] = r.Header.Clone()
			mu.Unlock()
		}
		w.Header().Set("Cache-Control", "public, max-age=1")
		fmt.Fprint(w, r.URL.Path)
	})
	n := 0
	eventually(t, "the proxy asked by itself", func() bool {
		for range 3 {
			n++
			s.get(fmt.Sprintf("/once/%d", n), "X-Client", "1")
			s.get("/open", "X-Client", "1", "Cookie", "session=secret", "X-Api-Key", "secret", "X-Forwarded-For", "10.9.9.9", "User-Agent", "secret/1.0")
			s.get("/owned", "X-Client", "1", "Authorization", "Bearer secret")
		}
		mu.Lock()
		defer mu.Unlock()
		return len(alone) > 0 && s.rt.Stats().Proxy.Prefetches > 1
	})
	mu.Lock()
	defer mu.Unlock()
	for request, header := range alone {
		if request != "GET /open" {
			t.Errorf("the proxy asked for %s by itself", request)
		}
		if text := fmt.Sprint(header); strings.Contains(text, "secret") || strings.Contains(text, "10.9.9.9") {
			t.Errorf("%s carries %s", request, text)
		}
	}
}
