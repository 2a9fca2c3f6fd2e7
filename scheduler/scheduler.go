// Package scheduler admits work: as much at once as can be finished, the most
// important first, and nothing that could not be done before its caller gives
// up.
//
// A [Scheduler] is a gate, a controller and a policy. The gate gives out
// permits: [Scheduler.Acquire] takes one, [Permit.Release] gives it back and
// says how the work ended; [Do] and [DoBatch] wrap both around a function.
// While the limit is not reached a permit costs one compare-and-swap each way.
// Above the limit callers wait in bounded queues by [Priority], strictly the
// most important first; one whose deadline would pass first is rejected at
// once with a [RejectedError] that says when to try again, and a full queue
// pushes out its newest waiter of the lowest priority. The controller wakes
// once a tick, describes the last window of completed work and the machine as a
// [policies.Load] and asks the seated [policies.Scaling] for the next limit. It
// never trusts the answer.
//
// Latencies are those of the work alone, from permit to release; the time in
// the queue is measured apart, and rejections never count as errors: a limit
// that falls because it rejects would never come back. Work given up at its
// deadline does, so before a deadline as much time as nearly all work needs is
// kept free. Unless the target
// latency is a number, the controller now and then halves the limit for two
// windows to measure the latency without queueing, and the target is 1.25 times
// that; a policy that answers [policies.ReasonFixed] is not probed.
//
// This package must not know what the work is, and nothing of caches, HTTP or
// WebAssembly.
//
// Caveats. Priorities are strict: enough critical work starves the rest. Work
// in flight is never interrupted, so a limit cut below what is in flight takes
// effect as work ends. A policy that never returns stops the controller (the
// limit stays, and Close waits for it), never a caller. Ideas: Netflix'
// concurrency-limits, Facebook's CoDel with deadlines (Queue, Maurer 2015),
// WeChat's DAGOR (Zhou et al., SoCC 2018) and Uber's Cinnamon.
package scheduler

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	hclog "github.com/hashicorp/go-hclog"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/scaling"
	"github.com/perfopt/perfopt/scheduler/resource"
)

// Options are the settings of a scheduler. The zero value is what we recommend.
type Options struct {
	// InitialLimit is how much work may be in flight at first. Default 10,
	// within the bounds.
	InitialLimit float64
	// MinLimit and MaxLimit bound the limit. Defaults 4, below which cuts can
	// hardly be undone, and 1000.
	MinLimit float64
	MaxLimit float64
	// Target is the mean latency that the policy aims at. Default 0: auto,
	// 1.25 times the probed latency without queueing.
	Target time.Duration
	// Tick is how often the policy is asked. Default 100ms, about ten times
	// the latency of the work or less.
	Tick time.Duration
	// QueueLength bounds the waiting work of all priorities together: a bound
	// for each would reject important work while less important waits. Default
	// 1000; -1 for none: what cannot start is rejected.
	QueueLength int
	// MaxWait bounds the time in the queue for callers without a deadline, and
	// for those with a later one. Default 30s.
	MaxWait time.Duration
	// Fixed keeps the limit at InitialLimit; the policy is not asked.
	Fixed bool
	// FIFO serves in the order of arrival, whatever the priorities.
	FIFO bool
	// Resources measures CPU and memory once a tick. Default: a
	// resource.Monitor of this process.
	Resources func() resource.Sample
	// Scaling is the first policy. Default: scaling.Linear.
	Scaling policies.Scaling
	// Logger hears of limits (debug) and of answers that could not be used
	// (warn). Default: nobody.
	Logger hclog.Logger
}

