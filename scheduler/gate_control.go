package scheduler

import "github.com/perfopt/perfopt/policies"

// gateState is what the controller reads of the gate.
type gateState struct {
	draining bool
	inFlight int64
	peak     int64 // highest in flight since the last reading that took it
	queued   [policies.NumPriorities]int
	area     [policies.NumPriorities]float64 // queue length times nanoseconds, since the start
}

// waiting is all that is queued or in flight.
func (s *gateState) waiting() int64 {
	n := s.inFlight
	for _, q := range s.queued {
		n += int64(q)
	}
	return n
}

// state returns the present state.
func (g *gate) state(now int64) gateState {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.countArea(now)
	s := gateState{draining: g.draining, inFlight: g.inFlight(), peak: g.peak.Load(), area: g.area}
	for p := range g.queues {
		s.queued[p] = g.queues[p].n
	}
	return s
}

// wait returns how long a caller of that priority would wait at present.
func (g *gate) wait(p Priority) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.estimate(p)
}

// takePeak begins a new measurement of the peak in flight.
func (g *gate) takePeak() { g.peak.Store(g.inFlight()) }

// sweep rejects every waiter that a permit no longer helps, so that none
// depends on a permit coming back.
func (g *gate) sweep(now int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for p := range g.queues {
		for w := g.queues[p].first; w != nil; {
			next := w.next
			g.expired(w, now)
			w = next
		}
	}
	g.settle()
}

// setEstimates tells the gate how fast permits come back when the limit is in
// use (per nanosecond) and how long admitted work takes (nanoseconds).
func (g *gate) setEstimates(rate float64, reserve int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rate, g.reserve = rate, reserve
}

// setLimit changes the limit and serves the queue. Work in flight above a
// lower limit goes on.
func (g *gate) setLimit(limit, now int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit.Store(limit)
	g.word.Or(slow)
	g.serve(now)
	g.settle()
}

// drain stops admission; what waits is still served. The channel is closed
// once nothing is waiting or in flight.
func (g *gate) drain() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	done := g.drained
	if !g.draining {
		g.draining = true
		g.settle()
	}
	return done
}

// close stops admission and rejects what waits.
func (g *gate) close(now int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.draining, g.closed = true, true
	for p := range g.queues {
		for w := g.queues[p].first; w != nil; w = g.queues[p].first {
			g.end(w, now, true, RejectClosed)
		}
	}
	g.settle()
}
