package policytest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
)

// load describes a random stream of accesses.
type load struct {
	seed     uint64
	capacity int64
	keys     uint64
	heaviest uint32
	steps    int
}

// cache is the smallest host of an eviction policy that does everything a host
// may do: hits, misses, inserts, updates, removals, expiry, batches.
type cache struct {
	t      *testing.T
	create NewEviction
	load   load
	rng    *rand.Rand
	policy policies.Orderer
	table  *features.Table
	now    policies.Nanos

	slotOf map[policies.KeyHash]policies.Slot
	keyOf  map[policies.Slot]policies.KeyHash
	weight map[policies.Slot]uint32
	free   []policies.Slot
	next   policies.Slot
	size   int64

	events  []policies.Event
	inserts []policies.Insert
	victims []policies.Slot
}

func newCache(t *testing.T, create NewEviction, l load) *cache {
	t.Helper()
	c := &cache{t: t, create: create, table: features.New(features.Options{MaxSlots: maxSlots, Seed: 1})}
	c.replace()
	return c.begin(l)
}

// maxSlots is above every capacity of the suite.
const maxSlots = 2048

// empty takes every entry out of the table, which keeps what it knows of keys.
func (c *cache) empty() {
	for s := range c.next {
		c.table.Evicted(s)
	}
}

// replace exchanges the instance for a fresh one over the same table.
func (c *cache) replace() {
	p, err := c.create(c.table)
	if err != nil {
		c.t.Fatal(err)
	}
	c.policy = p
}

func (c *cache) begin(l load) *cache {
	c.load, c.rng, c.now = l, rand.New(rand.NewPCG(l.seed, 0)), 1e18
	c.slotOf, c.keyOf, c.weight = map[policies.KeyHash]policies.Slot{}, map[policies.Slot]policies.KeyHash{}, map[policies.Slot]uint32{}
	c.free, c.next, c.size, c.victims = nil, 0, 0, nil
	c.reset()
	return c
}

func (c *cache) reset() {
	if err := c.policy.Reset(policies.Capacity{Weight: c.load.capacity, MaxSlots: maxSlots}); err != nil {
		c.t.Fatal(err)
	}
}

// run plays the stream and returns the victims in order.
func (c *cache) run() []policies.Slot {
	for range c.load.steps {
		c.now += policies.Nanos(c.rng.Int64N(1e8))
		key := c.key()
		s, resident := c.slotOf[key]
		switch action := c.rng.IntN(20); {
		case !resident:
			c.miss(key)
		case action == 0:
			c.leave(s, policies.OpRemove)
		case action == 1:
			c.leave(s, policies.OpExpire)
		case action == 2:
			c.update(s)
		default:
			c.event(s, policies.OpHit)
		}
		if c.rng.IntN(8) == 0 {
			c.flush()
		}
		if c.size > c.load.capacity {
			c.makeRoom()
		}
	}
	c.flush()
	return c.victims
}

// key draws from a skewed distribution.
func (c *cache) key() policies.KeyHash {
	f := c.rng.Float64()
	return policies.KeyHash(f * f * float64(c.load.keys))
}

func (c *cache) event(s policies.Slot, op policies.Op, in ...policies.Insert) {
	c.events = append(c.events, policies.Event{Slot: s, Op: op})
	c.inserts = append(c.inserts, in...)
}

func (c *cache) miss(key policies.KeyHash) {
	c.event(policies.NoSlot, policies.OpMiss, policies.Insert{KeyHash: key})
	weight := 1 + c.rng.Uint32N(c.load.heaviest)
	s := c.take()
	c.slotOf[key], c.keyOf[s], c.weight[s] = s, key, weight
	c.size += int64(weight)
	c.event(s, policies.OpInsert, policies.Insert{KeyHash: key, Weight: weight, LoadCostMicros: uint32(key % 1000)})
}

// take returns a free slot: mostly a used one, sometimes a number that was never
// in use, so that a policy that overlooks a removal is found out.
func (c *cache) take() policies.Slot {
	n := len(c.free)
	if n == 0 || c.next < maxSlots && c.rng.IntN(4) == 0 {
		c.next++
		return c.next - 1
	}
	i := c.rng.IntN(n)
	s := c.free[i]
	c.free[i] = c.free[n-1]
	c.free = c.free[:n-1]
	return s
}

func (c *cache) update(s policies.Slot) {
	weight := 1 + c.rng.Uint32N(c.load.heaviest)
	c.size += int64(weight) - int64(c.weight[s])
	c.weight[s] = weight
	c.event(s, policies.OpUpdate, policies.Insert{KeyHash: c.keyOf[s], Weight: weight})
}

// leave removes an entry; its slot is free once the policy has seen that.
func (c *cache) leave(s policies.Slot, op policies.Op) {
	c.event(s, op)
	c.flush()
	c.forget(s)
}

func (c *cache) forget(s policies.Slot) {
	delete(c.slotOf, c.keyOf[s])
	delete(c.keyOf, s)
	c.size -= int64(c.weight[s])
	c.free = append(c.free, s)
}

func (c *cache) flush() {
	c.table.Observe(c.now, c.events, c.inserts)
	if err := c.policy.Observe(c.events, c.inserts); err != nil {
		c.t.Fatal(err)
	}
	c.events, c.inserts = c.events[:0], c.inserts[:0]
}

func (c *cache) makeRoom() {
	c.flush()
	for silent := 0; c.size > c.load.capacity; {
		n := c.ask(c.size-c.load.capacity, 1+c.rng.IntN(8))
		if n > 0 {
			silent = 0
		} else if silent++; silent > 3 {
			c.t.Fatalf("no victim named among %d residents", len(c.keyOf))
		}
	}
}

// ask asks for victims, checks and evicts them.
func (c *cache) ask(need int64, room int) int {
	out := make([]policies.Slot, room)
	n, err := c.policy.Victims(need, out)
	if err != nil || n < 0 || n > len(out) {
		c.t.Fatalf("%d victims, %v, where at most %d were asked for", n, err, len(out))
	}
	for i, s := range out[:n] {
		if _, ok := c.keyOf[s]; !ok || slices.Contains(out[:i], s) {
			c.t.Fatalf("victim %d of %v is not resident or named twice", i, out[:n])
		}
	}
	for _, s := range out[:n] {
		c.table.Evicted(s)
		c.forget(s)
	}
	c.victims = append(c.victims, out[:n]...)
	return n
}

// reseat teaches a fresh instance the residents, as a host does at a swap.
func (c *cache) reseat() {
	c.flush()
	c.replace()
	c.reset()
	for s := range c.table.Coldest(c.now) {
		in, ok := c.table.Restore(s, c.now)
		if !ok {
			c.t.Fatalf("slot %d is not resident", s)
		}
		if err := c.policy.Observe([]policies.Event{{Slot: s, Op: policies.OpRestore}}, []policies.Insert{in}); err != nil {
			c.t.Fatal(err)
		}
	}
}

// drain asks for victims until none is named and returns how many there were.
func (c *cache) drain() (victims int) {
	for {
		n := c.ask(1<<40, 16)
		if n == 0 {
			return victims
		}
		victims += n
	}
}
