package linear

import (
	"math"

	"github.com/perfopt/perfopt/policies"
)

// Learned is eviction by an online logistic model: the victim is the entry
// whose next access is expected latest, per unit of weight and time to load.
// The score is a sum of table look-ups; the tables are trained on what became
// of a sample of the candidates.
//
// Time is counted in misses m, in units of the capacity in entries c. A key's
// features are its age since the last access, the number of accesses known,
// the last two gaps between accesses, the hits since it entered (and whether
// it entered as a ghost), and the share of new keys among all accesses at its
// last one; see [record]. Each but the age has a table indexed by its class
// and that of the age. Keys that left keep their features as ghosts; a
// returning ghost continues where it was.
//
// A victim is the lowest scored of the newest entry, eight random residents,
// and the eight lowest ever seen among those (the pool). About four of the
// candidates of a miss are remembered as samples, later one. The target of a
// sample is exp(-D/0.7c), where D is the number of misses to the next access;
// where none came within 0.5c misses it is exp(-0.5/0.7) times the present
// prediction for the key. A sample is learnt when its 0.5c misses are over and
// not before: else the good news would come first.
//
// A shadow LRU over a sample of the keys is the guard: where the model misses
// more, the entry accessed longest ago goes, until it is tried again.
//
// An instance uses 12 bytes a slot (20 where weights or costs differ), 8 bytes
// a ghost with about [ghostsPerEntry] ghosts an entry, and about 9 bytes an
// entry for samples. No pointers. The same events and seed give the same
// victims. Not safe for concurrent use.
type Learned struct {
	seed     uint64
	sample   int // random residents a victim
	capacity policies.Capacity

	records []record
	valued  bool      // weights or costs differ: the arrays below are kept
	weights []uint32  // by slot
	values  []float32 // by slot: ln(load cost / weight)
	live    bitmap
	count   int
	weight  int64

	rng   xorshift
	clock clock
	fresh float32 // moving share of never-known keys among the accesses

	model   model
	ghosts  ghostTable
	pending samples
	pool    pool
	guard   shadow
	guarded bool // the scores in the pool are those of the guard
	recent  recents
}

var (
	_ policies.Orderer  = (*Learned)(nil)
	_ policies.Stateful = (*Learned)(nil)
)

// defaultCandidates is how many random residents are compared for each victim,
// beside the newest entry and the pool.
const defaultCandidates = 8

// NewLearned returns eviction by the online model, with that many random
// residents a victim; 0 means 8.
func NewLearned(sample int, seed uint64) *Learned {
	if sample == 0 {
		sample = defaultCandidates
	}
	p := &Learned{seed: seed, sample: sample}
	p.reset(policies.Capacity{Weight: 1, MaxSlots: 1})
	return p
}

// Info describes the policy.
func (p *Learned) Info() policies.Info {
	return policies.Info{Name: "linear", Version: "2", Kind: policies.KindEviction, StateVersion: 1}
}

// Reset makes the policy empty; it forgets what it has learnt.
func (p *Learned) Reset(c policies.Capacity) error {
	p.reset(c)
	return nil
}

func (p *Learned) reset(c policies.Capacity) {
	p.capacity = c
	p.records, p.weights, p.values = p.records[:0], p.weights[:0], p.values[:0]
	p.valued, p.count, p.weight, p.fresh = false, 0, 0, 0
	p.live.clear()
	p.rng = newXorshift(p.seed)
	p.clock = clock{}
	p.clock.tune(p.entries())
	p.model.reset()
	p.ghosts.clear()
	p.pending.clear()
	p.pool.n = 0
	p.recent.n = 0
	p.guard.reset()
}

// entries estimates the capacity in entries from the mean weight so far.
func (p *Learned) entries() float64 {
	c := float64(p.capacity.Weight)
	if p.valued && p.weight > 0 && p.count > 0 {
		c *= float64(p.count) / float64(p.weight)
	}
	return max(min(c, float64(p.capacity.MaxSlots)), 1)
}

// Observe shows a batch of events.
func (p *Learned) Observe(events []policies.Event, inserts []policies.Insert) error {
	for i := range events {
		e := &events[i]
		if e.Op == policies.OpHit {
			p.hit(e.Slot)
			continue
		}
		var in *policies.Insert
		if e.Op.HasInsert() {
			if len(inserts) == 0 {
				continue
			}
			in, inserts = &inserts[0], inserts[1:]
		}
		p.change(e, in)
	}
	return nil
}

