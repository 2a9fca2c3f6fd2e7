package cache_test

import (
	"testing"

	"github.com/perfopt/perfopt/cache"
)

// TestInlineWriteAfterManyEvictions: one heavy entry evicts more light ones
// than a shard queues, and the next write finds the queue full.
func TestInlineWriteAfterManyEvictions(t *testing.T) {
	c, err := cache.New(cache.Options[int, uint32]{
		Capacity: 1000, MaxEntries: 1000, Inline: true,
		Weigher:  func(_ int, weight uint32) uint32 { return weight },
		Eviction: use(lru), // never names the newest
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 1000 {
		c.Set(i, 1)
	}
	c.Set(-1, 900)
	c.Set(-2, 1)
	if _, ok := c.Get(-2); !ok {
		t.Error("the entry written after many evictions is not there")
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}
