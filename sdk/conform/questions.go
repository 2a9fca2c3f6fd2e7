package conform

import (
	"context"
	"math"

	"github.com/perfopt/perfopt/policies"
)

const (
	rounds   = 60      // batches that a policy is asked about
	slots    = 256     // entries of the cache that an order is kept for
	accesses = 20_000  // to that cache
	start    = 1.7e18  // when the first question is asked, in Unix nanoseconds
	second   = 1e9     // in nanoseconds
	budgeted = 16      // proposals that a prefetch policy may make
	batchMax = 1 << 10 // rows of the largest batch
)

// questions makes the inputs: plausible numbers, always the same ones.
type questions struct {
	*session
	ctx   context.Context
	now   policies.Nanos
	state uint64
}

// next returns the next number of SplitMix64 (Steele, Lea, Flood, 2014).
func (q *questions) next() uint64 {
	q.state += 0x9E3779B97F4A7C15
	z := q.state
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

func (q *questions) share() float64 { return float64(q.next()>>11) / (1 << 53) }

// tick moves the clock and says whether the asking may go on.
func (q *questions) tick() error {
	if q.now == 0 {
		q.now = start
	}
	q.now += second
	return q.ctx.Err()
}

// size is the number of rows of a round: mostly one, or a full batch.
func size(round int) int {
	switch round % 4 {
	case 0:
		return batchMax
	case 1:
		return 16
	}
	return 1
}

// rows fills a batch with what a host could have measured.
func (q *questions) rows(r *policies.Rows, n int, columns []policies.Column) {
	r.Resize(n, columns)
	r.Now = q.now
	for i := range n {
		rate := 100 * q.share() * q.share()
		r.KeyHash[i] = policies.KeyHash(i + 1)
		for c, v := range map[policies.Column]float64{
			policies.ColSize: math.Ceil(1e5 * q.share()), policies.ColBaseTTL: 60, policies.ColMinTTL: 1, policies.ColMaxTTL: 3600,
		} {
			r.Set(c, i, v)
		}
		r.Set(policies.ColFreq, i, math.Floor(64*q.share()))
		r.Set(policies.ColRecency, i, 1000*q.share())
		r.Set(policies.ColRateSlow, i, rate)
		r.Set(policies.ColRateFast, i, 2*rate*q.share())
		r.Set(policies.ColTrend, i, q.share()-0.5)
		r.Set(policies.ColTimeOfDay, i, q.share())
		r.Set(policies.ColConfidence, i, q.share())
		r.Set(policies.ColPrediction, i, q.share())
		r.Set(policies.ColLoadCost, i, math.Max(0, 60*q.share()-10))
		r.Set(policies.ColAge, i, 100*q.share())
		r.Set(policies.ColTTLLeft, i, 120*q.share()-20)
		r.Set(policies.ColOriginTTL, i, 300*q.share())
		r.Set(policies.ColChanged, i, math.Floor(8*q.share()))
		r.Set(policies.ColUnchanged, i, math.Floor(8*q.share()))
		r.Set(policies.ColResident, i, math.Round(q.share()))
		r.Set(policies.ColNextAccess, i, 60*q.share())
		if i%3 == 1 {
			r.Set(policies.ColOriginTTL, i, math.NaN())
		}
		if i%5 == 4 {
			r.Set(policies.ColTTLLeft, i, math.Inf(1))
			r.Set(policies.ColNextAccess, i, math.Inf(1))
		}
	}
}

func (q *questions) ttl(columns []policies.Column, p policies.TTL) error {
	// The guard needs the bounds that it clamps to.
	columns = append([]policies.Column{policies.ColMinTTL, policies.ColMaxTTL, policies.ColOriginTTL}, columns...)
	var batch policies.TTLBatch
	for round := range rounds {
		if err := q.tick(); err != nil {
			return err
		}
		n := size(round)
		q.rows(&batch.Rows, n, columns)
		out := make([]policies.Nanos, n)
		if err := p.TTL(&batch, out); err != nil {
			return err
		}
		q.called(n)
		for _, v := range out {
			q.answers = append(q.answers, float64(v))
		}
	}
	return nil
}

func (q *questions) score(p policies.Scorer) error {
	var batch policies.Candidates
	for round := range rounds {
		if err := q.tick(); err != nil {
			return err
		}
		n := size(round)
		q.rows(&batch.Rows, n, p.Info().Columns)
		out := make([]float64, n)
		if err := p.Score(&batch, out); err != nil {
			if q.faulted == nil {
				q.faulted = err
			}
			return nil
		}
		q.called(n)
		q.answers = append(q.answers, out...)
	}
	return nil
}

func (q *questions) prefetch(columns []policies.Column, p policies.Prefetch) error {
	var batch policies.Candidates
	for round := range rounds {
		if err := q.tick(); err != nil {
			return err
		}
		n := size(round)
		events := make([]policies.Event, n)
		inserts := make([]policies.Insert, n)
		for i := range events {
			events[i] = policies.Event{Slot: policies.NoSlot, Op: policies.OpMiss}
			inserts[i] = policies.Insert{KeyHash: policies.KeyHash(q.next() % 512)}
		}
		if err := p.Observe(events, inserts); err != nil {
			return q.spent(err)
		}
		q.called(n)
		q.rows(&batch.Rows, n, columns)
		out := make([]policies.KeyHash, budgeted)
		k, err := p.Propose(&batch, len(out), out)
		if err != nil {
			return q.spent(err)
		}
		q.called(n)
		q.answers = append(q.answers, float64(k))
		for _, h := range out[:k] {
			q.answers = append(q.answers, float64(h))
		}
	}
	return nil
}

// spent ends the asking after a fault, which the health has noted.
func (q *questions) spent(err error) error {
	if q.faulted == nil {
		q.faulted = err
	}
	return nil
}

func (q *questions) scaling(p policies.Scaling) error {
	limit := 10.0
	for round := range 10 * rounds {
		if err := q.tick(); err != nil {
			return err
		}
		latency := 400 * q.share()
		in := policies.Load{Now: q.now, Tick: uint64(round + 1), Limit: limit, MinLimit: 1, MaxLimit: 1000,
			InFlight: limit * q.share(), MaxInFlight: limit, Queued: [policies.NumPriorities]float64{2: 9 * q.share()},
			CPU: q.share(), Memory: q.share(), Throttled: q.share(), ErrorRate: q.share() / 5,
			MeanMillis: latency, P50Millis: 0.8 * latency, P95Millis: 2 * latency, P99Millis: 3 * latency, Target: 200, Baseline: 50,
			Completions: math.Floor(60 * q.share()), Arrivals: 100 * q.share(), Throughput: 100 * q.share(), WindowNanos: 1e8}
		if round%8 == 0 {
			nan := math.NaN()
			in.Completions, in.MeanMillis, in.P50Millis, in.P95Millis, in.P99Millis, in.Target, in.Baseline = 0, nan, nan, nan, nan, nan, nan
		}
		next, reason, err := p.Limit(&in)
		if err != nil {
			return err
		}
		q.called(1)
		limit = next
		q.answers = append(q.answers, next, float64(reason))
	}
	return nil
}

// order keeps a small cache of entries that weigh 1 to 4, whose keys are asked
// for unequally, deleted, expired and written again.
func (q *questions) order(p policies.Orderer) error {
	const capacity = slots * 2
	if err := p.Reset(policies.Capacity{Weight: capacity, MaxSlots: slots}); err != nil {
		return q.spent(err)
	}
	q.used = q.fuel()
	c := ring{at: map[policies.KeyHash]policies.Slot{}}
	for s := range policies.Slot(slots) {
		c.free = append(c.free, s)
	}
	for access := range accesses {
		if access%100 == 0 {
			if err := q.tick(); err != nil {
				return err
			}
		}
		key := policies.KeyHash(q.share() * q.share() * 4 * slots)
		slot, hit := c.at[key]
		switch draw := q.next() % 100; {
		case hit && draw < 2:
			c.leave(slot)
			c.events = append(c.events, policies.Event{Slot: slot, Op: policies.OpRemove})
		case hit && draw < 4:
			c.leave(slot)
			c.events = append(c.events, policies.Event{Slot: slot, Op: policies.OpExpire})
		case hit && draw < 8:
			c.write(slot, policies.OpUpdate, key, uint32(1+q.next()%4))
		case hit:
			c.events = append(c.events, policies.Event{Slot: slot, Op: policies.OpHit})
		default:
			if len(c.free) == 0 {
				if err := q.makeRoom(p, &c, 1); err != nil {
					return q.spent(err)
				}
			}
			slot = c.free[len(c.free)-1]
			c.free = c.free[:len(c.free)-1]
			c.at[key] = slot
			c.write(slot, policies.OpInsert, key, uint32(1+q.next()%4))
		}
		if c.weight > capacity {
			if err := q.makeRoom(p, &c, c.weight-capacity); err != nil {
				return q.spent(err)
			}
		}
	}
	return nil
}

// ring is the cache of [questions.order]: what the policy was shown, and what
// it has not been shown yet.
type ring struct {
	at      map[policies.KeyHash]policies.Slot
	keys    [slots]policies.KeyHash
	weights [slots]uint32
	weight  int64
	free    []policies.Slot
	events  []policies.Event
	inserts []policies.Insert
}

func (c *ring) write(s policies.Slot, op policies.Op, key policies.KeyHash, weight uint32) {
	c.weight += int64(weight) - int64(c.weights[s])
	c.keys[s], c.weights[s] = key, weight
	c.events = append(c.events, policies.Event{Slot: s, Op: op})
	c.inserts = append(c.inserts, policies.Insert{KeyHash: key, Weight: weight})
}

func (c *ring) leave(s policies.Slot) {
	delete(c.at, c.keys[s])
	c.weight -= int64(c.weights[s])
	c.weights[s] = 0
	c.free = append(c.free, s)
}

// makeRoom shows the policy what happened and evicts what it names. Where it
// names nothing, the entry with the lowest slot leaves.
func (q *questions) makeRoom(p policies.Orderer, c *ring, need int64) error {
	events := len(c.events)
	if err := p.Observe(c.events, c.inserts); err != nil {
		return err
	}
	q.called(events)
	c.events, c.inserts = c.events[:0], c.inserts[:0]
	for target := c.weight - need; c.weight > target; {
		out := make([]policies.Slot, 8)
		n, err := p.Victims(c.weight-target, out)
		if err != nil {
			return err
		}
		q.called(len(out))
		for _, s := range out[:n] {
			c.leave(s)
			q.answers = append(q.answers, float64(s))
		}
		if n == 0 {
			s := lowest(c)
			c.leave(s)
			c.events = append(c.events, policies.Event{Slot: s, Op: policies.OpRemove})
		}
	}
	return nil
}

// lowest returns the lowest slot that is taken.
func lowest(c *ring) policies.Slot {
	best := policies.Slot(slots)
	for _, s := range c.at {
		best = min(best, s)
	}
	return best
}
