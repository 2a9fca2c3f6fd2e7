package hostabi

import (
	"encoding/binary"
	"fmt"

	"github.com/perfopt/perfopt/hostabi/abi"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
)

// Eviction returns the module's policy of kind eviction: its own order, or its
// scores made an order by a sampler over env.Features. It implements io.Closer and tells its
// fuel through FuelUsed() uint64. It must be Reset before it is used; after a
// fault it answers nothing until it is Reset again, which starts a fresh
// instance.
func (m *Module) Eviction(env Env) (policies.Orderer, error) {
	if !m.scores {
		i, err := m.newInstance(policies.KindEviction, env)
		if err != nil {
			return nil, err
		}
		return &orderer{instance: i}, nil
	}
	if env.Features == nil {
		return nil, fmt.Errorf("policy module %s scores candidates: it needs the cache's features", m.manifest.Name)
	}
	s, err := m.scorer(env)
	if err != nil {
		return nil, err
	}
	return &sampled{Orderer: features.Sampled(s, env.Features, features.SampledOptions{Seed: env.Seed}), scorer: s}, nil
}

// orderer is a module's order of eviction.
type orderer struct {
	*instance
	live int // residents that the guest was shown; guarded by mu
}

var (
	_ policies.Orderer  = (*orderer)(nil)
	_ policies.Stateful = (*orderer)(nil)
)

// Reset implements policies.Orderer: it starts a fresh guest.
func (o *orderer) Reset(c policies.Capacity) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.g != nil {
		o.g.close()
		o.g = nil
	}
	o.o.capacity, o.live = c, 0
	_, err := o.guest()
	return err
}

// current returns the guest without starting one: a fresh guest would not know
// the residents.
func (o *orderer) current() (*guest, error) {
	if o.g == nil {
		return nil, o.m.fault(o.o.kind, policies.FaultStatus, "has no instance: it was not reset since its start or its last fault")
	}
	return o.g, nil
}

// Observe implements policies.Orderer. Nothing is allocated.
func (o *orderer) Observe(events []policies.Event, inserts []policies.Insert) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	g, err := o.current()
	if err != nil {
		return err
	}
	for i := range events {
		switch events[i].Op {
		case policies.OpInsert, policies.OpRestore:
			o.live++
		case policies.OpRemove, policies.OpExpire:
			o.live--
		}
	}
	_, fault := o.observe(g, o.clock(), events, inserts)
	if fault != nil {
		return o.spend(fault)
	}
	return nil
}

// observe shows events in batches. unsupported says that the module does not
// want any.
func (i *instance) observe(g *guest, now policies.Nanos, events []policies.Event, inserts []policies.Insert) (unsupported bool, fault *policies.Fault) {
	for len(events) > 0 {
		n := min(len(events), int(g.m.manifest.MaxBatch))
		k := len(inserts)
		flags := uint32(abi.FlagLastBatch)
		if n < len(events) {
			flags, k = 0, 0
			for j := range events[:n] {
				if events[j].Op.HasInsert() {
					k++
				}
			}
		}
		if k > n || k > len(inserts) {
			panic(fmt.Sprintf("hostabi: %d events with %d insert rows", len(events), len(inserts)))
		}
		g.begin(now, n, k, flags)
		in := g.in()
		copy(in, bytesOf(events[:n]))
		copy(in[g.insertsOffset:], bytesOf(inserts[:k]))
		status, fault := g.call(g.events, g.m.budget(n), uint64(n))
		i.account()
		switch {
		case fault != nil:
			return false, fault
		case status == int32(abi.StatusUnsupported):
			return true, g.status(abi.ExportEvents, status)
		case status < 0 && status != int32(abi.StatusWarmingUp):
			return false, g.status(abi.ExportEvents, status)
		}
		events, inserts = events[n:], inserts[k:]
	}
	return false, nil
}

