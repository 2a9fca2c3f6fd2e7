// Package replay drives the production cache over a recorded trace: inline, on
// the trace's clock, with nothing lost between an access and the policy. The
// same trace and the same policy give the same answer, always.
//
// [Run] replays a trace under several policies and capacities at once: the
// trace is decoded a piece at a time, and every cache is shown every piece, so
// memory does not grow with the trace. [Compare] replays two policies side by
// side and says what their difference on this trace is, exactly, and how far
// that speaks for other times, from ten batches (package stats).
//
// Each access is a get and, where that misses, a set; an access to a resident
// whose size has changed is also a set. A miss is an access whose get found
// nothing: every compulsory miss counts, there is no warm-up. Keys are their
// own hashes (salt 0), loads cost nothing, entries do not expire. Byte ratios
// count the size of each access as it was recorded.
//
// It must not know where policies come from beyond a [Candidate]'s
// constructor ([FromRef] makes one of a reference), nor how results are printed, nor
// the running daemon.
//
// Caveats. A capacity in bytes wants a trace with sizes, and bounds the
// entries too: one for each 64 bytes, at least 65,536. A policy that commits a
// fault is replaced by the host's sampler for the rest of the replay;
// [Result].Failure says so, and the numbers are then not the policy's.
package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perfopt/perfopt/bench/trace"
	"github.com/perfopt/perfopt/policies"
)

// Source is where accesses come from; a *trace.Reader is one.
type Source interface {
	Name() string
	ReadBatch(dst []trace.Access) (int, error)
}

// DefaultRate is the pace of a trace without times, in requests per second.
const DefaultRate = 1000

// Options say what to replay.
type Options struct {
	Source     Source
	Candidates []Candidate // at least one
	Capacities []Capacity  // at least one
	// Rate is the pace of a trace without times, in requests per second.
	// Default DefaultRate.
	Rate float64
	// Workers bounds how many caches are driven at the same time. Default: the
	// number of processors that Go uses. With 1 the seconds of the results are
	// undisturbed by one another.
	Workers int
	// Progress, if set, is told after every piece how many accesses were
	// replayed under every policy. Called by the goroutine of Run.
	Progress func(requests int64)
}

// Result is what one policy did at one capacity.
type Result struct {
	Trace     string  `json:"trace"`
	Policy    string  `json:"policy"`
	Capacity  int64   `json:"capacity"`
	Unit      string  `json:"unit"` // of the capacity: "objects" or "bytes"
	Requests  int64   `json:"requests"`
	Misses    int64   `json:"misses"`
	MissRatio float64 `json:"miss_ratio"` // of requests, 0..1; 0 without requests

	// Of the sizes of the accesses; absent where the trace has none.
	Bytes         *int64   `json:"bytes,omitempty"`
	MissedBytes   *int64   `json:"missed_bytes,omitempty"`
	ByteMissRatio *float64 `json:"byte_miss_ratio,omitempty"`

	Seconds float64 `json:"seconds"` // spent in this cache, policy included
	Calls   uint64  `json:"calls"`   // of the policy
	Faults  uint64  `json:"faults"`  // of the policy
	// Failure says why the policy was replaced by the host's sampler; the
	// numbers are then not its own.
	Failure string `json:"failure,omitempty"`
}

// Run replays the source under every candidate at every capacity. Results are
// ordered by capacity, then by candidate, as given. It ends early when ctx
// does.
func Run(ctx context.Context, o Options) ([]Result, error) {
	e, err := newEngine(o, pieceLength)
	if err != nil {
		return nil, err
	}
	defer e.close()
	for {
		err := e.step(ctx)
		if errors.Is(err, io.EOF) {
			return e.results(), nil
		}
		if err != nil {
			return nil, err
		}
		if o.Progress != nil {
			o.Progress(e.requests)
		}
	}
}

// pieceLength is how many accesses every cache is shown in turn: enough that
// reading the clock and starting goroutines vanish, little enough that the
// piece stays in a core's cache.
const pieceLength = 1000

// engine reads a source piece by piece and shows each to all arms.
type engine struct {
	source   Source
	arms     []*arm
	workers  int
	interval float64 // nanoseconds between accesses without a time
	requests int64

	piece []trace.Access
	times []policies.Nanos
	clock policies.Nanos
	odd   bool // the next piece is an odd one
}

// newEngine returns an engine that shows every cache length accesses in turn.
func newEngine(o Options, length int) (*engine, error) {
	switch {
	case len(o.Candidates) == 0:
		return nil, errors.New("replay: no policy: want at least one")
	case len(o.Capacities) == 0:
		return nil, errors.New("replay: no capacity: want at least one")
	case !(o.Rate >= 0 && o.Rate <= 1e9):
		return nil, fmt.Errorf("replay: rate %v: want more than 0 and at most 1e9 requests per second", o.Rate)
	}
	if o.Rate == 0 {
		o.Rate = DefaultRate
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	e := &engine{
		source:   o.Source,
		workers:  o.Workers,
		interval: float64(time.Second) / o.Rate,
		piece:    make([]trace.Access, length),
		times:    make([]policies.Nanos, length),
	}
	for _, capacity := range o.Capacities {
		for _, c := range o.Candidates {
			a, err := newArm(c, capacity)
			if err != nil {
				e.close()
				return nil, err
			}
			e.arms = append(e.arms, a)
		}
	}
	return e, nil
}

// step replays one piece under all arms; io.EOF says that there was none.
func (e *engine) step(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n, err := e.source.ReadBatch(e.piece)
	if err != nil {
		return err
	}
	piece, times := e.piece[:n], e.times[:n]
	if err := e.prepare(piece, times); err != nil {
		return err
	}
	e.each(func(a *arm) { a.run(piece, times) })
	e.requests += int64(n)
	return nil
}

// prepare fills the clock of every access: its own time, held back from going
// backwards, or the pace of the replay.
func (e *engine) prepare(piece []trace.Access, times []policies.Nanos) error {
	for i := range piece {
		at := policies.Nanos(piece[i].Time)
		if !piece[i].HasTime {
			at = policies.Nanos(float64(e.requests+int64(i)) * e.interval)
		}
		e.clock = max(e.clock, at)
		times[i] = e.clock
		if !piece[i].HasSize && e.wantsSizes() {
			return fmt.Errorf("%s: access %d has no size: a capacity in bytes wants sizes; give a number of objects",
				e.source.Name(), e.requests+int64(i)+1)
		}
	}
	return nil
}

func (e *engine) wantsSizes() bool {
	for _, a := range e.arms {
		if a.capacity.Bytes {
			return true
		}
	}
	return false
}

// each calls fn for every arm, on as many goroutines as there are workers, and
// waits for all. One worker takes the arms forwards and backwards by turns, so
// that none always finds the piece in the processor's cache.
func (e *engine) each(fn func(*arm)) {
	workers := min(e.workers, len(e.arms))
	if workers == 1 {
		for i := range e.arms {
			if e.odd {
				i = len(e.arms) - 1 - i
			}
			fn(e.arms[i])
		}
		e.odd = !e.odd
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(e.arms)); i = next.Add(1) - 1 {
				fn(e.arms[i])
			}
		})
	}
	wg.Wait()
}

func (e *engine) results() []Result {
	var out []Result
	for _, a := range e.arms {
		out = append(out, a.result(e.source.Name()))
	}
	return out
}

func (e *engine) close() {
	for _, a := range e.arms {
		a.cache.Close()
	}
}
