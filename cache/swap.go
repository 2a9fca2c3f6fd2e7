package cache

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
)

const (
	// teeBound is the number of events that may collect while a policy is
	// taught. Beyond it the order of what happened is lost, and the slots
	// concerned are taught again from features.
	teeBound = 1 << 16
	// teachPasses bounds the passes over what has collected before the last,
	// which keeps maintenance waiting (neither readers nor writers).
	teachPasses = 16
)

// ErrClosed is the end of a swap after Close.
var ErrClosed = errors.New("the cache is closed")

// UseEviction makes an eviction policy over the cache's features, teaches it
// the residents, coldest first, aside and in batches, catches up with what
// happened meanwhile and exchanges it for the present one, which is closed if
// it is an io.Closer. Reads and writes go on all the time and nothing is
// evicted for it. State is carried over where both policies have the same name
// and state version. After an error the former policy stays. One swap at a
// time: others wait.
func (c *Cache[K, V]) UseEviction(ctx context.Context, create func(*features.Table) (policies.Orderer, error)) error {
	err := c.useEviction(ctx, create)
	c.turn.Lock()
	c.endTurn() // listeners hear of what happened, outside of the swap
	return err
}

func (c *Cache[K, V]) useEviction(ctx context.Context, create func(*features.Table) (policies.Orderer, error)) error {
	c.swap.Lock()
	defer c.swap.Unlock()
	if c.ended {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := c.create(create)
	if err != nil {
		return err
	}
	if err := c.teach(ctx, p); err != nil {
		name := infoOf(p).Name
		_ = closePolicy(p)
		return fmt.Errorf("eviction policy %s: %w", name, err)
	}
	return nil
}

// create makes a policy; a panic becomes an error.
func (c *Cache[K, V]) create(create func(*features.Table) (policies.Orderer, error)) (p policies.Orderer, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("eviction policy: panic while it was made: %v", r)
		}
	}()
	p, err = create(c.features)
	if err == nil && p == nil {
		err = errors.New("eviction policy: the constructor returned none")
	}
	return p, err
}

// seatFirst seats the policy of an empty cache.
func (c *Cache[K, V]) seatFirst(create func(*features.Table) (policies.Orderer, error)) error {
	p, err := c.create(create)
	if err != nil {
		return err
	}
	if err := reset(p, c.limits()); err != nil {
		_ = closePolicy(p)
		return err
	}
	c.turn.Lock()
	c.sit(p)
	c.endTurn()
	return nil
}

// sit puts a policy on the seat and returns the former. The turn is held.
func (c *Cache[K, V]) sit(p policies.Orderer) policies.Orderer {
	former := c.m.seat.policy
	c.m.seat = seat{policy: p, info: infoOf(p)}
	c.name.Store(&seatName{c.m.seat.info.Name, false})
	return former
}

func (c *Cache[K, V]) limits() policies.Capacity {
	return policies.Capacity{Weight: c.capacity, MaxSlots: c.slots.max}
}

// pupil is a policy that is being taught.
type pupil struct {
	policy policies.Orderer
	held   bitmap // what it was shown as resident
	batch  log
}

func (p *pupil) show(e policies.Event, in policies.Insert) error {
	if !p.held.accept(e) {
		return nil
	}
	p.batch.add(e, in)
	if len(p.batch.events) < batchBound {
		return nil
	}
	return p.flush()
}

func (p *pupil) flush() error {
	if len(p.batch.events) == 0 {
		return nil
	}
	err := observe(p.policy, p.batch)
	p.batch.reset()
	return err
}

func (p *pupil) read(l *log) error {
	rows := l.inserts
	for _, e := range l.events {
		var in policies.Insert
		if e.Op.HasInsert() {
			in, rows = rows[0], rows[1:]
		}
		if err := p.show(e, in); err != nil {
			return err
		}
	}
	return p.flush()
}

