package eviction_test

import "github.com/perfopt/perfopt/policies"

// failer is what tests and properties have in common.
type failer interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// driver is the smallest cache that can ask a policy: get, and on a miss set.
type driver struct {
	t        failer
	policy   policies.Orderer
	capacity int64
	size     int64
	slotOf   map[policies.KeyHash]policies.Slot
	keyOf    []policies.KeyHash
	weightOf []uint32
	free     []policies.Slot
	misses   int
}

func newDriver(t failer, p policies.Orderer, capacity int64) *driver {
	d := &driver{t: t, policy: p, capacity: capacity, slotOf: map[policies.KeyHash]policies.Slot{}}
	if err := p.Reset(policies.Capacity{Weight: capacity, MaxSlots: uint32(capacity) + 1}); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *driver) observe(e policies.Event, in ...policies.Insert) {
	if err := d.policy.Observe([]policies.Event{e}, in); err != nil {
		d.t.Fatal(err)
	}
}

// access reports whether the key was resident.
func (d *driver) access(key policies.KeyHash, weight uint32) bool {
	if s, ok := d.slotOf[key]; ok {
		d.observe(policies.Event{Slot: s, Op: policies.OpHit})
		return true
	}
	d.misses++
	d.observe(policies.Event{Slot: policies.NoSlot, Op: policies.OpMiss}, policies.Insert{KeyHash: key})
	if int64(weight) > d.capacity {
		return false
	}
	var s policies.Slot
	if n := len(d.free); n > 0 {
		s, d.free = d.free[n-1], d.free[:n-1]
	} else {
		s = policies.Slot(len(d.keyOf))
		d.keyOf, d.weightOf = append(d.keyOf, 0), append(d.weightOf, 0)
	}
	d.slotOf[key], d.keyOf[s], d.weightOf[s] = s, key, weight
	d.size += int64(weight)
	d.observe(policies.Event{Slot: s, Op: policies.OpInsert}, policies.Insert{KeyHash: key, Weight: weight})
	for d.size > d.capacity {
		var out [1]policies.Slot
		n, err := d.policy.Victims(d.size-d.capacity, out[:])
		if err != nil || n != 1 {
			d.t.Fatalf("victims: %d, %v", n, err)
		}
		d.drop(out[0])
	}
	return false
}

func (d *driver) drop(s policies.Slot) {
	key := d.keyOf[s]
	if at, ok := d.slotOf[key]; !ok || at != s {
		d.t.Fatalf("victim %d is not resident", s)
	}
	delete(d.slotOf, key)
	d.size -= int64(d.weightOf[s])
	d.free = append(d.free, s)
}
