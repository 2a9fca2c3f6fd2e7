package cache_test

import (
	"testing"
	"time"

	"github.com/perfopt/perfopt/cache"
)

func TestAHitCompletesWhileEveryLockIsHeld(t *testing.T) {
	c := newCache(t, cache.Options[string, int]{Capacity: 1000, DefaultTTL: time.Hour})
	for _, k := range []string{"a", "b", "c"} {
		c.Set(k, len(k))
	}
	c.Sync()
	unlock := c.LockAll()
	defer unlock()
	done := make(chan bool)
	go func() {
		all := true
		for range 10_000 { // more than the rings take
			for _, k := range []string{"a", "b", "c"} {
				v, ok := c.Get(k)
				all = all && ok && v == len(k)
			}
		}
		done <- all
	}()
	if !<-done {
		t.Error("a read missed")
	}
}

func TestAHitAllocatesNothing(t *testing.T) {
	for name, ttl := range map[string]time.Duration{"without ttl": 0, "with ttl": time.Hour, "close to its expiry": time.Second / 2} {
		t.Run(name, func(t *testing.T) {
			c := newCache(t, cache.Options[string, [64]byte]{Capacity: 1000, DefaultTTL: ttl})
			c.Set("key-000000000001", [64]byte{1})
			c.Sync()
			hits := 0
			allocs := testing.AllocsPerRun(1000, func() {
				if _, ok := c.Get("key-000000000001"); ok {
					hits++
				}
			})
			if allocs != 0 || hits == 0 {
				t.Errorf("%v allocations a read, %d hits", allocs, hits)
			}
		})
	}
}

func TestHitsAndMissesAreCountedExactly(t *testing.T) {
	c := newCache(t, cache.Options[int, int]{Capacity: 1000})
	c.Set(1, 1)
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 5000 {
				c.Get(1)
				c.Get(2)
			}
		}()
	}
	for range 4 {
		<-done
	}
	c.Sync()
	st := c.Stats()
	if st.Hits != 20_000 || st.Misses != 20_000 || st.Recorded == 0 || st.Recorded > st.Hits {
		t.Errorf("%d hits, %d misses, want 20000 each; %d recorded", st.Hits, st.Misses, st.Recorded)
	}
}

func BenchmarkRead(b *testing.B) {
	c, err := cache.New(cache.Options[string, int]{Capacity: 1 << 16})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	keys := make([]string, 1<<14)
	for i := range keys {
		keys[i] = "key-" + string(rune('a'+i%26)) + time.Duration(i).String()
		c.Set(keys[i], i)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			c.Get(keys[i*7919&(1<<14-1)])
		}
	})
}