func (o Options) withDefaults() (Options, error) {
	if o.MinLimit == 0 {
		o.MinLimit = 4
	}
	if o.MaxLimit == 0 {
		o.MaxLimit = max(1000, o.MinLimit)
	}
	if o.InitialLimit == 0 {
		o.InitialLimit = min(max(10, o.MinLimit), o.MaxLimit)
	}
	if o.Tick == 0 {
		o.Tick = 100 * time.Millisecond
	}
	if o.QueueLength == 0 {
		o.QueueLength = 1000
	}
	if o.MaxWait == 0 {
		o.MaxWait = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	errs := []error{Bounds{o.MinLimit, o.MaxLimit, o.Target}.validate()}
	if !(o.InitialLimit >= o.MinLimit && o.InitialLimit <= o.MaxLimit) {
		errs = append(errs, fmt.Errorf("initial limit %v: want a number from the minimum %v to the maximum %v", o.InitialLimit, o.MinLimit, o.MaxLimit))
	}
	if o.Tick < time.Millisecond {
		errs = append(errs, fmt.Errorf("tick %v: want at least 1ms", o.Tick))
	}
	if o.MaxWait < 0 {
		errs = append(errs, fmt.Errorf("maximum wait %v: want more than 0", o.MaxWait))
	}
	return o, errors.Join(errs...)
}

// maxLimit bounds every limit: it fits the gate's word with room to spare.
const maxLimit = 1e9

func (b Bounds) validate() error {
	var errs []error
	if !(b.MinLimit >= 1 && b.MinLimit <= maxLimit) {
		errs = append(errs, fmt.Errorf("minimum limit %v: want a number from 1 to %v", b.MinLimit, maxLimit))
	}
	if !(b.MaxLimit >= b.MinLimit && b.MaxLimit <= maxLimit) {
		errs = append(errs, fmt.Errorf("maximum limit %v: want a number from the minimum %v to %v", b.MaxLimit, b.MinLimit, maxLimit))
	}
	if b.Target < 0 {
		errs = append(errs, fmt.Errorf("target latency %v: want 0 (auto) or more", b.Target))
	}
	return errors.Join(errs...)
}

// Scheduler admits work. Safe for concurrent use.
type Scheduler struct {
	gate  *gate
	meter *meter

	base    time.Time // where the nanoseconds of now count from
	tick    time.Duration
	maxWait int64
	logger  hclog.Logger
	sample  func() resource.Sample

	history history

	commands  chan func() // run by the controller's goroutine between two ticks
	stop      chan struct{}
	stopped   chan struct{} // closed when the controller's goroutine has ended
	closeOnce sync.Once

	// The fields below belong to the controller's goroutine, after it has
	// ended to whoever holds idleMu.
	controller *controller
	seat       policies.Scaling
	idleMu     sync.Mutex
	seatName   string
	failing    bool   // the last answer could not be used
	faults     uint64 // answers that could not be used
	lastFault  string // the last of them
	lastSample resource.Sample

	publicMu sync.Mutex // guards the field below
	public   Stats      // what the controller has to say, as of the last tick
}

// New returns a scheduler whose controller runs until Close.
func New(o Options) (*Scheduler, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("scheduler: %w", err)
	}
	if o.Scaling == nil {
		if o.Scaling, err = scaling.NewLinear(scaling.LinearOptions{}); err != nil {
			return nil, fmt.Errorf("scheduler: %w", err)
		}
	}
	if o.Resources == nil {
		o.Resources = resource.New(resource.Options{}).Sample
	}
	s := &Scheduler{
		gate:       newGate(wholeLimit(o.InitialLimit), max(o.QueueLength, 0), o.FIFO),
		meter:      newMeter(),
		base:       time.Now(),
		tick:       o.Tick,
		maxWait:    int64(o.MaxWait),
		logger:     o.Logger,
		sample:     o.Resources,
		commands:   make(chan func()),
		stop:       make(chan struct{}),
		stopped:    make(chan struct{}),
		controller: newController(o.InitialLimit, Bounds{o.MinLimit, o.MaxLimit, o.Target}, o.Fixed, rand.Float64),
		seat:       o.Scaling,
		seatName:   o.Scaling.Info().Name,
	}
	s.publish(resource.Sample{})
	go s.run()
	return s, nil
}