// teach resets a policy, shows it the residents and then what happened
// meanwhile, until little is left, and exchanges it.
func (c *Cache[K, V]) teach(ctx context.Context, policy policies.Orderer) (err error) {
	if err := reset(policy, c.limits()); err != nil {
		return err
	}
	p, t := &pupil{policy: policy}, &tee{bound: teeBound}
	c.turn.Lock()
	c.round()
	changed := slices.Clone(c.m.held)
	state, stateful := c.carryOver(policy)
	c.m.tee = t
	c.turn.Unlock()
	defer func() {
		if err != nil {
			c.turn.Lock()
			c.m.tee = nil
			c.turn.Unlock()
		}
	}()
	if stateful {
		if err := policy.(policies.Stateful).ImportState(state); err != nil {
			if err := reset(policy, c.limits()); err != nil {
				return err
			}
		}
	}
	var l log
	for range teachPasses {
		if err := c.learn(p, l, changed); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if changed = t.take(&l); changed == nil && len(l.events) < batchBound {
			break
		}
	}
	if err := c.learn(p, l, changed); err != nil {
		return err
	}
	return c.exchange(p, t)
}

// learn shows a policy a log, or else the present holders of slots that have
// changed.
func (c *Cache[K, V]) learn(p *pupil, l log, changed bitmap) error {
	if changed == nil {
		return p.read(&l)
	}
	for w, set := range changed {
		for ; set != 0; set &= set - 1 {
			remove := policies.Event{Slot: policies.Slot(w<<6 + bits.TrailingZeros64(set)), Op: policies.OpRemove}
			if err := p.show(remove, policies.Insert{}); err != nil {
				return err
			}
		}
	}
	return c.restore(p, changed)
}

// carryOver exports the state of the present policy where the next can take
// it. The turn is held.
func (c *Cache[K, V]) carryOver(next policies.Orderer) ([]byte, bool) {
	from, ok := c.m.seat.policy.(policies.Stateful)
	_, takes := next.(policies.Stateful)
	a, b := c.m.seat.info, infoOf(next)
	if !ok || !takes || a.StateVersion == 0 || a.StateVersion != b.StateVersion || a.Name != b.Name {
		return nil, false
	}
	state, err := from.ExportState(nil)
	return state, err == nil
}

// restore shows a policy the residents of a set of slots, coldest first.
func (c *Cache[K, V]) restore(p *pupil, set bitmap) error {
	now := c.readClock()
	for slot := range c.features.Coldest(now) {
		if set.has(slot) {
			if err := c.restoreOne(p, slot, now); err != nil {
				return err
			}
		}
	}
	return p.flush()
}

func (c *Cache[K, V]) restoreOne(p *pupil, slot policies.Slot, now policies.Nanos) error {
	row, ok := c.features.Restore(slot, now)
	if !ok {
		return nil // it has left
	}
	row.Weight = c.slots.weight(slot)
	return p.show(policies.Event{Slot: slot, Op: policies.OpRestore, Class: classOfMicros(row.LoadCostMicros)}, row)
}

// exchange seats a policy that has been taught.
func (c *Cache[K, V]) exchange(p *pupil, t *tee) error {
	c.turn.Lock()
	c.round()
	err := c.finish(p, t)
	var former policies.Orderer
	if err == nil {
		c.m.tee = nil
		former = c.sit(p.policy)
		c.swaps.Add(1)
	}
	c.turn.Unlock()
	if former != nil {
		_ = closePolicy(former)
	}
	return err
}

// finish shows a policy the last of what happened, and any resident that it
// does not know. The turn is held.
func (c *Cache[K, V]) finish(p *pupil, t *tee) error {
	var l log
	changed := t.take(&l)
	if err := c.learn(p, l, changed); err != nil {
		return err
	}
	for w, set := range c.m.held {
		if w < len(p.held) {
			set &^= p.held[w]
		}
		for ; set != 0; set &= set - 1 {
			if err := c.restoreOne(p, policies.Slot(w<<6+bits.TrailingZeros64(set)), c.m.now); err != nil {
				return err
			}
		}
	}
	return p.flush()
}
