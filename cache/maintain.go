package cache

import (
	"math/bits"
	"time"

	"github.com/perfopt/perfopt/policies"
)

const (
	// The pause of maintenance between two rounds: shortest where rings
	// overflow, longest where nothing happens. roundShare bounds its share of
	// one CPU: a round is followed by a pause of that many times its length.
	minPause   = time.Millisecond
	maxPause   = 200 * time.Millisecond
	roundShare = 12
)

// maintenance is the state of whoever has the turn.
type maintenance struct {
	seat    seat
	held    bitmap // slots that features and the policy know as resident
	batch   log    // accepted events that neither has seen
	work    log    // the log being read
	arrived bitmap // slots of the inserts in work; empty between rounds
	hits    []seen // hits read from the rings
	now     policies.Nanos
	wheel   wheel
	expire  []policies.Slot // scratch: slots that came due
	named   []policies.Slot // scratch: victims that the policy named
	fresh   int             // events of batch that features has seen (inline)
	rows    int             // rows of batch that features has seen (inline)
	tee     *tee            // for a policy that is being taught; nil mostly
	faults  []error         // to be told when the turn is over
}

// run is the maintenance goroutine: a round every tick, when writers ask and at
// the end, so that listeners hear of every access before Close.
func (c *Cache[K, V]) run() {
	defer close(c.done)
	pause := minPause
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-c.stop:
			c.takeTurn()
			return
		case <-c.wake:
		case <-timer.C:
		}
		c.awake.Store(false)
		start := time.Now()
		busy := c.takeTurn()
		spent := time.Since(start)
		if busy {
			pause = minPause
		} else {
			pause = min(2*pause, maxPause)
		}
		timer.Reset(min(max(pause, roundShare*spent), maxPause))
	}
}

