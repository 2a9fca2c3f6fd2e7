package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/perfopt/perfopt/bench/stats"
)

const (
	// batches is the number of batch means that inference rests on: few enough
	// that each is long, enough that the factor of the interval is 2.3.
	batches = 10
	// minTurnovers is how often a batch must exchange the contents of the
	// cache, so that what one batch leaves behind hardly reaches into the next.
	minTurnovers = 10
	// windowLength is how many requests a window has: the grain in which warm-up
	// and batches are cut.
	windowLength = 200
	// level of the interval.
	level = 0.95
)

// DefaultMargin is the margin to offer where nobody says one: 1 % of the misses.
const DefaultMargin = 0.01

// CompareOptions say which two policies to compare on what.
type CompareOptions struct {
	Source   Source
	A, B     Candidate
	Capacity Capacity
	Rate     float64 // as in Options
	// Margin is the relative change of the misses that does not matter, 0..1.
	// 0 means that every change does.
	Margin float64
	// Progress is told after every piece how many accesses were replayed.
	Progress func(requests int64)
}

// Comparison is what two policies did on the same trace.
type Comparison struct {
	Trace    string `json:"trace"`
	Kind     string `json:"kind"`
	Capacity int64  `json:"capacity"`
	Unit     string `json:"unit"`
	A        Result `json:"a"`
	B        Result `json:"b"`
	// OnTrace is exact: what happened on this trace.
	OnTrace Difference `json:"on_trace"`
	// Beyond is inferred: what this says of other stretches of such traffic.
	Beyond Inference `json:"beyond"`
}

// Difference is B against A on the trace.
type Difference struct {
	Misses    int64    `json:"misses"`             // of B minus those of A
	MissRatio float64  `json:"miss_ratio"`         // of B minus that of A, in -1..1
	Relative  *float64 `json:"relative,omitempty"` // misses of B over those of A, minus 1; absent where A missed nothing
}

// Inference is a verdict on B against A with what it rests on. Batches are
// stretches of equal length behind the warm-up.
type Inference struct {
	Verdict stats.Verdict `json:"verdict"`
	Reason  string        `json:"reason,omitempty"` // why it is inconclusive

	Level  float64 `json:"level"`
	Margin float64 `json:"margin"`

	WarmupRequests int64   `json:"warmup_requests"` // left out at the start
	Batches        int     `json:"batches"`
	BatchRequests  int64   `json:"batch_requests"`
	BatchTurnovers float64 `json:"batch_turnovers"` // times that the batch exchanged the contents of the cache

	// Absent where they could not be computed.
	MissRatio      *Bounds  `json:"miss_ratio,omitempty"`       // difference of the miss ratios, B minus A
	SelfNormalised *Bounds  `json:"self_normalised,omitempty"`  // the same, without batches
	Relative       *Bounds  `json:"relative,omitempty"`         // ratio of the misses, minus 1
	Visible        *float64 `json:"smallest_visible,omitempty"` // relative change that would have been called significant in four of five repetitions
}

