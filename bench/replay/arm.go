package replay

import (
	"fmt"
	"time"

	"github.com/perfopt/perfopt/bench/trace"
	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
	"github.com/perfopt/perfopt/policies/guard"
)

// Env is what a policy may use while it decides in a replay.
type Env struct {
	Features *features.Table       // of the cache that the policy serves
	Now      func() policies.Nanos // the clock of the trace
	Seed     uint64                // equal in every replay
}

// Candidate is a policy to be replayed: a name for the results and a
// constructor, called once a cache.
type Candidate struct {
	Name string
	New  func(Env) (policies.Orderer, error)
}

// seed is the same in every replay, so that equal replays are equal.
const seed = 1

// bytesPerEntry bounds the entries of a cache whose capacity counts bytes: one
// for every 64 bytes, but at least minEntries. Traces of smaller objects would
// be bounded by it before the bytes are used up.
const (
	bytesPerEntry = 64
	minEntries    = 1 << 16
	maxEntries    = 1 << 24
)

// arm is one cache under one policy, and what is counted about it. One
// goroutine at a time.
type arm struct {
	candidate Candidate
	capacity  Capacity

	cache  *cache.Cache[uint64, uint32] // the value is the object's size
	health *guard.Health
	now    policies.Nanos
	failed error // why the policy was replaced by the host's sampler

	requests, misses   int64
	evicted, residents int64
	bytes, missedBytes int64
	sized              bool // some access had a size
	elapsed            time.Duration
}

func newArm(c Candidate, capacity Capacity) (*arm, error) {
	a := &arm{candidate: c, capacity: capacity}
	a.health = guard.NewHealth(guard.Options{OnFault: func(f *policies.Fault) {
		if a.failed == nil {
			a.failed = f
		}
	}})
	clock := func() policies.Nanos { return a.now }
	o := cache.Options[uint64, uint32]{
		Capacity: capacity.Amount,
		KeyHash:  func(key uint64) policies.KeyHash { return policies.KeyHash(key) },
		Now:      clock,
		Inline:   true,
		Eviction: func(t *features.Table) (policies.Orderer, error) {
			p, err := c.New(Env{Features: t, Now: clock, Seed: seed})
			if err != nil {
				return nil, err
			}
			return guard.Eviction(p, a.health), nil
		},
		OnRemoval: func(r cache.Removal[uint64, uint32]) {
			switch r.Cause {
			case cache.CauseReplaced:
				return
			case cache.CauseEvicted:
				a.evicted++
			}
			a.residents--
		},
		OnPolicyFault: func(err error) {
			if a.failed == nil {
				a.failed = err
			}
		},
	}
	if capacity.Bytes {
		o.Weigher = func(_ uint64, size uint32) uint32 { return max(size, 1) }
		o.MaxEntries = int(min(capacity.Amount, max(capacity.Amount/bytesPerEntry, minEntries), maxEntries))
	}
	var err error
	if a.cache, err = cache.New(o); err != nil {
		return nil, fmt.Errorf("%s at %s: %w", c.Name, capacity, err)
	}
	return a, nil
}

// run replays a piece of the trace; times has the clock of every access.
func (a *arm) run(piece []trace.Access, times []policies.Nanos) {
	start := time.Now()
	for i := range piece {
		at := &piece[i]
		a.now = times[i]
		size, hit := a.cache.Get(at.Key)
		switch {
		case !hit:
			a.misses++
			a.missedBytes += int64(at.Size)
			if a.cache.Set(at.Key, at.Size) {
				a.residents++
			}
		case size != at.Size:
			a.cache.Set(at.Key, at.Size)
		}
		a.bytes += int64(at.Size)
		a.sized = a.sized || at.HasSize
	}
	a.requests += int64(len(piece))
	a.elapsed += time.Since(start)
}

// result sums up what was counted.
func (a *arm) result(traceName string) Result {
	s := a.health.Snapshot()
	r := Result{
		Trace:     traceName,
		Policy:    a.candidate.Name,
		Capacity:  a.capacity.Amount,
		Unit:      a.capacity.unit(),
		Requests:  a.requests,
		Misses:    a.misses,
		MissRatio: ratio(a.misses, a.requests),
		Seconds:   a.elapsed.Seconds(),
		Calls:     s.Calls,
		Faults:    s.TotalFaults(),
	}
	if a.sized {
		r.Bytes, r.MissedBytes, r.ByteMissRatio = &a.bytes, &a.missedBytes, new(ratio(a.missedBytes, a.bytes))
	}
	if a.failed != nil {
		r.Failure = a.failed.Error()
	}
	return r
}

func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
