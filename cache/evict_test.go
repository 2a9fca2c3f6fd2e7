package cache_test

import (
	"sync/atomic"
	"testing"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/eviction"
)

// TestAVictimWhoseSlotHasAnotherHolder deletes the entry that a policy is about
// to name and writes until its slot is taken again, all while the policy
// chooses, so that the policy names a slot whose holder it was not shown.
func TestAVictimWhoseSlotHasAnotherHolder(t *testing.T) {
	const capacity, victim = 100, 7
	for name, s := range map[string]struct {
		next func(i int) int // keys to be written in the victim's place
		want bool            // the holder is another entry and stays
	}{
		"another key":  {func(i int) int { return 1000 + i }, true},
		"the same key": {func(int) int { return victim }, false},
	} {
		t.Run(name, func(t *testing.T) {
			var c *cache.Cache[int, int]
			inner := eviction.NewFIFO()
			liar := &strange{Orderer: inner}
			var holder atomic.Int64 // 0 = none yet
			liar.victims = func(need int64, out []policies.Slot) (int, error) {
				x, ok := c.Explain(victim)
				if holder.Load() != 0 || !ok {
					return inner.Victims(need, out)
				}
				c.Delete(victim)
				for i := 0; i < 1<<16; i++ {
					k := s.next(i)
					c.Set(k, i)
					if y, ok := c.Explain(k); ok && y.Slot == x.Slot {
						holder.Store(int64(k))
						break
					}
					c.Delete(k)
				}
				out[0] = x.Slot
				return 1, nil
			}
			c = newCache(t, cache.Options[int, int]{Capacity: capacity, Eviction: use(func() policies.Orderer { return liar })})
			for i := range capacity {
				c.Set(i, i)
			}
			c.Sync()
			for i := 0; holder.Load() == 0 && i < 1<<16; i++ {
				c.Set(-1-i, i)
			}
			if holder.Load() == 0 {
				t.Fatal("the slot was not taken again")
			}
			if _, ok := c.Peek(int(holder.Load())); ok != s.want {
				t.Errorf("the holder is resident: %t, want %t", ok, s.want)
			}
			if err := c.Validate(); err != nil {
				t.Error(err)
			}
			if st := c.Stats(); st.EvictionFaults != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}
