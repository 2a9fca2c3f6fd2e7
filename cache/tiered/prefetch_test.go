package tiered

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/policies"
)

// greedy proposes every candidate it is shown, as long as the budget lasts.
type greedy struct {
	events, misses int
	offered        []policies.KeyHash
	extra          []policies.KeyHash // proposed before all else
	propose        func(*policies.Candidates, []policies.KeyHash) (int, error)
	rows           []map[policies.Column]float64
}

var wanted = []policies.Column{policies.ColTTLLeft, policies.ColResident, policies.ColAge, policies.ColLoadCost, policies.ColBaseTTL, policies.ColFreq}

func (g *greedy) Info() policies.Info {
	return policies.Info{Name: "greedy", Kind: policies.KindPrefetch, Columns: wanted}
}

func (g *greedy) Observe(events []policies.Event, _ []policies.Insert) error {
	g.events += len(events)
	for _, e := range events {
		if e.Op == policies.OpMiss {
			g.misses++
		}
	}
	return nil
}

func (g *greedy) Propose(in *policies.Candidates, budget int, out []policies.KeyHash) (int, error) {
	g.offered = append(g.offered, in.KeyHash...)
	for i := range in.KeyHash {
		row := map[policies.Column]float64{}
		for _, c := range wanted {
			row[c] = in.Value(c, i)
		}
		g.rows = append(g.rows, row)
	}
	if g.propose != nil {
		return g.propose(in, out)
	}
	return copy(out[:budget], append(slices.Clone(g.extra), in.KeyHash...)), nil
}

// prefetching returns a cache whose engine may spend as much as it likes, and
// the count of its loads. The values are fresh for a minute.
func prefetching(t *testing.T, p policies.Prefetch, change func(*Options[string, string])) (*Cache[string, string], *atomic.Int32) {
	t.Helper()
	var loads atomic.Int32
	c := newCache(t, func(o *Options[string, string]) {
		o.Prefetch = PrefetchOptions[string, string]{
			Enabled: true, Policy: p, MaxShare: 1,
			Load: func(_ context.Context, key string, _ Prior[string]) (Loaded[string], error) {
				loads.Add(1)
				return fresh("prefetched "+key, time.Minute), nil
			},
		}
		if change != nil {
			change(o)
		}
	})
	return c, &loads
}

func minute(key string) Loader[string, string] {
	return func(context.Context, string, Prior[string]) (Loaded[string], error) {
		return fresh("loaded "+key, time.Minute), nil
	}
}

// A resident is refreshed before its freshness ends, so that no client waits.
func TestRefreshAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &greedy{}
		c, loads := prefetching(t, g, nil)
		mustFetch(t, c, "k", minute("k"))
		<-time.After(53 * time.Second)
		if loads.Load() != 0 {
			t.Fatalf("%d loads before the last tenth of the freshness", loads.Load())
		}
		<-time.After(5 * time.Second)
		synctest.Wait()
		if loads.Load() != 1 {
			t.Fatalf("%d loads near the end, want 1", loads.Load())
		}
		if row := g.rows[0]; row[policies.ColResident] != 1 || row[policies.ColTTLLeft] > 6 || row[policies.ColTTLLeft] <= 0 ||
			row[policies.ColAge] < 54 || row[policies.ColBaseTTL] != 60 {
			t.Errorf("the policy was shown %v", row)
		}
		// An access that the former entry would have served shows nothing.
		mustFetch(t, c, "k", never(t))
		if p := c.Stats().Prefetch; p.Issued != 1 || p.Useful != 0 || p.Outstanding != 1 {
			t.Errorf("before the former end: %+v", *p)
		}
		<-time.After(10 * time.Second)
		if item := mustFetch(t, c, "k", never(t)); item.Value != "prefetched k" {
			t.Errorf("got %+v", item)
		}
		if p := c.Stats().Prefetch; p.Useful != 1 || p.Wasted != 0 || p.Outstanding != 0 || p.State != prefetchOn || p.Policy != "greedy" {
			t.Errorf("after it: %+v", *p)
		}
	})
}