// Acquire takes a permit, waiting for it if the limit is reached. The error is
// a [RejectedError], or the context's if that was cancelled. The caller must
// release the permit. Without waiting it allocates nothing.
func (s *Scheduler) Acquire(ctx context.Context, p Priority) (Permit, error) {
	if err := ctx.Err(); err != nil {
		return Permit{}, err
	}
	if s.gate.tryAcquire() {
		return Permit{s: s, start: s.now()}, nil
	}
	return s.acquireSlow(ctx, min(p, Background))
}

func (s *Scheduler) acquireSlow(ctx context.Context, p Priority) (Permit, error) {
	now := s.now()
	r := request{now: now, priority: p, latest: now + s.maxWait}
	if deadline, ok := ctx.Deadline(); ok {
		if latest := int64(deadline.Sub(s.base)); latest < r.latest {
			r.latest, r.deadline = latest, true
		}
	}
	a := s.gate.enter(r)
	switch {
	case a.admitted:
		return Permit{s: s, start: now}, nil
	case a.waiter == nil:
		return Permit{}, s.rejected(a.reason, p, a.wait)
	}
	w := a.waiter
	select {
	case <-w.ready:
	case <-ctx.Done():
		if s.gate.leave(w, s.now()) {
			s.gate.free.Put(w)
			return Permit{}, s.gone(ctx, p)
		}
		<-w.ready
	}
	rejected, reason, waited := w.rejected, w.reason, w.at-w.since
	s.gate.free.Put(w)
	if rejected {
		return Permit{}, s.rejected(reason, p, s.gate.wait(p))
	}
	if ctx.Err() != nil { // granted to a caller that left meanwhile
		s.gate.release(s.now())
		return Permit{}, s.gone(ctx, p)
	}
	s.meter.admitted(waited)
	return Permit{s: s, start: s.now()}, nil
}

// maxRetryAfter bounds the estimate that a rejected caller is told: much can
// change within a minute.
const maxRetryAfter = time.Minute

// gone is the error of a caller whose context ended while it waited.
func (s *Scheduler) gone(ctx context.Context, p Priority) error {
	if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
		s.meter.left.Add(1)
		return err
	}
	return s.rejected(RejectDeadline, p, s.gate.wait(p))
}

// rejected counts a rejection and makes its error.
func (s *Scheduler) rejected(reason RejectReason, p Priority, wait int64) error {
	s.meter.rejected[reason].Add(1)
	after := float64(min(max(time.Duration(wait), s.tick), maxRetryAfter)) * (1 + rand.Float64()/2)
	return &RejectedError{Reason: reason, Priority: p, RetryAfter: time.Duration(after)}
}

// Pressure reports whether the limit is reached or somebody waits: the moment
// to leave out whatever nobody waits for.
func (s *Scheduler) Pressure() bool { return s.gate.busy() }

// Drain stops admission and waits until nothing is waiting or in flight; what
// waits is still served. Its error is the context's. Calls after the first wait
// for the same end. A scheduler that drains cannot be opened again.
func (s *Scheduler) Drain(ctx context.Context) error {
	select {
	case <-s.gate.drain():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("scheduler still has %d tasks in flight: %w", s.gate.inFlight(), ctx.Err())
	}
}

// Close rejects whatever waits, stops the controller and waits for it. Work in
// flight goes on and may release its permits. The policy is not closed: it
// belongs to who gave it. Calls after the first do nothing.
func (s *Scheduler) Close() {
	s.closeOnce.Do(func() {
		s.gate.close(s.now())
		close(s.stop)
	})
	<-s.stopped
}

// now is the time since the scheduler was made, in nanoseconds.
func (s *Scheduler) now() int64 { return int64(time.Since(s.base)) }

// wholeLimit is how many permits a limit is. The small term keeps a product
// like 0.9*10/0.9 from losing one.
func wholeLimit(limit float64) int64 { return max(1, int64(math.Floor(limit+1e-9))) }
