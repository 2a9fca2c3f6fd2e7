package policytest

import (
	"testing"

	"github.com/perfopt/perfopt/sdk/go/policy"
)

// Cache is a cache of keys without values that an eviction policy keeps in
// order. Every entry weighs 1. It fails the test as soon as the policy names a
// victim that is not resident.
type Cache struct {
	Hits, Misses int

	t        testing.TB
	p        policy.Orderer
	capacity int
	slots    map[policy.KeyHash]policy.Slot
	keys     []policy.KeyHash // by slot; 0 where the slot is free
	free     []policy.Slot
	now      policy.Nanos
}

// NewCache returns an empty cache for that many keys over p, which it resets.
func NewCache(t testing.TB, p policy.Orderer, capacity int) *Cache {
	t.Helper()
	// More slots than entries, used in turn: a slot that left stays empty for a
	// while, and naming it is noticed.
	maxSlots := slotsOf(capacity)
	c := &Cache{t: t, p: p, capacity: capacity, slots: map[policy.KeyHash]policy.Slot{},
		keys: make([]policy.KeyHash, maxSlots), now: Now}
	for s := range maxSlots {
		c.free = append(c.free, policy.Slot(s))
	}
	c.reset()
	return c
}

func slotsOf(capacity int) int { return 2*capacity + 1 }

func (c *Cache) reset() {
	c.t.Helper()
	if err := c.p.Reset(policy.Capacity{Weight: int64(c.capacity), MaxSlots: uint32(slotsOf(c.capacity))}); err != nil {
		c.t.Fatalf("Reset: %v", err)
	}
}

// Access asks for a key other than 0, loads it where it is missing, and reports
// whether it was there.
func (c *Cache) Access(key policy.KeyHash) bool {
	c.t.Helper()
	c.now += 1e9
	if slot, ok := c.slots[key]; ok {
		c.Hits++
		c.show(policy.Event{Slot: slot, Op: policy.OpHit}, policy.Insert{})
		return true
	}
	c.Misses++
	in := policy.Insert{KeyHash: key, Weight: 1}
	c.show(policy.Event{Slot: policy.NoSlot, Op: policy.OpMiss}, in)
	slot := c.free[0]
	c.free = c.free[1:]
	c.slots[key], c.keys[slot] = slot, key
	c.show(policy.Event{Slot: slot, Op: policy.OpInsert}, in)
	for len(c.slots) > c.capacity {
		c.evict()
	}
	return false
}

// Delete removes a key as a client would.
func (c *Cache) Delete(key policy.KeyHash) {
	c.t.Helper()
	if slot, ok := c.slots[key]; ok {
		c.leave(slot)
		c.show(policy.Event{Slot: slot, Op: policy.OpRemove}, policy.Insert{})
	}
}

// Update writes a key that is there again, as a reload would.
func (c *Cache) Update(key policy.KeyHash) {
	c.t.Helper()
	if slot, ok := c.slots[key]; ok {
		c.show(policy.Event{Slot: slot, Op: policy.OpUpdate}, policy.Insert{KeyHash: key, Weight: 1})
	}
}

// Restart resets the policy and makes the residents known to it again, as a
// host does after a start or a swap; they are shown in the order of their slots.
func (c *Cache) Restart() {
	c.t.Helper()
	c.reset()
	for slot, key := range c.keys {
		if key != 0 {
			c.show(policy.Event{Slot: policy.Slot(slot), Op: policy.OpRestore}, policy.Insert{KeyHash: key, Weight: 1})
		}
	}
}

// Resident reports whether a key is there, without an access.
func (c *Cache) Resident(key policy.KeyHash) bool {
	_, ok := c.slots[key]
	return ok
}

func (c *Cache) show(ev policy.Event, in policy.Insert) {
	c.t.Helper()
	var inserts []policy.Insert
	if ev.Op.HasInsert() {
		inserts = append(inserts, in)
	}
	if err := c.p.Observe(policy.NewEvents(c.now, []policy.Event{ev}, inserts)); err != nil {
		c.t.Fatalf("Observe: %v", err)
	}
}

func (c *Cache) evict() {
	c.t.Helper()
	need := len(c.slots) - c.capacity
	out := make([]policy.Slot, need)
	n, err := c.p.Victims(int64(need), out)
	if err != nil {
		c.t.Fatalf("Victims: %v", err)
	}
	if n < 1 || n > need {
		c.t.Fatalf("Victims(%d) returned %d: want 1 to %d", need, n, need)
	}
	for _, slot := range out[:n] {
		if int(slot) >= len(c.keys) || c.keys[slot] == 0 {
			c.t.Fatalf("victim %d is not resident", slot)
		}
		c.leave(slot)
	}
}

func (c *Cache) leave(slot policy.Slot) {
	delete(c.slots, c.keys[slot])
	c.keys[slot] = 0
	c.free = append(c.free, slot)
}
