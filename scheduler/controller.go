package scheduler

import (
	"math"
	"time"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/scheduler/resource"
)

const (
	// windowCompletions closes a window: a mean over fewer says little.
	windowCompletions = 10
	// windowUnused closes a window of fewer completions while the limit is not
	// in use: the callers ask for little, so waiting longer tells no more.
	windowUnused = int64(time.Second)
	// windowLongest closes any window, so that work which takes minutes does
	// not hide a change of CPU or memory for ever.
	windowLongest = int64(30 * time.Second)
	// usedShare is the share of the limit that must have been in flight for a
	// window to say something about the limit.
	usedShare = 0.8
	// autoTarget is the target latency in multiples of the probed baseline.
	autoTarget = 1.25
	// memoryStalled is the share of time with tasks stalled for memory above
	// which memory counts as exhausted, whatever is free.
	memoryStalled = 0.10
	// reserveMedians bounds the time that is kept free for the work itself
	// before its caller's deadline, the 95th percentile of the latency, in
	// multiples of the median: a few very slow tasks must not reject all. With
	// the median alone as reserve, a fifth of the goodput at five times the
	// load goes to work that is begun too late.
	reserveMedians = 3
	// credible is the share of a window's work that must have ended OK for a
	// probe to be believed. How long late work would have taken is not known,
	// and a baseline that is the callers' patience makes a collapse look normal
	// for good.
	credible = 0.9
	// Work that is given up at its deadline was done for nothing. While more
	// than lateHigh of a window's work is, the reserve grows by marginUp a
	// window up to marginMost times; below lateLow it shrinks by marginDown.
	lateHigh, lateLow    = 0.05, 0.02
	marginUp, marginDown = 1.2, 0.95
	marginMost           = 4
	// smoothing is the time over which the estimates of the gate are averaged.
	smoothing = float64(time.Second)
)

// controller decides the limit from observations. It reads no clock, starts
// nothing and asks the policy through a function, so its tests are tables.
// Called by one goroutine at a time.
//
// A window begins where the last one was closed and is prolonged until enough
// work has completed to judge it, and until it is as long as the work takes:
// before that, what completes began under the limit before. The policy is asked
// when a window closes, and at every tick before that while it sees too little
// work to judge but may still judge the machine; never during a probe.
type controller struct {
	bounds Bounds
	fixed  bool // keep the limit and ask nobody

	limit  float64 // what the policy wants; the gate has half of it during a probe
	reason policies.Reason
	tick   uint64 // questions since the policy was seated
	load   policies.Load

	start          reading // where the window begins
	startLatencies counts
	peak           float64 // highest in flight in the window

	last   reading // the tick before
	held   float64 // smoothed time that a permit is held, nanoseconds; 0 = unknown
	needed float64 // smoothed time that nearly all work needs, nanoseconds; 0 = unknown
	margin float64 // factor of needed that is kept free before a deadline, at least 1

	probe prober
}

// Bounds are the settings of the limit that may change while it is in use.
type Bounds struct {
	MinLimit float64       // lower bound, at least 1
	MaxLimit float64       // upper bound
	Target   time.Duration // target latency; 0 = auto: 1.25 times the probed baseline
}

// observation is what a tick sees.
type observation struct {
	wall      policies.Nanos // the moment, on the wall clock
	read      reading
	latencies *counts
	gate      gateState
	sample    resource.Sample
}

// asker asks the seated policy. It returns false if the answer cannot be used.
type asker func(*policies.Load) (limit float64, reason policies.Reason, ok bool)

func newController(initial float64, b Bounds, fixed bool, random func() float64) *controller {
	c := &controller{bounds: b, fixed: fixed, limit: initial, margin: 1, probe: newProber(random)}
	c.load.Limit = initial
	return c
}

// effective is the limit for the gate.
func (c *controller) effective() float64 {
	if c.probe.active() {
		return max(1, c.limit/2)
	}
	return c.limit
}

// setBounds changes the bounds and brings the limit inside.
func (c *controller) setBounds(b Bounds) {
	c.bounds = b
	if !c.fixed {
		c.limit = min(max(c.limit, b.MinLimit), b.MaxLimit)
	}
}

// step takes an observation and moves the limit.
func (c *controller) step(ob *observation, ask asker) {
	c.peak = max(c.peak, float64(ob.gate.peak))
	c.estimate(&ob.read)
	window := ob.latencies.sub(&c.startLatencies)
	c.load = c.describe(ob, &window)
	used := c.peak >= usedShare*math.Floor(c.effective())
	enough := c.load.Completions >= windowCompletions
	closed := (enough && !c.probe.wantsMore(&c.load) && c.load.WindowNanos >= c.held) ||
		(!used && c.load.WindowNanos >= float64(windowUnused)) ||
		c.load.WindowNanos >= float64(windowLongest)

	switch {
	case c.fixed:
		c.reason = policies.ReasonFixed
	case c.probe.active():
		c.reason = policies.ReasonProbe
		if closed {
			done := float64(ob.read.done[OK] - c.start.done[OK])
			c.probe.window(c.load.MeanMillis, enough && done >= credible*c.load.Completions, c.limit)
		}
	case enough && !closed:
		// The last answer is not visible in the latencies yet.
	default:
		c.decide(ask)
		if closed {
			auto := c.bounds.Target == 0 && c.reason != policies.ReasonFixed
			c.probe.decided(c.limit, auto && used && enough)
		}
	}
	if closed {
		c.closeWindow(ob, &window)
	}
	c.last = ob.read
}

