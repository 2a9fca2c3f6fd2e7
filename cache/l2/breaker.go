package l2

import (
	"sync"
	"sync/atomic"
	"time"
)

// State is the state of a [Breaker].
type State int32

// The states of a breaker.
const (
	StateClosed   State = iota // calls go through
	StateOpen                  // no call goes through until a probe succeeds
	StateHalfOpen              // a probe is under way; calls stay away
)

// String returns closed, open or half_open.
func (s State) String() string {
	switch s {
	case StateClosed:
		return "closed"
	case StateOpen:
		return "open"
	default:
		return "half_open"
	}
}

// When a breaker opens and when it probes.
const (
	// breakerConsecutive failures in a row open it: a dead server is noticed
	// within three timeouts.
	breakerConsecutive = 3
	// breakerWindow is how many calls are remembered; half of them failing
	// opens it too (a server that answers now and then).
	breakerWindow = 20
	// The wait before a probe is a quarter of the outage so far, within these
	// bounds. So waits grow exponentially (by a quarter each), and recovery
	// takes at most a quarter longer than the outage: 0.5 s after one of 2 s.
	minProbeWait   = 250 * time.Millisecond
	maxProbeWait   = 5 * time.Second
	probeWaitShare = 4
)

// Breaker keeps calls away from something that fails. Its user asks [Allow]
// before a call and reports with [Record] after it; one owner probes. Safe for
// concurrent use; Allow is one atomic load.
type Breaker struct {
	onChange func(State)
	state    atomic.Int32 // written under mu; a stale read lets one more call through

	mu          sync.Mutex // guards the fields below
	consecutive int
	failed      [breakerWindow]bool
	next        int // position in failed
	seen        int // calls remembered, up to breakerWindow
	failures    int // true ones in failed
	openSince   time.Time
	waitSince   time.Time // when the current wait for a probe began
}

// NewBreaker returns a closed breaker. onChange is called after every change
// of state, outside of locks; nil: nobody is told.
func NewBreaker(onChange func(State)) *Breaker {
	return &Breaker{onChange: onChange}
}

// State returns the present state.
func (b *Breaker) State() State { return State(b.state.Load()) }

// Allow reports whether a call may be made.
func (b *Breaker) Allow() bool { return b.State() == StateClosed }

// Record reports how a call went that [Breaker.Allow] let through. Calls that
// end after the breaker has opened count for nothing.
func (b *Breaker) Record(ok bool) {
	b.mu.Lock()
	if b.State() != StateClosed {
		b.mu.Unlock()
		return
	}
	if b.seen == breakerWindow && b.failed[b.next] {
		b.failures--
	}
	b.failed[b.next] = !ok
	b.next = (b.next + 1) % breakerWindow
	b.seen = min(b.seen+1, breakerWindow)
	if ok {
		b.consecutive = 0
	} else {
		b.consecutive++
		b.failures++
	}
	open := b.consecutive >= breakerConsecutive || (b.seen == breakerWindow && b.failures*2 >= breakerWindow)
	if open {
		b.openSince = time.Now()
		b.waitSince = b.openSince
		b.state.Store(int32(StateOpen))
	}
	b.mu.Unlock()
	if open {
		b.changed(StateOpen)
	}
}

// ProbeIn returns how long the owner has to wait before its next probe; 0 when
// it is time, and false while the breaker is closed.
func (b *Breaker) ProbeIn() (time.Duration, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.State() == StateClosed {
		return 0, false
	}
	wait := min(max(b.waitSince.Sub(b.openSince)/probeWaitShare, minProbeWait), maxProbeWait)
	return max(wait-time.Since(b.waitSince), 0), true
}

// BeginProbe moves an open breaker to half-open.
func (b *Breaker) BeginProbe() { b.move(StateOpen, StateHalfOpen) }

// EndProbe closes a half-open breaker after a good probe, with its memory
// empty, and opens it again after a bad one.
func (b *Breaker) EndProbe(ok bool) {
	if ok {
		b.move(StateHalfOpen, StateClosed)
	} else {
		b.move(StateHalfOpen, StateOpen)
	}
}

// move changes the state if it is from.
func (b *Breaker) move(from, to State) {
	b.mu.Lock()
	if b.State() != from {
		b.mu.Unlock()
		return
	}
	switch to {
	case StateOpen:
		b.waitSince = time.Now()
	case StateClosed:
		b.consecutive, b.next, b.seen, b.failures = 0, 0, 0, 0
		b.failed = [breakerWindow]bool{}
	}
	b.state.Store(int32(to))
	b.mu.Unlock()
	b.changed(to)
}

func (b *Breaker) changed(to State) {
	if b.onChange != nil {
		b.onChange(to)
	}
}
