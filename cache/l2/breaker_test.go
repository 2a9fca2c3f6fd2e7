package l2

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestBreakerOpens(t *testing.T) {
	tests := map[string]struct {
		calls string // o = good, x = failed
		want  State
	}{
		"two in a row":                  {"xx", StateClosed},
		"three in a row":                {"xxx", StateOpen},
		"a good one between":            {"xxoxx", StateClosed},
		"half of twenty":                {"xoxoxoxoxoxoxoxoxoxo", StateOpen},
		"nineteen calls":                {"xoxoxoxoxoxoxoxoxox", StateClosed},
		"under half of twenty":          {"xoxoxoxoxoxoxoxoxooo", StateClosed},
		"old failures are forgotten":    {"xoxoxoxoxoxoxoxoxooooooooooooooooooooooxox", StateClosed},
		"half of the last twenty calls": {"oooooooooooooooooooooooooooooxoxoxoxoxoxoxoxoxoxoxo", StateOpen},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := NewBreaker(nil)
			for _, c := range test.calls {
				b.Record(c == 'o')
			}
			if got := b.State(); got != test.want {
				t.Errorf("after %s: %v, want %v", test.calls, got, test.want)
			}
			if b.Allow() != (test.want == StateClosed) {
				t.Errorf("Allow() = %v in state %v", b.Allow(), test.want)
			}
		})
	}
}

// The waits between probes of an outage of ten minutes.
func TestBreakerProbesExponentially(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes []State
		b := NewBreaker(func(s State) { changes = append(changes, s) })
		for range 3 {
			b.Record(false)
		}
		start := time.Now()
		var waits []time.Duration
		for time.Since(start) < 10*time.Minute {
			wait, open := b.ProbeIn()
			if !open {
				t.Fatal("closed by itself")
			}
			waits = append(waits, wait)
			if elapsed := time.Since(start); elapsed <= 2*time.Second && wait > 500*time.Millisecond {
				t.Errorf("%v into the outage the next probe is %v away, want at most 500ms", elapsed, wait)
			}
			<-time.After(wait)
			b.BeginProbe()
			if b.Allow() {
				t.Fatal("calls go through during a probe")
			}
			b.EndProbe(false)
		}
		if waits[0] != 250*time.Millisecond || waits[len(waits)-1] != 5*time.Second || !slices.IsSorted(waits) {
			t.Errorf("waits %v, want rising from 250ms to 5s", waits)
		}
		b.BeginProbe()
		b.EndProbe(true)
		if !b.Allow() {
			t.Error("closed to calls after a good probe")
		}
		if _, open := b.ProbeIn(); open {
			t.Error("wants probes while closed")
		}
		b.Record(false)
		b.Record(false)
		if !b.Allow() {
			t.Error("failures from before the outage count after it")
		}
		if want := []State{StateOpen, StateHalfOpen, StateOpen}; !slices.Equal(changes[:3], want) || changes[len(changes)-1] != StateClosed {
			t.Errorf("told of %v ... %v, want %v ... closed", changes[:3], changes[len(changes)-1], want)
		}
	})
}

// Calls that were under way when the breaker opened say nothing new.
func TestBreakerIgnoresLateResults(t *testing.T) {
	changes := 0
	b := NewBreaker(func(State) { changes++ })
	for range 50 {
		b.Record(false)
	}
	b.Record(true)
	b.BeginProbe()
	b.Record(false)
	b.EndProbe(true)
	if b.State() != StateClosed || changes != 3 {
		t.Errorf("%v after %d changes, want closed after 3: open, half open, closed", b.State(), changes)
	}
	b.Record(false)
	b.Record(false)
	if b.State() != StateClosed {
		t.Error("late failures count after the recovery")
	}
}
