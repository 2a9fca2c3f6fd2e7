package scheduler

// Outcome says how admitted work ended.
type Outcome uint8

// The outcomes.
const (
	// OK: done. Its latency counts.
	OK Outcome = iota
	// Late: given up because the caller's deadline passed. It counts in the
	// error rate, and the time until then as its latency: it would have taken
	// longer.
	Late
	// Failed: it counts in the error rate; its latency does not count, as many
	// failures are fast.
	Failed
	// Ignored: neither. The caller left, or the work says nothing about the
	// backend.
	Ignored

	numOutcomes = iota
)

// Permit is the right to work, given by [Scheduler.Acquire]. It must be
// released exactly once; a second Release of the same variable does nothing, a
// Release of a copy is a bug. Releasing the zero Permit does nothing. Not safe
// for concurrent use.
type Permit struct {
	s     *Scheduler
	start int64 // when the permit was given, nanoseconds since the scheduler's base
}

// Release gives the permit back and says how the work ended.
func (p *Permit) Release(o Outcome) {
	s := p.s
	if s == nil {
		return
	}
	p.s = nil
	now := s.now()
	s.meter.completed(o, now-p.start)
	s.gate.release(now)
}
