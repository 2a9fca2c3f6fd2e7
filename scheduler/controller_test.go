package scheduler

import (
	"math"
	"testing"
	"time"

	"github.com/perfopt/perfopt/policies"
)

// driver feeds a controller with ticks of 100 ms in which equal work completed.
type driver struct {
	c    *controller
	read reading
	hist histogram
	wall policies.Nanos
}

func newDriver(limit float64, target time.Duration) *driver {
	half := func() float64 { return 0.5 }
	return &driver{c: newController(limit, Bounds{MinLimit: 1, MaxLimit: 1000, Target: target}, false, half)}
}

// tick completes n tasks of that many milliseconds, with that peak in flight.
func (d *driver) tick(n int64, millis, peak float64, ask asker) {
	nanos := int64(millis * 1e6)
	d.read.now += int64(100 * time.Millisecond)
	d.wall += 1e8
	d.read.done[OK] += n
	d.read.timed += n * nanos
	d.read.held += n * nanos
	for range n {
		d.hist.record(nanos)
	}
	var c counts
	d.hist.addTo(&c)
	d.c.step(&observation{
		wall: d.wall, read: d.read, latencies: &c,
		gate: gateState{peak: int64(peak), inFlight: int64(peak)},
	}, ask)
}

// unchanged answers with the limit it is shown.
func unchanged(in *policies.Load) (float64, policies.Reason, bool) {
	return in.Limit, policies.ReasonHold, true
}

func TestWindowsAreProlongedUntilTheyCanBeJudged(t *testing.T) {
	tests := []struct {
		name   string
		n      int64   // completions a tick
		peak   float64 // of a limit of 10
		closes int     // ticks until the window closes
	}{
		{"busy", 10, 10, 1},
		{"three a tick", 3, 10, 4},
		{"nothing asked for", 0, 0, 10},
		{"little asked for", 1, 2, 10},
		{"slow work, limit in use", 0, 10, 300},
		{"limit in use means four fifths", 0, 8, 300},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDriver(10, time.Second)
			ticks := 0
			for closed := false; !closed; closed = d.c.start.now == d.read.now {
				d.tick(tt.n, 5, tt.peak, func(in *policies.Load) (float64, policies.Reason, bool) {
					ticks++
					if want := float64(ticks) * 1e8; in.WindowNanos != want || in.Completions != float64(int64(ticks)*tt.n) {
						t.Fatalf("tick %d: a window of %v with %v completions", ticks, in.WindowNanos, in.Completions)
					}
					return unchanged(in)
				})
			}
			if ticks != tt.closes {
				t.Errorf("closed after %d ticks, want %d", ticks, tt.closes)
			}
		})
	}
}

// Work that takes a second: windows of a tenth would show what began under
// another limit, and a probe would measure the crowd from before it.
func TestWindowsAreAsLongAsTheWork(t *testing.T) {
	d := newDriver(10, time.Second)
	d.tick(20, 1000, 10, unchanged) // how long the work takes is known from here on
	d.c.start.now = d.read.now
	for tick := 1; tick <= 20; tick++ {
		asked := false
		d.tick(20, 1000, 10, func(in *policies.Load) (float64, policies.Reason, bool) {
			asked = true
			return unchanged(in)
		})
		if want := tick%10 == 0; asked != want {
			t.Errorf("tick %d: asked %v, want %v", tick, asked, want)
		}
	}
}

func TestProbeMeasuresTheBaseline(t *testing.T) {
	d := newDriver(20, 0)
	var targets []float64
	ask := func(in *policies.Load) (float64, policies.Reason, bool) {
		targets = append(targets, in.Target)
		limit := in.Limit
		*in = policies.Load{} // what a policy does to its copy is its own affair
		return limit, policies.ReasonHold, true
	}
	// Ten milliseconds without queueing; more the more is in flight.
	tick := func() {
		limit := math.Floor(d.c.effective())
		d.tick(100, 10+limit/10, limit, ask)
	}
	tick()
	if !math.IsNaN(targets[0]) || d.c.effective() != 10 || !d.c.probe.active() {
		t.Fatalf("after the first window in use: target %v, limit %v, want unknown and a probe at 10", targets[0], d.c.effective())
	}
	tick()
	if d.c.effective() != 10 || d.c.reason != policies.ReasonProbe {
		t.Fatalf("second window of the probe: limit %v (%v)", d.c.effective(), d.c.reason)
	}
	tick()
	if d.c.effective() != 20 || d.c.probe.baseline != 11 {
		t.Fatalf("after the probe: limit %v, baseline %v ms, want 20 and 11", d.c.effective(), d.c.probe.baseline)
	}
	tick()
	if got := targets[len(targets)-1]; got != 1.25*11 {
		t.Errorf("target %v ms, want 1.25 times the baseline", got)
	}
	asked := len(targets)
	for !d.c.probe.active() {
		tick()
	}
	if n := len(targets) - asked + 1; n != probeEvery {
		t.Errorf("the next probe began after %d windows, want %d", n, probeEvery)
	}
}

func TestBaselineIsTheLeastOfThreeSamples(t *testing.T) {
	p := newProber(func() float64 { return 0.5 })
	for i, tt := range []struct{ sample, baseline float64 }{{10, 10}, {8, 8}, {12, 8}, {13, 8}, {14, 12}} {
		p.left = probeWindows
		p.window(99, true, 20) // what was in flight before finishes
		p.window(tt.sample, true, 20)
		if p.baseline != tt.baseline || p.active() {
			t.Errorf("sample %d of %v: baseline %v, want %v", i, tt.sample, p.baseline, tt.baseline)
		}
	}
}

