package scheduler

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestDoOutcomes(t *testing.T) {
	failure := errors.New("backend is down")
	tests := []struct {
		name string
		task func(context.Context) (int, error)
		err  error
		want Stats
	}{
		{"done", func(context.Context) (int, error) { return 7, nil }, nil, Stats{TotalOK: 1}},
		{"failed", func(context.Context) (int, error) { return 0, failure }, failure, Stats{TotalFailed: 1}},
		{"panicked with an error", func(context.Context) (int, error) { panic(failure) }, failure, Stats{TotalFailed: 1}},
		{"deadline passed", func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }, context.DeadlineExceeded, Stats{TotalLate: 1}},
		{"rejected further down", func(context.Context) (int, error) {
			return 0, fmt.Errorf("inner: %w", &RejectedError{Reason: RejectDeadline})
		}, context.DeadlineExceeded, Stats{TotalIgnored: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTest(t, Options{})
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				v, err := Do(ctx, s, Normal, tt.task)
				if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) || err == nil && v != 7 {
					t.Errorf("got %v, %v, want error %v", v, err, tt.err)
				}
				st := s.Stats()
				got := Stats{TotalOK: st.TotalOK, TotalLate: st.TotalLate, TotalFailed: st.TotalFailed, TotalIgnored: st.TotalIgnored}
				if fmt.Sprint(got) != fmt.Sprint(tt.want) || st.InFlight != 0 {
					t.Errorf("counted %+v with %d in flight, want %+v with 0", got, st.InFlight, tt.want)
				}
			})
		})
	}
}

func TestDoIgnoresCallersThatLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTest(t, Options{})
		ctx, cancel := context.WithCancel(context.Background())
		_, err := Do(ctx, s, Normal, func(ctx context.Context) (int, error) { cancel(); return 0, ctx.Err() })
		if st := s.Stats(); err != context.Canceled || st.TotalIgnored != 1 {
			t.Errorf("got %v, %d ignored, want %v and 1", err, st.TotalIgnored, context.Canceled)
		}
	})
}

func TestPanicNamesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTest(t, Options{})
		_, err := Do(t.Context(), s, Normal, func(context.Context) (int, error) { panic("boom") })
		var p *PanicError
		if !errors.As(err, &p) || p.Value != "boom" || len(p.Stack) == 0 {
			t.Errorf("got %#v, want a PanicError with the value and a stack", err)
		}
	})
}

func TestDoBatchKeepsOrderAndErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTest(t, Options{InitialLimit: 8, Fixed: true})
		var inside, most atomic.Int64
		tasks := make([]func(context.Context) (int, error), 50)
		for i := range tasks {
			tasks[i] = func(context.Context) (int, error) {
				n := inside.Add(1)
				defer inside.Add(-1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				<-time.After(time.Duration(50-i) * time.Millisecond) // later ones end sooner
				switch i {
				case 10:
					return 0, errors.New("ten")
				case 20:
					panic("twenty")
				case 30:
					runtime.Goexit()
				}
				return i * i, nil
			}
		}
		results := DoBatch(t.Context(), s, Low, tasks)
		for i, r := range results {
			switch i {
			case 10, 20, 30:
				if r.Err == nil {
					t.Errorf("result %d: no error", i)
				}
			default:
				if r.Err != nil || r.Value != i*i {
					t.Errorf("result %d: %d, %v, want %d", i, r.Value, r.Err, i*i)
				}
			}
		}
		if !errors.Is(results[30].Err, ErrTaskExited) {
			t.Errorf("result 30: %v, want %v", results[30].Err, ErrTaskExited)
		}
		if n := most.Load(); n != 4 {
			t.Errorf("%d at once, want half of the limit of 8", n)
		}
	})
}

func TestDoBatchEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTest(t, Options{InitialLimit: 2, MinLimit: 1, Fixed: true})
		ctx, cancel := context.WithCancel(context.Background())
		var began atomic.Int64
		task := func(ctx context.Context) (int, error) {
			if began.Add(1) == 3 {
				cancel()
				return 0, ctx.Err()
			}
			return 1, nil
		}
		results := DoBatch(ctx, s, Normal, []func(context.Context) (int, error){task, task, task, task, task})
		for i, r := range results {
			if want := i >= 2; errors.Is(r.Err, context.Canceled) != want {
				t.Errorf("result %d: %v, want cancelled %v", i, r.Err, want)
			}
		}
		if n := began.Load(); n != 3 {
			t.Errorf("%d tasks began, want 3", n)
		}
		if got := DoBatch[int](ctx, s, Normal, nil); len(got) != 0 {
			t.Errorf("an empty batch has %d results", len(got))
		}
	})
}

func ExampleDo() {
	s, err := New(Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	answer, err := Do(context.Background(), s, High, func(context.Context) (string, error) {
		return "rendered", nil
	})
	fmt.Println(answer, err)
	// Output: rendered <nil>
}

func ExampleDoBatch() {
	s, err := New(Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	var tasks []func(context.Context) (int, error)
	for i := range 3 {
		tasks = append(tasks, func(context.Context) (int, error) {
			if i == 1 {
				return 0, errors.New("not found")
			}
			return i * 10, nil
		})
	}
	for _, r := range DoBatch(context.Background(), s, Background, tasks) {
		fmt.Println(r.Value, r.Err)
	}
	// Output:
	// 0 <nil>
	// 0 not found
	// 20 <nil>
}
