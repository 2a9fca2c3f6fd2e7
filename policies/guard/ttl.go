package guard

import (
	"fmt"
	"math"
	"slices"

	"github.com/perfopt/perfopt/policies"
)

// TTLGuard checks a TTL policy: an answer lies within the row's bounds and is
// never above the origin's own freshness. Safe for concurrent use if the
// policy and the fallback are.
type TTLGuard struct {
	policy   policies.TTL
	fallback policies.TTL
	info     policies.Info // with the columns that the guard and the fallback read
	health   *Health
	meter    meter
}

var _ policies.TTL = (*TTLGuard)(nil)

// TTL returns a guard around a TTL policy. The fallback decides where the
// policy cannot; nil means the base TTL.
func TTL(p policies.TTL, fallback policies.TTL, h *Health) *TTLGuard {
	g := &TTLGuard{policy: p, fallback: fallback, info: p.Info(), health: h, meter: meterOf(p)}
	columns := slices.Clone(g.info.Columns)
	wanted := []policies.Column{policies.ColBaseTTL, policies.ColOriginTTL, policies.ColMinTTL, policies.ColMaxTTL}
	if fallback != nil {
		wanted = append(wanted, fallback.Info().Columns...)
	}
	for _, c := range wanted {
		if !slices.Contains(columns, c) {
			columns = append(columns, c)
		}
	}
	g.info.Columns = columns
	return g
}

// Info describes the guarded policy; its columns are those of the policy, then
// what guard and fallback need.
func (g *TTLGuard) Info() policies.Info { return g.info }

// TTL writes one lifetime a row; it never fails.
func (g *TTLGuard) TTL(in *policies.TTLBatch, out []policies.Nanos) error {
	var fault *policies.Fault
	fallback := g.health.Quarantined()
	if !fallback {
		fault, fallback = g.ask(in, out)
	}
	if fallback {
		g.decideAlone(in, out)
	}
	clamped := clampTTL(in, out)
	if clamped > 0 && !fallback {
		g.health.clamped.Add(uint64(clamped))
	}
	if in.Len() > 0 && len(out) > 0 {
		g.remember(in, out, fault)
	}
	return nil
}

// ask asks the policy and reports whether the fallback must decide.
func (g *TTLGuard) ask(in *policies.TTLBatch, out []policies.Nanos) (*policies.Fault, bool) {
	start := g.health.begin(in.Len())
	warm := true
	fault := call(g.info, func() error {
		err := g.policy.TTL(in, out)
		if isWarming(err) {
			warm = false
			return nil
		}
		return err
	})
	g.health.end(start, in.Len())
	g.meter.read(g.health)
	if fault == nil && warm {
		for i, ttl := range out[:min(len(out), in.Len())] {
			if ttl < 0 {
				fault = faultOf(g.info, policies.FaultOutput, fmt.Sprintf("row %d has the negative lifetime %d ns", i, ttl))
				break
			}
		}
	}
	if fault != nil {
		g.health.fault(fault)
	}
	return fault, fault != nil || !warm
}

// decideAlone asks the fallback; where that errs too, the base TTL counts.
func (g *TTLGuard) decideAlone(in *policies.TTLBatch, out []policies.Nanos) {
	if g.fallback != nil && call(g.info, func() error { return g.fallback.TTL(in, out) }) == nil {
		return
	}
	for i := range out[:min(len(out), in.Len())] {
		out[i] = nanos(in.Value(policies.ColBaseTTL, i), 0)
	}
}

func (g *TTLGuard) remember(in *policies.TTLBatch, out []policies.Nanos, fault *policies.Fault) {
	g.health.decisions.record(policies.KindTTL, func(e *entry) {
		for c := range policies.NumColumns {
			if column := in.Column(c); column != nil {
				e.set(int(c), column[0])
			}
		}
		e.outputs[0] = float64(out[0]) / 1e9
		e.outputs[1] = float64(in.Len())
		if fault != nil {
			e.fault = fault.Reason
		}
	})
}

// clampTTL moves answers into their bounds and returns how many moved.
func clampTTL(in *policies.TTLBatch, out []policies.Nanos) (moved int) {
	for i := range out[:min(len(out), in.Len())] {
		least := nanos(in.Value(policies.ColMinTTL, i), 0)
		most := nanos(in.Value(policies.ColMaxTTL, i), math.MaxInt64)
		origin := nanos(in.Value(policies.ColOriginTTL, i), math.MaxInt64)
		ttl := min(max(out[i], least), most, origin)
		if ttl != max(out[i], 0) {
			moved++
		}
		out[i] = max(ttl, 0)
	}
	return moved
}

// nanos converts seconds; NaN, which means that there is no such bound, becomes
// the given value.
func nanos(seconds float64, none policies.Nanos) policies.Nanos {
	switch ns := seconds * 1e9; {
	case math.IsNaN(ns):
		return none
	case ns >= math.MaxInt64:
		return math.MaxInt64
	default:
		return policies.Nanos(max(ns, 0))
	}
}

// ExportState forwards to the policy.
func (g *TTLGuard) ExportState(dst []byte) ([]byte, error) { return export(g.policy, g.info, dst) }

// ImportState forwards to the policy.
func (g *TTLGuard) ImportState(state []byte) error { return restore(g.policy, g.info, state) }

// Close closes the policy where it can be closed.
func (g *TTLGuard) Close() error { return closePolicy(g.policy) }
