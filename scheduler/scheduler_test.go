package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// acquire fails the test if there is no permit.
func acquire(t *testing.T, s *Scheduler, p Priority) *Permit {
	t.Helper()
	permit, err := s.Acquire(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	return &permit
}

// queue starts a caller that waits for a permit, and returns once it does.
func queue(ctx context.Context, s *Scheduler, p Priority) <-chan error {
	ended := make(chan error, 1)
	go func() {
		permit, err := s.Acquire(ctx, p)
		permit.Release(OK)
		ended <- err
	}()
	synctest.Wait()
	return ended
}

// wantRejected checks that an error is a rejection for that reason.
func wantRejected(t *testing.T, err error, reason RejectReason) *RejectedError {
	t.Helper()
	var rejected *RejectedError
	if !errors.As(err, &rejected) || rejected.Reason != reason || rejected.RetryAfter <= 0 {
		t.Fatalf("got error %v, want a rejection for %v with a time to retry", err, reason)
	}
	return rejected
}

func TestServedByPriorityThenByArrival(t *testing.T) {
	for _, fifo := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newTest(t, Options{InitialLimit: 1, MinLimit: 1, Fixed: true, FIFO: fifo})
			holder := acquire(t, s, Normal)
			arrivals := []Priority{Background, Normal, Critical, Low, Normal, High, Critical}
			order := make(chan int, len(arrivals))
			for i, p := range arrivals {
				go func() {
					permit, err := s.Acquire(context.Background(), p)
					if err != nil {
						t.Error(err)
					}
					order <- i
					permit.Release(OK)
				}()
				synctest.Wait()
			}
			if st := s.Stats(); !fifo && st.Queued != (PerPriority[int]{2, 1, 2, 1, 1}) || fifo && st.Queued != (PerPriority[int]{Normal: 7}) {
				t.Errorf("fifo %v: queued %+v", fifo, st.Queued)
			}
			holder.Release(OK)
			synctest.Wait()
			close(order)
			var got []int
			for i := range order {
				got = append(got, i)
			}
			want := []int{2, 6, 5, 1, 4, 3, 0}
			if fifo {
				want = []int{0, 1, 2, 3, 4, 5, 6}
			}
			if !slices.Equal(got, want) {
				t.Errorf("fifo %v: served %v, want %v", fifo, got, want)
			}
		})
	}
}

func TestCancelledWaiterLeavesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTest(t, Options{InitialLimit: 1, MinLimit: 1, Fixed: true})
		holder := acquire(t, s, Normal)
		ctx, cancel := context.WithCancel(context.Background())
		ended := queue(ctx, s, Normal)
		began := time.Now()
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("left after %v, want at once", waited)
		}
		if st := s.Stats(); st.TotalLeft != 1 || st.Queued != (PerPriority[int]{}) {
			t.Errorf("%d left and %+v queued, want 1 and none", st.TotalLeft, st.Queued)
		}
		holder.Release(OK)
		if _, err := s.Acquire(ctx, Normal); err != context.Canceled {
			t.Errorf("acquire with a cancelled context: %v, want %v", err, context.Canceled)
		}
	})
}

func TestFullQueuePushesOutTheNewestOfTheLeastImportant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTest(t, Options{InitialLimit: 1, MinLimit: 1, Fixed: true, QueueLength: 3})
		holder := acquire(t, s, Normal)
		old := queue(context.Background(), s, Low)
		newer := queue(context.Background(), s, Low)
		normal := queue(context.Background(), s, Normal)
		_, err := s.Acquire(context.Background(), Low)
		wantRejected(t, err, RejectQueueFull)
		critical := queue(context.Background(), s, Critical)
		wantRejected(t, <-newer, RejectShed)
		holder.Release(OK)
		for name, ended := range map[string]<-chan error{"low": old, "normal": normal, "critical": critical} {
			if err := <-ended; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got := s.Stats().TotalRejected; got["queue_full"] != 1 || got["shed"] != 1 {
			t.Errorf("rejected %v, want one queue_full and one shed", got)
		}
	})
}

func TestNoQueueRejectsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTest(t, Options{InitialLimit: 1, MinLimit: 1, Fixed: true, QueueLength: -1})
		holder := acquire(t, s, Normal)
		defer holder.Release(OK)
		_, err := s.Acquire(context.Background(), Critical)
		wantRejected(t, err, RejectQueueFull)
	})
}

