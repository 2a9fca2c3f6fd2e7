package hostabi

import (
	"fmt"
	"math"

	"github.com/perfopt/perfopt/hostabi/abi"
	"github.com/perfopt/perfopt/policies"
)

// ttlPolicy is a module's decision of lifetimes. Safe for concurrent use: calls
// are serialised.
type ttlPolicy struct{ *instance }

var (
	_ policies.TTL      = (*ttlPolicy)(nil)
	_ policies.Stateful = (*ttlPolicy)(nil)
)

// TTL returns the module's policy of kind ttl. It is safe for concurrent use,
// implements io.Closer and policies.Stateful, and tells its fuel through
// FuelUsed() uint64. After a fault the next call starts a fresh instance.
func (m *Module) TTL(env Env) (policies.TTL, error) {
	i, err := m.started(policies.KindTTL, env)
	if err != nil {
		return nil, err
	}
	return &ttlPolicy{i}, nil
}

// TTL implements policies.TTL. Nothing is allocated.
func (p *ttlPolicy) TTL(in *policies.TTLBatch, out []policies.Nanos) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for from, rows := 0, in.Len(); from < rows; {
		g, err := p.guest()
		if err != nil {
			return err
		}
		n := min(rows-from, int(g.m.manifest.MaxBatch))
		warming, fault := p.rows(g, abi.ExportTTL, &in.Rows, from, n)
		if fault != nil {
			return p.spend(fault)
		}
		if warming {
			return ErrWarmingUp
		}
		seconds := floatsOf(g.out(), n)
		for row, s := range seconds {
			if s != s {
				return p.spend(g.failed(policies.FaultOutput, fmt.Sprintf("row %d of %d: lifetime is NaN", from+row, rows)))
			}
			out[from+row] = nanos(s)
		}
		from += n
	}
	return nil
}

// rows asks an export that answers a float64 for each of n rows. warming says
// that the module has no opinion yet.
func (i *instance) rows(g *guest, export string, rows *policies.Rows, from, n int) (warming bool, fault *policies.Fault) {
	flags := uint32(0)
	if from+n == rows.Len() {
		flags = abi.FlagLastBatch
	}
	g.begin(rows.Now, n, 0, flags)
	i.writeRows(g, rows, from, n)
	status, fault := g.call(g.decide, g.m.budget(n), uint64(n))
	i.account()
	switch {
	case fault != nil:
		return false, fault
	case status == int32(abi.StatusWarmingUp):
		return true, nil
	case status < 0:
		return false, g.status(export, status)
	case int(status) != n:
		return false, g.failed(policies.FaultOutput, fmt.Sprintf("%s answered %d rows of %d", export, status, n))
	}
	return false, nil
}

// warmingUp is the error of a module that has no opinion yet.
type warmingUp struct{}

func (warmingUp) Error() string { return "the policy is warming up" }

// Warming tells guards that it is no fault: the fallback decides.
func (warmingUp) Warming() bool { return true }

// ErrWarmingUp is returned where a module has no opinion yet and the host has
// to decide by itself. It is not a fault; the instance goes on.
var ErrWarmingUp error = warmingUp{}

// nanos turns seconds into nanoseconds, saturating.
func nanos(seconds float64) policies.Nanos {
	const limit = 9.2e9 // 292 years
	switch {
	case seconds >= limit:
		return math.MaxInt64
	case seconds <= -limit:
		return math.MinInt64
	}
	return policies.Nanos(seconds * 1e9)
}