func TestFallenLimitForcesAProbe(t *testing.T) {
	p := newProber(func() float64 { return 0.5 })
	p.left = 1
	p.window(10, true, 40)
	for range stableAfter + 1 {
		p.decided(40, true)
	}
	p.decided(21, true)
	if p.active() {
		t.Fatal("a limit above half of the stable one forces a probe")
	}
	p.decided(19, true)
	if !p.active() || !p.forced {
		t.Fatal("a limit below half of the stable one forces no probe")
	}
	p.window(99, true, 19)
	p.window(25, true, 19)
	if p.baseline != 25 {
		t.Errorf("baseline %v after a forced probe, want its sample of 25 alone", p.baseline)
	}
	p.decided(19, true)
	if p.active() {
		t.Error("probes again at once")
	}
}

func TestProbeIsLeftOut(t *testing.T) {
	fixed := func(in *policies.Load) (float64, policies.Reason, bool) { return in.Limit, policies.ReasonFixed, true }
	tests := []struct {
		name   string
		target time.Duration
		peak   float64
		ask    asker
	}{
		{"target is a number", time.Second, 20, unchanged},
		{"limit not in use", 0, 15, unchanged},
		{"policy keeps a fixed limit", 0, 20, fixed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDriver(20, tt.target)
			for range 2 * probeEvery {
				d.tick(50, 10, tt.peak, tt.ask)
				if d.c.probe.active() {
					t.Fatal("a probe began")
				}
			}
		})
	}
}

func TestProbeWithoutWorkIsGivenUp(t *testing.T) {
	d := newDriver(20, 0)
	d.tick(50, 10, 20, unchanged)
	d.tick(20, 10, 0, unchanged) // the last work ends
	for range 10 {               // nobody asks any more
		d.tick(0, 0, 0, unchanged)
	}
	if d.c.probe.active() || !math.IsNaN(d.c.probe.baseline) {
		t.Errorf("probing %v, baseline %v, want neither", d.c.probe.active(), d.c.probe.baseline)
	}
}

func TestProbeProlongsItsSample(t *testing.T) {
	tests := []struct {
		n       int64 // completions a tick
		windows int   // ticks of the probe
	}{
		{100, 2}, {50, 1 + 2}, {10, 1 + 10}, {5, 2 + 10},
	}
	for _, tt := range tests {
		d := newDriver(20, 0)
		for !d.c.probe.active() {
			d.tick(tt.n, 1, 20, unchanged)
		}
		ticks := 0
		for ; d.c.probe.active(); ticks++ {
			d.tick(tt.n, 1, 10, unchanged)
		}
		if ticks != tt.windows || math.IsNaN(d.c.probe.baseline) {
			t.Errorf("%d tasks a tick: the probe took %d ticks (baseline %v), want %d", tt.n, ticks, d.c.probe.baseline, tt.windows)
		}
	}
}

// A baseline taken while callers give up would be their patience.
func TestProbeOfLateWorkIsNotBelieved(t *testing.T) {
	for _, outcome := range []Outcome{Late, Failed} {
		d := newDriver(20, 0)
		for range 3 * probeEvery {
			d.read.done[outcome] += 12 // of 112
			d.tick(100, 10, 20, unchanged)
		}
		if !math.IsNaN(d.c.probe.baseline) {
			t.Errorf("outcome %d: baseline %v, want none", outcome, d.c.probe.baseline)
		}
	}
}

func TestReserveGrowsWhileWorkIsLate(t *testing.T) {
	d := newDriver(20, time.Second)
	if d.c.reserve() != 0 {
		t.Errorf("reserve %v before any work, want none", d.c.reserve())
	}
	d.tick(100, 10, 20, unchanged)
	const needed = 10e6
	within := func(factor float64) bool { return math.Abs(float64(d.c.reserve())/(needed*factor)-1) < 1.0/16 }
	if !within(1) {
		t.Errorf("reserve %v, want 10ms", time.Duration(d.c.reserve()))
	}
	for range 10 {
		d.read.done[Late] += 10
		d.read.timed += 10 * 10e6
		d.tick(100, 10, 20, unchanged)
	}
	if !within(marginMost) {
		t.Errorf("reserve %v while a tenth is late, want 40ms", time.Duration(d.c.reserve()))
	}
	for range 50 {
		d.tick(100, 10, 20, unchanged)
	}
	if !within(1) {
		t.Errorf("reserve %v when nothing is late, want 10ms", time.Duration(d.c.reserve()))
	}
}

func TestRateIsWhatTheLimitCanFinish(t *testing.T) {
	d := newDriver(20, time.Second)
	if d.c.rate() != 0 {
		t.Errorf("rate %v before any work, want unknown", d.c.rate())
	}
	for range 100 {
		d.tick(5, 10, 5, unchanged)
	}
	// Twenty at once at 10 ms each: 2000 a second, although only 50 were asked.
	if got := d.c.rate() * 1e9; math.Abs(got-2000) > 1 {
		t.Errorf("rate %v a second, want 2000", got)
	}
	for range 30 {
		d.tick(5, 20, 5, unchanged)
	}
	if got := d.c.rate() * 1e9; got < 1000 || got > 1060 {
		t.Errorf("rate %v a second three seconds after work became half as fast, want about 1000", got)
	}
}
