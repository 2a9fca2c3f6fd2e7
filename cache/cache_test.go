package cache_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/policies"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newCache returns a cache that is validated and closed at the end of the test.
func newCache[K comparable, V any](t testing.TB, o cache.Options[K, V]) *cache.Cache[K, V] {
	t.Helper()
	c, err := cache.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
		c.Close()
		c.Close()
	})
	return c
}

func forBoth(t *testing.T, f func(t *testing.T, inline bool)) {
	t.Run("background", func(t *testing.T) { f(t, false) })
	t.Run("inline", func(t *testing.T) { f(t, true) })
}

func TestSetGetDelete(t *testing.T) {
	forBoth(t, func(t *testing.T, inline bool) {
		c := newCache(t, cache.Options[string, int]{Capacity: 10, Inline: inline})
		if _, ok := c.Get("a"); ok {
			t.Error("an empty cache has a")
		}
		if !c.Set("a", 1) || !c.Set("a", 2) {
			t.Error("a set was refused")
		}
		if v, ok := c.Get("a"); v != 2 || !ok {
			t.Errorf("a = %d, %t, want 2", v, ok)
		}
		if !c.Delete("a") || c.Delete("a") {
			t.Error("a is to be deleted once")
		}
		if _, ok := c.Get("a"); ok {
			t.Error("a is there after its deletion")
		}
		c.Sync()
		st := c.Stats()
		if st.Hits != 1 || st.Misses != 2 || st.Sets != 2 || st.Deletes != 1 || st.Entries != 0 || st.Weight != 0 || st.Recorded > 1 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestOptionsAreCheckedTogether(t *testing.T) {
	_, err := cache.New(cache.Options[int, int]{Capacity: 0, MaxEntries: -1, DefaultTTL: -1})
	for _, want := range []string{"capacity 0", "max entries -1", "default TTL -1ns"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
	if _, err := cache.New(cache.Options[int, int]{Capacity: 1 << 30}); err == nil {
		t.Error("2^30 entries without a weigher are accepted")
	}
}

func TestWeightIsBounded(t *testing.T) {
	forBoth(t, func(t *testing.T, inline bool) {
		c := newCache(t, cache.Options[int, []byte]{
			Capacity: 1000, Inline: inline,
			Weigher: func(_ int, v []byte) uint32 { return uint32(len(v)) },
		})
		for i := range 300 {
			c.Set(i%40, make([]byte, 1+i*7%200))
			if st := c.Stats(); st.Weight > st.Capacity {
				t.Fatalf("after write %d the residents weigh %d of %d", i, st.Weight, st.Capacity)
			}
		}
		e, ok := c.Peek(299 % 40)
		if ok && int(e.Weight) != len(e.Value) {
			t.Errorf("weight %d of %d bytes", e.Weight, len(e.Value))
		}
	})
}

func TestTooHeavyIsRefusedAndSaysSo(t *testing.T) {
	c := newCache(t, cache.Options[string, int]{
		Capacity: 100, MaxWeight: 50, Weigher: func(_ string, v int) uint32 { return uint32(v) },
	})
	if !c.Set("a", 50) || c.Set("a", 51) || c.Set("b", 1000) {
		t.Error("want 50 stored, 51 and 1000 refused")
	}
	if _, ok := c.Get("a"); ok {
		t.Error("the value that a refused write was to replace is still served")
	}
	if st := c.Stats(); st.Refused != 2 {
		t.Errorf("refused %d, want 2", st.Refused)
	}
}

func TestPeekIsNoAccess(t *testing.T) {
	var events int
	c := newCache(t, cache.Options[int, int]{
		Capacity: 10, Inline: true,
		OnBatch: func(_ policies.Nanos, ev []policies.Event, _ []policies.Insert) { events += len(ev) },
	})
	c.Set(1, 1)
	c.Peek(1)
	c.Peek(2)
	c.Explain(1)
	c.Sync()
	if st := c.Stats(); st.Hits+st.Misses != 0 || events != 1 {
		t.Errorf("stats %+v, %d events, want the insert only", st, events)
	}
}

func TestBulk(t *testing.T) {
	c := newCache(t, cache.Options[int, string]{Capacity: 100})
	if n := c.SetAll(map[int]string{1: "one", 2: "two", 3: "three"}); n != 3 {
		t.Errorf("stored %d, want 3", n)
	}
	if got := c.GetAll([]int{1, 3, 5}); !maps.Equal(got, map[int]string{1: "one", 3: "three"}) {
		t.Errorf("got %v", got)
	}
	if got := maps.Collect(c.All()); len(got) != 3 {
		t.Errorf("all: %v", got)
	}
	if n := c.DeleteAll([]int{1, 5}); n != 1 {
		t.Errorf("deleted %d, want 1", n)
	}
	c.Clear()
	if got := maps.Collect(c.All()); len(got) != 0 {
		t.Errorf("after Clear: %v", got)
	}
}

func TestListenerHearsEachDepartureOnceUnderNoLock(t *testing.T) {
	forBoth(t, func(t *testing.T, inline bool) {
		now := policies.Nanos(1e18)
		got := map[string]int{}
		var c *cache.Cache[string, int]
		o := cache.Options[string, int]{Capacity: 2, Inline: inline, Now: func() policies.Nanos { return now }}
		if !inline {
			o.Now = nil
		}
		o.OnRemoval = func(r cache.Removal[string, int]) {
			got[fmt.Sprint(r.Key, "=", r.Value, " ", r.Cause)]++
			c.LockAll()() // every lock is free
		}
		o.Eviction = use(fifo)
		c = newCache(t, o)
		release := c.HoldTurn() // keeps maintenance out: the writers tell
		release()
		c.Set("a", 1)
		c.Set("a", 2)
		c.Delete("a")
		c.Set("b", 3)
		c.Set("c", 4)
		c.Sync()
		c.Set("d", 5)
		c.Sync()
		want := map[string]int{"a=1 replaced": 1, "a=2 deleted": 1, "b=3 evicted": 1}
		if !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestKeyOfFindsTheResidentOfAHash(t *testing.T) {
	for name, hash := range map[string]func(string) policies.KeyHash{
		"default": nil,
		"custom":  func(s string) policies.KeyHash { return policies.KeyHash(len(s)) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCache(t, cache.Options[string, int]{Capacity: 100, KeyHash: hash})
			for i := range 20 {
				c.Set(strings.Repeat("x", i+1), i)
			}
			c.Sync()
			for i := range 20 {
				k := strings.Repeat("x", i+1)
				x, ok := c.Explain(k)
				if !ok || !x.Known || x.Record.KeyHash != x.KeyHash || x.Entry.Value != i {
					t.Fatalf("explanation of %q: %+v, %t", k, x, ok)
				}
				if got, ok := c.KeyOf(x.KeyHash); !ok || got != k {
					t.Errorf("key of %x = %q, %t, want %q", x.KeyHash, got, ok, k)
				}
			}
			if k, ok := c.KeyOf(1 << 40); ok {
				t.Errorf("an unknown hash has the key %q", k)
			}
		})
	}
}

func TestCollidingHashesNeverMixValues(t *testing.T) {
	forBoth(t, func(t *testing.T, inline bool) {
		left := map[int]bool{}
		c := newCache(t, cache.Options[int, int]{
			Capacity: 1000, Inline: inline,
			KeyHash:   func(k int) policies.KeyHash { return policies.KeyHash(k % 3) },
			OnRemoval: func(r cache.Removal[int, int]) { left[r.Key] = true },
		})
		const n = 900 // 300 of each hash, more than a search visits
		for i := range n {
			c.Set(i, i*i)
		}
		found := 0
		for i := range n {
			v, ok := c.Get(i)
			if ok {
				found++
			}
			if ok && v != i*i || ok == left[i] {
				t.Fatalf("%d: %d, %t; left %t", i, v, ok, left[i])
			}
		}
		if found < 200 {
			t.Errorf("%d of %d are left, want what three search paths hold", found, n)
		}
	})
}

func TestHottestAndColdest(t *testing.T) {
	now := policies.Nanos(1e18)
	c := newCache(t, cache.Options[int, int]{Capacity: 10, Inline: true, Now: func() policies.Nanos { return now }})
	for i := range 5 {
		now += policies.Nanos(time.Second)
		c.Set(i, i)
	}
	now += policies.Nanos(time.Second)
	c.Get(2)
	c.Sync()
	order := func(es []cache.Entry[int, int]) (keys []int) {
		for _, e := range es {
			keys = append(keys, e.Key)
		}
		return keys
	}
	if got := order(c.Hottest(2)); !slices.Equal(got, []int{2, 4}) {
		t.Errorf("hottest %v", got)
	}
	if got := order(c.Coldest(3)); !slices.Equal(got, []int{0, 1, 3}) {
		t.Errorf("coldest %v", got)
	}
}

func TestSlotMemoryGrowsWithUse(t *testing.T) {
	c := newCache(t, cache.Options[int, int]{Capacity: 1 << 26})
	for i := range 1000 {
		c.Set(i, i)
	}
	if n := c.SlotsUsed(); n > 1000+64*uint32(c.Shards()) {
		t.Errorf("%d slots in use for 1,000 entries", n)
	}
}

func ExampleCache() {
	c, err := cache.New(cache.Options[string, int]{Capacity: 1000, DefaultTTL: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	c.Set("answer", 42)
	fmt.Println(c.Get("answer"))
	fmt.Println(c.Get("question"))
	fmt.Println(c.Stats().HitRatio())
	// Output:
	// 42 true
	// 0 false
	// 0.5
}