// hit is the hot path: one record is read and written.
func (p *Learned) hit(s policies.Slot) {
	if uint64(s) >= uint64(len(p.records)) {
		return
	}
	r := &p.records[s]
	if !r.held() {
		return
	}
	p.fresh -= p.clock.freshRate * p.fresh
	r.bits = r.bits.accessed(&p.clock, r.at).hit().withFresh(p.fresh)
	r.at = p.clock.now
	if p.guard.watches(r.key) {
		p.guard.access(r.key, true)
	}
}

func (p *Learned) change(e *policies.Event, in *policies.Insert) {
	switch e.Op {
	case policies.OpMiss:
		p.clock.now++
		p.learn()
		if k := keyOf(in.KeyHash); p.guard.watches(k) {
			p.guard.access(k, false)
		}
	case policies.OpInsert, policies.OpRestore:
		p.insert(e, in)
	case policies.OpUpdate:
		if p.holds(e.Slot) {
			p.weigh(e.Slot, in)
		}
	case policies.OpRemove, policies.OpExpire:
		if p.holds(e.Slot) {
			p.leave(e.Slot)
		}
	}
}

func (p *Learned) holds(s policies.Slot) bool {
	return uint64(s) < uint64(len(p.records)) && p.records[s].held()
}

func (p *Learned) insert(e *policies.Event, in *policies.Insert) {
	s := e.Slot
	if uint32(s) >= p.capacity.MaxSlots {
		return
	}
	if int(s) >= len(p.records) {
		p.records = grown(p.records, int(s)+1, p.capacity.MaxSlots)
	}
	if p.records[s].held() {
		p.leave(s)
	}
	k := keyOf(in.KeyHash)
	restored := e.Op == policies.OpRestore
	if restored {
		p.clock.now++ // residents are shown coldest first: their order is all that is known of their ages
	}
	var b traits
	at, known := p.clock.now, false
	if ghost, left, ok := p.ghosts.take(k, &p.clock); ok {
		b, known = ghost.accessed(&p.clock, left).returned(), true
	} else {
		b = newTraits()
	}
	if !restored {
		p.fresh -= p.clock.freshRate * p.fresh
		if !known {
			p.fresh += p.clock.freshRate
		}
		p.recent.add(s)
	}
	p.records[s] = record{key: k, at: at, bits: b.withFresh(p.fresh) | isHeld}
	p.live.set(s)
	p.count++
	p.weight++ // as if it were 1
	p.weigh(s, in)
}

// weigh takes in the weight and load cost of an entry. The arrays exist from
// the first that is not 1 or is known.
func (p *Learned) weigh(s policies.Slot, in *policies.Insert) {
	weight := max(in.Weight, 1)
	if !p.valued {
		if weight == 1 && in.LoadCostMicros == 0 {
			return
		}
		p.valued = true
		p.pool.n = 0
	}
	for n := len(p.values); n < len(p.records); n = len(p.values) {
		p.values = grown(p.values, len(p.records), p.capacity.MaxSlots)
		p.weights = grown(p.weights, len(p.records), p.capacity.MaxSlots)
		for i := n; i < len(p.values); i++ {
			p.values[i], p.weights[i] = float32(unknownCost), 1
		}
	}
	p.weight += int64(weight) - int64(p.weightOf(s))
	p.weights[s] = weight
	cost := unknownCost
	if in.LoadCostMicros > 0 {
		cost = math.Log(float64(in.LoadCostMicros))
	}
	p.values[s] = float32(cost - math.Log(float64(weight)))
	if c := p.entries(); c > 1.1*float64(p.clock.entries) || c < 0.9*float64(p.clock.entries) {
		p.clock.tune(c)
	}
}

// unknownCost is ln of the microseconds that count where a load cost is not
// known: one millisecond.
var unknownCost = math.Log(1000)

func (p *Learned) weightOf(s policies.Slot) uint32 {
	if p.valued {
		return p.weights[s]
	}
	return 1
}

// leave moves an entry to the ghosts.
func (p *Learned) leave(s policies.Slot) {
	r := &p.records[s]
	p.ghosts.put(r.key, r.at, r.bits&^isHeld, &p.clock)
	p.weight -= int64(p.weightOf(s))
	if p.valued {
		p.weights[s] = 1
	}
	p.count--
	p.live.unset(s)
	*r = record{}
}

// Victims names the lowest scored of a sample for each victim.
func (p *Learned) Victims(need int64, out []policies.Slot) (int, error) {
	p.settle()
	n := 0
	for n < len(out) && need > 0 && p.count > 0 {
		s, ok := p.victim()
		if !ok {
			break
		}
		out[n] = s
		n++
		need -= int64(p.weightOf(s))
		p.leave(s)
	}
	return n, nil
}

