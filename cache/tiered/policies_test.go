package tiered

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/builtin"
	"github.com/perfopt/perfopt/policies/prefetch"
)

// seated returns a prefetching cache with a built-in policy.
func seated(t *testing.T, name string, change func(*Options[string, string])) *Cache[string, string] {
	t.Helper()
	c, _ := prefetching(t, nil, change)
	p, err := builtin.Prefetch(name, builtin.Env{Features: c.Features(), Now: func() policies.Nanos { return c.now() }})
	if err != nil {
		t.Fatal(err)
	}
	if former := c.UsePrefetch(p); former != nil {
		t.Fatalf("former policy %v", former)
	}
	return c
}

// The policies that refresh, on keys asked for all the time.
func TestBuiltinPoliciesRefreshBeforeClientsWait(t *testing.T) {
	for _, name := range []string{"linear", "refresh-ahead"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := seated(t, name, nil)
				waited := 0
				for range 1200 { // 10 min, two accesses a second
					if _, ok := c.Get("hot"); !ok {
						waited++
						mustFetch(t, c, "hot", minute("hot"))
					}
					<-time.After(500 * time.Millisecond)
				}
				p := c.Stats().Prefetch
				if waited > 3 || p.Useful < 6 || p.Wasted > 1 {
					t.Errorf("a client waited %d times of 10; %+v", waited, *p)
				}
			})
		})
	}
}

// What is asked for right after another key is there when it is asked for.
func TestAssociationLoadsSuccessors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := seated(t, "association", nil)
		misses := map[string]int{}
		for range 60 {
			for _, key := range []string{"page", "style"} {
				if _, ok := c.Get(key); !ok {
					misses[key]++
					mustFetch(t, c, key, minute(key))
				}
				c.Sync() // what was asked is known to the policy at its next tick
				<-time.After(2 * time.Second)
			}
			<-time.After(2 * time.Minute)
		}
		p := c.Stats().Prefetch
		if misses["page"] != 60 || misses["style"] > 15 || p.Useful < 45 || p.Wasted > 5 {
			t.Errorf("misses %v; %+v", misses, *p)
		}
	})
}

// Random keys, the built-in policies, the default share: nothing is wasted
// that would be felt.
func TestBuiltinPoliciesLeaveRandomKeysAlone(t *testing.T) {
	for _, name := range builtin.Names(policies.KindPrefetch) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := seated(t, name, func(o *Options[string, string]) {
					o.L1.Capacity, o.Prefetch.MaxShare = 500, 0
				})
				rng := rand.New(rand.NewPCG(3, 3))
				before := uint64(0)
				for i := range 6_000 {
					if i == 4_500 {
						before = c.Stats().Prefetch.Issued
					}
					key := fmt.Sprint(rng.IntN(8_000))
					mustFetch(t, c, key, minute(key))
					<-time.After(250 * time.Millisecond)
				}
				if p := c.Stats().Prefetch; p.Issued-before > 10 || p.Issued > 200 {
					t.Errorf("%d issued, %d of them in the last quarter: %+v", p.Issued, p.Issued-before, *p)
				}
			})
		})
	}
}

// Statistics are read while prefetch policies come and go.
func TestStatsDuringExchangesOfPrefetch(t *testing.T) {
	c := newCache(t, func(o *Options[string, string]) {
		o.Prefetch = PrefetchOptions[string, string]{Enabled: true, Load: constant("v")}
	})
	var reader sync.WaitGroup
	stop := make(chan struct{})
	reader.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				c.Stats()
			}
		}
	})
	for range 1000 {
		c.UsePrefetch(prefetch.NewNone())
		c.UsePrefetch(nil)
	}
	close(stop)
	reader.Wait()
}
