package scaling

import (
	"errors"
	"fmt"
	"math"

	"github.com/perfopt/perfopt/policies"
)

// LinearOptions are the settings of [Linear]. A zero field means the default.
type LinearOptions struct {
	// Strict selects the literal rule; false, the default, the guarded one.
	Strict bool `json:"strict"`
	Marks

	Grow   float64 `json:"grow"`   // factor of growth a window; default 1.1
	Shrink float64 `json:"shrink"` // factor of a cut; default 0.9
	// StableWindows is the number of windows that must be stable before the
	// limit grows. Default 3.
	StableWindows int `json:"stable_windows"`
	// StableVariation is the greatest coefficient of variation of the mean
	// latencies of those windows that counts as stable. Default 0.25.
	StableVariation float64 `json:"stable_variation"`

	// The guards; Strict ignores them.

	// Throttled is the share of throttled CPU periods above which the CPU
	// counts as over its high mark, whatever its usage. Default 0.05.
	Throttled float64 `json:"throttled"`
	// UsedShare is the share of the limit that must have been in flight at
	// the peak of a window before the limit grows. Default 0.8.
	UsedShare float64 `json:"used_share"`
	// CutSteps bounds how many cuts one window can bring when the latency is
	// far off. Default 5.
	CutSteps int `json:"cut_steps"`
	// CeilingFactor times the peak in flight of the last CeilingWindows
	// windows bounds the limit, but never below the limit that the policy
	// began with. Defaults 2 and 10.
	CeilingFactor  float64 `json:"ceiling_factor"`
	CeilingWindows int     `json:"ceiling_windows"`
	// A series of cuts that lowered the limit by UndoLimit and the throughput
	// by UndoThroughput but the latency by less than UndoLatency is undone:
	// the service is slow, not crowded. Defaults 0.20, 0.08, 0.15.
	UndoLimit      float64 `json:"undo_limit"`
	UndoThroughput float64 `json:"undo_throughput"`
	UndoLatency    float64 `json:"undo_latency"`
	// SuspendWindows is how long latency cuts pause after an undo; it doubles
	// with each undo up to SuspendMax. Defaults 20 and 600.
	SuspendWindows int `json:"suspend_windows"`
	SuspendMax     int `json:"suspend_max"`
}

func (o LinearOptions) withDefaults() LinearOptions {
	o.Marks = o.Marks.withDefaults()
	fill(&o.Grow, 1.1)
	fill(&o.Shrink, 0.9)
	fillCount(&o.StableWindows, 3)
	fill(&o.StableVariation, 0.25)
	fill(&o.Throttled, 0.05)
	fill(&o.UsedShare, 0.8)
	fillCount(&o.CutSteps, 5)
	fill(&o.CeilingFactor, 2)
	fillCount(&o.CeilingWindows, 10)
	fill(&o.UndoLimit, 0.20)
	fill(&o.UndoThroughput, 0.08)
	fill(&o.UndoLatency, 0.15)
	fillCount(&o.SuspendWindows, 20)
	fillCount(&o.SuspendMax, 600)
	return o
}

func (o LinearOptions) validate() error {
	return errors.Join(
		o.Marks.validate(),
		within("grow", o.Grow, 1, 1.5),
		within("shrink", o.Shrink, 0.5, 1),
		within("stable_windows", float64(o.StableWindows), 1, 1000),
		within("stable_variation", o.StableVariation, 0, 100),
		within("throttled", o.Throttled, 0, 1),
		within("used_share", o.UsedShare, 0, 1),
		within("cut_steps", float64(o.CutSteps), 1, 100),
		within("ceiling_factor", o.CeilingFactor, 1, 1000),
		within("ceiling_windows", float64(o.CeilingWindows), 1, 10000),
		within("undo_limit", o.UndoLimit, 0, 1),
		within("undo_throughput", o.UndoThroughput, 0, 1),
		within("undo_latency", o.UndoLatency, 0, 1),
		within("suspend_windows", float64(o.SuspendWindows), 1, 1e6),
		within("suspend_max", float64(o.SuspendMax), 1, 1e6),
	)
}

// Linear is the built-in default: multiply the limit by 1.1 while CPU, memory,
// error rate and mean latency are all below their low marks, by 0.9 when one is
// above its high mark, hold in between.
//
// A window of fewer than MinCompletions completions is not judged, and the
// limit grows only when the mean latencies of the last StableWindows judged
// windows vary little.
//
// Strict is exactly that and wants a number as target: without one (in the
// load or as TargetMillis) the latency is neither low nor high, so the limit
// never grows. The default adds guards, each against a failure of the literal
// rule under overload:
//   - A limit that is not in use does not grow, and is bounded by twice the
//     recent peak in flight: else it climbs at half load to many times what the
//     backend can take, and the first dip finds it there.
//   - Growth is free until the first cut (slow start); after a bad window it
//     waits for StableWindows windows that are not bad.
//   - Cuts start from what was in flight if that is less than the limit, and
//     take several steps at once when the latency is far off.
//   - Cuts that cost throughput and gained no latency are undone, and latency
//     cuts pause: the service itself became slow.
//   - Throttled CPU periods count as a CPU above its high mark. CPU and memory
//     cut once a second, even while too little work completes to judge a
//     window.
//
// Not safe for concurrent use.
type Linear struct {
	o     LinearOptions
	means ring // mean latencies of the last judged windows, milliseconds
	guard linearGuard
}

var _ policies.Scaling = (*Linear)(nil)

// NewLinear returns a Linear, or an error that names every setting that is out
// of range.
func NewLinear(o LinearOptions) (*Linear, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("scaling policy linear: %w", err)
	}
	return &Linear{o: o, means: newRing(o.StableWindows), guard: linearGuard{peaks: newRing(o.CeilingWindows)}}, nil
}

// Info implements [policies.Scaling].
func (l *Linear) Info() policies.Info {
	return policies.Info{Name: "linear", Version: "1", Kind: policies.KindScaling}
}

// Limit implements [policies.Scaling]. It never returns an error.
func (l *Linear) Limit(in *policies.Load) (float64, policies.Reason, error) {
	var limit float64
	var reason policies.Reason
	if l.o.Strict {
		limit, reason = l.strict(in)
	} else {
		limit, reason = l.guarded(in)
	}
	return limit, reason, nil
}

// strict is the literal rule.
func (l *Linear) strict(in *policies.Load) (float64, policies.Reason) {
	if in.Completions < l.o.MinCompletions {
		return in.Limit, policies.ReasonWindow
	}
	l.remember(in)
	if l.o.low(in) {
		if !l.stable() {
			return in.Limit, policies.ReasonUnstable
		}
		return min(in.Limit*l.o.Grow, in.MaxLimit), policies.ReasonGrow
	}
	if reason, high := l.o.high(in); high {
		return max(in.Limit*l.o.Shrink, in.MinLimit), reason
	}
	return in.Limit, policies.ReasonHold
}

// remember adds the window's mean latency to the history, if it has one: a
// window whose work all failed does not.
func (l *Linear) remember(in *policies.Load) {
	if !math.IsNaN(in.MeanMillis) {
		l.means.push(in.MeanMillis)
	}
}

func (l *Linear) stable() bool {
	return l.means.full() && l.means.variation() <= l.o.StableVariation
}

func fillCount(v *int, value int) {
	if *v == 0 {
		*v = value
	}
}