// Evicted keys and keys asked for twice are candidates; a key asked for once
// is not, whatever the policy says.
func TestCandidates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &greedy{}
		c, loads := prefetching(t, g, nil)
		failing := func(context.Context, string, Prior[string]) (Loaded[string], error) {
			return Loaded[string]{}, errors.New("no")
		}
		c.Fetch(t.Context(), "once", failing)
		c.Fetch(t.Context(), "twice", failing)
		c.Fetch(t.Context(), "twice", failing)
		once, _, _ := c.l1.Locate("once")
		twice, _, _ := c.l1.Locate("twice")
		g.extra = []policies.KeyHash{once, 12345}
		c.Sync()
		<-time.After(3500 * time.Millisecond) // a tick looks at a part of the recent keys
		synctest.Wait()
		if !slices.Contains(g.offered, twice) || slices.Contains(g.offered, once) {
			t.Errorf("offered %x, want %x and not %x", g.offered, twice, once)
		}
		if _, ok := c.Peek("once"); ok || loads.Load() != 1 {
			t.Errorf("%d loads, want that of the key asked for twice", loads.Load())
		}
		if p := c.Stats().Prefetch; p.Issued != 1 {
			t.Errorf("stats %+v", *p)
		}
		if item := mustFetch(t, c, "twice", never(t)); item.Value != "prefetched twice" {
			t.Errorf("got %+v", item)
		}
		if p := c.Stats().Prefetch; p.Useful != 1 {
			t.Errorf("stats %+v", *p)
		}
		if g.misses != 3 {
			t.Errorf("the policy saw %d misses, want 3", g.misses)
		}
	})
}

func TestEvictedKeysComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, loads := prefetching(t, &greedy{}, func(o *Options[string, string]) { o.L1.Capacity = 8 })
		for i := range 30 {
			key := fmt.Sprint(i)
			mustFetch(t, c, key, minute(key))
			c.Sync()
		}
		<-time.After(3500 * time.Millisecond)
		if loads.Load() == 0 {
			t.Error("no evicted key was loaded again")
		}
	})
}

// A client that asks during a prefetch waits for it, and that was useful.
func TestClientJoinsAPrefetch(t *testing.T) {
	for name, fails := range map[string]bool{"brings it": false, "fails": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := prefetching(t, &greedy{}, func(o *Options[string, string]) {
					o.Prefetch.Load = func(context.Context, string, Prior[string]) (Loaded[string], error) {
						<-time.After(10 * time.Second)
						if fails {
							return Loaded[string]{}, errors.New("shed")
						}
						return fresh("prefetched", time.Minute), nil
					}
				})
				mustFetch(t, c, "k", func(context.Context, string, Prior[string]) (Loaded[string], error) {
					return fresh("loaded", 10*time.Second), nil
				})
				<-time.After(12 * time.Second) // stale, the prefetch is under way
				item := mustFetch(t, c, "k", minute("k"))
				p := c.Stats().Prefetch
				if want := map[bool]string{false: "prefetched", true: "loaded k"}[fails]; item.Value != want {
					t.Errorf("got %+v, want %q", item, want)
				}
				if !fails && p.Useful != 1 || fails && (p.Failed != 1 || p.Issued != 0) {
					t.Errorf("stats %+v", *p)
				}
			})
		})
	}
}

// On random keys nothing that is loaded ahead is of use: whatever the policy
// wants, prefetching falls to zero but for the probes.
func TestPrefetchFallsToZeroOnRandomKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := prefetching(t, &greedy{}, func(o *Options[string, string]) {
			o.L1.Capacity = 200
			o.Prefetch.MaxShare = 0 // the default
		})
		rng := rand.New(rand.NewPCG(1, 1))
		var issued []uint64
		for hour := range 7 {
			for range 7200 {
				key := fmt.Sprint(rng.IntN(100_000))
				mustFetch(t, c, key, minute(key))
				<-time.After(500 * time.Millisecond)
			}
			p := c.Stats().Prefetch
			if p.Share > p.MaxShare {
				t.Errorf("hour %d: share %v of the loads", hour, p.Share)
			}
			issued = append(issued, p.Issued)
		}
		last := len(issued) - 1
		if issued[0] == 0 || issued[0] > 100 || issued[last]-issued[last-2] > 3 {
			t.Errorf("issued by hour %v: want some, few, and in the end a probe an hour", issued)
		}
		if p := c.Stats().Prefetch; p.State != prefetchAccuracy || p.Accuracy >= p.MinAccuracy {
			t.Errorf("stats %+v", *p)
		}
	})
}

