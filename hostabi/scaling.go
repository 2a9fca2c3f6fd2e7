package hostabi

import (
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/perfopt/perfopt/hostabi/abi"
	"github.com/perfopt/perfopt/policies"
)

// scalingPolicy is a module's choice of the limit.
type scalingPolicy struct{ *instance }

var (
	_ policies.Scaling  = (*scalingPolicy)(nil)
	_ policies.Stateful = (*scalingPolicy)(nil)
)

// Scaling returns the module's policy of kind scaling. It implements io.Closer
// and policies.Stateful, and tells its fuel through FuelUsed() uint64. After a
// fault the next call starts a fresh instance.
func (m *Module) Scaling(env Env) (policies.Scaling, error) {
	i, err := m.started(policies.KindScaling, env)
	if err != nil {
		return nil, err
	}
	return &scalingPolicy{i}, nil
}

// Limit implements policies.Scaling. Nothing is allocated.
func (p *scalingPolicy) Limit(in *policies.Load) (float64, policies.Reason, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g, err := p.guest()
	if err != nil {
		return 0, 0, err
	}
	g.begin(in.Now, 0, 0, abi.FlagLastBatch)
	region := g.in()
	binary.LittleEndian.PutUint64(region, math.Float64bits(float64(in.Tick)))
	// From Limit on, policies.Load is the record: float64 without a gap.
	numbers := unsafe.Slice(&in.Limit, abi.LoadFields-1)
	copy(region[8:], bytesOf(numbers))
	status, fault := g.call(g.decide, g.m.budget(0))
	p.account()
	switch {
	case fault != nil:
		return 0, 0, p.spend(fault)
	case status == int32(abi.StatusWarmingUp):
		return 0, 0, ErrWarmingUp
	case status < 0:
		return 0, 0, p.spend(g.status(abi.ExportScale, status))
	}
	out := g.out()
	limit := math.Float64frombits(binary.LittleEndian.Uint64(out[abi.ScaleOutLimit:]))
	return limit, policies.Reason(binary.LittleEndian.Uint32(out[abi.ScaleOutReason:])), nil
}
