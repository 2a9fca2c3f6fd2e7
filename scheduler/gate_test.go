package scheduler

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/perfopt/perfopt/policies"
)

// model checks a gate in one goroutine against what it promises.
type model struct {
	gate    *gate
	now     int64
	limit   int64
	maxLen  int
	inside  int64
	waiting []*waiter // in the order of arrival
}

// settleEnded takes the waiters whose wait ended out of the model and returns
// those that were granted.
func (m *model) settleEnded(t *rapid.T) (granted []*waiter) {
	rest := m.waiting[:0:0]
	for _, w := range m.waiting {
		if w.waiting {
			rest = append(rest, w)
			continue
		}
		select {
		case <-w.ready:
		default:
			t.Fatalf("a waiter left the queue without a word")
		}
		if !w.rejected {
			granted = append(granted, w)
			m.inside++
		}
	}
	for _, g := range granted {
		for _, w := range rest {
			if w.priority < g.priority || (w.priority == g.priority && w.since < g.since) {
				t.Fatalf("a waiter of priority %v since %d was served before one of %v since %d", g.priority, g.since, w.priority, w.since)
			}
		}
	}
	m.waiting = rest
	return granted
}

func (m *model) check(t *rapid.T) {
	m.settleEnded(t)
	if got := m.gate.inFlight(); got != m.inside {
		t.Fatalf("%d in flight, want %d", got, m.inside)
	}
	if m.gate.queued != len(m.waiting) || m.gate.queued > m.maxLen {
		t.Fatalf("%d queued, want %d, at most %d", m.gate.queued, len(m.waiting), m.maxLen)
	}
	if len(m.waiting) > 0 && m.inside < m.limit {
		t.Fatalf("%d wait though %d of %d are in flight", len(m.waiting), m.inside, m.limit)
	}
	if slowSet := m.gate.word.Load()&slow != 0; slowSet != (len(m.waiting) > 0) {
		t.Fatalf("slow bit %v with %d waiting", slowSet, len(m.waiting))
	}
}

func TestGateKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{limit: rapid.Int64Range(1, 4).Draw(t, "limit"), maxLen: rapid.IntRange(0, 5).Draw(t, "queue length")}
		m.gate = newGate(m.limit, m.maxLen, false)
		t.Repeat(map[string]func(*rapid.T){
			"": m.check,
			"acquire": func(t *rapid.T) {
				m.now++
				if m.gate.tryAcquire() {
					if m.inside >= m.limit || len(m.waiting) > 0 {
						t.Fatalf("admitted past %d of %d in flight and %d waiting", m.inside, m.limit, len(m.waiting))
					}
					m.inside++
					return
				}
				m.enter(t)
			},
			"release": func(t *rapid.T) {
				if m.inside == 0 {
					t.Skip("nothing in flight")
				}
				m.now++
				m.inside--
				m.gate.release(m.now)
			},
			"leave": func(t *rapid.T) {
				if len(m.waiting) == 0 {
					t.Skip("nobody waits")
				}
				i := rapid.IntRange(0, len(m.waiting)-1).Draw(t, "who")
				if !m.gate.leave(m.waiting[i], m.now) {
					t.Fatalf("a waiting caller could not leave")
				}
				m.waiting = append(m.waiting[:i:i], m.waiting[i+1:]...)
			},
			"limit": func(t *rapid.T) {
				m.limit = rapid.Int64Range(1, 6).Draw(t, "limit")
				m.gate.setLimit(m.limit, m.now)
			},
			"sweep": func(t *rapid.T) {
				m.now += rapid.Int64Range(0, 50).Draw(t, "time")
				m.gate.sweep(m.now)
				m.settleEnded(t)
				for _, w := range m.waiting {
					if m.now >= w.latest {
						t.Fatalf("at %d somebody still waits who can wait until %d", m.now, w.latest)
					}
				}
			},
			"estimates": func(t *rapid.T) {
				m.gate.setEstimates(rapid.Float64Range(0, 1).Draw(t, "rate"), rapid.Int64Range(0, 20).Draw(t, "reserve"))
			},
		})
	})
}

func (m *model) enter(t *rapid.T) {
	r := request{
		now: m.now, priority: Priority(rapid.IntRange(0, policies.NumPriorities-1).Draw(t, "priority")),
		latest: m.now + rapid.Int64Range(-5, 200).Draw(t, "patience"), deadline: rapid.Bool().Draw(t, "deadline"),
	}
	a := m.gate.enter(r)
	switch {
	case a.admitted:
		m.settleEnded(t)
		if m.inside >= m.limit || len(m.waiting) > 0 {
			t.Fatalf("admitted past %d of %d in flight and %d waiting", m.inside, m.limit, len(m.waiting))
		}
		m.inside++
	case a.waiter != nil:
		m.waiting = append(m.waiting, a.waiter)
	case a.reason == RejectQueueFull:
		m.settleEnded(t)
		for _, w := range m.waiting {
			if w.priority > r.priority {
				t.Fatalf("%v rejected for capacity while %v waits", r.priority, w.priority)
			}
		}
	}
	// Whoever was pushed out was the newest of the least important.
	for _, w := range m.waiting {
		if w.waiting || !w.rejected || w.reason != RejectShed {
			continue
		}
		for _, other := range m.waiting {
			if other.waiting && other != a.waiter && (other.priority > w.priority || (other.priority == w.priority && other.since > w.since)) {
				t.Fatalf("%v since %d was pushed out while %v since %d stayed", w.priority, w.since, other.priority, other.since)
			}
		}
	}
}

