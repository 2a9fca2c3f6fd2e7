package scheduler

import (
	"sync"
	"sync/atomic"

	"github.com/perfopt/perfopt/policies"
)

// gate decides who may work now, who waits and who is rejected. Its simple
// idea: while nobody waits and the limit is not reached, taking and giving back
// a permit is one compare-and-swap of one word each; everything else happens
// under one lock.
//
// Invariants:
//   - The lowest bit of word is set whenever somebody waits or the gate is
//     draining. While it is set, only holders of the lock change word: every
//     fast path that looked before fails its compare-and-swap, as the word has
//     changed. So a waiter cannot miss a permit that is given back.
//   - When the lock is free and somebody waits, in flight >= limit: whatever
//     lowers the one or raises the other serves the queue before it unlocks.
//   - Every waiter ends exactly once, under the lock: granted, rejected, or
//     gone because its caller left.
//
// No code of others runs under the lock.
type gate struct {
	word atomic.Uint64 // work in flight << 1 | slow
	_    [56]byte      // word on a cache line of its own: every task writes it

	limit atomic.Int64 // work that may be in flight; written under mu, read by all
	peak  atomic.Int64 // highest in flight since the controller last asked
	_     [48]byte

	mu sync.Mutex // guards the fields below

	queues    [policies.NumPriorities]waiterQueue
	queued    int
	maxQueued int

	rate    float64 // permits that come back per nanosecond when the limit is in use; 0 = unknown
	reserve int64   // time that admitted work needs, nanoseconds; 0 = unknown

	area     [policies.NumPriorities]float64 // queue length times nanoseconds, since the start
	areaAt   int64                           // until when area is counted
	fifo     bool                            // one queue for all priorities
	draining bool
	closed   bool
	drained  chan struct{} // closed once draining and nothing is waiting or in flight
	ended    bool          // drained is closed

	// free keeps waiters for reuse. One for each gate, not one for all: their
	// channels must not wander between the bubbles of testing/synctest.
	free sync.Pool
}

// slow is the bit of word that sends everybody to the lock.
const slow = 1

func newGate(limit int64, maxQueued int, fifo bool) *gate {
	g := &gate{maxQueued: maxQueued, fifo: fifo, drained: make(chan struct{})}
	g.limit.Store(limit)
	g.free.New = func() any { return &waiter{ready: make(chan struct{}, 1)} }
	return g
}

func (g *gate) inFlight() int64 { return int64(g.word.Load() >> 1) }

// busy reports whether a caller would have to wait or be rejected.
func (g *gate) busy() bool {
	word := g.word.Load()
	return word&slow != 0 || int64(word>>1) >= g.limit.Load()
}

// tryAcquire takes a permit if nobody waits and the limit is not reached.
func (g *gate) tryAcquire() bool {
	for {
		word := g.word.Load()
		n := int64(word >> 1)
		if word&slow != 0 || n >= g.limit.Load() {
			return false
		}
		if g.word.CompareAndSwap(word, word+2) {
			g.notePeak(n + 1)
			return true
		}
	}
}

