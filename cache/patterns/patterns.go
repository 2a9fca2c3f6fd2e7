// Package patterns says how a cache is asked: which capacity would hit how
// often, how far apart the accesses of a key lie, how skewed they are, how much
// is in use at a time, and which keys are hot, warm, cold, periodic or part of a
// scan.
//
// An [Analyzer] is fed with the event batches of a cache ([Analyzer.Observe] has
// the form of cache.Options.OnBatch) and answers with a [Report]. It is exact on
// a sample of the keys: SHARDS (Waldspurger, Park, Garthwaite, Ahmad: Efficient
// MRC Construction with SHARDS, FAST 2015) with a bounded number of keys. A key
// is in the sample if its mixed hash lies below a threshold; when the sample
// outgrows its bound the threshold falls. Distances on the sample are measured
// exactly, with a Fenwick tree, and divided by the sampling rate; the
// difference between expected and seen accesses goes to the shortest distance
// (SHARDS-adj). With fewer keys than the bound everything is exact.
//
// We differ from the paper in two ways. Distances are in units of the cache's
// capacity, so that a cache that counts bytes gets a curve over bytes (an entry's
// own weight included). Keys whose distance has grown beyond Reach times the
// capacity leave the sample: their next access is a miss on the whole curve, which
// is what an infinite distance says too, and the sample stays about the present.
//
// Budget: memory is 8 bytes for each slot of the cache and about 150 for each
// sampled key ([Options].Keys of them, 1.2 MiB by default). An access outside of
// the sample costs some nanoseconds, one inside of it below a microsecond; when
// more than [Options].Rate of them come in a second the threshold falls too.
//
// This package must not know keys, values or policies: it sees hashes and slots.
//
// Caveats. Hits that the cache's lossy rings dropped are not seen: under load
// counts are too small by the share that Stats of the cache calls recorded, and
// distances are those among the recorded accesses. The curve is that of LRU.
package patterns

import (
	"math"
	"sync"
	"time"

	"github.com/perfopt/perfopt/policies"
)

// Options configure an [Analyzer]. The zero value is usable.
type Options struct {
	// Capacity is the cache's, in its units (bytes or objects). Default 0:
	// unknown; then nothing is said about it and no key leaves the sample for
	// its distance.
	Capacity int64
	// Reach is the largest capacity on the curve over Capacity. Default 16.
	Reach float64
	// Keys bounds the sample. Default 8,192, at least 256.
	Keys int
	// Rate bounds the sampled accesses a second. It lowers the threshold only
	// while more than 1,024 keys are in the sample. Default 100,000.
	Rate int
	// HalfLife is the time after which what was seen counts half. Default 1 h;
	// negative: everything counts alike.
	HalfLife time.Duration
}

// Analyzer measures how a cache is asked. Observe is called by one goroutine at
// a time, Report by any.
type Analyzer struct {
	o Options

	mu     sync.Mutex // guards the fields below
	now    policies.Nanos
	slots  []policies.KeyHash // by slot, xor nobody
	sample sample
	curve  histogram

	start    policies.Nanos // of the first batch
	hits     uint64
	misses   uint64
	accesses float64 // hits and misses, aged like the curve
	seconds  float64 // time they took, aged likewise
	aged     policies.Nanos
	second   policies.Nanos // when the present second of Rate began
	inSecond int            // sampled accesses in it
}

// New returns an analyzer that has seen nothing.
func New(o Options) *Analyzer {
	if o.Reach < 1 {
		o.Reach = 16
	}
	if o.Keys == 0 {
		o.Keys = 8192
	}
	o.Keys = max(o.Keys, 256)
	if o.Rate <= 0 {
		o.Rate = 100_000
	}
	if o.HalfLife == 0 {
		o.HalfLife = time.Hour
	}
	reach := math.Inf(1)
	if o.Capacity > 0 {
		reach = o.Reach * float64(o.Capacity)
	}
	return &Analyzer{o: o, sample: newSample(o.Keys, reach)}
}

// Observe takes a batch of events in; inserts has one row for each event whose
// Op HasInsert. A hit and a miss are accesses; an insert tells of the weight.
func (a *Analyzer) Observe(now policies.Nanos, events []policies.Event, inserts []policies.Insert) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.advance(now)
	for _, e := range events {
		var in policies.Insert
		if e.Op.HasInsert() {
			if len(inserts) == 0 {
				return // the rows do not fit the events
			}
			in, inserts = inserts[0], inserts[1:]
		}
		switch e.Op {
		case policies.OpHit:
			a.hits++
			if int(e.Slot) < len(a.slots) && a.slots[e.Slot] != 0 {
				a.access(a.slots[e.Slot] ^ nobody)
			}
		case policies.OpMiss:
			a.misses++
			a.access(in.KeyHash)
		case policies.OpInsert, policies.OpUpdate, policies.OpRestore:
			a.place(e.Slot, in.KeyHash)
			a.sample.weigh(in.KeyHash, in.Weight)
		}
	}
}

const (
	// maxSlots bounds the memory for slots: 512 MiB.
	maxSlots = 1 << 26
	// nobody stands for no key. It is not 0: in a replay hashes are keys, and
	// 0 is one.
	nobody policies.KeyHash = 0xD1B54A32D192ED03
)

// place notes which key a slot holds, until another does: no hit comes from a
// slot in between.
func (a *Analyzer) place(s policies.Slot, h policies.KeyHash) {
	if s >= maxSlots {
		return
	}
	if int(s) >= len(a.slots) {
		a.slots = append(a.slots, make([]policies.KeyHash, int(s)+1-len(a.slots))...)
	}
	a.slots[s] = h ^ nobody
}

// access counts an access of a key.
func (a *Analyzer) access(h policies.KeyHash) {
	a.accesses++
	if !a.sample.covers(h) {
		return
	}
	a.inSecond++
	a.curve.add(a.sample.access(h, a.now), 1/a.sample.rate())
	if a.inSecond > a.o.Rate && a.sample.len() > minKeys {
		a.sample.shrink()
		a.inSecond = 0
	}
}

// agings is how often within a half-life everything is aged.
const agings = 8

// advance moves the clock and ages what was seen.
func (a *Analyzer) advance(now policies.Nanos) {
	if a.now == 0 {
		a.start, a.aged, a.second = now, now, now
	}
	a.seconds += max(time.Duration(now-max(a.now, a.start)).Seconds(), 0)
	a.now = max(a.now, now)
	if a.now-a.second >= policies.Nanos(time.Second) {
		a.second, a.inSecond = a.now, 0
	}
	if a.o.HalfLife < 0 {
		return
	}
	step := policies.Nanos(a.o.HalfLife / agings)
	if a.now-a.aged < step {
		return
	}
	f := math.Exp2(-float64(a.now-a.aged) / float64(a.o.HalfLife))
	a.aged = a.now
	a.accesses *= f
	a.seconds *= f
	a.curve.scale(f)
	a.sample.age(f)
}
