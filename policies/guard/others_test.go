package guard

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/perfopt/perfopt/policies"
)

type scalingFunc func(*policies.Load) (float64, policies.Reason, error)

func (scalingFunc) Info() policies.Info {
	return policies.Info{Name: "test", Kind: policies.KindScaling}
}
func (f scalingFunc) Limit(in *policies.Load) (float64, policies.Reason, error) { return f(in) }

func limit(v float64) scalingFunc {
	return func(*policies.Load) (float64, policies.Reason, error) { return v, policies.ReasonGrow, nil }
}

func TestLimitsAreBounded(t *testing.T) {
	for _, c := range []struct {
		name            string
		policy          scalingFunc
		fallback        policies.Scaling
		least, most     float64
		want            float64
		clamped, faults uint64
		reason          string
	}{
		{"right", limit(22), limit(19), 1, 100, 22, 0, 0, "grow"},
		{"more than half as much again", limit(90), nil, 1, 100, 30, 1, 0, "grow"},
		{"less than half", limit(-5), nil, 1, 100, 10, 1, 0, "grow"},
		{"above the most", limit(28), nil, 1, 25, 25, 1, 0, "grow"},
		{"below the least", limit(12), nil, 15, 100, 15, 1, 0, "grow"},
		{"not a number", limit(math.NaN()), limit(19), 1, 100, 19, 0, 1, "fallback: output"},
		{"endless", limit(math.Inf(1)), nil, 1, 100, 20, 0, 1, "fallback: output"},
		{"error", func(*policies.Load) (float64, policies.Reason, error) { return 5, 0, errors.New("no") }, limit(19), 1, 100, 19, 0, 1, "fallback: status"},
		{"panic", func(*policies.Load) (float64, policies.Reason, error) { panic("no") }, limit(500), 1, 100, 30, 0, 1, "fallback: trap"},
		{"warming up", func(*policies.Load) (float64, policies.Reason, error) { return 0, 0, warmingError{} }, limit(19), 1, 100, 19, 0, 0, "grow"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := NewHealth(Options{})
			g := Scaling(c.policy, c.fallback, h)
			in := policies.Load{Tick: 4, Limit: 20, MinLimit: c.least, MaxLimit: c.most, MeanMillis: math.NaN(), CPU: 0.25}
			got, _, err := g.Limit(&in)
			if err != nil || got != c.want {
				t.Errorf("limit %v, %v; want %v", got, err, c.want)
			}
			if s := h.Snapshot(); s.Clamped != c.clamped || s.TotalFaults() != c.faults {
				t.Errorf("snapshot %+v", s)
			}
			d := h.Decisions()[0]
			if _, shown := d.Inputs["mean_ms"]; shown || d.Inputs["cpu"] != 0.25 || d.Inputs["limit"] != 20 || d.Outputs["limit"] != c.want || d.Reason != c.reason {
				t.Errorf("decision %+v", d)
			}
		})
	}
}

type prefetchFunc func(budget int, out []policies.KeyHash) (int, error)

func (prefetchFunc) Info() policies.Info {
	return policies.Info{Name: "test", Kind: policies.KindPrefetch}
}
func (prefetchFunc) Observe([]policies.Event, []policies.Insert) error { return nil }
func (f prefetchFunc) Propose(_ *policies.Candidates, budget int, out []policies.KeyHash) (int, error) {
	return f(budget, out)
}

func proposes(n int, keys ...policies.KeyHash) prefetchFunc {
	return func(_ int, out []policies.KeyHash) (int, error) { copy(out, keys); return n, nil }
}

func TestProposalsAreChecked(t *testing.T) {
	for _, c := range []struct {
		name    string
		policy  prefetchFunc
		want    []policies.KeyHash
		dropped uint64
		faults  uint64
	}{
		{"candidates and shown keys", proposes(3, 7, 1, 2), []policies.KeyHash{7, 1, 2}, 0, 0},
		{"none", proposes(0), nil, 0, 0},
		{"repeated", proposes(3, 7, 7, 1), []policies.KeyHash{7, 1}, 1, 0},
		{"invented", proposes(2, 7, 99), nil, 0, 1},
		{"too many", proposes(4, 7, 8, 1, 2), nil, 0, 1},
		{"fewer than none", proposes(-1), nil, 0, 1},
		{"panic", func(int, []policies.KeyHash) (int, error) { panic("no") }, nil, 0, 1},
		{"error", func(int, []policies.KeyHash) (int, error) { return 1, errors.New("no") }, nil, 0, 1},
		{"warming up", func(int, []policies.KeyHash) (int, error) { return 3, warmingError{} }, nil, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := NewHealth(Options{})
			g := Prefetch(c.policy, h)
			if err := g.Observe([]policies.Event{{Op: policies.OpMiss}, {Op: policies.OpMiss}}, []policies.Insert{{KeyHash: 1}, {KeyHash: 2}}); err != nil {
				t.Fatal(err)
			}
			in := new(policies.Candidates)
			in.Resize(2, nil)
			in.KeyHash[0], in.KeyHash[1] = 7, 8
			out := make([]policies.KeyHash, 5)
			n, err := g.Propose(in, 3, out)
			if err != nil || !slices.Equal(out[:n], c.want) && n+len(c.want) > 0 {
				t.Errorf("proposed %v, %v; want %v", out[:n], err, c.want)
			}
			if s := h.Snapshot(); s.Dropped != c.dropped || s.TotalFaults() != c.faults {
				t.Errorf("snapshot %+v", s)
			}
		})
	}
}

func TestForgottenKeysAreDroppedNotFaults(t *testing.T) {
	h := NewHealth(Options{})
	g := Prefetch(proposes(1, 1<<40), h)
	rows := make([]policies.Insert, 1<<17)
	for i := range rows {
		rows[i].KeyHash = policies.KeyHash(i)
	}
	if err := g.Observe(make([]policies.Event, len(rows)), rows); err != nil {
		t.Fatal(err)
	}
	n, err := g.Propose(new(policies.Candidates), 3, make([]policies.KeyHash, 3))
	if s := h.Snapshot(); n != 0 || err != nil || s.Dropped != 1 || s.TotalFaults() != 0 {
		t.Errorf("%d proposals, %v, snapshot %+v", n, err, s)
	}
}