// Where it is of use again, prefetching comes back.
func TestPrefetchRecovers(t *testing.T) {
	now := time.Unix(0, 0)
	b := budget{maxShare: 1, minAccuracy: 0.5}
	settle := func(useful bool) {
		b.issue()
		b.settle(now, useful)
	}
	for range trialIssues {
		settle(false)
	}
	if n, why := b.allow(now, 5); n != 0 || why != prefetchAccuracy {
		t.Fatalf("%d allowed, %s", n, why)
	}
	for probe := range probesToReturn {
		now = now.Add(b.wait)
		if n, why := b.allow(now, 5); n != 1 || why != prefetchProbing {
			t.Fatalf("probe %d: %d allowed, %s", probe, n, why)
		}
		settle(probe%2 == 0)
	}
	if n, why := b.allow(now, 5); n != 5 || why != prefetchOn {
		t.Errorf("after useful probes: %d allowed, %s", n, why)
	}
}

func TestBudget(t *testing.T) {
	now := time.Unix(0, 0)
	b := budget{maxShare: 0.05, minAccuracy: 0.5}
	if n, why := b.allow(now, 9); n != 0 || why != prefetchShare {
		t.Errorf("without loads: %d, %s", n, why)
	}
	rng := rand.New(rand.NewPCG(2, 2))
	for i := range 5000 {
		b.loaded(false)
		n, _ := b.allow(now, rng.IntN(20))
		for range n {
			b.loaded(true)
			b.issue()
			b.settle(now, true)
		}
		if share := b.loads.share(); share > 0.05 {
			t.Fatalf("after %d loads: share %v", i, share)
		}
	}
	if b.issued < 200 {
		t.Errorf("%d issued within 5 %% of 5,000 loads", b.issued)
	}
	many := budget{maxShare: 1, minAccuracy: 0.5}
	issued := 0
	for range 1000 {
		many.loaded(false)
		n, _ := many.allow(now, 16)
		for range n {
			many.issue()
			issued++
		}
	}
	if issued != trialIssues {
		t.Errorf("%d issued before the use of any is known, want %d", issued, trialIssues)
	}
}

func TestNoPrefetchUnderPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pressure atomic.Bool
		pressure.Store(true)
		c, loads := prefetching(t, &greedy{}, func(o *Options[string, string]) { o.Prefetch.Pressure = pressure.Load })
		mustFetch(t, c, "k", minute("k"))
		<-time.After(57 * time.Second)
		if p := c.Stats().Prefetch; loads.Load() != 0 || p.State != prefetchPressure {
			t.Errorf("%d loads, %+v", loads.Load(), *p)
		}
		pressure.Store(false)
		<-time.After(2 * time.Second)
		if loads.Load() != 1 {
			t.Errorf("%d loads without pressure", loads.Load())
		}
	})
}

// A prefetch that nobody asked for is wasted, however its entry ends.
func TestWastedPrefetches(t *testing.T) {
	ends := map[string]func(*Cache[string, string]){
		"left alone": func(*Cache[string, string]) { <-time.After(2 * time.Minute) },
		"deleted":    func(c *Cache[string, string]) { c.Delete(context.Background(), "k") },
		"replaced":   func(c *Cache[string, string]) { c.Set("k", "v") },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := prefetching(t, &greedy{}, nil)
				mustFetch(t, c, "k", minute("k"))
				<-time.After(57 * time.Second)
				former := c.UsePrefetch(nil)
				if p := c.Stats().Prefetch; p.Issued != 1 || former == nil {
					t.Fatalf("stats %+v, former %v", *p, former)
				}
				end(c)
				if p := c.Stats().Prefetch; p.Wasted != 1 || p.Useful != 0 || p.Outstanding != 0 {
					t.Errorf("stats %+v", *p)
				}
			})
		})
	}
}

