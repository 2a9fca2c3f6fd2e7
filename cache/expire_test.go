package cache_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/policies"
)

func TestEntriesExpireOnRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options[string, int]{Capacity: 10, DefaultTTL: time.Minute})
		c.Set("default", 1)
		c.SetWith("short", 2, cache.Write{TTL: time.Second})
		c.SetWith("never", 3, cache.Write{TTL: -1})
		if e, ok := c.Peek("short"); !ok || e.ExpiresIn != time.Second {
			t.Errorf("short: %+v, %t", e, ok)
		}
		for _, step := range []struct {
			wait                   time.Duration
			short, standard, never bool
		}{
			{time.Second - time.Millisecond, true, true, true},
			{time.Millisecond, false, true, true},
			{58 * time.Second, false, true, true},
			{time.Second, false, false, true},
			{2 * time.Hour, false, false, true},
		} {
			<-time.After(step.wait) // virtual time
			_, short := c.Get("short")
			_, standard := c.Get("default")
			_, never := c.Get("never")
			if short != step.short || standard != step.standard || never != step.never {
				t.Errorf("after another %v: short %t, default %t, never %t, want %+v", step.wait, short, standard, never, step)
			}
		}
		if st := c.Stats(); st.Expired != 2 || st.Entries != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestMaintenanceExpiresWhatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 5000 // more than one round expires
		var expired atomic.Int64
		c := newCache(t, cache.Options[int, int]{
			Capacity:  2 * n,
			OnRemoval: func(cache.Removal[int, int]) { expired.Add(1) },
		})
		for i := range n {
			c.SetWith(i, i, cache.Write{TTL: time.Duration(i%7+1) * 20 * time.Minute})
		}
		<-time.After(20*time.Minute - time.Second) // virtual time
		if expired.Load() != 0 {
			t.Errorf("%d entries expired early", expired.Load())
		}
		<-time.After(5 * time.Second)
		synctest.Wait()
		if want := int64((n + 6) / 7); expired.Load() != want {
			t.Errorf("%d entries expired after 20 minutes, want %d", expired.Load(), want)
		}
		<-time.After(3 * time.Hour)
		synctest.Wait()
		if st := c.Stats(); expired.Load() != n || st.Entries != 0 || st.Expired != n {
			t.Errorf("%d listened to, %+v", expired.Load(), st)
		}
	})
}

func TestALongerLifeReplacesAShorterOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options[string, int]{Capacity: 10})
		c.SetWith("longer", 1, cache.Write{TTL: time.Second})
		c.SetWith("longer", 2, cache.Write{TTL: time.Hour})
		c.SetWith("endless", 1, cache.Write{TTL: time.Second})
		c.SetWith("endless", 2, cache.Write{TTL: -1})
		<-time.After(30 * time.Minute) // virtual time
		for _, k := range []string{"longer", "endless"} {
			if v, ok := c.Get(k); !ok || v != 2 {
				t.Errorf("%s: %d, %t", k, v, ok)
			}
		}
	})
}

func TestAnInlineCacheExpiresAsTimePasses(t *testing.T) {
	now := policies.Nanos(1e18)
	c := newCache(t, cache.Options[int, int]{
		Capacity: 100, Inline: true, DefaultTTL: 10 * time.Second, Now: func() policies.Nanos { return now },
	})
	for i := range 50 {
		c.Set(i, i)
	}
	now += policies.Nanos(13 * time.Second)
	c.Set(1000, 1)
	if st := c.Stats(); st.Entries != 1 || st.Expired != 50 {
		t.Errorf("%+v", st)
	}
}

func TestAPolicyHearsOfExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ops := map[policies.Op]int{}
		c := newCache(t, cache.Options[int, int]{
			Capacity: 10, DefaultTTL: time.Second,
			OnBatch: func(_ policies.Nanos, events []policies.Event, _ []policies.Insert) {
				for _, e := range events {
					ops[e.Op]++
				}
			},
		})
		c.Set(1, 1)
		c.Set(2, 2)
		<-time.After(time.Second) // virtual time
		c.Get(1)                  // expires on read, a miss
		<-time.After(time.Minute)
		synctest.Wait()
		c.Sync()
		if ops[policies.OpInsert] != 2 || ops[policies.OpExpire] != 2 || ops[policies.OpMiss] != 1 {
			t.Errorf("events %v", ops)
		}
	})
}

// TestTheDefaultClockIsMonotonic stands for suspend and for steps of the wall
// clock, which then expire nothing.
func TestTheDefaultClockIsMonotonic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options[int, int]{Capacity: 10, DefaultTTL: time.Minute})
		c.Set(1, 1)
		before := time.Now()
		<-time.After(30 * time.Second) // virtual time
		e, ok := c.Peek(1)
		if left := time.Minute - time.Since(before); !ok || e.ExpiresIn != left {
			t.Errorf("%v left, want %v", e.ExpiresIn, left)
		}
	})
}
