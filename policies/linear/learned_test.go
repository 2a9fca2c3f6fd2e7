package linear_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
	"github.com/perfopt/perfopt/policies/linear"
)

func newLearned(*features.Table) (policies.Orderer, error) { return linear.NewLearned(0, 1), nil }

// TestLearnsWhatLRUDoesNotSee: popular keys among scans of keys asked for once.
func TestLearnsWhatLRUDoesNotSee(t *testing.T) {
	ours, lru := simulate(t, 300, newLearned), simulate(t, 300, newLRU)
	rng := rand.New(rand.NewPCG(1, 2))
	z := rand.NewZipf(rng, 1.05, 4, 5000)
	var misses, lruMisses float64
	for i := range uint64(60_000) {
		key := z.Uint64()
		if rng.IntN(2) == 0 {
			key = 1<<40 + i
		}
		if !ours.access(key) {
			misses++
		}
		if !lru.access(key) {
			lruMisses++
		}
	}
	t.Logf("misses: %v, lru %v", misses, lruMisses)
	if misses > 0.95*lruMisses {
		t.Errorf("%v misses, lru %v: want at most 95 %% of them", misses, lruMisses)
	}
}

func TestLearnedStateIsHandedOver(t *testing.T) {
	p := linear.NewLearned(0, 1)
	s := simulate(t, 50, func(*features.Table) (policies.Orderer, error) { return p, nil })
	for i := range uint64(5000) {
		s.access(i * i % 997)
	}
	state, err := p.ExportState(nil)
	if err != nil {
		t.Fatal(err)
	}
	q := linear.NewLearned(0, 2)
	fresh, _ := q.ExportState(nil)
	if bytes.Equal(state, fresh) {
		t.Error("nothing was learnt")
	}
	if err := q.ImportState(state); err != nil {
		t.Fatal(err)
	}
	if again, _ := q.ExportState(nil); !bytes.Equal(state, again) {
		t.Error("the imported state is another")
	}
	bad := bytes.Clone(state)
	for i := range 4 {
		bad[i] = 0xFF // not a number
	}
	for name, s := range map[string][]byte{"cut": state[1:], "empty": nil, "nan": bad} {
		if err := q.ImportState(s); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
}

// TestLightAndCostlyEntriesStay: of equally popular keys the heavy and cheap
// ones go.
func TestLightAndCostlyEntriesStay(t *testing.T) {
	p := linear.NewLearned(0, 1)
	if err := p.Reset(policies.Capacity{Weight: 1000, MaxSlots: 1000}); err != nil {
		t.Fatal(err)
	}
	for s := range policies.Slot(40) {
		in := policies.Insert{KeyHash: policies.KeyHash(s), Weight: 1, LoadCostMicros: 5000}
		if s%2 == 1 {
			in.Weight = 40
		}
		if err := p.Observe([]policies.Event{{Slot: s, Op: policies.OpInsert}}, []policies.Insert{in}); err != nil {
			t.Fatal(err)
		}
	}
	out := make([]policies.Slot, 15)
	n, err := p.Victims(math.MaxInt64, out)
	if n != len(out) || err != nil {
		t.Fatalf("%d victims, %v", n, err)
	}
	for _, s := range out {
		if s%2 == 0 {
			t.Errorf("victims %v: entry %d is light", out, s)
		}
	}
}

func TestLearnedAllocatesNothing(t *testing.T) {
	s := simulate(t, 1000, newLearned)
	key := uint64(0)
	for ; key < 5000; key++ {
		s.access(key)
	}
	var out [1]policies.Slot
	in := []policies.Insert{{}, {Weight: 1}}
	ev := []policies.Event{{Slot: policies.NoSlot, Op: policies.OpMiss}, {Op: policies.OpInsert}}
	if n := testing.AllocsPerRun(1000, func() {
		if n, err := s.policy.Victims(1, out[:]); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		key++
		in[0].KeyHash, in[1].KeyHash, ev[1].Slot = policies.KeyHash(key), policies.KeyHash(key), out[0]
		if err := s.policy.Observe(ev, in); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a miss, want none", n)
	}
}
