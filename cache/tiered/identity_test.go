package tiered

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/policies"
)

// stamped is a value that carries more than its content.
type stamped struct {
	content string
	at      int
}

func TestIdentitySaysWhetherAReloadChangedTheValue(t *testing.T) {
	var now atomic.Int64
	now.Store(int64(time.Hour))
	c, err := New(Options[string, stamped]{
		L1: cache.Options[string, stamped]{Capacity: 10, Now: func() policies.Nanos { return policies.Nanos(now.Load()) }}, TTL: time.Second,
		Identity: func(v stamped) uint64 { return uint64(len(v.content)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	loads := 0
	content := "a"
	load := func(context.Context, string, Prior[stamped]) (Loaded[stamped], error) {
		loads++
		return Loaded[stamped]{Value: stamped{content, loads}, Fresh: Default(), Keep: time.Hour}, nil
	}
	for i, step := range []struct {
		content            string
		changed, unchanged uint32
	}{{"a", 0, 0}, {"a", 0, 1}, {"bb", 1, 1}, {"bb", 1, 2}} {
		content = step.content
		if _, err := c.Fetch(t.Context(), "k", load); err != nil {
			t.Fatal(err)
		}
		x, ok := c.ExplainKey("k")
		if !ok || x.Changed != step.changed || x.Unchanged != step.unchanged {
			t.Errorf("load %d: changed %d, unchanged %d; want %d, %d", i+1, x.Changed, x.Unchanged, step.changed, step.unchanged)
		}
		now.Add(int64(2 * time.Second))
	}
}