// teach runs work of 10 ms each, so that the scheduler knows how long it takes.
func teach(t *testing.T, s *Scheduler) {
	t.Helper()
	for range 40 {
		permit := acquire(t, s, Normal)
		<-time.After(10 * time.Millisecond)
		permit.Release(OK)
	}
}

func TestWorkThatWouldExpireIsRejectedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTest(t, Options{InitialLimit: 1, MinLimit: 1, Fixed: true})
		teach(t, s)
		holder := acquire(t, s, Normal)
		defer holder.Release(OK)
		var waiters []<-chan error
		for range 5 {
			waiters = append(waiters, queue(context.Background(), s, Normal))
		}
		// Five wait at 10 ms each, then the caller and its own 10 ms of work.
		tests := []struct {
			priority Priority
			patience time.Duration
			reason   RejectReason
			admitted bool
		}{
			{Normal, 5 * time.Millisecond, RejectDeadline, false},
			{Normal, 40 * time.Millisecond, RejectWouldExpire, false},
			{Low, 60 * time.Millisecond, RejectWouldExpire, false},
			{Critical, 40 * time.Millisecond, 0, true}, // nothing of its importance is in front
			{Normal, 100 * time.Millisecond, 0, true},
		}
		for _, tt := range tests {
			ctx, cancel := context.WithTimeout(context.Background(), tt.patience)
			began := time.Now()
			ended := queue(ctx, s, tt.priority)
			select {
			case err := <-ended:
				if tt.admitted {
					t.Fatalf("%v with %v: %v, want a place in the queue", tt.priority, tt.patience, err)
				}
				rejected := wantRejected(t, err, tt.reason)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v is no %v", err, context.DeadlineExceeded)
				}
				if low := 60 * time.Millisecond; rejected.RetryAfter < low || rejected.RetryAfter > 3*low {
					t.Errorf("retry after %v, want about the queue's %v plus up to a half", rejected.RetryAfter, low)
				}
			default:
				if !tt.admitted {
					t.Fatalf("%v with %v: waits, want a rejection for %v", tt.priority, tt.patience, tt.reason)
				}
				cancel()
				<-ended
			}
			if took := time.Since(began); took != 0 {
				t.Errorf("%v with %v: ended after %v, want at once", tt.priority, tt.patience, took)
			}
			cancel()
		}
		s.Close()
		for _, w := range waiters {
			wantRejected(t, <-w, RejectClosed)
		}
	})
}

func TestDispatchSkipsWhomAPermitNoLongerHelps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTest(t, Options{InitialLimit: 1, MinLimit: 1, Fixed: true, Tick: 50 * time.Millisecond})
		teach(t, s)
		holder := acquire(t, s, Normal)
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		short := queue(ctx, s, Normal)
		long := queue(context.Background(), s, Normal)
		<-time.After(97 * time.Millisecond) // 3 ms left for 10 ms of work
		holder.Release(OK)
		wantRejected(t, <-short, RejectDeadline)
		if err := <-long; err != nil {
			t.Error(err)
		}
	})
}

func TestWaitWithoutDeadlineIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTest(t, Options{InitialLimit: 1, MinLimit: 1, Fixed: true, MaxWait: 2 * time.Second})
		holder := acquire(t, s, Normal)
		began := time.Now()
		_, err := s.Acquire(context.Background(), Normal)
		wantRejected(t, err, RejectTimeout)
		if waited := time.Since(began); waited != 2*time.Second {
			t.Errorf("waited %v, want 2s", waited)
		}
		holder.Release(OK)
	})
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTest(t, Options{InitialLimit: 1, MinLimit: 1, Fixed: true})
		holder := acquire(t, s, Normal)
		waiting := queue(context.Background(), s, Normal)

		short, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := s.Drain(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drain with work in flight: %v, want %v", err, context.DeadlineExceeded)
		}
		_, err := s.Acquire(context.Background(), Critical)
		wantRejected(t, err, RejectDraining)
		if !s.Stats().Draining || !s.Pressure() {
			t.Error("a draining scheduler does not say so")
		}

		drained := make(chan error, 1)
		go func() { drained <- s.Drain(context.Background()) }()
		synctest.Wait()
		holder.Release(OK)
		if err := <-waiting; err != nil {
			t.Errorf("work that waited when the drain began: %v", err)
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
		if err := s.Drain(context.Background()); err != nil {
			t.Errorf("second drain: %v", err)
		}
	})
}

func TestDrainWaitsForWorkInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTest(t, Options{})
		holder := acquire(t, s, Normal)
		drained := make(chan error, 1)
		go func() { drained <- s.Drain(context.Background()) }()
		after(10)
		select {
		case err := <-drained:
			t.Fatalf("drained (%v) with work in flight", err)
		default:
		}
		holder.Release(OK)
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}

// A caller that leaves in the moment in which it is granted gives the permit
// back, whichever it notices first.
func TestPermitOfACallerThatLeftComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTest(t, Options{InitialLimit: 1, MinLimit: 1, Fixed: true})
		for range 100 {
			holder := acquire(t, s, Normal)
			ctx, cancel := context.WithCancel(context.Background())
			ended := queue(ctx, s, Normal)
			cancel()
			holder.Release(OK)
			if err := <-ended; err != context.Canceled {
				t.Errorf("got %v, want %v", err, context.Canceled)
			}
			if n := s.Stats().InFlight; n != 0 {
				t.Fatalf("%d in flight, want 0", n)
			}
		}
	})
}

func TestCloseRejectsWaitersAndLetsWorkEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTest(t, Options{InitialLimit: 1, MinLimit: 1, Fixed: true})
		holder := acquire(t, s, Normal)
		waiting := queue(context.Background(), s, Normal)
		s.Close()
		s.Close()
		wantRejected(t, <-waiting, RejectClosed)
		_, err := s.Acquire(context.Background(), Normal)
		wantRejected(t, err, RejectClosed)
		holder.Release(OK)
		holder.Release(OK) // does nothing
		if n := s.Stats().InFlight; n != 0 {
			t.Errorf("%d in flight, want 0", n)
		}
		if former := s.UseScaling(&scripted{name: "late"}); former == nil {
			t.Error("UseScaling after Close returned no former policy")
		}
	})
}

func TestPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTest(t, Options{InitialLimit: 2, MinLimit: 1, Fixed: true})
		a := acquire(t, s, Normal)
		if s.Pressure() {
			t.Error("pressure with one of two in flight")
		}
		b := acquire(t, s, Normal)
		if !s.Pressure() {
			t.Error("no pressure at the limit")
		}
		a.Release(OK)
		b.Release(OK)
		if s.Pressure() {
			t.Error("pressure with nothing in flight")
		}
	})
}

func TestOptionsOutOfRangeAreErrors(t *testing.T) {
	_, err := New(Options{MinLimit: 0.5, MaxLimit: 0.2, InitialLimit: 7, Target: -1, Tick: time.Microsecond, MaxWait: -1})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"minimum limit", "maximum limit", "initial limit", "target latency", "tick", "maximum wait"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name the %s:\n%v", want, err)
		}
	}
}

func TestPriorityNames(t *testing.T) {
	for p := Critical; p <= Background; p++ {
		text, _ := p.MarshalText()
		var back Priority
		if err := back.UnmarshalText(text); err != nil || back != p {
			t.Errorf("%s: got %v, %v, want %v", text, back, err, p)
		}
	}
	if _, err := ParsePriority("urgent"); err == nil {
		t.Error(`ParsePriority("urgent"): no error`)
	}
}

func TestUncontendedAcquireAllocatesNothing(t *testing.T) {
	s := newTest(t, Options{Tick: time.Hour})
	ctx := context.Background()
	allocs := testing.AllocsPerRun(1000, func() {
		permit, err := s.Acquire(ctx, Normal)
		if err != nil {
			t.Fatal(err)
		}
		permit.Release(OK)
	})
	if allocs != 0 {
		t.Errorf("%v allocations an acquire and release, want 0", allocs)
	}
}

func ExampleScheduler_Acquire() {
	s, err := New(Options{InitialLimit: 1, MinLimit: 1, QueueLength: -1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	permit, err := s.Acquire(context.Background(), Normal)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = s.Acquire(context.Background(), Normal)
	var rejected *RejectedError
	if errors.As(err, &rejected) {
		fmt.Println(rejected.Reason, rejected.RetryAfter > 0)
	}
	permit.Release(OK)
	fmt.Println(s.Stats().TotalOK)
	// Output:
	// queue_full true
	// 1
}
