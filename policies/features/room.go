package features

import (
	"iter"
	"slices"

	"github.com/perfopt/perfopt/policies"
)

// roomSample is how many residents the host's own sampler compares.
const roomSample = 16

// Room names residents to evict until their weights reach need or out is full,
// and returns how many: of 16 random residents the one whose last access is
// longest ago, then the least often asked. It needs no policy and always finds
// room while there are residents. The residents stay so until [Table.Evicted].
// Called by maintenance.
func (t *Table) Room(need int64, weight func(policies.Slot) int64, out []policies.Slot) int {
	var sample [roomSample]policies.Slot
	tick, epoch := tickOf(policies.Nanos(t.seen.Load())), uint64(t.epoch.Load())
	n := 0
	for n < len(out) && need > 0 && t.live.total > 0 {
		var coldest policies.Slot
		least := ^uint64(0)
		for _, s := range sample[:t.Sample(t.rng, sample[:])] {
			if r := t.records.at(s); r != nil {
				if h := warmth(use(r.use.Load()), rest(r.rest.Load()), tick, epoch); h < least {
					coldest, least = s, h
				}
			}
		}
		t.live.remove(coldest)
		out[n] = coldest
		n++
		need -= max(weight(coldest), 1)
	}
	for _, s := range out[:n] {
		t.live.add(s)
	}
	return n
}

// warmth orders entries: by last access, then by count.
func warmth(u use, w rest, tick, epoch uint64) uint64 {
	fresh := uint64(tickMask) - uint64(ticksSince(tick, u.tick()))
	return fresh<<6 | uint64(min(countUnits(u, w, tick, epoch)/unitsPerStep>>6, 63))
}

// Coldest yields the residents of the moment of the call, the one whose last
// access is longest ago first; accesses within 1/16 s are ordered by count.
// The sort happens at the first step and takes 12 bytes a resident. Safe for
// concurrent use; residents may have left by the time they are yielded.
func (t *Table) Coldest(now policies.Nanos) iter.Seq[policies.Slot] {
	return func(yield func(policies.Slot) bool) {
		for _, k := range t.ranked(now) {
			if !yield(policies.Slot(k)) {
				return
			}
		}
	}
}

// Hottest yields the residents in the opposite order of [Table.Coldest].
func (t *Table) Hottest(now policies.Nanos) iter.Seq[policies.Slot] {
	return func(yield func(policies.Slot) bool) {
		for _, k := range slices.Backward(t.ranked(now)) {
			if !yield(policies.Slot(k)) {
				return
			}
		}
	}
}

// ranked returns warmth (upper half) and slot (lower half) of every resident,
// in ascending order.
func (t *Table) ranked(now policies.Nanos) []uint64 {
	tick, epoch := tickOf(now), uint64(t.epoch.Load())
	var keys []uint64
	for i, c := range t.records.chunks() {
		if c == nil {
			continue
		}
		for j := range c {
			w := rest(c[j].rest.Load())
			if w.held() {
				h := warmth(use(c[j].use.Load()), w, tick, epoch)
				keys = append(keys, h<<32|uint64(i<<chunkBits|j))
			}
		}
	}
	slices.Sort(keys)
	return keys
}

// Restore returns the row that makes a resident known to a policy, from what
// the table knows: weight and load cost are rounded, the lifetime is what is
// left of it. Safe for concurrent use.
func (t *Table) Restore(s policies.Slot, now policies.Nanos) (policies.Insert, bool) {
	r, ok := t.Record(s, now)
	if !ok {
		return policies.Insert{}, false
	}
	in := policies.Insert{KeyHash: r.KeyHash, Weight: r.Weight, LoadCostMicros: uint32(min(r.LoadMillis*1000, 1<<32-1))}
	if r.TTLLeft <= maxLifetimeSeconds+1 {
		in.TTLMillis = uint32(max(r.TTLLeft*1000, 1))
	}
	return in, true
}