// Victims implements policies.Orderer. Nothing is allocated.
func (o *orderer) Victims(need int64, out []policies.Slot) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	g, err := o.current()
	if err != nil {
		return 0, err
	}
	want := min(len(out), int(g.m.manifest.MaxBatch))
	if want == 0 {
		return 0, nil
	}
	g.begin(o.clock(), want, 0, 0)
	in := g.in()
	binary.LittleEndian.PutUint64(in[abi.EvictNeed:], uint64(need))
	binary.LittleEndian.PutUint32(in[abi.EvictLive:], uint32(max(o.live, 0)))
	binary.LittleEndian.PutUint32(in[abi.EvictMaxSlots:], o.o.capacity.MaxSlots)
	n, fault := g.call(g.decide, g.m.budget(want), uint64(want))
	o.account()
	switch {
	case fault != nil:
		return 0, o.spend(fault)
	case n == int32(abi.StatusWarmingUp):
		return 0, nil
	case n < 0:
		return 0, o.spend(g.status(abi.ExportEvict, n))
	case int(n) > want:
		return 0, o.spend(g.failed(policies.FaultOutput, fmt.Sprintf("%s named %d victims, want at most %d", abi.ExportEvict, n, want)))
	}
	copy(bytesOf(out[:n]), g.out())
	o.live -= int(n)
	return int(n), nil
}

// scorePolicy is a module's scores of eviction candidates.
type scorePolicy struct{ *instance }

var (
	_ policies.Scorer   = (*scorePolicy)(nil)
	_ policies.Stateful = (*scorePolicy)(nil)
)

// Scorer returns the module's policy of kind eviction in the form that scores
// candidates. After a fault the next call starts a fresh instance.
func (m *Module) Scorer(env Env) (policies.Scorer, error) { return m.scorer(env) }

func (m *Module) scorer(env Env) (*scorePolicy, error) {
	if !m.scores {
		return nil, fmt.Errorf("policy module %s does not score: it keeps an order", m.manifest.Name)
	}
	i, err := m.started(policies.KindEviction, env)
	if err != nil {
		return nil, err
	}
	return &scorePolicy{i}, nil
}

// Score implements policies.Scorer. Nothing is allocated.
func (p *scorePolicy) Score(in *policies.Candidates, out []float64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for from, rows := 0, in.Len(); from < rows; {
		g, err := p.guest()
		if err != nil {
			return err
		}
		n := min(rows-from, int(g.m.manifest.MaxBatch))
		warming, fault := p.rows(g, abi.ExportScore, &in.Rows, from, n)
		if fault != nil {
			return p.spend(fault)
		}
		scores := floatsOf(g.out(), n)
		if warming {
			scores = in.Column(policies.ColPrediction)
			if scores == nil {
				return g.failed(policies.FaultStatus, "is warming up, and the host gave no prediction")
			}
			scores = scores[from : from+n]
		}
		for row, s := range scores {
			if s != s {
				return p.spend(g.failed(policies.FaultOutput, fmt.Sprintf("row %d of %d: score is NaN", from+row, rows)))
			}
			out[from+row] = s
		}
		from += n
	}
	return nil
}

// sampled is an order made of a module's scores, with the scorer's life.
type sampled struct {
	policies.Orderer
	scorer *scorePolicy
}

// Info describes the module; the sampler's columns are its business.
func (s *sampled) Info() policies.Info { return s.scorer.Info() }

// FuelUsed returns the fuel that all calls used.
func (s *sampled) FuelUsed() uint64 { return s.scorer.FuelUsed() }

// ExportState appends the scorer's state to dst.
func (s *sampled) ExportState(dst []byte) ([]byte, error) { return s.scorer.ExportState(dst) }

// ImportState replaces the scorer's state.
func (s *sampled) ImportState(state []byte) error { return s.scorer.ImportState(state) }

// Close closes the scorer.
func (s *sampled) Close() error { return s.scorer.Close() }