// release gives a permit back and serves the queue.
func (g *gate) release(now int64) {
	for {
		word := g.word.Load()
		if word>>1 == 0 {
			panic("scheduler: permit released twice: nothing is in flight")
		}
		if word&slow != 0 {
			break
		}
		if g.word.CompareAndSwap(word, word-2) {
			return
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.word.Add(^uint64(1)) // minus 2: one fewer in flight
	g.serve(now)
	g.settle()
}

// request is a caller that asks for a permit.
type request struct {
	now      int64
	priority Priority
	latest   int64 // when a permit no longer helps
	deadline bool  // latest is the caller's deadline: the work needs time before it
}

// answer is what the gate says to a request: a permit, a waiter to wait on, or
// a rejection.
type answer struct {
	admitted bool
	waiter   *waiter
	reason   RejectReason
	wait     int64 // estimated time until the queue in front is served, nanoseconds
}

// enter admits, queues or rejects.
func (g *gate) enter(r request) answer {
	if g.fifo {
		r.priority = Normal
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return answer{reason: RejectClosed}
	}
	if g.draining {
		return answer{reason: RejectDraining, wait: g.estimate(Background)}
	}
	g.word.Or(slow) // from here on word is ours
	defer g.settle()
	if g.queued > 0 {
		g.serve(r.now)
	}
	if n := g.inFlight(); n < g.limit.Load() && g.queued == 0 {
		g.word.Add(2)
		g.notePeak(n + 1)
		return answer{admitted: true}
	}
	wait := g.estimate(r.priority)
	left := r.latest - r.now
	if r.deadline {
		left -= g.reserve
	}
	switch {
	case left <= 0:
		return answer{reason: RejectDeadline, wait: wait}
	case wait > left:
		return answer{reason: RejectWouldExpire, wait: wait}
	case g.queued >= g.maxQueued && !g.pushOut(r):
		return answer{reason: RejectQueueFull, wait: wait}
	}
	w := g.free.Get().(*waiter)
	*w = waiter{ready: w.ready, priority: r.priority, since: r.now, latest: r.latest, reserve: r.deadline}
	g.countArea(r.now)
	g.queues[r.priority].pushBack(w)
	g.queued++
	return answer{waiter: w}
}

// pushOut makes room in a full queue: the newest waiter of the least important
// priority below the request's goes.
func (g *gate) pushOut(r request) bool {
	for p := len(g.queues) - 1; p > int(r.priority); p-- {
		if w := g.queues[p].last; w != nil {
			g.end(w, r.now, true, RejectShed)
			return true
		}
	}
	return false
}

// leave takes a waiter whose caller left out of the queue. It returns false if
// the wait had already ended: then its token is in ready.
func (g *gate) leave(w *waiter, now int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !w.waiting {
		return false
	}
	g.unlink(w, now)
	g.settle()
	return true
}

// serve gives permits to the most important and, among equals, longest waiting
// until the limit is reached. Waiters that a permit no longer helps are
// rejected on the way. The caller holds mu and has set slow.
func (g *gate) serve(now int64) {
	limit := g.limit.Load()
	for p := range g.queues {
		for w := g.queues[p].first; w != nil; w = g.queues[p].first {
			if g.expired(w, now) {
				continue
			}
			n := g.inFlight()
			if n >= limit {
				return
			}
			g.word.Add(2)
			g.notePeak(n + 1)
			g.end(w, now, false, 0)
		}
	}
}

// expired ends a waiter that a permit no longer helps.
func (g *gate) expired(w *waiter, now int64) bool {
	latest, reason := w.latest, RejectTimeout
	if w.reserve {
		latest, reason = w.latest-g.reserve, RejectDeadline
	}
	if now < latest {
		return false
	}
	g.end(w, now, true, reason)
	return true
}

// end takes a waiter out of the queue and tells its caller how it ended.
func (g *gate) end(w *waiter, now int64, rejected bool, reason RejectReason) {
	g.unlink(w, now)
	w.rejected, w.reason, w.at = rejected, reason, now
	w.ready <- struct{}{} // never blocks: a waiter ends once
}

func (g *gate) unlink(w *waiter, now int64) {
	g.countArea(now)
	g.queues[w.priority].remove(w)
	g.queued--
}

// settle restores the invariant of the slow bit and tells a drain that all is
// done. The caller holds mu.
func (g *gate) settle() {
	if g.queued == 0 && !g.draining {
		g.word.And(^uint64(slow))
		return
	}
	g.word.Or(slow)
	if g.draining && g.queued == 0 && g.inFlight() == 0 && !g.ended {
		g.ended = true
		close(g.drained)
	}
}

// longest bounds an estimate, in nanoseconds: a day.
const longest = 24 * 3600 * 1e9

// estimate returns how long a waiter of that priority would wait: what is
// queued at least as important, and what is in flight above the limit, over
// the rate at which permits come back. 0 if the rate is unknown.
func (g *gate) estimate(p Priority) int64 {
	if g.rate == 0 {
		return 0
	}
	ahead := max(g.inFlight()-g.limit.Load(), 0) + 1
	for _, q := range g.queues[:p+1] {
		ahead += int64(q.n)
	}
	return int64(min(float64(ahead)/g.rate, longest))
}

func (g *gate) notePeak(n int64) {
	for peak := g.peak.Load(); n > peak; peak = g.peak.Load() {
		if g.peak.CompareAndSwap(peak, n) {
			return
		}
	}
}

// countArea brings the integral of the queue lengths up to now. The caller
// holds mu and changes a length next.
func (g *gate) countArea(now int64) {
	if span := float64(now - g.areaAt); span > 0 {
		for p := range g.queues {
			g.area[p] += span * float64(g.queues[p].n)
		}
		g.areaAt = now
	}
}