// decide asks the policy and applies what can be applied of its answer: within
// the bounds, and within half and one and a half times the present limit.
func (c *controller) decide(ask asker) {
	c.tick++
	load := c.load
	load.Tick = c.tick
	limit, reason, ok := ask(&load)
	if !ok || math.IsNaN(limit) || math.IsInf(limit, 0) {
		c.reason = policies.ReasonHold
		return
	}
	limit = min(max(limit, 0.5*c.limit), 1.5*c.limit)
	c.limit = min(max(limit, c.bounds.MinLimit), c.bounds.MaxLimit)
	c.reason = reason
}

func (c *controller) closeWindow(ob *observation, window *counts) {
	if median := float64(window.percentile(0.5, 0)); median > 0 {
		needed := min(float64(window.percentile(0.95, 0)), reserveMedians*median)
		c.needed = smooth(c.needed, needed, c.load.WindowNanos)
	}
	if n := ob.read.latencies() - c.start.latencies(); n >= windowCompletions {
		switch late := float64(ob.read.done[Late]-c.start.done[Late]) / float64(n); {
		case late > lateHigh:
			c.margin = min(c.margin*marginUp, marginMost)
		case late < lateLow:
			c.margin = max(c.margin*marginDown, 1)
		}
	}
	c.start, c.startLatencies = ob.read, *ob.latencies
	c.peak = float64(ob.gate.inFlight)
}

// reserve is the time before a caller's deadline in which its work is not begun
// any more, nanoseconds; 0 = unknown.
func (c *controller) reserve() int64 { return int64(c.margin * c.needed) }

// estimate follows the time that permits are held.
func (c *controller) estimate(r *reading) {
	if ended := r.ended() - c.last.ended(); ended > 0 {
		held := float64(r.held-c.last.held) / float64(ended)
		c.held = smooth(c.held, held, float64(r.now-c.last.now))
	}
}

// rate is how fast permits come back when the limit is in use, per nanosecond
// (Little's law); 0 = unknown.
func (c *controller) rate() float64 {
	if c.held <= 0 {
		return 0
	}
	return math.Floor(c.effective()) / c.held
}

// describe is the load that the policy sees.
func (c *controller) describe(ob *observation, window *counts) policies.Load {
	r, from := &ob.read, &c.start
	span := float64(max(r.now-from.now, 1))
	perSecond := float64(time.Second) / span
	latencies := r.latencies() - from.latencies()
	completions := r.completions() - from.completions()
	load := policies.Load{
		Now:   ob.wall,
		Limit: c.limit, MinLimit: c.bounds.MinLimit, MaxLimit: c.bounds.MaxLimit,
		InFlight: float64(ob.gate.inFlight), MaxInFlight: float64(ob.gate.peak),
		CPU: ob.sample.CPURatio, Memory: ob.sample.MemoryRatio, Throttled: ob.sample.Throttled,
		MeanMillis: math.NaN(), P50Millis: math.NaN(), P95Millis: math.NaN(), P99Millis: math.NaN(),
		Target: c.target(), Baseline: c.probe.baseline,
		Completions: float64(completions),
		Arrivals:    float64(max(r.arrivals()-from.arrivals(), 0)) * perSecond,
		Throughput:  float64(completions) * perSecond,
		Rejected:    float64(r.rejections()-from.rejections()) * perSecond,
		WindowNanos: span,
	}
	for p, n := range ob.gate.queued {
		load.Queued[p] = float64(n)
	}
	if ob.sample.MemoryPressure > memoryStalled {
		load.Memory = 1
	}
	if completions > 0 {
		load.ErrorRate = float64(completions-(r.done[OK]-from.done[OK])) / float64(completions)
	}
	if latencies > 0 {
		load.MeanMillis = millis(float64(r.timed-from.timed) / float64(latencies))
		load.P50Millis = millis(float64(window.percentile(0.50, 0)))
		load.P95Millis = millis(float64(window.percentile(0.95, 0)))
		load.P99Millis = millis(float64(window.percentile(0.99, 0)))
	}
	return load
}

// target is the target latency in milliseconds, NaN while it is unknown.
func (c *controller) target() float64 {
	if c.bounds.Target > 0 {
		return millis(float64(c.bounds.Target))
	}
	return autoTarget * c.probe.baseline
}

// smooth moves an average towards a value observed over a span of nanoseconds.
func smooth(average, value, span float64) float64 {
	if average == 0 {
		return value
	}
	return average + (1-math.Exp(-span/smoothing))*(value-average)
}

func millis(nanos float64) float64 { return nanos / float64(time.Millisecond) }
