package policytest

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/perfopt/perfopt/sdk/go/policy"
)

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	failure string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) { r.failure = fmt.Sprintf(format, args...) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// failure returns why a check failed, "" where it passed.
func failure(check func(t testing.TB)) string {
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		check(r)
	}()
	<-done
	return r.failure
}

var manifest = policy.Manifest{Name: "x", Columns: []policy.Column{policy.BaseTTL, policy.LoadCost}}

// decide is a policy of every kind but eviction, made of functions.
type decide struct {
	values  func(b *policy.Batch, out []float64) error
	propose func(b *policy.Batch, out []policy.KeyHash) (int, error)
	limit   func(in *policy.Load) float64
}

func (d decide) TTL(b *policy.Batch, out []float64) error   { return d.values(b, out) }
func (d decide) Score(b *policy.Batch, out []float64) error { return d.values(b, out) }
func (d decide) Observe(*policy.Events) error               { return nil }
func (d decide) Propose(b *policy.Batch, out []policy.KeyHash) (int, error) {
	return d.propose(b, out)
}
func (d decide) Limit(in *policy.Load) (float64, policy.Reason, error) { return d.limit(in), 0, nil }

func TestChecksFindWhatIsWrong(t *testing.T) {
	calls := 0.0
	counting := func(b *policy.Batch, out []float64) error {
		calls++
		out[0] = calls
		return nil
	}
	constant := func(v float64, err error) func(*policy.Batch, []float64) error {
		return func(_ *policy.Batch, out []float64) error {
			for i := range out {
				out[i] = v
			}
			return err
		}
	}
	for _, c := range []struct {
		name  string
		check func(t testing.TB)
		want  string
	}{
		{"ttl", func(t testing.TB) { checkTTL(t, manifest, decide{values: constant(5, nil)}) }, ""},
		{"ttl that is NaN", func(t testing.TB) { checkTTL(t, manifest, decide{values: constant(math.NaN(), nil)}) }, "TTL is NaN"},
		{"ttl below zero", func(t testing.TB) { checkTTL(t, manifest, decide{values: constant(-1, nil)}) }, "TTL is -1"},
		{"ttl with memory", func(t testing.TB) { checkTTL(t, manifest, decide{values: counting}) }, "decision 0 differs"},
		{"ttl that fails", func(t testing.TB) { checkTTL(t, manifest, decide{values: constant(1, errors.New("broken"))}) }, "broken"},
		{"ttl that warms up", func(t testing.TB) { checkTTL(t, manifest, decide{values: constant(math.NaN(), policy.ErrWarmingUp)}) }, ""},
		{"score", func(t testing.TB) { checkScorer(t, manifest, decide{values: constant(math.Inf(1), nil)}) }, ""},
		{"score that is NaN", func(t testing.TB) { checkScorer(t, manifest, decide{values: constant(math.NaN(), nil)}) }, "score is NaN"},
		{"limit", func(t testing.TB) { checkScaling(t, decide{limit: func(in *policy.Load) float64 { return in.Limit }}) }, ""},
		{"limit that is NaN", func(t testing.TB) {
			checkScaling(t, decide{limit: func(in *policy.Load) float64 { return in.Limit * in.MeanMillis }})
		}, "limit is NaN"},
		{"proposals", func(t testing.TB) {
			checkPrefetch(t, manifest, decide{propose: func(b *policy.Batch, out []policy.KeyHash) (int, error) { return copy(out, b.Keys()), nil }})
		}, ""},
		{"invented key", func(t testing.TB) {
			checkPrefetch(t, manifest, decide{propose: func(_ *policy.Batch, out []policy.KeyHash) (int, error) {
				out[0] = 1 << 40
				return 1, nil
			}})
		}, "invented key"},
		{"too many proposals", func(t testing.TB) {
			checkPrefetch(t, manifest, decide{propose: func(*policy.Batch, []policy.KeyHash) (int, error) { return 17, nil }})
		}, "want 0 to 16"},
		{"order", func(t testing.TB) { checkOrderer(t, &queue{}) }, ""},
		{"order that forgets removals", func(t testing.TB) { checkOrderer(t, &queue{forgets: true}) }, "not resident"},
		{"order that names nothing", func(t testing.TB) { checkOrderer(t, &queue{silent: true}) }, "returned 0"},
		{"state", func(t testing.TB) { checkState(t, manifest, &state{value: 7}) }, ""},
		{"state that is lost", func(t testing.TB) { checkState(t, manifest, &state{value: 7, loses: true}) }, "another one after import"},
	} {
		got := failure(c.check)
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: failed with %q, want %q", c.name, got, c.want)
		}
	}
}

// queue is first in, first out.
type queue struct {
	forgets, silent bool
	slots           []policy.Slot
}

func (q *queue) Reset(policy.Capacity) error {
	q.slots = nil
	return nil
}

func (q *queue) Observe(e *policy.Events) error {
	for ev := range e.All() {
		switch ev.Op {
		case policy.OpInsert, policy.OpRestore:
			q.slots = append(q.slots, ev.Slot)
		case policy.OpRemove:
			for i, s := range q.slots {
				if s == ev.Slot && !q.forgets {
					q.slots = append(q.slots[:i], q.slots[i+1:]...)
					break
				}
			}
		}
	}
	return nil
}

func (q *queue) Victims(_ int64, out []policy.Slot) (int, error) {
	if q.silent {
		return 0, nil
	}
	n := copy(out, q.slots)
	q.slots = q.slots[n:]
	return n, nil
}

type state struct {
	value byte
	loses bool
}

func (s *state) ExportState(dst []byte) ([]byte, error) { return append(dst, s.value), nil }

func (s *state) ImportState(state []byte, _ uint32) error {
	s.value = state[0]
	if s.loses {
		s.value = 0
	}
	return nil
}
