// Package scaling holds the native policies that decide how much work may be
// in flight: [Linear], the built-in default; [AIMD], the classic of congestion
// control; [Gradient2], which follows the latency; and [Fixed], which keeps a
// number.
//
// Each is a [policies.Scaling]: the scheduler's controller asks it once a tick
// with a [policies.Load] and applies the answer after clamping it to the load's
// bounds. A load describes a window of completed work. The host prolongs a
// window until enough work has completed to judge it; a policy asked in between
// sees few completions and answers [policies.ReasonWindow].
//
// A policy here must not know who asks or how work is queued, measured or
// sampled: no clock, no goroutine, no randomness. Equal loads in equal order
// get equal answers, so a replay is exact.
//
// Caveats. The policies keep history and are not safe for concurrent use, as
// [policies.Scaling] says. Limits are floats on purpose: an integer limit of 7
// times 1.1 is 7 for ever. The literal rule of Linear (Strict) collapses in
// front of a backend that keeps working for callers who gave up; it is kept as
// the baseline of comparisons, the guarded rule is the default.
package scaling

import (
	"errors"
	"fmt"
	"math"

	"github.com/perfopt/perfopt/policies"
)

// Marks are the thresholds between which a rule holds its limit: below every
// low mark there is room to grow, above any high mark the limit is cut. Ratios
// are 0..1. A zero field means the default.
type Marks struct {
	CPULow     float64 `json:"cpu_low"`     // default 0.80
	CPUHigh    float64 `json:"cpu_high"`    // default 0.90
	MemoryLow  float64 `json:"memory_low"`  // default 0.85
	MemoryHigh float64 `json:"memory_high"` // default 0.90
	ErrorsLow  float64 `json:"errors_low"`  // default 0.05 of the completed work
	ErrorsHigh float64 `json:"errors_high"` // default 0.10
	// LatencyHigh is the high mark of the mean latency in multiples of the
	// target; the low mark is the target itself. Default 2.
	LatencyHigh float64 `json:"latency_high"`
	// TargetMillis is the target latency in milliseconds. Default 0: the
	// target of the load, which the scheduler is configured with.
	TargetMillis float64 `json:"target_ms"`
	// MinCompletions is the number of completions below which a window is not
	// judged. Default 10, which is also where the scheduler closes a window: a
	// greater number judges only windows of a busy service.
	MinCompletions float64 `json:"min_completions"`
}

// withDefaults returns m with the defaults in place of zeros.
func (m Marks) withDefaults() Marks {
	fill(&m.CPULow, 0.80)
	fill(&m.CPUHigh, 0.90)
	fill(&m.MemoryLow, 0.85)
	fill(&m.MemoryHigh, 0.90)
	fill(&m.ErrorsLow, 0.05)
	fill(&m.ErrorsHigh, 0.10)
	fill(&m.LatencyHigh, 2)
	fill(&m.MinCompletions, 10)
	return m
}

// validate reports every mark, defaults filled in, that makes no sense.
func (m Marks) validate() error {
	return errors.Join(
		ordered("cpu", m.CPULow, m.CPUHigh),
		ordered("memory", m.MemoryLow, m.MemoryHigh),
		ordered("errors", m.ErrorsLow, m.ErrorsHigh),
		within("latency_high", m.LatencyHigh, 1, 100),
		within("target_ms", m.TargetMillis, 0, 3.6e6),
		within("min_completions", m.MinCompletions, 1, 1e6),
	)
}

// target returns the target latency in milliseconds, NaN if it is unknown.
func (m *Marks) target(in *policies.Load) float64 {
	if m.TargetMillis > 0 {
		return m.TargetMillis
	}
	return in.Target
}

// low reports whether the load is below every low mark. An unknown latency or
// target is not below.
func (m *Marks) low(in *policies.Load) bool {
	return in.CPU < m.CPULow && in.Memory < m.MemoryLow &&
		in.ErrorRate < m.ErrorsLow && in.MeanMillis < m.target(in)
}

// high returns the first high mark that the load is above, in the order CPU,
// memory, errors, latency.
func (m *Marks) high(in *policies.Load) (policies.Reason, bool) {
	switch {
	case in.CPU > m.CPUHigh:
		return policies.ReasonCPU, true
	case in.Memory > m.MemoryHigh:
		return policies.ReasonMemory, true
	case in.ErrorRate > m.ErrorsHigh:
		return policies.ReasonErrors, true
	case in.MeanMillis > m.LatencyHigh*m.target(in):
		return policies.ReasonLatency, true
	}
	return policies.ReasonHold, false
}

// ring is the last few values of something.
type ring struct {
	values []float64
	next   int
	n      int
}

func newRing(size int) ring { return ring{values: make([]float64, size)} }

func (r *ring) push(v float64) {
	r.values[r.next] = v
	r.next = (r.next + 1) % len(r.values)
	r.n = min(r.n+1, len(r.values))
}

func (r *ring) full() bool { return r.n == len(r.values) }

func (r *ring) max() float64 {
	m := 0.0
	for _, v := range r.values[:r.n] {
		m = max(m, v)
	}
	return m
}

// variation returns the coefficient of variation of the values: their
// (population) standard deviation over their mean.
func (r *ring) variation() float64 {
	mean, square := 0.0, 0.0
	for _, v := range r.values[:r.n] {
		mean += v / float64(r.n)
	}
	for _, v := range r.values[:r.n] {
		square += (v - mean) * (v - mean) / float64(r.n)
	}
	return math.Sqrt(square) / mean
}

func fill(v *float64, value float64) {
	if *v == 0 {
		*v = value
	}
}

// within reports a setting that is outside of its range; NaN is.
func within(name string, v, low, high float64) error {
	if v >= low && v <= high {
		return nil
	}
	return fmt.Errorf("%s = %v: want a number from %v to %v", name, v, low, high)
}

// ordered reports a pair of ratios that are not 0..1 or not in order.
func ordered(name string, low, high float64) error {
	err := errors.Join(within(name+"_low", low, 0, 1), within(name+"_high", high, 0, 1))
	if err == nil && low > high {
		err = fmt.Errorf("%s_low = %v is above %s_high = %v: want low <= high", name, low, name, high)
	}
	return err
}
