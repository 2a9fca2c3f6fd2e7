package scheduler

import (
	"math"
	"time"

	"github.com/perfopt/perfopt/policies"
)

const (
	// probeEvery is how many windows lie between two probes. With two windows
	// at half the limit a probe costs about 2 % of the goodput.
	probeEvery = 50
	// probeJitter spreads the distance by that share either way, so that
	// instances of a service do not probe together.
	probeJitter = 0.15
	// probeWindows is how long a probe lasts; the first window lets what is in
	// flight above the halved limit finish, the last is the sample.
	probeWindows = 2
	// probeCompletions prolong the sample, for at most probeLongest: where one
	// task in twenty takes twenty times as long, the least of three means of
	// fifty is far below the mean, and the target with it.
	probeCompletions = 100
	probeLongest     = time.Second
	// probeSamples is how many samples the baseline is the least of.
	probeSamples = 3
	// stableAfter is how many windows without a cut make a limit a stable one.
	stableAfter = 10
)

// prober measures the baseline: the latency without queueing. Learnt baselines
// drift upwards under overload until overload looks normal, so now and then the
// limit is halved for two windows and the latency of the second is taken.
type prober struct {
	random func() float64 // 0..1

	baseline float64 // milliseconds; NaN = unknown
	samples  []float64
	left     int  // windows left of the probe; 0 = none
	forced   bool // the limit fell so far that the samples before no longer hold
	until    int  // windows until the next probe
	calm     int  // windows without a cut
	limit    float64
	stable   float64 // the last limit that was stable; 0 = none
}

func newProber(random func() float64) prober {
	return prober{random: random, baseline: math.NaN()}
}

func (p *prober) active() bool { return p.left > 0 }

// wantsMore reports whether the window, though long enough for a policy, is too
// short for a sample.
func (p *prober) wantsMore(in *policies.Load) bool {
	return p.left == 1 && in.Completions < probeCompletions && in.WindowNanos < float64(probeLongest)
}

// decided is told of each closed window outside of a probe: the limit that was
// decided, and whether a probe could begin (the limit is in use and somebody
// wants a baseline).
func (p *prober) decided(limit float64, possible bool) {
	p.calm++
	if limit < p.limit {
		p.calm = 0
	}
	p.limit = limit
	if p.calm >= stableAfter {
		p.stable = limit
	}
	p.until--
	fell := limit < p.stable/2
	if possible && (math.IsNaN(p.baseline) || p.until <= 0 || fell) {
		p.forced = fell
		p.left = probeWindows
	}
}

// window is told of each closed window of a probe: its mean latency, and
// whether that can be believed. A probe is given up with its last window, or
// with the first if that saw too little work.
func (p *prober) window(mean float64, credible bool, limit float64) {
	p.left--
	if !credible || math.IsNaN(mean) {
		p.left = 0
		p.schedule()
		return
	}
	if p.left > 0 {
		return
	}
	if p.forced {
		p.samples = p.samples[:0]
		p.stable = limit
	}
	if len(p.samples) == probeSamples {
		p.samples = append(p.samples[:0], p.samples[1:]...)
	}
	p.samples = append(p.samples, mean)
	p.baseline = p.samples[0]
	for _, s := range p.samples[1:] {
		p.baseline = min(p.baseline, s)
	}
	p.schedule()
}

func (p *prober) schedule() {
	p.until = int(probeEvery * (1 + probeJitter*(2*p.random()-1)))
}