// settle makes the structures fit the capacity in entries, which is known when
// room is wanted. Where it has changed by half since, ghosts and samples start
// afresh.
func (p *Learned) settle() {
	if !p.clock.resize(p.entries()) {
		return
	}
	p.ghosts.resize(p.clock.entries)
	p.pending.resize(p.clock.entries)
	for i := range p.records {
		p.records[i].bits &^= maskState
	}
	p.pool.n = 0
	p.guard.resize(&p.clock)
}

// victim chooses one entry.
func (p *Learned) victim() (policies.Slot, bool) {
	newest, newestScore := policies.NoSlot, float32(math.Inf(1))
	if s, ok := p.recent.pop(); ok && p.holds(s) {
		newest, newestScore = s, p.score(s)
		if p.rng.below(3*p.stride()/2) == 0 {
			p.remember(s)
		}
	}
	if p.guarded != p.guard.active { // scores of one cannot be compared with those of the other
		p.guarded, p.pool.n = p.guard.active, 0
	}
	p.draw()
	for p.pool.n > 0 {
		i := p.pool.lowest()
		e := &p.pool.all[i]
		if e.score >= newestScore {
			break
		}
		s := policies.Slot(e.slot)
		if !p.holds(s) || p.records[s].at != e.at || p.records[s].key != e.key {
			p.pool.drop(i)
			continue
		}
		if now := p.score(s); now > e.score+rescored {
			e.score = now
			continue
		}
		p.pool.drop(i)
		return s, true
	}
	if newest != policies.NoSlot {
		return newest, true
	}
	return p.live.draw(&p.rng)
}

// rescored is how much the score of an entry may have risen in the pool for it
// to be the victim still.
const rescored = 0.01

// stride is how many candidates there are to a sample: 2 until the tables have
// seen many, then all.
func (p *Learned) stride() uint32 {
	if p.model.updates < earlySamples {
		return 2
	}
	return uint32(p.sample)
}

// earlySamples is the number of samples learnt before fewer are taken.
const earlySamples = 1 << 17

// draw offers random residents to the pool and remembers some of them.
func (p *Learned) draw() {
	stride := p.stride()
	next := p.rng.below(stride)
	for i := range uint32(p.sample) {
		s, ok := p.live.draw(&p.rng)
		if !ok {
			return
		}
		p.pool.offer(scored{slot: uint32(s), key: p.records[s].key, at: p.records[s].at, score: p.score(s)})
		if i == next {
			p.remember(s)
			next += stride
		}
	}
}

// score returns what keeps an entry: the logit of the expected nearness of its
// next access, plus the logarithm of load cost over weight. Under the guard the
// age alone counts.
func (p *Learned) score(s policies.Slot) float32 {
	r := &p.records[s]
	if p.guard.active {
		return -float32(p.clock.now - r.at)
	}
	z := p.model.predict(p.clock.features(r.bits, r.at))
	if p.valued {
		return lnSigmoid(z) + p.values[s]
	}
	return z
}

// remember makes a sample of an entry, unless it is one already.
func (p *Learned) remember(s policies.Slot) {
	r := &p.records[s]
	if r.bits&maskState != 0 || !p.pending.room() {
		return
	}
	r.bits |= isPending
	p.pending.push(pending{key: r.key, slot: uint32(s), seen: p.clock.features(r.bits, r.at).at(p.clock.moment())})
}

// learn trains the model on the samples whose time is over.
func (p *Learned) learn() {
	for p.pending.n > 0 {
		s := p.pending.oldest()
		if p.clock.since(s.seen.moment()) < p.clock.horizon {
			return
		}
		p.pending.pop()
		p.model.train(s.seen, p.outcome(s))
	}
}

// outcome returns the target of a sample: how near its next access was.
func (p *Learned) outcome(s pending) float32 {
	var b traits
	var at uint32
	if r := p.record(s.slot); r != nil && r.key == s.key && r.held() && r.bits&maskState != 0 {
		b, at = r.bits, r.at
		r.bits &^= maskState
	} else if g := p.ghosts.sampled(s.key); g != nil {
		b, at = g.traits(), g.at(&p.clock)
		*g &^= ghost(maskState) << 32
	} else {
		return 0
	}
	if b&maskState == isAccessed {
		return p.clock.nearness[uint8(b.moment()-s.seen.moment())]
	}
	return p.clock.later * sigmoid(p.model.predict(p.clock.features(b, at)))
}

func (p *Learned) record(slot uint32) *record {
	if uint64(slot) >= uint64(len(p.records)) {
		return nil
	}
	return &p.records[slot]
}
