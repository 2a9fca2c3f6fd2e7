package scheduler

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/scheduler/resource"
)

// scripted answers what its function says.
type scripted struct {
	name   string
	answer func(*policies.Load) (float64, policies.Reason, error)
	loads  []policies.Load
}

func (s *scripted) Info() policies.Info {
	return policies.Info{Name: s.name, Kind: policies.KindScaling}
}

func (s *scripted) Limit(in *policies.Load) (float64, policies.Reason, error) {
	s.loads = append(s.loads, *in)
	return s.answer(in)
}

func constant(limit float64) func(*policies.Load) (float64, policies.Reason, error) {
	return func(*policies.Load) (float64, policies.Reason, error) { return limit, policies.ReasonGrow, nil }
}

// after lets ticks pass and the last one finish.
func after(ticks int) {
	<-time.After(time.Duration(ticks)*100*time.Millisecond + time.Millisecond)
	synctest.Wait()
}

func TestAnswersAreNeverTrusted(t *testing.T) {
	tests := []struct {
		name   string
		answer func(*policies.Load) (float64, policies.Reason, error)
		limit  float64
		fault  bool
	}{
		{"in bounds", constant(12), 12, false},
		{"too far up", constant(500), 15, false},
		{"too far down", constant(1), 5, false},
		{"NaN", constant(math.NaN()), 10, true},
		{"infinite", constant(math.Inf(1)), 10, true},
		{"negative infinite", constant(math.Inf(-1)), 10, true},
		{"error", func(*policies.Load) (float64, policies.Reason, error) { return 12, 0, errors.New("no") }, 10, true},
		{"a long error", func(*policies.Load) (float64, policies.Reason, error) {
			return 12, 0, errors.New(strings.Repeat("x", 1e6))
		}, 10, true},
		{"panic", func(*policies.Load) (float64, policies.Reason, error) { panic("no") }, 10, true},
		{"changes what it is shown", func(in *policies.Load) (float64, policies.Reason, error) {
			in.MaxLimit, in.Limit = 1e6, 1e6
			return 1e6, 0, nil
		}, 15, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTest(t, Options{Scaling: &scripted{name: "scripted", answer: tt.answer}})
				after(1)
				st := s.Stats()
				if len(st.LastFault) > maxFaultText {
					t.Errorf("a fault's text of %d bytes was kept", len(st.LastFault))
				}
				if st.Limit != tt.limit || (st.Faults == 1) != tt.fault || (st.LastFault != "") != tt.fault {
					t.Errorf("limit %v, %d faults (%q), want limit %v, fault %v", st.Limit, st.Faults, st.LastFault, tt.limit, tt.fault)
				}
			})
		})
	}
}

func TestBoundsHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTest(t, Options{MaxLimit: 20, MinLimit: 5, Scaling: &scripted{name: "up", answer: constant(1e9)}})
		after(5)
		if limit := s.Stats().Limit; limit != 20 {
			t.Errorf("limit %v, want the maximum 20", limit)
		}
		s.UseScaling(&scripted{name: "down", answer: constant(-1)})
		after(5)
		if limit := s.Stats().Limit; limit != 5 {
			t.Errorf("limit %v, want the minimum 5", limit)
		}
		if err := s.SetBounds(Bounds{MinLimit: 7, MaxLimit: 9, Target: time.Second}); err != nil {
			t.Fatal(err)
		}
		if st := s.Stats(); st.Limit != 7 || st.MaxLimit != 9 || st.TargetMillis != 1000 {
			t.Errorf("limit %v of at most %v, target %v ms, want 7, 9 and 1000", st.Limit, st.MaxLimit, st.TargetMillis)
		}
		if err := s.SetBounds(Bounds{MinLimit: 9, MaxLimit: 7}); err == nil {
			t.Error("SetBounds with the minimum above the maximum: no error")
		}
	})
}

func TestUseScalingStartsAtThePresentLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := &scripted{name: "first", answer: constant(14)}
		second := &scripted{name: "second", answer: constant(13)}
		s := newTest(t, Options{Scaling: first})
		after(2)
		if former := s.UseScaling(second); former != policies.Scaling(first) {
			t.Errorf("former policy %v, want the first", former)
		}
		asked := len(first.loads)
		after(1)
		if st := s.Stats(); st.Policy != "second" || st.Limit != 13 || st.Reason != "grow" || st.Ticks != 1 {
			t.Errorf("got policy %s, limit %v (%s), tick %d", st.Policy, st.Limit, st.Reason, st.Ticks)
		}
		if in := second.loads[0]; in.Limit != 14 || in.Tick != 1 {
			t.Errorf("the new policy was shown limit %v at tick %d, want 14 at 1", in.Limit, in.Tick)
		}
		if len(first.loads) != asked {
			t.Error("the former policy was asked again")
		}
	})
}

func TestFixedAsksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &scripted{name: "up", answer: constant(1000)}
		s := newTest(t, Options{Fixed: true, InitialLimit: 17, Scaling: p})
		after(5)
		if st := s.Stats(); st.Limit != 17 || st.Reason != "fixed" || st.Adaptive || len(p.loads) != 0 {
			t.Errorf("limit %v (%s), adaptive %v, asked %d times", st.Limit, st.Reason, st.Adaptive, len(p.loads))
		}
	})
}

func TestLoadShowsTheMachineAndTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &scripted{name: "keep", answer: constant(10)}
		machine := func() resource.Sample {
			return resource.Sample{CPURatio: 0.7, MemoryRatio: 0.6, Throttled: 0.02, MemoryPressure: 0.2}
		}
		s := newTest(t, Options{Scaling: p, Resources: machine, Target: 30 * time.Millisecond, MinLimit: 2, MaxLimit: 50})
		for i := range 10 { // 20 ms each, two of them fail
			permit := acquire(t, s, Normal)
			go func() {
				<-time.After(20 * time.Millisecond)
				permit.Release([]Outcome{OK, Failed}[i/8])
			}()
		}
		waiting := queue(t.Context(), s, Low)
		<-waiting
		after(1)
		in := p.loads[0]
		want := policies.Load{
			Limit: 10, MinLimit: 2, MaxLimit: 50, MaxInFlight: 10, CPU: 0.7, Memory: 1, Throttled: 0.02,
			ErrorRate: 2.0 / 11, Target: 30, Completions: 11, Throughput: 110, Arrivals: 110,
		}
		got := policies.Load{
			Limit: in.Limit, MinLimit: in.MinLimit, MaxLimit: in.MaxLimit, MaxInFlight: in.MaxInFlight, CPU: in.CPU, Memory: in.Memory, Throttled: in.Throttled,
			ErrorRate: in.ErrorRate, Target: in.Target, Completions: in.Completions, Throughput: in.Throughput, Arrivals: in.Arrivals,
		}
		if got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		// Eight took 20 ms, the one that waited nothing.
		if mean := 20 * 8.0 / 9; math.Abs(in.MeanMillis-mean) > 1e-9 || math.Abs(in.P95Millis-20) > 20.0/32 {
			t.Errorf("mean %v and p95 %v ms, want %v and 20", in.MeanMillis, in.P95Millis, mean)
		}
		if !math.IsNaN(in.Baseline) || in.WindowNanos != 1e8 || in.Now == 0 {
			t.Errorf("baseline %v, window %v, now %v", in.Baseline, in.WindowNanos, in.Now)
		}
	})
}

func TestQueueIsShownByPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &scripted{name: "keep", answer: constant(1)}
		s := newTest(t, Options{Scaling: p, InitialLimit: 1, MinLimit: 1})
		holder := acquire(t, s, Normal)
		var waiters []<-chan error
		for _, priority := range []Priority{High, High, Background} {
			waiters = append(waiters, queue(t.Context(), s, priority))
		}
		after(1)
		if in := p.loads[0]; in.Queued != [policies.NumPriorities]float64{High: 2, Background: 1} || in.InFlight != 1 {
			t.Errorf("queued %v, in flight %v", in.Queued, in.InFlight)
		}
		holder.Release(OK)
		for _, w := range waiters {
			<-w
		}
	})
}

// Everything that may be called while everything else is.
func TestControlsHammer(t *testing.T) {
	s := newTest(t, Options{Tick: time.Millisecond, MinLimit: 1})
	const loops = 200
	var wait sync.WaitGroup
	each := func(call func(i int)) {
		wait.Go(func() {
			for i := range loops {
				call(i)
			}
		})
	}
	each(func(int) { s.Stats() })
	each(func(int) { s.Pressure() })
	for range 2 {
		each(func(i int) { s.UseScaling(&scripted{name: "hammer", answer: constant(float64(i))}) })
		each(func(i int) {
			if err := s.SetBounds(Bounds{MinLimit: 1, MaxLimit: float64(10 + i)}); err != nil {
				t.Error(err)
			}
		})
		each(func(int) {
			_, err := Do(context.Background(), s, Normal, func(context.Context) (int, error) { return 0, nil })
			var rejected *RejectedError
			if err != nil && !errors.As(err, &rejected) {
				t.Error(err)
			}
		})
	}
	each(func(i int) {
		if i == loops/2 {
			s.Close()
		}
	})
	wait.Wait()
	if n := s.Stats().InFlight; n != 0 {
		t.Errorf("%d in flight, want 0", n)
	}
}
