// Package conform is the conformance kit for policy modules: it asks a loaded
// module many questions, the same ones every time, and says whether it could
// sit in a seat. "perfopt policy test" prints what it finds.
//
//   - [Run] makes a [Report] about one kind that the module decides.
//   - [Check] is one line of it: what was looked at, and how it went.
//
// Looked at: the host's own trial (traps, loops, nonsense on extreme inputs);
// that answers are in bounds, victims resident and proposals of keys that were
// shown, as package guard sees it; that two instances given the same inputs give
// the same answers; and the fuel of a decision against its budget.
//
// It must not know what a good policy is: a replay or an experiment tells that.
//
// Caveats. The questions are a few thousand made-up ones; a policy that passes
// can still misbehave later, and then its guard acts.
package conform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/perfopt/perfopt/hostabi"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/guard"
)

// Check is one thing that was looked at.
type Check struct {
	Name   string `json:"name"`
	Passed bool   `json:"passed"`
	Detail string `json:"detail"` // a number or a reason, for people
}

// Report is what was found about one kind.
type Report struct {
	Kind   policies.Kind `json:"kind"`
	Checks []Check       `json:"checks"`
	// FuelOne is the fuel of a decision about one row, FuelRow that of a row of
	// a full batch; a scaling policy has no rows and the two are equal.
	FuelOne float64 `json:"fuel_one"`
	FuelRow float64 `json:"fuel_row"`
	// FuelShare is the largest share of its budget that a call used, 0..1.
	FuelShare float64 `json:"fuel_share"`
}

// Passed reports whether every check passed.
func (r *Report) Passed() bool {
	return !slices.ContainsFunc(r.Checks, func(c Check) bool { return !c.Passed })
}

// Run looks at the module's policy of a kind under the given settings. It
// returns an error where it could not look: the module does not decide the
// kind, the settings do not fit, or ctx is done.
func Run(ctx context.Context, m *hostabi.Module, kind policies.Kind, config map[string]any) (*Report, error) {
	if !m.Manifest().Has(kind) {
		return nil, fmt.Errorf("module %s decides %v, not %s", m.Manifest().Name, m.Kinds(), kind)
	}
	if err := m.ValidateConfig(config); err != nil {
		return nil, err
	}
	r := &Report{Kind: kind}
	err := m.Trial(ctx, kind, config)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if !r.add("trial", err, "ordinary, empty, full and extreme inputs") {
		return r, nil
	}
	first, err := drive(ctx, m, kind, config)
	if err != nil {
		return nil, err
	}
	second, err := drive(ctx, m, kind, config)
	if err != nil {
		return nil, err
	}
	r.add("bounds", first.fault(), first.bounds())
	r.add("determinism", differ(first.answers, second.answers), fmt.Sprintf("%d answers, twice the same", len(first.answers)))
	r.FuelOne, r.FuelRow, r.FuelShare = first.one, first.row, first.share
	detail := fmt.Sprintf("%.0f for one row, %.0f a row of a batch", first.one, first.row)
	if kind == policies.KindScaling {
		detail = fmt.Sprintf("%.0f a decision", first.one)
	}
	r.add("fuel", nil, fmt.Sprintf("%s; at most %.0f %% of a call's budget", detail, math.Ceil(100*first.share)))
	return r, nil
}

// add notes a check and reports whether it passed.
func (r *Report) add(name string, err error, detail string) bool {
	if err != nil {
		detail = err.Error()
	}
	r.Checks = append(r.Checks, Check{Name: name, Passed: err == nil, Detail: detail})
	return err == nil
}

// session is one instance of the policy and what came of asking it.
type session struct {
	fuel    func() uint64        // used so far
	budget  func(rows int) int64 // what a call may use
	health  *guard.Health
	answers []float64
	faulted error // the first fault

	one, row, share float64
	most            int    // rows of the largest call
	used            uint64 // when the last call ended
}