func TestFaultyPrefetchPoliciesAreUnseated(t *testing.T) {
	faults := map[string]func(*policies.Candidates, []policies.KeyHash) (int, error){
		"error":           func(*policies.Candidates, []policies.KeyHash) (int, error) { return 0, errors.New("spent") },
		"panic":           func(*policies.Candidates, []policies.KeyHash) (int, error) { panic("oh") },
		"too many":        func(_ *policies.Candidates, out []policies.KeyHash) (int, error) { return len(out) + 1, nil },
		"negative":        func(*policies.Candidates, []policies.KeyHash) (int, error) { return math.MinInt, nil },
		"keys never seen": nil,
	}
	for name, propose := range faults {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &greedy{propose: propose}
				if propose == nil {
					g.propose = func(_ *policies.Candidates, out []policies.KeyHash) (int, error) {
						for i := range out {
							out[i] = policies.KeyHash(rand.Uint64())
						}
						return len(out), nil
					}
				}
				c, loads := prefetching(t, g, nil)
				mustFetch(t, c, "k", minute("k"))
				<-time.After(58 * time.Second)
				p := c.Stats().Prefetch
				if loads.Load() != 0 {
					t.Errorf("%d loads", loads.Load())
				}
				if propose == nil {
					if p.Faults != 0 || p.Refused == 0 || p.Refused != p.Proposed {
						t.Errorf("stats %+v", *p)
					}
					return
				}
				if p.Faults != 1 || p.State != prefetchFault || p.Policy != "" {
					t.Errorf("stats %+v", *p)
				}
				if former := c.UsePrefetch(&greedy{}); former != nil {
					t.Errorf("former policy %v", former)
				}
				<-time.After(1500 * time.Millisecond)
				if p := c.Stats().Prefetch; p.State == prefetchFault || p.Policy != "greedy" {
					t.Errorf("after another was seated: %+v", *p)
				}
			})
		})
	}
}

// A key that cannot be loaded ahead is not tried again and again.
func TestUnloadableKeysAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tried atomic.Int32
		c, _ := prefetching(t, &greedy{}, func(o *Options[string, string]) {
			o.Prefetch.Load = func(context.Context, string, Prior[string]) (Loaded[string], error) {
				tried.Add(1)
				return Loaded[string]{}, errors.New("not repeatable")
			}
		})
		for range 3 {
			c.Fetch(t.Context(), "k", func(context.Context, string, Prior[string]) (Loaded[string], error) {
				return Loaded[string]{NoStore: true}, nil
			})
		}
		c.Sync()
		<-time.After(time.Minute)
		if p := c.Stats().Prefetch; tried.Load() != 1 || p.Failed != 1 || p.Issued != 0 {
			t.Errorf("tried %d times; %+v", tried.Load(), *p)
		}
	})
}

func TestInspection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, func(o *Options[string, string]) {
			o.L1.Weigher = func(_, v string) uint32 { return uint32(len(v)) }
			o.L1.OnRemoval = func(r cache.Removal[string, string]) {
				if r.Value != "hello" || r.Cause != cache.CauseDeleted {
					t.Errorf("told of %+v", r)
				}
			}
		})
		c.Put(t.Context(), "k", Loaded[string]{Value: "hello", Fresh: FreshnessInput{Base: time.Minute, Origin: NoOrigin}, Keep: time.Minute, Cost: 3 * time.Millisecond})
		c.Get("k")
		c.Sync()
		<-time.After(30 * time.Second)
		x, ok := c.ExplainKey("k")
		if !ok || !x.Resident || !x.Fresh || x.AgeSeconds != 30 || x.FreshForSeconds != 30 || x.Weight != 5 || x.LoadMillis != 3 || !x.Known || x.Count <= 0 || x.Policy == "" {
			t.Errorf("explained %+v, %v", x, ok)
		}
		if x.ExpiresInSeconds < 89 || x.ExpiresInSeconds > 90.1 {
			t.Errorf("expires in %v s, want 90", x.ExpiresInSeconds)
		}
		if top := c.Top(10); len(top) != 1 || top[0].Key != "k" || top[0].Weight != 5 || top[0].Prediction != x.Prediction {
			t.Errorf("top %+v", top)
		}
		if x, ok := c.ExplainKey("nothing"); ok {
			t.Errorf("explained %+v", x)
		}
		if c.ResidentCount() != 1 || c.Features().Len() != 1 {
			t.Errorf("%d residents", c.ResidentCount())
		}
		if had, err := c.DeleteKey(t.Context(), "k"); !had || err != nil {
			t.Errorf("deleted %v, %v", had, err)
		}
		if had, _ := c.DeleteKey(t.Context(), "k"); had {
			t.Error("deleted twice")
		}
	})
}
