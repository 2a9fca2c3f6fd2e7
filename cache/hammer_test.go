package cache_test

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/policies"
)

// hammer runs f n times in each of p goroutines, started together, on fewer
// processors than goroutines.
func hammer(p, n int, f func(goroutine, i int)) {
	procs := runtime.GOMAXPROCS(max(p/2, 1))
	defer runtime.GOMAXPROCS(procs)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for g := range p {
		wg.Go(func() {
			<-start
			for i := range n {
				f(g, i)
			}
		})
	}
	close(start)
	wg.Wait()
}

// TestReadersNeverSeeAnOlderValue has one writer a key, which counts up, beside
// readers, deletes, evictions, expiries and swaps: an entry may vanish, but what
// a reader sees never goes back, nor below what was written before it asked.
func TestReadersNeverSeeAnOlderValue(t *testing.T) {
	const keys, readers, writers, loops = 64, 4, 4, 4000
	type value struct{ key, version uint64 }
	c := newCache(t, cache.Options[uint64, value]{Capacity: 40, Eviction: use(s3fifo)})
	var written, deleted [keys]atomic.Uint64
	var lastSeen [readers][keys]uint64
	hammer(readers+writers, loops, func(g, i int) {
		if g < readers {
			k := rand.Uint64N(keys)
			least := deleted[k].Load()
			v, ok := c.Get(k)
			if ok && (v.key != k || v.version < lastSeen[g][k] || v.version <= least || v.version > written[k].Load()) {
				t.Errorf("key %d: %+v after version %d, %d deleted, %d written", k, v, lastSeen[g][k], least, written[k].Load())
			}
			if ok {
				lastSeen[g][k] = v.version
			}
			return
		}
		k := uint64(g-readers)*keys/writers + rand.Uint64N(keys/writers)
		switch version := written[k].Load(); {
		case i%7 == 0:
			c.Delete(k)
			deleted[k].Store(version)
		case i%11 == 0 && g == readers:
			if err := c.UseEviction(t.Context(), use(lru)); err != nil {
				t.Error(err)
			}
		default:
			written[k].Store(version + 1)
			c.SetWith(k, value{k, version + 1}, cache.Write{TTL: time.Duration(rand.IntN(3)-1) * time.Millisecond})
		}
	})
	if st := c.Stats(); st.EvictionFaults > 0 {
		t.Errorf("%+v", st)
	}
}

// TestCapacityHoldsUnderConcurrentWrites checks the stated bound while writes
// are in progress (each may exceed it by its own weight) and after them.
func TestCapacityHoldsUnderConcurrentWrites(t *testing.T) {
	for name, capacity := range map[string]int64{"small": 64, "with a margin": 8192} {
		t.Run(name, func(t *testing.T) {
			const writers, heaviest = 8, 8
			c := newCache(t, cache.Options[uint64, int]{
				Capacity: capacity, MaxEntries: int(capacity), Eviction: use(lru),
				Weigher: func(k uint64, _ int) uint32 { return uint32(k%heaviest) + 1 },
			})
			var most atomic.Int64
			hammer(writers+1, 5000, func(g, i int) {
				if g < writers {
					c.Set(rand.Uint64N(1<<16), i)
					return
				}
				most.Store(max(most.Load(), c.Weight()))
			})
			if m := most.Load(); m > capacity+writers*heaviest {
				t.Errorf("the residents weighed %d, want at most %d", m, capacity+writers*heaviest)
			}
			if st := c.Stats(); st.Weight > capacity || st.Entries == 0 {
				t.Errorf("afterwards: %+v", st)
			}
		})
	}
}

// TestWritersDoNotWaitForAPolicy holds the turn, as a policy that does not come
// back would: writers go on, the bound holds.
func TestWritersDoNotWaitForAPolicy(t *testing.T) {
	const capacity = 500
	c := newCache(t, cache.Options[int, int]{Capacity: capacity})
	release := c.HoldTurn()
	hammer(4, 5000, func(g, i int) {
		c.Set(g*5000+i, i)
		if i%5 == 0 {
			c.Delete(g*5000 + i)
		}
	})
	st := c.Stats()
	release()
	if st.Weight > capacity || st.Sampled == 0 || st.Sets != 20_000 {
		t.Errorf("%+v", st)
	}
}

// TestHammer calls everything at once; the race detector and Validate judge.
func TestHammer(t *testing.T) {
	var removed atomic.Int64
	c := newCache(t, cache.Options[int, int]{
		Capacity: 300, DefaultTTL: 20 * time.Millisecond,
		OnRemoval: func(cache.Removal[int, int]) { removed.Add(1) },
		OnBatch:   func(policies.Nanos, []policies.Event, []policies.Insert) {},
	})
	hammer(8, 3000, func(g, i int) {
		k := rand.IntN(600)
		switch rand.IntN(16) {
		case 0:
			c.Delete(k)
		case 1:
			c.Fill(c.Begin(k), i, cache.Write{LoadCost: time.Duration(i)})
		case 2:
			c.Peek(k)
			c.Explain(k)
		case 3:
			c.SetWith(k, i, cache.Write{TTL: time.Duration(rand.IntN(3000)) * time.Microsecond})
		case 4:
			if i%100 == 0 {
				c.Clear()
				c.Sync()
			}
		case 5:
			c.Stats()
		case 6:
			if i%50 == 0 {
				c.Hottest(5)
				c.Coldest(5)
				for range c.All() {
				}
			}
		case 7:
			if _, err := c.GetOrLoad(t.Context(), k, load[int](i)); err != nil {
				t.Error(err)
			}
		case 8:
			if x, ok := c.Explain(k); ok {
				c.KeyOf(x.KeyHash)
			}
		case 9, 10:
			c.Set(k, i)
		default:
			c.Get(k)
		}
	})
	if removed.Load() == 0 {
		t.Error("the listener heard nothing")
	}
}