// wakeUp asks maintenance for a round.
func (c *Cache[K, V]) wakeUp() {
	if !c.awake.Load() && c.awake.CompareAndSwap(false, true) {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

// takeTurn waits for the turn and does a round; it reports whether rings or
// queues were filling up.
func (c *Cache[K, V]) takeTurn() bool {
	c.turn.Lock()
	busy := c.round()
	c.endTurn()
	return busy
}

// tryTurn does a round unless another has the turn.
func (c *Cache[K, V]) tryTurn() bool {
	if !c.turn.TryLock() {
		return false
	}
	c.round()
	c.endTurn()
	return true
}

// endTurn gives up the turn and then tells listeners what happened in it.
func (c *Cache[K, V]) endTurn() {
	faults, removed := c.m.faults, c.removed
	c.m.faults, c.removed = nil, nil
	c.turn.Unlock()
	for _, err := range faults {
		if c.onPolicyFault != nil {
			c.onPolicyFault(err)
		}
	}
	for _, r := range removed {
		c.onRemoval(r)
	}
}

// round brings features and policy up to date, expires what is due and makes
// room. The turn is held.
func (c *Cache[K, V]) round() (busy bool) {
	m := &c.m
	if c.inline {
		c.flush()
		m.now = c.readClock()
	} else {
		m.now = c.readClock()
		m.hits = m.hits[:0]
		maxRing := c.stripes.maxRing()
		for i := range c.stripes {
			m.hits = c.stripes[i].drain(m.hits, maxRing)
		}
		c.intake.Lock()
		c.gather()
		m.work, c.log = c.log, m.work
		m.arrived, c.arriving = c.arriving, m.arrived
		c.intake.Unlock()
		c.readLog(&m.work)
		m.work.reset()
		c.readHits()
		busy = len(m.hits) > len(c.stripes)*minRing/2
	}
	if c.expireDue() {
		busy = true
		c.wakeUp()
	}
	c.flush()
	if c.weightOver(c.margin) > 0 || c.entriesOver() > 0 {
		c.evict()
		c.flush()
	}
	return busy
}

// gather moves the queues of all shards that have something to the log and
// frees the slots of what left. The intake lock is held.
func (c *Cache[K, V]) gather() {
	freed := c.freed[:0]
	for w := range c.dirty {
		if c.dirty[w].Load() == 0 {
			continue
		}
		for set := c.dirty[w].Swap(0); set != 0; set &= set - 1 {
			s := &c.shards[w<<6+bits.TrailingZeros64(set)]
			s.mu.Lock()
			queue := s.queue
			s.queue = c.spare
			s.mu.Unlock()
			for i := range queue {
				r := &queue[i]
				switch r.event.Op {
				case policies.OpRemove, policies.OpExpire:
					freed = append(freed, r.event.Slot)
				case policies.OpInsert:
					c.arriving.set(r.event.Slot)
				}
				c.log.add(r.event, r.row)
			}
			c.spare = queue[:0]
		}
	}
	c.slots.put(freed)
	c.freed = freed
}

func (c *Cache[K, V]) readLog(l *log) {
	rows := l.inserts
	for _, e := range l.events {
		var in policies.Insert
		if e.Op.HasInsert() {
			in, rows = rows[0], rows[1:]
		}
		if e.Op == policies.OpInsert {
			c.m.arrived.clear(e.Slot)
		}
		c.deliver(e, in)
	}
}

// readHits delivers the hits whose entry is still in its place.
func (c *Cache[K, V]) readHits() {
	inPlace := uint64(0)
	for _, h := range c.m.hits {
		if c.slots.where(h.slot) == h.where {
			inPlace++
			c.deliver(policies.Event{Slot: h.slot, Op: policies.OpHit}, policies.Insert{})
		}
	}
	c.recorded.Add(inPlace)
}

// deliver adds an event to the batch unless it is about a slot that is not
// held: a victim's late update, or the removal that follows its eviction only to
// free the slot. The turn is held.
func (c *Cache[K, V]) deliver(e policies.Event, in policies.Insert) {
	m := &c.m
	if !m.held.accept(e) {
		return
	}
	switch {
	case e.Op == policies.OpRemove || e.Op == policies.OpExpire:
		m.wheel.remove(e.Slot)
	case e.Op == policies.OpInsert || e.Op == policies.OpUpdate:
		if in.TTLMillis > 0 {
			m.wheel.schedule(e.Slot, c.tickAt(m.now)+uint64(in.TTLMillis))
		} else {
			m.wheel.remove(e.Slot)
		}
	}
	if m.tee != nil {
		m.tee.add(e, in)
	}
	m.batch.add(e, in)
	if len(m.batch.events) >= batchBound {
		c.flush()
	}
}

// flush shows the batch to features, to the tap and to the policy.
func (c *Cache[K, V]) flush() {
	m := &c.m
	if len(m.batch.events) == 0 {
		return
	}
	c.observeFeatures()
	if c.onBatch != nil {
		c.onBatch(m.now, m.batch.events, m.batch.inserts)
	}
	if m.seat.policy != nil {
		if err := observe(m.seat.policy, m.batch); err != nil {
			c.faulted(err)
		}
	}
	m.batch.reset()
	m.fresh, m.rows = 0, 0
}

// observeFeatures shows features the part of the batch that it has not seen.
func (c *Cache[K, V]) observeFeatures() {
	m := &c.m
	if len(m.batch.events) > m.fresh {
		c.features.Observe(m.now, m.batch.events[m.fresh:], m.batch.inserts[m.rows:])
		m.fresh, m.rows = len(m.batch.events), len(m.batch.inserts)
	}
}

// stage is the way of an event in an inline cache: into the batch at once, and
// to features as soon as the clock has moved on.
func (c *Cache[K, V]) stage(e policies.Event, in policies.Insert) {
	if now := c.readClock(); now != c.m.now {
		c.observeFeatures()
		c.m.now = now
	}
	c.deliver(e, in)
}

// settle follows every write: an inline cache stages what the write queued.
// No lock is held.
func (c *Cache[K, V]) settle(s *shard[K, V]) {
	if !c.inline {
		return
	}
	freed := c.freed[:0]
	for _, r := range s.queue {
		c.stage(r.event, r.row)
		if r.event.Op == policies.OpRemove || r.event.Op == policies.OpExpire {
			freed = append(freed, r.event.Slot)
		}
	}
	s.queue = s.queue[:0]
	c.slots.put(freed)
	c.freed = freed
	due := c.m.wheel.count > 0 && c.tickAt(c.m.now)>>wheelShift > c.m.wheel.at+1
	if due || len(c.m.faults) > 0 {
		c.tryTurn() // in vain where this is maintenance itself
	}
}

// faulted takes the policy off its seat. The turn is held.
func (c *Cache[K, V]) faulted(err error) {
	m := &c.m
	m.faults = append(m.faults, err)
	_ = closePolicy(m.seat.policy)
	m.seat = seat{info: m.seat.info, fault: err}
	c.seatFaults.Add(1)
	c.name.Store(&seatName{m.seat.info.Name, true})
}
