package eviction_test

import (
	"math/rand/v2"
	"testing"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/eviction"
)

var all = map[string]func() policies.Orderer{
	"lru":    func() policies.Orderer { return eviction.NewLRU() },
	"fifo":   func() policies.Orderer { return eviction.NewFIFO() },
	"s3fifo": func() policies.Orderer { return eviction.NewS3FIFO() },
	"sieve":  func() policies.Orderer { return eviction.NewSieve() },
	"lfu":    func() policies.Orderer { return eviction.NewLFU() },
	"gdsf":   func() policies.Orderer { return eviction.NewGDSF() },
}

// churn is a stream of batches over a full cache: hits, and for each victim an
// insert of another key.
type churn struct {
	policy  policies.Orderer
	events  []policies.Event
	inserts []policies.Insert
	victims []policies.Slot
	key     policies.KeyHash
}

func newChurn(tb testing.TB, p policies.Orderer, slots uint32) *churn {
	tb.Helper()
	c := &churn{policy: p, victims: make([]policies.Slot, 16), inserts: make([]policies.Insert, 16)}
	if err := p.Reset(policies.Capacity{Weight: int64(slots), MaxSlots: slots}); err != nil {
		tb.Fatal(err)
	}
	for s := range policies.Slot(slots) {
		c.key++
		if err := p.Observe([]policies.Event{{Slot: s, Op: policies.OpInsert}}, []policies.Insert{{KeyHash: c.key, Weight: 1}}); err != nil {
			tb.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 1024 {
		f := rng.Float64()
		c.events = append(c.events, policies.Event{Slot: policies.Slot(f * f * float64(slots)), Op: policies.OpHit})
	}
	return c
}

func (c *churn) batch(tb testing.TB) {
	n, err := c.policy.Victims(int64(len(c.victims)), c.victims)
	if err != nil || n != len(c.victims) {
		tb.Fatalf("%d victims, %v", n, err)
	}
	for i, s := range c.victims {
		c.key++
		c.events[i] = policies.Event{Slot: s, Op: policies.OpInsert}
		c.inserts[i] = policies.Insert{KeyHash: c.key, Weight: 1}
	}
	if err := c.policy.Observe(c.events, c.inserts); err != nil {
		tb.Fatal(err)
	}
}

func TestBatchesAllocateNothing(t *testing.T) {
	for name, create := range all {
		c := newChurn(t, create(), 1000)
		for range 500 { // ghosts grow to their bound
			c.batch(t)
		}
		if n := testing.AllocsPerRun(100, func() { c.batch(t) }); n != 0 {
			t.Errorf("%s: %v allocations a batch, want none", name, n)
		}
	}
}

// BenchmarkBatch is a batch of 1,024 events of which 16 are inserts, and 16
// victims.
func BenchmarkBatch(b *testing.B) {
	for _, name := range []string{"lru", "fifo", "s3fifo", "sieve", "lfu", "gdsf"} {
		b.Run(name, func(b *testing.B) {
			c := newChurn(b, all[name](), 1<<17)
			b.ReportAllocs()
			for b.Loop() {
				c.batch(b)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(c.events)), "ns/event")
		})
	}
}
