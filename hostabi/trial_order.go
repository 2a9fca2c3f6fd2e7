package hostabi

import (
	"fmt"

	"github.com/perfopt/perfopt/policies"
)

// Sizes of the cache that an order of eviction is tried on.
const (
	trialCapacity = 256
	trialSlots    = 400
	trialKeys     = 1500
	trialRequests = 6000
)

// trialCache is a cache without values: who is resident, and what a policy has
// not been shown yet.
type trialCache struct {
	t        *trial
	m        *Module
	policy   *orderer
	slots    map[policies.KeyHash]policies.Slot
	keys     [trialSlots]policies.KeyHash
	resident [trialSlots]bool
	weights  [trialSlots]uint32
	free     []policies.Slot
	weight   int64

	events  []policies.Event
	inserts []policies.Insert
	named   int // victims
}

// order drives the policy as a cache would: hits, inserts, updates, removals
// and misses over skewed keys, victims when there is no room. It starts twice,
// because a policy is started again in its life, and the second time it is
// taught by restore events.
func (t *trial) order(m *Module, env Env) error {
	p, err := m.Eviction(env)
	if err != nil {
		return err
	}
	policy := p.(*orderer)
	defer policy.Close()
	c := &trialCache{t: t, m: m, policy: policy, slots: map[policies.KeyHash]policies.Slot{}}
	for s := range trialSlots {
		c.free = append(c.free, policies.Slot(trialSlots-1-s))
	}
	for round := range 2 {
		if err := policy.Reset(policies.Capacity{Weight: trialCapacity, MaxSlots: trialSlots}); err != nil {
			return err
		}
		c.restore()
		for i := range trialRequests / 2 {
			if i%100 == 0 {
				if err := t.ctx.Err(); err != nil {
					return err
				}
			}
			if err := c.request(); err != nil {
				return fmt.Errorf("round %d, request %d: %w", round+1, i, err)
			}
		}
		if err := c.show(); err != nil {
			return err
		}
	}
	if c.named == 0 {
		return m.fault(policies.KindEviction, policies.FaultOutput, fmt.Sprintf("named no victim in %d requests over a full cache", trialRequests))
	}
	return nil
}

func (c *trialCache) restore() {
	for s, here := range c.resident {
		if here {
			c.note(policies.OpRestore, policies.Slot(s))
		}
	}
}

// note adds an event about a resident or, with NoSlot, a miss.
func (c *trialCache) note(op policies.Op, s policies.Slot) {
	c.events = append(c.events, policies.Event{Slot: s, Op: op, Class: 160})
	if op.HasInsert() {
		c.inserts = append(c.inserts, policies.Insert{KeyHash: c.keys[s], Weight: c.weights[s], TTLMillis: 60_000, LoadCostMicros: 1000})
	}
}

func (c *trialCache) show() error {
	err := c.policy.Observe(c.events, c.inserts)
	c.events, c.inserts = c.events[:0], c.inserts[:0]
	return err
}

func (c *trialCache) request() error {
	t := c.t
	t.now += 1e6
	u := t.below(trialKeys)
	key := policies.KeyHash(u * t.below(trialKeys+1) / trialKeys) // skewed towards small numbers
	if s, ok := c.slots[key]; ok {
		switch t.below(50) {
		case 0:
			c.remove(s, policies.OpRemove)
		case 1:
			c.remove(s, policies.OpExpire)
		case 2:
			c.weight += 3 - int64(c.weights[s])
			c.weights[s] = 3
			c.note(policies.OpUpdate, s)
		default:
			c.note(policies.OpHit, s)
		}
	} else {
		c.events = append(c.events, policies.Event{Slot: policies.NoSlot, Op: policies.OpMiss})
		c.inserts = append(c.inserts, policies.Insert{KeyHash: key})
		if err := c.insert(key); err != nil {
			return err
		}
	}
	if t.below(16) == 0 {
		return c.show()
	}
	return nil
}

func (c *trialCache) insert(key policies.KeyHash) error {
	s := c.free[len(c.free)-1]
	c.free = c.free[:len(c.free)-1]
	c.slots[key], c.keys[s], c.resident[s], c.weights[s] = s, key, true, uint32(1+c.t.below(3))
	c.weight += int64(c.weights[s])
	c.note(policies.OpInsert, s)
	for c.weight > trialCapacity {
		if err := c.show(); err != nil {
			return err
		}
		var out [8]policies.Slot
		n, err := c.policy.Victims(c.weight-trialCapacity, out[:])
		if err != nil {
			return err
		}
		for i, v := range out[:n] {
			if v >= trialSlots || !c.resident[v] {
				return c.m.fault(policies.KindEviction, policies.FaultOutput, fmt.Sprintf("victim %d of %d is slot %d, which is not resident", i, n, v))
			}
			c.forget(v)
		}
		if c.named += n; n == 0 { // allowed: the host makes room by itself
			for v, here := range c.resident {
				if here {
					c.remove(policies.Slot(v), policies.OpRemove)
					break
				}
			}
		}
	}
	return nil
}

func (c *trialCache) remove(s policies.Slot, op policies.Op) {
	c.note(op, s)
	c.forget(s)
}

func (c *trialCache) forget(s policies.Slot) {
	delete(c.slots, c.keys[s])
	c.resident[s] = false
	c.weight -= int64(c.weights[s])
	c.free = append(c.free, s)
}
