package scaling

import (
	"math"
	"time"

	"github.com/perfopt/perfopt/policies"
)

// resourceCutEvery is the shortest time between two cuts for CPU or memory:
// their samples are slower than windows, and one sample should cut once.
const resourceCutEvery = policies.Nanos(time.Second)

// seriesWindows is how many windows without a cut end a series of cuts.
const seriesWindows = 5

// linearGuard is what the guarded rule remembers beyond the latencies.
type linearGuard struct {
	initial float64 // limit at the first question: the ceiling's lower end
	peak    float64 // highest in flight since the last judged window
	peaks   ring    // highest in flight of the last judged windows
	cut     bool    // a cut was made: slow start is over
	streak  int     // judged windows since the last bad one

	lastResourceCut policies.Nanos

	series  cutSeries
	suspend int // judged windows for which latency cuts still pause
	pause   int // length of the last pause, in windows
}

// cutSeries is a run of latency cuts and what they started from.
type cutSeries struct {
	cuts       int     // 0 = no series
	quiet      int     // windows since the last cut
	limit      float64 // limit before the first cut
	throughput float64 // lower of the first two windows of the series, per second
	mean       float64 // higher of the first two windows of the series, milliseconds
}

// guarded is the rule with the guards that [Linear] lists.
func (l *Linear) guarded(in *policies.Load) (float64, policies.Reason) {
	g := &l.guard
	if g.initial == 0 {
		g.initial = in.Limit
	}
	g.peak = max(g.peak, in.MaxInFlight)
	if in.Completions < l.o.MinCompletions {
		if reason, high := l.resourceHigh(in); high {
			return l.resourceCut(in, g.peak), reason
		}
		return in.Limit, policies.ReasonWindow
	}

	peak := g.peak
	g.peak = in.InFlight
	g.peaks.push(peak)
	l.remember(in)
	if limit, undone := l.undo(in); undone {
		return limit, policies.ReasonUndo
	}
	if reason, high := l.resourceHigh(in); high {
		g.streak = 0
		return l.resourceCut(in, peak), reason
	}
	suspended := g.suspend > 0
	g.suspend = max(g.suspend-1, 0)
	reason, high := l.o.high(in)
	switch {
	case !high:
		g.streak++
		return l.grow(in, peak)
	case reason != policies.ReasonLatency:
		return l.cutFrom(in, peak, 1), reason
	case suspended:
		g.streak = 0
		return in.Limit, policies.ReasonHold
	}
	return l.latencyCut(in, peak), reason
}

// resourceCut returns the next limit while CPU or memory is above its high
// mark.
func (l *Linear) resourceCut(in *policies.Load, peak float64) float64 {
	if in.Now-l.guard.lastResourceCut < resourceCutEvery {
		return in.Limit
	}
	l.guard.lastResourceCut = in.Now
	return l.cutFrom(in, peak, 1)
}

// resourceHigh returns the mark of CPU or memory that the load is above.
func (l *Linear) resourceHigh(in *policies.Load) (policies.Reason, bool) {
	switch {
	case in.CPU > l.o.CPUHigh, in.Throttled > l.o.Throttled:
		return policies.ReasonCPU, true
	case in.Memory > l.o.MemoryHigh:
		return policies.ReasonMemory, true
	}
	return policies.ReasonHold, false
}

// grow returns the next limit of a window that is not bad.
func (l *Linear) grow(in *policies.Load, peak float64) (float64, policies.Reason) {
	g := &l.guard
	ceiling := min(in.MaxLimit, max(g.initial, l.o.CeilingFactor*g.peaks.max()))
	switch {
	case in.Limit > ceiling && g.peaks.full():
		return max(ceiling, in.MinLimit), policies.ReasonUnused
	case !l.o.low(in):
		return in.Limit, policies.ReasonHold
	case peak < l.o.UsedShare*in.Limit:
		return in.Limit, policies.ReasonUnused
	case g.cut && (g.streak < l.o.StableWindows || !l.stable()):
		return in.Limit, policies.ReasonUnstable
	case in.Limit >= ceiling:
		return in.Limit, policies.ReasonBound
	}
	return min(in.Limit*l.o.Grow, ceiling), policies.ReasonGrow
}

// latencyCut cuts by one step for each factor of 1/Shrink that the mean
// latency is above its high mark, and keeps the series of cuts.
func (l *Linear) latencyCut(in *policies.Load, peak float64) float64 {
	s := &l.guard.series
	if s.cuts == 0 {
		*s = cutSeries{limit: in.Limit, throughput: in.Throughput, mean: in.MeanMillis}
	}
	s.cuts++
	s.quiet = 0
	excess := in.MeanMillis / (l.o.LatencyHigh * l.o.target(in))
	steps := 1 + int(min(math.Log(excess)/-math.Log(l.o.Shrink), float64(l.o.CutSteps)))
	return l.cutFrom(in, peak, min(steps, l.o.CutSteps))
}

// cutFrom returns the limit, or the peak in flight if that is less, after that
// many cuts.
func (l *Linear) cutFrom(in *policies.Load, peak float64, steps int) float64 {
	g := &l.guard
	g.cut = true
	g.streak = 0
	from := in.Limit
	if peak > 0 {
		from = min(from, peak)
	}
	return min(in.Limit, max(from*math.Pow(l.o.Shrink, float64(steps)), in.MinLimit))
}

// undo ends a series of latency cuts. It returns the limit from before the
// series if the cuts cost throughput and gained no latency. Not while much
// fails: the latency of work given up at a deadline is the callers' patience,
// which no cut shortens.
func (l *Linear) undo(in *policies.Load) (float64, bool) {
	g := &l.guard
	s := &g.series
	if s.cuts == 0 {
		return 0, false
	}
	if s.cuts == 1 && s.quiet == 0 {
		s.throughput = min(s.throughput, in.Throughput)
		s.mean = max(s.mean, in.MeanMillis)
	}
	if in.ErrorRate <= l.o.ErrorsHigh &&
		in.Limit <= s.limit*(1-l.o.UndoLimit) &&
		in.Throughput <= s.throughput*(1-l.o.UndoThroughput) &&
		in.MeanMillis > s.mean*(1-l.o.UndoLatency) {
		limit := min(s.limit, in.MaxLimit)
		*s = cutSeries{}
		g.pause = min(max(2*g.pause, l.o.SuspendWindows), l.o.SuspendMax)
		g.suspend = g.pause
		g.streak = 0
		return limit, true
	}
	s.quiet++
	if s.quiet > seriesWindows {
		*s = cutSeries{}
		if g.suspend == 0 && g.streak > l.o.SuspendWindows {
			g.pause = 0
		}
	}
	return 0, false
}
