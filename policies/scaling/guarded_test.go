package scaling_test

import (
	"math"
	"testing"
	"time"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/scaling"
)

// window is one question of a story and the answer that is due.
type window struct {
	change func(*policies.Load)
	limit  float64 // 0 = any
	reason policies.Reason
}

// tell asks the questions of a story one after the other, 100 ms apart, each
// with the limit that the one before was answered with.
func tell(t *testing.T, p policies.Scaling, first policies.Load, story []window) {
	t.Helper()
	limit := first.Limit
	for i, w := range story {
		in := first
		in.Now = policies.Nanos(time.Duration(i+100) * 100 * time.Millisecond)
		in.Limit, in.InFlight, in.MaxInFlight = limit, math.Floor(limit), math.Floor(limit)
		if w.change != nil {
			w.change(&in)
		}
		got, reason := ask(t, p, in)
		if w.limit != 0 && !near(got, w.limit) || reason != w.reason {
			t.Fatalf("window %d %+v: got %v (%v), want %v (%v)", i, in, got, reason, w.limit, w.reason)
		}
		limit = got
	}
}

func latency(millis, throughput float64) func(*policies.Load) {
	return func(in *policies.Load) { in.MeanMillis, in.Throughput = millis, throughput }
}

func TestGuardedGrowsFreelyUntilTheFirstCut(t *testing.T) {
	tell(t, mustLinear(t, scaling.LinearOptions{}), good(), []window{
		{nil, 22, policies.ReasonGrow},
		{nil, 24.2, policies.ReasonGrow},
		{latency(410, 200), 21.6, policies.ReasonLatency}, // 24 in flight, not 24.2
		{nil, 21.6, policies.ReasonUnstable},
		{nil, 21.6, policies.ReasonUnstable},
		{nil, 23.76, policies.ReasonGrow},
		{nil, 26.136, policies.ReasonGrow},
	})
}

func TestGuardedHoldsAnUnusedLimit(t *testing.T) {
	idle := func(in *policies.Load) { in.InFlight, in.MaxInFlight = 15, 15 }
	tell(t, mustLinear(t, scaling.LinearOptions{}), good(), []window{
		{idle, 20, policies.ReasonUnused},
		{func(in *policies.Load) { in.InFlight, in.MaxInFlight = 16, 16 }, 22, policies.ReasonGrow},
	})
}

// The peak of a window counts although the host asks in between.
func TestGuardedRemembersThePeakOfTheWindow(t *testing.T) {
	early := func(in *policies.Load) { in.Completions, in.InFlight = 5, 1 }
	late := func(in *policies.Load) { in.InFlight, in.MaxInFlight = 1, 1 }
	tell(t, mustLinear(t, scaling.LinearOptions{}), good(), []window{
		{early, 20, policies.ReasonWindow},
		{late, 22, policies.ReasonGrow},
		{late, 22, policies.ReasonUnused},
	})
}

func TestGuardedCeilingFollowsWhatIsInFlight(t *testing.T) {
	l := mustLinear(t, scaling.LinearOptions{})
	first := good()
	first.Limit, first.InFlight, first.MaxInFlight = 10, 10, 10
	ask(t, l, first) // the policy began at a limit of 10
	few := func(in *policies.Load) { in.InFlight, in.MaxInFlight = 8, 8 }
	story := make([]window, 0, 11)
	for range 8 {
		story = append(story, window{few, 60, policies.ReasonUnused})
	}
	// The tenth window completes the history. The 10 of the first window, still
	// in flight when the second began, count for ten windows more; then twice 8
	// remains.
	story = append(story, window{few, 20, policies.ReasonUnused}, window{few, 20, policies.ReasonUnused}, window{few, 16, policies.ReasonUnused})
	in := good()
	in.Limit = 60
	tell(t, l, in, story)
}

func TestGuardedCutsSeveralStepsWhenFarOff(t *testing.T) {
	tests := []struct {
		mean  float64 // of a target of 100: above 200 is bad
		steps float64
	}{
		{201, 1}, {222, 1}, {223, 2}, {247, 3}, {10_000, 5},
	}
	for _, tt := range tests {
		in := good()
		in.Target, in.MeanMillis = 100, tt.mean
		limit, reason := ask(t, mustLinear(t, scaling.LinearOptions{}), in)
		if want := 20 * math.Pow(0.9, tt.steps); !near(limit, want) || reason != policies.ReasonLatency {
			t.Errorf("mean %v ms: got %v (%v), want %v (%v)", tt.mean, limit, reason, want, policies.ReasonLatency)
		}
	}
}

func TestGuardedUndoesUselessCuts(t *testing.T) {
	// The service itself became slow: cuts cost throughput and gain nothing.
	slow := func(throughput float64) func(*policies.Load) { return latency(401, throughput) }
	l := mustLinear(t, scaling.LinearOptions{SuspendWindows: 2})
	tell(t, l, good(), []window{
		{slow(200), 18, policies.ReasonLatency},
		{slow(190), 16.2, policies.ReasonLatency},
		{slow(185), 14.58, policies.ReasonLatency},
		{slow(170), 20, policies.ReasonUndo}, // 14.58 <= 16, 170 <= 0.92*190, 401 > 0.85*401
		{slow(190), 20, policies.ReasonHold},
		{slow(190), 20, policies.ReasonHold},
		{slow(190), 18, policies.ReasonLatency}, // the pause is over
	})
}

func TestGuardedUndoesNothingWhileMuchFails(t *testing.T) {
	failing := latency(401, 170)
	l := mustLinear(t, scaling.LinearOptions{})
	tell(t, l, good(), []window{
		{latency(401, 200), 18, policies.ReasonLatency},
		{latency(401, 190), 16.2, policies.ReasonLatency},
		{latency(401, 185), 14.58, policies.ReasonLatency},
		{func(in *policies.Load) { failing(in); in.ErrorRate = 0.5 }, 13.122, policies.ReasonErrors},
	})
}

func TestGuardedKeepsUsefulCuts(t *testing.T) {
	l := mustLinear(t, scaling.LinearOptions{})
	tell(t, l, good(), []window{
		{latency(440, 200), 18, policies.ReasonLatency},
		{latency(430, 190), 16.2, policies.ReasonLatency},
		{latency(405, 185), 14.58, policies.ReasonLatency},
		{latency(350, 170), 14.58, policies.ReasonHold}, // 20 % less latency: worth it
	})
}

func TestGuardedResourcesCutOnceASecond(t *testing.T) {
	tests := []struct {
		name   string
		change func(*policies.Load)
		reason policies.Reason
	}{
		{"cpu", func(in *policies.Load) { in.CPU = 0.95 }, policies.ReasonCPU},
		{"throttled", func(in *policies.Load) { in.Throttled = 0.06 }, policies.ReasonCPU},
		{"memory", func(in *policies.Load) { in.Memory = 0.95 }, policies.ReasonMemory},
		{"memory without a full window", func(in *policies.Load) { in.Memory, in.Completions = 0.95, 0 }, policies.ReasonMemory},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			story := []window{{tt.change, 18, tt.reason}}
			for range 9 {
				story = append(story, window{tt.change, 18, tt.reason})
			}
			story = append(story, window{tt.change, 16.2, tt.reason})
			tell(t, mustLinear(t, scaling.LinearOptions{}), good(), story)
		})
	}
}