// drive asks a fresh instance every question.
func drive(ctx context.Context, m *hostabi.Module, kind policies.Kind, config map[string]any) (*session, error) {
	s := &session{budget: m.Budget}
	s.health = guard.NewHealth(guard.Options{OnFault: func(f *policies.Fault) {
		if s.faulted == nil {
			s.faulted = f
		}
	}})
	q := &questions{ctx: ctx, session: s}
	env := hostabi.Env{Config: config, Seed: 1, Replay: true, Now: func() policies.Nanos { return q.now }}
	var instance any
	var err error
	var ask func() error
	switch {
	case kind == policies.KindEviction && m.Scores():
		var p policies.Scorer
		p, err = m.Scorer(env)
		instance, ask = p, func() error { return q.score(p) }
	case kind == policies.KindEviction:
		var p policies.Orderer
		p, err = m.Eviction(env)
		instance, ask = p, func() error { return q.order(guard.Eviction(p, s.health)) }
	case kind == policies.KindTTL:
		var p policies.TTL
		p, err = m.TTL(env)
		instance, ask = p, func() error { return q.ttl(p.Info().Columns, guard.TTL(p, noTTL{}, s.health)) }
	case kind == policies.KindPrefetch:
		var p policies.Prefetch
		p, err = m.Prefetch(env)
		instance, ask = p, func() error { return q.prefetch(p.Info().Columns, guard.Prefetch(p, s.health)) }
	case kind == policies.KindScaling:
		var p policies.Scaling
		p, err = m.Scaling(env)
		instance, ask = p, func() error { return q.scaling(guard.Scaling(p, noScaling{}, s.health)) }
	default:
		err = fmt.Errorf("unknown policy kind %q", kind)
	}
	if err != nil {
		return nil, err
	}
	if meter, ok := instance.(guard.FuelMeter); ok {
		s.fuel = meter.FuelUsed
	} else {
		s.fuel = func() uint64 { return 0 }
	}
	s.used = s.fuel() // by starting
	err = ask()
	if closer, ok := instance.(io.Closer); ok {
		err = errors.Join(err, closer.Close())
	}
	return s, err
}

// called accounts for the fuel of a call about that many rows.
func (s *session) called(rows int) {
	used := float64(s.fuel() - s.used)
	s.used = s.fuel()
	s.share = max(s.share, used/float64(s.budget(rows)))
	if rows <= 1 {
		s.one = used
	}
	if rows >= s.most {
		s.most, s.row = rows, used/float64(max(rows, 1))
	}
}

func (s *session) fault() error { return s.faulted }

// bounds says how the answers lay.
func (s *session) bounds() string {
	n := s.health.Snapshot()
	text := "every answer can be used"
	if n.Clamped > 0 {
		text += fmt.Sprintf("; %d were clamped", n.Clamped)
	}
	if n.Dropped > 0 {
		text += fmt.Sprintf("; %d proposals were left out", n.Dropped)
	}
	return text
}

// differ says where two lists of answers part.
func differ(a, b []float64) error {
	for i := range min(len(a), len(b)) {
		if math.Float64bits(a[i]) != math.Float64bits(b[i]) {
			return fmt.Errorf("answer %d was %v and then %v for the same inputs: take time and randomness from the host, and leave nothing of a former life", i+1, a[i], b[i])
		}
	}
	if len(a) != len(b) {
		return fmt.Errorf("%d answers and then %d for the same inputs", len(a), len(b))
	}
	return nil
}

// noTTL and noScaling stand in for the built-in policies: what they answer
// does not count, because the fault before it already does.
type noTTL struct{}

func (noTTL) Info() policies.Info { return policies.Info{Name: "none", Kind: policies.KindTTL} }

func (noTTL) TTL(_ *policies.TTLBatch, out []policies.Nanos) error {
	clear(out)
	return nil
}

type noScaling struct{}

func (noScaling) Info() policies.Info { return policies.Info{Name: "none", Kind: policies.KindScaling} }

func (noScaling) Limit(in *policies.Load) (float64, policies.Reason, error) {
	return in.Limit, policies.ReasonHold, nil
}
