package scheduler

import (
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"time"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/scheduler/resource"
)

// run is the controller's goroutine: New starts it, Close ends it and waits.
func (s *Scheduler) run() {
	defer close(s.stopped)
	ticker := time.NewTicker(s.tick)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case command := <-s.commands:
			command()
		case <-ticker.C:
			s.step()
		}
	}
}

// do runs a function on the controller's goroutine, between two ticks, or on
// this one once that has ended.
func (s *Scheduler) do(command func()) {
	done := make(chan struct{})
	select {
	case s.commands <- func() { command(); close(done) }:
		<-done
	case <-s.stopped:
		s.idleMu.Lock()
		defer s.idleMu.Unlock()
		command()
	}
}

// UseScaling seats a policy and returns the former one, which is not asked
// again. The limit stays where it is; the policy starts from there. Waits for
// a question that is being answered.
func (s *Scheduler) UseScaling(p policies.Scaling) (former policies.Scaling) {
	name := p.Info().Name
	s.do(func() {
		former, s.seat, s.seatName = s.seat, p, name
		s.failing = false
		s.controller.tick = 0
		s.publish(s.lastSample)
	})
	return former
}

// SetBounds changes the bounds and the target of the limit, and brings the
// limit inside. With Options.Fixed the limit stays where it is.
func (s *Scheduler) SetBounds(b Bounds) error {
	if err := b.validate(); err != nil {
		return fmt.Errorf("scheduler: %w", err)
	}
	s.do(func() {
		s.controller.setBounds(b)
		s.gate.setLimit(wholeLimit(s.controller.effective()), s.now())
		s.publish(s.lastSample)
	})
	return nil
}

// step is one tick.
func (s *Scheduler) step() {
	sample := s.sample()
	now := s.now()
	s.gate.sweep(now)
	state := s.gate.state(now)
	s.gate.takePeak()
	var latencies counts
	s.meter.latencies(&latencies)
	read := s.meter.read(now)
	read.waiting = state.waiting()

	c := s.controller
	before := c.effective()
	c.step(&observation{
		wall: policies.Nanos(s.base.UnixNano() + now), read: read,
		latencies: &latencies, gate: state, sample: sample,
	}, s.ask)
	if after := c.effective(); after != before {
		s.gate.setLimit(wholeLimit(after), s.now())
		s.logger.Debug("limit moved", "from", before, "to", after, "reason", c.reason)
	}
	s.gate.setEstimates(c.rate(), c.reserve())
	s.history.tick(moment{
		reading: read, area: state.area,
		cpuSeconds: sample.ProcessCPUSeconds, rssBytes: float64(sample.RSSBytes),
	}, ratio(float64(state.inFlight), math.Floor(before)), s.readHistograms)
	s.lastSample = sample
	s.publish(sample)
}

// maxFaultText bounds what is kept of the text of a fault.
const maxFaultText = 256

// ask asks the seated policy. An answer that is no number, an error and a panic
// are faults: the limit stays. The first of a row is logged.
func (s *Scheduler) ask(load *policies.Load) (limit float64, reason policies.Reason, ok bool) {
	limit, reason, err := answerOf(s.seat, load)
	if err == nil && (math.IsNaN(limit) || math.IsInf(limit, 0)) {
		err = fmt.Errorf("limit %v is no number", limit)
	}
	if err == nil {
		s.failing = false
		return limit, reason, true
	}
	s.faults++
	s.lastFault = err.Error()
	s.lastFault = s.lastFault[:min(len(s.lastFault), maxFaultText)]
	if !s.failing {
		s.failing = true
		s.logger.Warn("scaling policy failed: the limit stays", "policy", s.seatName, "error", s.lastFault)
		var p *PanicError
		if errors.As(err, &p) {
			s.logger.Debug("scaling policy panicked", "stack", string(p.Stack))
		}
	}
	return limit, reason, false
}

// answerOf calls a policy and turns its panic into an error.
func answerOf(p policies.Scaling, load *policies.Load) (limit float64, reason policies.Reason, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &PanicError{Value: r, Stack: debug.Stack()}
		}
	}()
	return p.Limit(load)
}

// publish makes the controller's state visible to Stats.
func (s *Scheduler) publish(sample resource.Sample) {
	c := s.controller
	st := Stats{
		Policy: s.seatName, Limit: c.effective(), MinLimit: c.bounds.MinLimit, MaxLimit: c.bounds.MaxLimit,
		Reason: c.reason.String(), Adaptive: !c.fixed, Probing: c.probe.active(), Ticks: c.tick,
		Faults: s.faults, LastFault: s.lastFault,
		TargetMillis: finite(c.target()), BaselineMillis: finite(c.probe.baseline),
		CPU: sample.CPURatio, Memory: sample.MemoryRatio, Throttled: sample.Throttled, ResourceSource: sample.Source,
	}
	s.publicMu.Lock()
	s.public = st
	s.publicMu.Unlock()
}
