package guard

import (
	"fmt"
	"math"

	"github.com/perfopt/perfopt/policies"
)

// A limit may be halved or grow by half from one tick to the next.
const (
	leastStep = 0.5
	mostStep  = 1.5
)

// ScalingGuard checks a scaling policy: a limit is a number within the load's
// bounds and within half and one and a half times the present limit. Not safe
// for concurrent use, like every [policies.Scaling].
type ScalingGuard struct {
	policy   policies.Scaling
	fallback policies.Scaling
	info     policies.Info
	health   *Health
	meter    meter
}

var _ policies.Scaling = (*ScalingGuard)(nil)

// Scaling returns a guard around a scaling policy. The fallback decides where
// the policy cannot; nil means that the limit stays.
func Scaling(p policies.Scaling, fallback policies.Scaling, h *Health) *ScalingGuard {
	return &ScalingGuard{policy: p, fallback: fallback, info: p.Info(), health: h, meter: meterOf(p)}
}

// Info describes the guarded policy.
func (g *ScalingGuard) Info() policies.Info { return g.info }

// Limit returns the next limit; it never fails.
func (g *ScalingGuard) Limit(in *policies.Load) (float64, policies.Reason, error) {
	var limit float64
	var reason policies.Reason
	var fault *policies.Fault
	fallback := g.health.Quarantined()
	if !fallback {
		limit, reason, fault, fallback = g.ask(in)
	}
	if fallback {
		limit, reason = g.decideAlone(in)
	}
	bounded := clampLimit(in, limit)
	if bounded != limit && !fallback {
		g.health.clamped.Add(1)
	}
	g.health.decisions.record(policies.KindScaling, func(e *entry) {
		for i, v := range loadFields(in) {
			e.set(i, v)
		}
		e.outputs[0], e.reason = bounded, reason
		if fault != nil {
			e.fault = fault.Reason
		}
	})
	return bounded, reason, nil
}

func (g *ScalingGuard) ask(in *policies.Load) (limit float64, reason policies.Reason, fault *policies.Fault, fallback bool) {
	start := g.health.begin(1)
	warm := true
	fault = call(g.info, func() (err error) {
		limit, reason, err = g.policy.Limit(in)
		if isWarming(err) {
			warm = false
			return nil
		}
		return err
	})
	g.health.end(start, 1)
	g.meter.read(g.health)
	if fault == nil && warm && (math.IsNaN(limit) || math.IsInf(limit, 0)) {
		fault = faultOf(g.info, policies.FaultOutput, fmt.Sprintf("the limit is %v", limit))
	}
	if fault != nil {
		g.health.fault(fault)
	}
	return limit, reason, fault, fault != nil || !warm
}

func (g *ScalingGuard) decideAlone(in *policies.Load) (limit float64, reason policies.Reason) {
	if g.fallback == nil {
		return in.Limit, policies.ReasonHold
	}
	fault := call(g.info, func() (err error) {
		limit, reason, err = g.fallback.Limit(in)
		return err
	})
	if fault != nil || math.IsNaN(limit) {
		return in.Limit, policies.ReasonHold
	}
	return limit, reason
}

func clampLimit(in *policies.Load, limit float64) float64 {
	limit = min(max(limit, in.Limit*leastStep), in.Limit*mostStep)
	return min(max(limit, in.MinLimit), in.MaxLimit)
}

// loadFields are the fields of a load in the order of loadNames.
func loadFields(in *policies.Load) [len(loadNames)]float64 {
	return [...]float64{
		float64(in.Tick), in.Limit, in.MinLimit, in.MaxLimit, in.InFlight, in.MaxInFlight,
		in.Queued[0], in.Queued[1], in.Queued[2], in.Queued[3], in.Queued[4],
		in.CPU, in.Memory, in.Throttled, in.ErrorRate, in.MeanMillis, in.P50Millis, in.P95Millis, in.P99Millis,
		in.Target, in.Baseline, in.Completions, in.Arrivals, in.Throughput, in.Rejected, in.WindowNanos / 1e9,
	}
}

// ExportState forwards to the policy.
func (g *ScalingGuard) ExportState(dst []byte) ([]byte, error) { return export(g.policy, g.info, dst) }

// ImportState forwards to the policy.
func (g *ScalingGuard) ImportState(state []byte) error { return restore(g.policy, g.info, state) }

// Close closes the policy where it can be closed.
func (g *ScalingGuard) Close() error { return closePolicy(g.policy) }
