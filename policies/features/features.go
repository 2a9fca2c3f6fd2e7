// Package features remembers what the past of a key says, in one small record
// a slot that the host owns whatever policy is loaded. Scoring policies,
// lifetimes and prefetch read it as columns; people read it as the answer to
// "why is this entry here"; the host makes room from it when no policy can.
//
//   - [Table] is the store: it observes the event stream, answers with columns
//     ([Table.Fill], [Table.FillKey]) and records ([Table.Record]), samples
//     residents ([Table.Sample]) and makes room by itself ([Table.Room]).
//   - [Pattern] is what is known about a key as numbers, and [Weights] the
//     built-in predictor over it.
//   - [Sampled] turns a scorer into an ordering policy.
//
// A record has 24 bytes: the key's hash, its last access, a count n of
// accesses, two decayed rates, weight, load cost and deadline. The count
// saturates at 63 and is halved every hour and every capacity of misses (the
// exponents add). Each access adds ln 2 / half-life to a rate, in accesses per
// minute; the half-lives are 1 and 10 minutes. Count and rates are kept as
// logarithms in steps of 1/240 octave (0.3 %), so that decay is a subtraction;
// where an access moves one by less than a few steps, rounding is random with
// the right mean, from a fixed seed: the rate of a busy key has a standard
// error of about 5 %. Weights are kept to 1.6 %, load costs to
// 2.2 %, deadlines to a second, the last access to 1/16 of a second.
//
// The past of a key that left, or was asked for and missed, is kept in a
// bounded store of recent keys, so that an entry that returns continues where
// it was.
//
// The package must not know which policy is loaded, what keys and values are,
// or where events come from.
//
// Concurrency: methods that change the table or sample it are called by one
// goroutine (the host's maintenance); the comment of each method says so.
// Records are three atomic words and may be read by anyone without a lock. A
// reader may see two words of different moments: harmless, the numbers are
// estimates.
package features

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/perfopt/perfopt/policies"
)

// The bounds of [Options].RecentKeys where none is given.
const (
	minRecentKeys = 1024
	maxRecentKeys = 65536
)

// Options describe a [Table]. The zero value is usable.
type Options struct {
	// MaxSlots is the bound on slot numbers: events of higher slots are
	// ignored. 0 means no bound. Memory grows with the slots in use.
	MaxSlots uint32
	// Entries is the capacity in entries, where the cache counts entries. 0
	// means that it is estimated by the number of residents at the last
	// eviction; then misses age nothing before the first eviction.
	Entries int
	// RecentKeys bounds the store of recent keys (evicted or missed), 24 bytes
	// each; rounded up to a power of two. Default: MaxSlots, but at least 1,024
	// and at most 65,536.
	RecentKeys int
	// Predict is the predictor behind [policies.ColPrediction] and
	// [Record].Prediction. Default: DefaultWeights.Predict. Called by any
	// goroutine.
	Predict func(Pattern) float64
	// Complete, if set, is called at the end of [Table.Fill] and may overwrite
	// values that the host knows better (age, exact size, bounds).
	Complete func(rows *policies.Rows, slots []policies.Slot)
	// Seed of the random rounding and of the host's own sampler.
	Seed uint64
}

// Table is the past of the keys of one cache. Create it with [New].
type Table struct {
	options Options
	scales  *scales

	records store
	recent  recentKeys
	clock   hours

	// epoch counts 1/32 capacities of misses. Written by maintenance; a stale
	// read ages a count a little less.
	epoch atomic.Uint32
	// seen is the moment of the last batch. Written by maintenance.
	seen atomic.Int64

	// The fields below belong to the maintenance goroutine.
	live      residents
	entries   int     // capacity in entries; 0 = not known yet
	aged      float64 // epoch with its fraction
	noise     uint64  // state of the random rounding
	rng       *rand.PCG
	swept     uint64 // tick of the last sweep
	sweepSlot policies.Slot
}

// New returns an empty table.
func New(o Options) *Table {
	if o.MaxSlots == 0 {
		o.MaxSlots = uint32(policies.NoSlot)
	}
	if o.RecentKeys <= 0 {
		o.RecentKeys = int(min(max(o.MaxSlots, minRecentKeys), maxRecentKeys))
	}
	if o.Predict == nil {
		o.Predict = DefaultWeights().Predict
	}
	t := &Table{options: o, scales: sharedScales(), entries: o.Entries, noise: o.Seed, rng: rand.NewPCG(o.Seed, 0)}
	t.recent.init(o.RecentKeys)
	return t
}

// Len returns the number of residents. Called by maintenance.
func (t *Table) Len() int { return t.live.total }

// Resident reports whether the slot holds an entry. Safe for concurrent use.
func (t *Table) Resident(s policies.Slot) bool {
	r := t.records.at(s)
	return r != nil && rest(r.rest.Load()).held()
}

// KeyHash returns the hash of the key in the slot; of one that left, the last
// hash. 0 where the slot was never in use. Safe for concurrent use.
func (t *Table) KeyHash(s policies.Slot) policies.KeyHash {
	if r := t.records.at(s); r != nil {
		return policies.KeyHash(r.hash.Load())
	}
	return 0
}

// TimeOfDay returns the learnt request rate of the hour of now (UTC) over that
// of the busiest hour, 0..1; 0.5 until a day was seen. Safe for concurrent
// use.
func (t *Table) TimeOfDay(now policies.Nanos) float64 { return t.clock.pattern(now) }
