package features

import (
	"math"

	"github.com/perfopt/perfopt/policies"
)

// Observe takes in a batch of events that happened at now, in their order. An
// access is a hit or a miss; the insert that follows a miss is part of the
// same access, one without a miss counts as an access unless it was
// prefetched. Events of slots that are not resident are ignored. Called by
// maintenance; allocates only where slots are used for the first time.
func (t *Table) Observe(now policies.Nanos, events []policies.Event, inserts []policies.Insert) {
	t.seen.Store(int64(now))
	tick, epoch := tickOf(now), uint64(t.epoch.Load())
	chunks := t.records.chunks()
	accesses := 0
	for i := range events {
		e := &events[i]
		switch e.Op {
		case policies.OpHit:
			accesses++
			if r := recordIn(chunks, e.Slot); r != nil {
				t.hit(r, tick, epoch)
			}
			continue
		case policies.OpRemove, policies.OpExpire:
			t.leave(e.Slot, tick)
			continue
		}
		if !e.Op.HasInsert() || len(inserts) == 0 {
			continue
		}
		in := &inserts[0]
		inserts = inserts[1:]
		switch e.Op {
		case policies.OpMiss:
			accesses++
			epoch = t.age()
			t.miss(in.KeyHash, tick, epoch)
		case policies.OpInsert, policies.OpRestore:
			t.insert(e, in, now, epoch)
			chunks = t.records.chunks()
		case policies.OpUpdate:
			if r := recordIn(chunks, e.Slot); r != nil && rest(r.rest.Load()).held() {
				r.rest.Store(uint64(rest(r.rest.Load()).withEntry(now, in)))
			}
		}
	}
	t.clock.observe(now, accesses)
	t.sweep(tick, epoch)
}

// Evicted takes in that the entry of a slot was evicted for room. Its record
// moves to the store of recent keys. Called by maintenance.
func (t *Table) Evicted(s policies.Slot) {
	if t.options.Entries == 0 && t.live.has(s) {
		t.entries = t.live.total
	}
	t.leave(s, tickOf(policies.Nanos(t.seen.Load())))
}

// hit is the hot path: one store, and a second where misses came between.
func (t *Table) hit(r *record, tick, epoch uint64) {
	w := rest(r.rest.Load())
	if !w.held() {
		return
	}
	r.use.Store(uint64(t.accessed(use(r.use.Load()), w, tick, epoch)))
	if w.epoch() != epoch {
		r.rest.Store(uint64(w.withEpoch(epoch)))
	}
}

// accessed returns the use word after one more access.
func (t *Table) accessed(u use, w rest, tick, epoch uint64) use {
	past := ticksSince(tick, u.tick())
	t.noise = t.noise*6364136223846793005 + 1442695040888963407 // Knuth, MMIX
	fast := t.scales.grown(decayed(u.fast(), past*fastDecay), uint32(t.noise>>32*unitsPerStep>>32))
	slow := t.scales.grown(decayed(u.slow(), past*slowDecay), uint32(t.noise>>16&math.MaxUint32*unitsPerStep>>32))
	count := min(t.scales.grown(countUnits(u, w, tick, epoch), unitsPerStep/2), codeMost)
	return makeUse(tick, fast, slow, count)
}

// countUnits returns the count at a moment in units: it loses an octave every
// hour and every capacity of misses.
func countUnits(u use, w rest, tick, epoch uint64) int64 {
	misses := int64((epoch - w.epoch()) & epochMask)
	return decayed(u.count(), ticksSince(tick, u.tick())*countDecay+misses*epochDecay)
}

// age counts a miss and returns the epoch.
func (t *Table) age() uint64 {
	if t.entries > 0 {
		t.aged += epochsPerCapacity / float64(t.entries)
		if t.aged > epochMask {
			t.aged -= epochMask + 1
		}
		t.epoch.Store(uint32(max(t.aged, 0)))
	}
	return uint64(t.epoch.Load())
}

func (t *Table) miss(h policies.KeyHash, tick, epoch uint64) {
	var u use
	var w rest
	if r := t.recent.find(h); r != nil {
		u, w = use(r.use.Load()), rest(r.rest.Load())
	}
	u = t.accessed(u, w, tick, epoch)
	t.recent.put(h, tick, u, w.withEpoch(epoch)|flagMissed)
}

func (t *Table) insert(e *policies.Event, in *policies.Insert, now policies.Nanos, epoch uint64) {
	if uint32(e.Slot) >= t.options.MaxSlots {
		return
	}
	tick := tickOf(now)
	r := t.records.grow(e.Slot)
	if rest(r.rest.Load()).held() {
		t.leave(e.Slot, tick)
	}
	u, w, known := t.recent.take(in.KeyHash)
	counted := known && w.missed() || e.Op == policies.OpRestore
	if prefetched := (uint32(e.Flags)|in.Flags)&policies.FlagPrefetched != 0; !counted && !prefetched {
		u = t.accessed(u, w, tick, epoch)
		w = w.withEpoch(epoch)
	} else if !known {
		u = makeUse(tick, 0, 0, 0)
		w = w.withEpoch(epoch)
	}
	r.rest.Store(0)
	r.hash.Store(uint64(in.KeyHash))
	r.use.Store(uint64(u))
	r.rest.Store(uint64(w.withEntry(now, in)&^flagMissed | flagHeld))
	t.live.add(e.Slot)
}

func (t *Table) leave(s policies.Slot, tick uint64) {
	r := t.records.at(s)
	if r == nil {
		return
	}
	w := rest(r.rest.Load())
	if !w.held() {
		return
	}
	t.recent.put(policies.KeyHash(r.hash.Load()), tick, use(r.use.Load()), w)
	r.rest.Store(uint64(w &^ flagHeld))
	t.live.remove(s)
}

// sweepSlots is how many slots a sweep looks at, once a second of the host's
// clock.
const sweepSlots = 64

// sweep keeps ticks and epochs of untouched entries from wrapping: whatever
// has rested for a quarter of a turn is as good as never accessed.
func (t *Table) sweep(tick, epoch uint64) {
	if ticksSince(tick, t.swept) < 16 && ticksSince(t.swept, tick) < 16 {
		return
	}
	t.swept = tick
	for range sweepSlots {
		if r := t.records.at(t.sweepSlot); r != nil && rest(r.rest.Load()).held() {
			t.settle(r, tick, epoch)
		}
		t.sweepSlot++
		if int(t.sweepSlot>>6) >= len(t.live.words) {
			t.sweepSlot = 0
		}
	}
}

func (t *Table) settle(r *record, tick, epoch uint64) {
	u, w := use(r.use.Load()), rest(r.rest.Load())
	longAgo := ticksSince(tick, u.tick()) > tickMask/4
	manyMisses := (epoch-w.epoch())&epochMask > epochMask/4
	switch {
	case longAgo:
		u = makeUse((tick-tickMask/4)&tickMask, 0, 0, 0)
	case manyMisses:
		u = makeUse(u.tick(), u.fast(), u.slow(), 0)
	default:
		return
	}
	r.use.Store(uint64(u))
	r.rest.Store(uint64(w.withEpoch(epoch)))
}
