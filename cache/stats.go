package cache

import "time"

// Stats are the counts since New and the present state. Counts are exact;
// numbers of one reading may be some operations apart.
type Stats struct {
	Hits, Misses uint64
	// Recorded is the number of hits that reached the policy; the others were
	// dropped by full rings.
	Recorded uint64
	// MissesDropped is the number of misses that no policy heard of, because a
	// queue was full.
	MissesDropped uint64

	Sets    uint64 // values stored, loaded ones included
	Refused uint64 // values too heavy to be stored
	Deletes uint64 // keys that callers deleted
	// FillsRefused is the number of loaded values that were not stored because
	// the key was written or deleted during the load.
	FillsRefused uint64

	Evicted uint64 // entries that left to make room
	Sampled uint64 // those of them that the host's sampler chose
	Expired uint64 // entries that left because of their age

	Loads      uint64 // loads that returned a value
	LoadErrors uint64 // loads that failed
	LoadTime   time.Duration
	// LoadP50, LoadP95 and LoadP99 are percentiles of the time of a load,
	// within a factor of two.
	LoadP50, LoadP95, LoadP99 time.Duration

	Entries    int64
	MaxEntries int64
	Weight     int64
	Capacity   int64

	// Policy is the name of the eviction policy; Sampler says that it failed,
	// and that the host's sampler makes room.
	Policy         string
	Sampler        bool
	EvictionFaults uint64
	EvictionSwaps  uint64
	TTLPolicy      string // empty = none
	TTLFaults      uint64
}

// HitRatio returns hits over reads, 0 without reads.
func (s Stats) HitRatio() float64 {
	if s.Hits+s.Misses == 0 {
		return 0
	}
	return float64(s.Hits) / float64(s.Hits+s.Misses)
}

// Stats returns the cache's numbers. Its cost grows with the number of shards.
func (c *Cache[K, V]) Stats() Stats {
	st := Stats{
		Recorded:       c.recorded.Load(),
		Loads:          c.loads.ok.Load(),
		LoadErrors:     c.loads.failed.Load(),
		LoadTime:       time.Duration(c.loads.nanos.Load()),
		LoadP50:        c.loads.quantile(0.5),
		LoadP95:        c.loads.quantile(0.95),
		LoadP99:        c.loads.quantile(0.99),
		Entries:        c.entries.Load(),
		MaxEntries:     c.maxEntries,
		Weight:         c.used.Load(),
		Capacity:       c.capacity,
		EvictionFaults: c.seatFaults.Load(),
		EvictionSwaps:  c.swaps.Load(),
		TTLFaults:      c.loads.ttlFaults.Load(),
	}
	st.Hits, st.Misses = c.stripes.counts()
	name := c.name.Load()
	st.Policy, st.Sampler = name.policy, name.sampler
	if seat := c.ttl.Load(); seat != nil {
		st.TTLPolicy = seat.info.Name
	}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n := s.counts
		s.mu.Unlock()
		st.MissesDropped += n.missesDropped
		st.Sets += n.sets
		st.Refused += n.refused
		st.Deletes += n.deletes
		st.FillsRefused += n.fillsRefused
		st.Evicted += n.evicted
		st.Sampled += n.sampled
		st.Expired += n.expired
	}
	return st
}