func TestGateHammer(t *testing.T) {
	const workers, loops, maxLimit = 32, 400, 6
	s := newTest(t, Options{InitialLimit: maxLimit, Fixed: true, MinLimit: 1, QueueLength: 8, Tick: time.Millisecond})
	var inside, ended atomic.Int64
	stop := make(chan struct{})
	var mover sync.WaitGroup
	mover.Go(func() { // the limit moves all the time
		for n := int64(1); ; n++ {
			select {
			case <-stop:
				return
			default:
				s.gate.setLimit(1+n%maxLimit, s.now())
			}
		}
	})
	var wait sync.WaitGroup
	start := make(chan struct{})
	for range workers {
		wait.Go(func() {
			<-start
			for range loops {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.Int64N(int64(2*time.Millisecond))))
				if rand.IntN(4) == 0 {
					go cancel()
				}
				permit, err := s.Acquire(ctx, Priority(rand.IntN(policies.NumPriorities)))
				var rejected *RejectedError
				switch {
				case err == nil:
					if n := inside.Add(1); n > maxLimit {
						t.Errorf("%d at once, want at most %d", n, maxLimit)
					}
					for range rand.IntN(20) {
						runtime.Gosched()
					}
					inside.Add(-1)
					permit.Release(Outcome(rand.IntN(numOutcomes)))
				case !errors.As(err, &rejected) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
					t.Errorf("unexpected error: %v", err)
				}
				ended.Add(1)
				cancel()
			}
		})
	}
	close(start)
	wait.Wait() // a lost wake-up ends in the timeout of the tests
	close(stop)
	mover.Wait()
	if got := ended.Load(); got != workers*loops {
		t.Errorf("%d calls ended, want %d", got, workers*loops)
	}
	if word := s.gate.word.Load(); word != 0 || s.gate.queued != 0 {
		t.Errorf("word %d and %d queued after all have left, want 0 and 0", word, s.gate.queued)
	}
	st := s.Stats()
	total := st.TotalOK + st.TotalLate + st.TotalFailed + st.TotalIgnored
	for _, n := range st.TotalRejected {
		total += n
	}
	if total+st.TotalLeft > workers*loops {
		t.Errorf("%d calls counted, want at most %d", total+st.TotalLeft, workers*loops)
	}
}

// Waiters without any deadline, served only by each other: a lost wake-up
// leaves the test waiting for ever.
func TestNoLostWakeUps(t *testing.T) {
	const workers, loops = 64, 300
	s := newTest(t, Options{InitialLimit: 8, Fixed: true, QueueLength: workers, Tick: time.Hour, MaxWait: time.Hour})
	var wait sync.WaitGroup
	for i := range workers {
		wait.Go(func() {
			for range loops {
				permit, err := s.Acquire(context.Background(), Priority(i%policies.NumPriorities))
				if err != nil {
					t.Error(err)
					return
				}
				permit.Release(OK)
			}
		})
	}
	wait.Wait()
	if st := s.Stats(); st.TotalOK != workers*loops || st.InFlight != 0 {
		t.Errorf("%d done and %d in flight, want %d and 0", st.TotalOK, st.InFlight, workers*loops)
	}
}

// A permit given back while its next holder is on the way into the queue: if
// the release takes the fast path in between, nobody is left to serve it.
func TestReleaseSeesAWaiterOnItsWay(t *testing.T) {
	const rounds = 20_000
	s := newTest(t, Options{InitialLimit: 1, MinLimit: 1, Fixed: true, Tick: time.Hour, MaxWait: time.Hour})
	var round, done atomic.Int64
	var wait sync.WaitGroup
	wait.Go(func() {
		for i := int64(1); i <= rounds; i++ {
			for round.Load() < i {
				runtime.Gosched()
			}
			permit, err := s.Acquire(context.Background(), Normal)
			if err != nil {
				t.Error(err)
			}
			permit.Release(OK)
			done.Store(i)
		}
	})
	for i := int64(1); i <= rounds; i++ {
		permit, err := s.Acquire(context.Background(), Normal)
		if err != nil {
			t.Fatal(err)
		}
		round.Store(i)
		for range rand.IntN(100) {
			_ = s.gate.limit.Load() // a few nanoseconds each
		}
		permit.Release(OK)
		for done.Load() < i {
			runtime.Gosched()
		}
	}
	wait.Wait()
}

// Waiters whose time has passed hold no place in the queue.
func TestExpiredWaitersMakeRoom(t *testing.T) {
	g := newGate(1, 1, false)
	g.tryAcquire()
	old := g.enter(request{now: 1, priority: Normal, latest: 5, deadline: true})
	if a := g.enter(request{now: 2, priority: Normal, latest: 9}); a.waiter != nil || a.reason != RejectQueueFull {
		t.Fatalf("got %+v, want a full queue", a)
	}
	if a := g.enter(request{now: 6, priority: Normal, latest: 9}); a.waiter == nil {
		t.Errorf("got %+v, want the place of the waiter that has expired", a)
	}
	if !old.waiter.rejected || old.waiter.reason != RejectDeadline {
		t.Errorf("the expired waiter ended as %+v", old.waiter)
	}
}

func TestPermitReleasedTwicePanics(t *testing.T) {
	g := newGate(1, 0, false)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	g.release(0)
}
