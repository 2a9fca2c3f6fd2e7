package tiered

import (
	"sync/atomic"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/cache/l2"
)

type counters struct {
	stale, coalesced, private, overlaps, codecErrors atomic.Uint64
}

// Stats is a snapshot of a cache, counted since its start. Numbers are read one
// after another.
type Stats struct {
	// L1 is the first tier's. Its hits include accesses of stale entries; its
	// loads are those of this cache.
	L1 cache.Stats
	// L2 is the second tier's; nil: there is none.
	L2 *l2.Stats

	Hits        uint64 // fresh answers of L1
	Stale       uint64 // accesses of entries in L1 whose freshness was over or that a purge had voided
	Coalesced   uint64 // answers from a load that another caller had begun
	Private     uint64 // answers that were not stored
	Overlaps    uint64 // writes dropped because they overlapped others of the same stripe
	CodecErrors uint64 // values that could not be encoded or decoded
	Purges      int    // purged prefixes remembered

	// Prefetch is nil where it is off.
	Prefetch *PrefetchStats
}

// PrefetchStats is what the prefetch engine did and why it does what it does.
type PrefetchStats struct {
	Policy string // the seated policy; empty = none
	State  string // "on", or why not

	Issued uint64 // prefetches that brought an entry
	Useful uint64 // those a client asked for before they were over or left
	Wasted uint64 // those nobody asked for
	Failed uint64 // loads that brought nothing to keep

	Outstanding int     // issued and neither useful nor wasted yet
	Settled     int     // prefetches that Accuracy looks back on, up to 1,000
	Accuracy    float64 // useful among them
	MinAccuracy float64 // the break-even below which prefetching is off
	Share       float64 // prefetches among the last 1,000 loads
	MaxShare    float64

	Candidates    int    // shown at the last proposal
	Proposed      int    // proposed then
	Refused       int    // proposed then and not loadable
	Faults        uint64 // answers of policies that could not be used
	EventsDropped uint64 // events no policy saw
}

// Stats returns the numbers. Its cost is that of [cache.Cache.Stats].
func (c *Cache[K, V]) Stats() Stats {
	s := Stats{
		L1: c.l1.Stats(), Stale: c.n.stale.Load(), Coalesced: c.n.coalesced.Load(), Private: c.n.private.Load(),
		Overlaps: c.n.overlaps.Load(), CodecErrors: c.n.codecErrors.Load(),
	}
	s.Hits = s.L1.Hits - min(s.Stale, s.L1.Hits)
	if c.l2 != nil {
		two := c.l2.Stats()
		s.L2 = &two
	}
	if p := c.purges.list.Load(); p != nil {
		s.Purges = len(p.list)
	}
	if c.engine != nil {
		s.Prefetch = c.engine.stats()
	}
	return s
}

func (e *engine[K, V]) stats() *PrefetchStats {
	s := &PrefetchStats{
		Policy: *e.name.Load(), State: *e.state.Load(), MinAccuracy: e.o.MinAccuracy, MaxShare: e.o.MaxShare, Faults: e.faults.Load(),
	}
	e.budget.fillStats(s)
	if l := e.last.Load(); l != nil {
		s.Candidates, s.Proposed, s.Refused = l.candidates, l.proposed, l.refused
	}
	e.tee.mu.Lock()
	s.EventsDropped = e.tee.dropped
	e.tee.mu.Unlock()
	return s
}
