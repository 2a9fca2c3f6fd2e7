package hostabi

import (
	"fmt"

	"github.com/perfopt/perfopt/hostabi/abi"
	"github.com/perfopt/perfopt/policies"
)

// prefetchPolicy is a module's choice of what to load ahead.
type prefetchPolicy struct {
	*instance
	deaf bool // the module wants no events; guarded by mu
}

var (
	_ policies.Prefetch = (*prefetchPolicy)(nil)
	_ policies.Stateful = (*prefetchPolicy)(nil)
)

// Prefetch returns the module's policy of kind prefetch. It implements
// io.Closer and policies.Stateful, and tells its fuel through FuelUsed()
// uint64. After a fault the next call starts a fresh instance, which has learnt
// nothing.
func (m *Module) Prefetch(env Env) (policies.Prefetch, error) {
	i, err := m.started(policies.KindPrefetch, env)
	if err != nil {
		return nil, err
	}
	return &prefetchPolicy{instance: i, deaf: !m.exports(abi.ExportEvents)}, nil
}

// Observe implements policies.Prefetch. Nothing is allocated.
func (p *prefetchPolicy) Observe(events []policies.Event, inserts []policies.Insert) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.deaf {
		return nil
	}
	g, err := p.guest()
	if err != nil {
		return err
	}
	unsupported, fault := p.observe(g, p.clock(), events, inserts)
	if unsupported {
		p.deaf = true
		return nil
	}
	if fault != nil {
		return p.spend(fault)
	}
	return nil
}

// Propose implements policies.Prefetch. More candidates than the module takes
// at once are shown in batches, each with what is left of the budget.
func (p *prefetchPolicy) Propose(in *policies.Candidates, budget int, out []policies.KeyHash) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	total := 0
	budget = min(budget, len(out))
	for from, rows := 0, in.Len(); budget > total && (from < rows || from == 0); {
		g, err := p.guest()
		if err != nil {
			return 0, err
		}
		n := min(rows-from, int(g.m.manifest.MaxBatch))
		room := min(budget-total, int(g.m.manifest.MaxBatch))
		flags := uint32(0)
		if from+n == rows {
			flags = abi.FlagLastBatch
		}
		g.begin(in.Now, n, room, flags)
		p.writeRows(g, &in.Rows, from, n)
		k, fault := g.call(g.decide, g.m.budget(n+room), uint64(n))
		p.account()
		switch {
		case fault != nil:
			return 0, p.spend(fault)
		case k == int32(abi.StatusWarmingUp):
			k = 0
		case k < 0:
			return 0, p.spend(g.status(abi.ExportPrefetch, k))
		case int(k) > room:
			return 0, p.spend(g.failed(policies.FaultOutput, fmt.Sprintf("%s proposed %d keys, want at most %d", abi.ExportPrefetch, k, room)))
		}
		copy(bytesOf(out[total:total+int(k)]), g.out())
		total += int(k)
		if from += n; n == 0 {
			break
		}
	}
	return total, nil
}
