package cache

import (
	"testing"

	"github.com/perfopt/perfopt/policies"
)

// What was asked just before Close has reached the listeners when it returns.
func TestListenersHearOfEverythingBeforeClose(t *testing.T) {
	heard := map[policies.Op]int{}
	c, err := New(Options[int, int]{Capacity: 100, OnBatch: func(_ policies.Nanos, events []policies.Event, _ []policies.Insert) {
		for _, e := range events {
			heard[e.Op]++
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.Set(1, 1)
	c.Sync()
	for range 20 {
		c.Get(1)
		c.Get(2)
	}
	c.Close()
	if heard[policies.OpInsert] != 1 || heard[policies.OpHit] != 20 || heard[policies.OpMiss] != 20 {
		t.Errorf("heard of %v", heard)
	}
}