// Bounds are an estimate with its interval.
type Bounds struct {
	Estimate float64 `json:"estimate"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
}

// Compare replays the source under A and B, side by side on one goroutine, and
// compares their misses.
func Compare(ctx context.Context, o CompareOptions) (*Comparison, error) {
	if !(o.Margin >= 0 && o.Margin < 1) {
		return nil, fmt.Errorf("replay: margin %v: want at least 0 and less than 1", o.Margin)
	}
	e, err := newEngine(Options{
		Source: o.Source, Candidates: []Candidate{o.A, o.B}, Capacities: []Capacity{o.Capacity}, Rate: o.Rate, Workers: 1,
	}, windowLength)
	if err != nil {
		return nil, err
	}
	defer e.close()
	var w windows
	for {
		err := e.step(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		w.add(e)
		if o.Progress != nil {
			o.Progress(e.requests)
		}
	}
	r := e.results()
	c := &Comparison{
		Trace: o.Source.Name(), Kind: "eviction", Capacity: o.Capacity.Amount, Unit: o.Capacity.unit(),
		A: r[0], B: r[1],
		OnTrace: difference(r[0], r[1]),
	}
	c.Beyond = infer(&w, o.Margin)
	switch {
	case c.A.Failure != "":
		c.Beyond.give("A failed: " + c.A.Failure)
	case c.B.Failure != "":
		c.Beyond.give("B failed: " + c.B.Failure)
	}
	return c, nil
}

func difference(a, b Result) Difference {
	d := Difference{Misses: b.Misses - a.Misses, MissRatio: b.MissRatio - a.MissRatio}
	if a.Misses > 0 {
		d.Relative = new(float64(b.Misses)/float64(a.Misses) - 1)
	}
	return d
}

// windows are the misses and turnovers of both arms, one entry a window of the
// trace; a shorter last one is not among them.
type windows struct {
	a, b series
	warm int // windows at whose start one of the caches had never evicted
}

// series is what one arm did, one entry a window.
type series struct {
	missRatios []float64
	turnovers  []float64 // contents exchanged

	misses, evicted int64 // at the end of the last window
}

func (w *windows) add(e *engine) {
	if e.requests%windowLength != 0 {
		return
	}
	filling := w.a.evicted == 0 || w.b.evicted == 0
	w.a.add(e.arms[0])
	w.b.add(e.arms[1])
	if filling {
		w.warm = len(w.a.missRatios)
	}
}

func (s *series) add(a *arm) {
	s.missRatios = append(s.missRatios, float64(a.misses-s.misses)/windowLength)
	s.turnovers = append(s.turnovers, float64(a.evicted-s.evicted)/float64(max(a.residents, 1)))
	s.misses, s.evicted = a.misses, a.evicted
}

// infer judges B against A from the windows behind the warm-up.
func infer(w *windows, margin float64) Inference {
	i := Inference{Verdict: stats.Inconclusive, Level: level, Margin: margin, Batches: batches}
	a, b := w.a.missRatios[w.warm:], w.b.missRatios[w.warm:]
	length := len(a) / batches
	i.BatchRequests = int64(length) * windowLength
	i.WarmupRequests = int64(len(w.a.missRatios)-length*batches) * windowLength
	switch {
	case len(a) == 0 && len(w.a.missRatios) > 0:
		i.give("the cache never filled: choose a smaller capacity, or a longer trace")
		return i
	case length == 0:
		i.give(fmt.Sprintf("the trace is too short: want more than %d requests behind the warm-up", batches*windowLength))
		return i
	}
	i.BatchTurnovers = math.Min(turnovers(w.a.turnovers, length), turnovers(w.b.turnovers, length))
	meansA, errA := stats.BatchMeans(a, batches)
	meansB, errB := stats.BatchMeans(b, batches)
	if err := errors.Join(errA, errB); err != nil {
		i.give(err.Error())
		return i
	}
	i.intervals(meansA, meansB, a, b)
	j, err := stats.Judge(meansA, meansB, level, margin)
	if err != nil {
		i.give(err.Error())
		return i
	}
	i.Verdict = j.Verdict
	i.Relative = boundsOf(j.Change)
	i.Visible = &j.Visible
	switch {
	case i.BatchTurnovers < minTurnovers:
		i.give(fmt.Sprintf("a batch exchanges the contents of the cache %.1f times, want %d: choose a smaller capacity, or a longer trace",
			i.BatchTurnovers, minTurnovers))
	case i.Verdict == stats.Inconclusive:
		i.Reason = "the batches differ more among themselves than the policies do"
	}
	return i
}

// give makes the inference inconclusive.
func (i *Inference) give(reason string) { i.Verdict, i.Reason = stats.Inconclusive, reason }

// intervals computes both intervals of the difference of miss ratios.
func (i *Inference) intervals(meansA, meansB, a, b []float64) {
	if d, err := stats.PairedInterval(meansB, meansA, level); err == nil {
		i.MissRatio = boundsOf(d)
	}
	d := make([]float64, len(a))
	for k := range d {
		d[k] = b[k] - a[k]
	}
	if s, err := stats.SelfNormalised(d, level); err == nil {
		i.SelfNormalised = boundsOf(s)
	}
}

// turnovers returns the least that a batch of so many windows exchanged; batches
// end where the series does.
func turnovers(windows []float64, length int) float64 {
	windows = windows[len(windows)-length*batches:]
	least := math.Inf(1)
	for i := range batches {
		var sum float64
		for _, v := range windows[i*length : (i+1)*length] {
			sum += v
		}
		least = min(least, sum)
	}
	return least
}

func boundsOf(i stats.Interval) *Bounds {
	return &Bounds{Estimate: i.Estimate, Low: i.Low, High: i.High}
}
