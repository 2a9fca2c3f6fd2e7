package cache_test

import (
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/policies"
)

// modelled is an entry of the model: a map that never evicts.
type modelled struct {
	value, weight int
	expiry        policies.Nanos // 0 = never
}

// TestCacheAgreesWithAModel drives a cache and a map with the same random calls.
// The cache may have lost an entry of the map to eviction, and must say so; it
// never serves anything else.
func TestCacheAgreesWithAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var clock atomic.Int64 // maintenance reads it too
		clock.Store(1e18)
		now := func() policies.Nanos { return policies.Nanos(clock.Load()) }
		model := map[int]modelled{}
		gone := map[int]bool{} // evicted since they were last written
		var tokens []struct {
			cache.Token[int]
			key, writes int
		}
		writes := map[int]int{} // explicit writes and deletes by key
		capacity := rapid.IntRange(1, 60).Draw(t, "capacity")
		c, err := cache.New(cache.Options[int, int]{
			Capacity: int64(capacity), Inline: rapid.Bool().Draw(t, "inline"),
			Now:      now,
			Weigher:  func(_, v int) uint32 { return uint32(v % 8) },
			Eviction: use(rapid.SampledFrom([]func() policies.Orderer{lru, fifo, s3fifo}).Draw(t, "policy")),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		alive := func(k int) (modelled, bool) {
			m, ok := model[k]
			return m, ok && (m.expiry == 0 || now() < m.expiry)
		}
		wrote := func(k, v int, ttl time.Duration, stored bool) {
			if stored != (v%8 <= capacity) {
				t.Fatalf("set %d=%d of weight %d: stored %t", k, v, v%8, stored)
			}
			delete(model, k)
			delete(gone, k)
			if stored {
				m := modelled{value: v, weight: v % 8}
				if ttl > 0 {
					m.expiry = now() + policies.Nanos(ttl)
				}
				model[k] = m
			}
		}
		key := rapid.IntRange(0, 30)
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				k, v := key.Draw(t, "k"), rapid.IntRange(0, 1000).Draw(t, "v")
				ttl := time.Duration(rapid.IntRange(-1, 3000).Draw(t, "ttl")) * time.Millisecond
				writes[k]++
				wrote(k, v, ttl, c.SetWith(k, v, cache.Write{TTL: ttl}))
			},
			"get": func(t *rapid.T) {
				k := key.Draw(t, "k")
				v, ok := c.Get(k)
				m, in := alive(k)
				switch {
				case ok && (!in || v != m.value || gone[k]):
					t.Fatalf("get %d = %d, the model has %+v, %t; gone %t", k, v, m, in, gone[k])
				case !ok && in:
					gone[k] = true // evicted; it must not come back
				}
			},
			"delete": func(t *rapid.T) {
				k := key.Draw(t, "k")
				writes[k]++
				if _, in := alive(k); c.Delete(k) && (!in || gone[k]) {
					t.Fatalf("deleted %d, which the model does not have", k)
				}
				delete(model, k)
			},
			"begin": func(t *rapid.T) {
				k := key.Draw(t, "k")
				tokens = append(tokens, struct {
					cache.Token[int]
					key, writes int
				}{c.Begin(k), k, writes[k]})
			},
			"fill": func(t *rapid.T) {
				if len(tokens) == 0 {
					t.Skip("no token")
				}
				tok := tokens[0]
				tokens = tokens[1:]
				v := rapid.IntRange(0, 1000).Draw(t, "v")
				valid := writes[tok.key] == tok.writes
				stored := c.Fill(tok.Token, v, cache.Write{TTL: -1})
				if stored && !valid {
					t.Fatalf("a fill of %d went over a later write", tok.key)
				}
				if stored || valid && v%8 > capacity {
					wrote(tok.key, v, 0, stored)
				}
			},
			"wait": func(t *rapid.T) {
				clock.Add(int64(rapid.IntRange(1, 2000).Draw(t, "ms")) * int64(time.Millisecond))
			},
			"swap": func(t *rapid.T) {
				p := rapid.SampledFrom([]func() policies.Orderer{lru, fifo, s3fifo}).Draw(t, "policy")
				if err := c.UseEviction(t.Context(), use(p)); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				if err := c.Validate(); err != nil {
					t.Fatal(err)
				}
				if st := c.Stats(); st.EvictionFaults > 0 || st.Weight > st.Capacity {
					t.Fatalf("%+v", st)
				}
				for k, v := range c.All() {
					if m, in := alive(k); !in || m.value != v || gone[k] {
						t.Fatalf("the cache has %d=%d, the model %+v, %t", k, v, m, in)
					}
				}
			},
		})
	})
}

// TestNothingIsLostBelowCapacity holds a cache that is large enough to a map
// exactly.
func TestNothingIsLostBelowCapacity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, err := cache.New(cache.Options[string, int]{Capacity: 20_000, Inline: rapid.Bool().Draw(t, "inline")})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		want := map[string]int{}
		for i := range rapid.IntRange(0, 3000).Draw(t, "n") {
			k := fmt.Sprint(i * 7919 % 5000)
			c.Set(k, i)
			want[k] = i
			if i%3 == 0 {
				d := fmt.Sprint(i * 31 % 5000)
				if _, in := want[d]; c.Delete(d) != in {
					t.Fatalf("delete %q, in the model %t", d, in)
				}
				delete(want, d)
			}
		}
		if got := maps.Collect(c.All()); !maps.Equal(got, want) {
			t.Fatalf("%d entries, want %d", len(got), len(want))
		}
		for k, v := range want {
			if got, ok := c.Get(k); !ok || got != v {
				t.Fatalf("%q = %d, %t, want %d", k, got, ok, v)
			}
		}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
	})
}
