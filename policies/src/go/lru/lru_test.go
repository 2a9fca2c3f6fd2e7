package main

import (
	"testing"

	"github.com/perfopt/perfopt/sdk/go/policy"
	"github.com/perfopt/perfopt/sdk/go/policytest"
)

func TestConforms(t *testing.T) { policytest.Check(t) }

func TestTheLeastRecentlyUsedLeaves(t *testing.T) {
	c := policytest.NewCache(t, &lru{}, 3)
	for _, key := range []int{1, 2, 3, 1, 4, 5} {
		c.Access(policytest.Key(key))
	}
	for key, want := range map[int]bool{1: true, 2: false, 3: false, 4: true, 5: true} {
		if got := c.Resident(policytest.Key(key)); got != want {
			t.Errorf("key %d: resident is %v, want %v", key, got, want)
		}
	}
}

func TestWeightsAreAddedUp(t *testing.T) {
	p := &lru{}
	if err := p.Reset(policy.Capacity{Weight: 100, MaxSlots: 8}); err != nil {
		t.Fatal(err)
	}
	insert := func(s policy.Slot, weight uint32) {
		e := policy.NewEvents(0, []policy.Event{{Slot: s, Op: policy.OpInsert}}, []policy.Insert{{Weight: weight}})
		if err := p.Observe(e); err != nil {
			t.Fatal(err)
		}
	}
	insert(0, 10)
	insert(1, 20)
	insert(2, 30)
	out := make([]policy.Slot, 8)
	n, err := p.Victims(25, out)
	if err != nil || n != 2 || out[0] != 0 || out[1] != 1 {
		t.Fatalf("victims for 25 are %v (%v): want 0 and 1, which weigh 30", out[:n], err)
	}
	if n, _ := p.Victims(1000, out); n != 1 || out[0] != 2 {
		t.Errorf("victims for 1000 are %v: want 2, the only one left", out[:n])
	}
}
