package features

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/perfopt/perfopt/policies"
)

// oldest scores by a function of the row's key.
type byKey func(policies.KeyHash) float64

func (byKey) Info() policies.Info {
	return policies.Info{Name: "by-key", Kind: policies.KindEviction, Columns: []policies.Column{policies.ColSize}}
}

func (f byKey) Score(in *policies.Candidates, out []float64) error {
	for i, h := range in.KeyHash {
		out[i] = f(h)
	}
	return nil
}

func sampled(t *testing.T, f byKey, entries int) (*Table, *Sampler) {
	t.Helper()
	tab := New(Options{})
	p := Sampled(f, tab, SampledOptions{Seed: 1})
	if err := p.Reset(policies.Capacity{Weight: 100, MaxSlots: 1000}); err != nil {
		t.Fatal(err)
	}
	for s := range policies.Slot(entries) {
		events := []policies.Event{{Slot: s, Op: policies.OpInsert}}
		inserts := []policies.Insert{{KeyHash: policies.KeyHash(s), Weight: 2}}
		tab.Observe(start, events, inserts)
		if err := p.Observe(events, inserts); err != nil {
			t.Fatal(err)
		}
	}
	return tab, p
}

func TestSampledNamesTheLowest(t *testing.T) {
	_, p := sampled(t, func(h policies.KeyHash) float64 { return float64(h) }, 12)
	var out [20]policies.Slot
	n, err := p.Victims(6, out[:])
	if err != nil || !slices.Equal(out[:n], []policies.Slot{0, 1, 2}) {
		t.Errorf("victims %v, %v; want the three lowest for a need of 6", out[:n], err)
	}
	n, err = p.Victims(1000, out[:])
	if err != nil || n != 9 || slices.Contains(out[:n], 0) {
		t.Errorf("victims %v, %v; want the nine others", out[:n], err)
	}
}

func TestSampledMayNameTheNewest(t *testing.T) {
	_, p := sampled(t, func(h policies.KeyHash) float64 { return -float64(h) }, 500)
	var out [1]policies.Slot
	if n, err := p.Victims(1, out[:]); n != 1 || err != nil || out[0] != 499 {
		t.Errorf("victim %v, %v; want the newest", out[:n], err)
	}
	if n, err := p.Victims(1, out[:]); n != 1 || err != nil || out[0] == 499 {
		t.Errorf("victim %v, %v; want another one", out[:n], err)
	}
}

func TestSampledRefusesNaN(t *testing.T) {
	_, p := sampled(t, func(policies.KeyHash) float64 { return math.NaN() }, 5)
	var fault *policies.Fault
	if _, err := p.Victims(1, make([]policies.Slot, 1)); !errors.As(err, &fault) || fault.Reason != policies.FaultOutput {
		t.Errorf("error %v, want an output fault", err)
	}
}
