package features

import (
	"math/bits"
	"sync/atomic"

	"github.com/perfopt/perfopt/policies"
)

// ways is the number of places where a recent key may lie.
const ways = 8

// recentKeys is a bounded map from key hash to record: buckets of eight; a key
// that comes takes the place of the one whose last access is oldest.
// Maintenance writes, anyone reads.
type recentKeys struct {
	buckets [][ways]record
	shift   uint
	cursor  atomic.Uint32 // bucket where the next listing starts
}

func (r *recentKeys) init(keys int) {
	n := max(1, (keys+ways-1)/ways)
	width := bits.Len(uint(n - 1))
	r.buckets = make([][ways]record, 1<<width)
	r.shift = uint(64 - width)
}

func (r *recentKeys) bucket(h policies.KeyHash) *[ways]record {
	return &r.buckets[mix(h)>>r.shift]
}

// mix spreads a hash that may be a plain number: in a replay it is the key.
func mix(h policies.KeyHash) uint64 {
	x := uint64(h)
	x ^= x >> 32
	x *= 0x9E3779B97F4A7C15
	return x ^ x>>29
}

// find returns the record of a key, nil where there is none. Called by
// maintenance.
func (r *recentKeys) find(h policies.KeyHash) *record {
	b := r.bucket(h)
	for i := range b {
		if b[i].hash.Load() == uint64(h) && rest(b[i].rest.Load()).held() {
			return &b[i]
		}
	}
	return nil
}

// read returns the words of a key's record. Safe for concurrent use: a record
// that is being replaced is not found.
func (r *recentKeys) read(h policies.KeyHash) (use, rest, bool) {
	b := r.bucket(h)
	for i := range b {
		before := b[i].rest.Load()
		if !rest(before).held() || b[i].hash.Load() != uint64(h) {
			continue
		}
		u := b[i].use.Load()
		if b[i].rest.Load() == before {
			return use(u), rest(before), true
		}
	}
	return 0, 0, false
}

// put writes a key's record where it is, in a free place, or over the oldest.
func (r *recentKeys) put(h policies.KeyHash, tick uint64, u use, w rest) {
	b := r.bucket(h)
	place, age := 0, int64(-1)
	for i := range b {
		held := rest(b[i].rest.Load()).held()
		if held && b[i].hash.Load() == uint64(h) {
			place = i
			break
		}
		a := int64(tickMask)
		if held {
			a = ticksSince(tick, use(b[i].use.Load()).tick())
		}
		if a > age {
			place, age = i, a
		}
	}
	p := &b[place]
	p.rest.Store(0)
	p.hash.Store(uint64(h))
	p.use.Store(uint64(u))
	p.rest.Store(uint64(w | flagHeld))
}

// take removes a key and returns its record.
func (r *recentKeys) take(h policies.KeyHash) (use, rest, bool) {
	p := r.find(h)
	if p == nil {
		return 0, 0, false
	}
	u, w := use(p.use.Load()), rest(p.rest.Load())
	p.rest.Store(0)
	return u, w, true
}

// Recent returns what is known about a key that is not resident: one that
// left, or was missed. Its numbers are those of the moment of the last batch.
// Safe for concurrent use.
func (t *Table) Recent(h policies.KeyHash) (Record, bool) {
	u, w, ok := t.recent.read(h)
	if !ok {
		return Record{}, false
	}
	r := t.describe(h, u, w, policies.Nanos(t.seen.Load()))
	r.Resident = false
	return r, true
}

// listed bounds how many places a listing looks at for each key it may return.
const listed = 8

// RecentCandidates appends at most limit keys worth loading ahead to dst: keys
// that left, and keys that were missed at least twice. Each call looks at a
// bounded part of the store and the next call continues there. Safe for
// concurrent use.
func (t *Table) RecentCandidates(dst []policies.KeyHash, limit int) []policies.KeyHash {
	r := &t.recent
	tick := tickOf(policies.Nanos(t.seen.Load()))
	epoch := uint64(t.epoch.Load())
	for range min(len(r.buckets), limit*listed/ways+1) {
		b := &r.buckets[int(r.cursor.Add(1))&(len(r.buckets)-1)]
		for i := range b {
			w := rest(b[i].rest.Load())
			if !w.held() {
				continue
			}
			if w.missed() && t.scales.value(countUnits(use(b[i].use.Load()), w, tick, epoch)) < askedTwice {
				continue
			}
			if limit <= 0 {
				return dst
			}
			dst = append(dst, policies.KeyHash(b[i].hash.Load()))
			limit--
		}
	}
	return dst
}

// askedTwice is the count from which a missed key is a candidate: two
// accesses, of which the first may have lost half by age.
const askedTwice = 1.5
