package scheduler

import (
	"encoding/json"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/scheduler/resource"
)

func TestHistogramErrorIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.Int64Range(0, int64(time.Hour)).Draw(t, "duration")
		var h histogram
		h.record(d)
		var c counts
		h.addTo(&c)
		got := int64(c.percentile(0.5, 0))
		if allowed := max(d/32, 1000); got-d > allowed || d-got > allowed {
			t.Fatalf("%v reads as %v, off by more than %v", time.Duration(d), time.Duration(got), time.Duration(allowed))
		}
	})
}

func TestPercentiles(t *testing.T) {
	var h histogram
	for i := range 100 {
		h.record(int64(i+1) * 1e6)
	}
	h.record(-5)                 // a clock that went backwards
	h.record(math.MaxInt64)      // off the scale
	h.record(int64(time.Second)) // three more: 103 in all
	var c counts
	h.addTo(&c)
	tests := []struct {
		q     float64
		zeros uint64
		want  float64 // milliseconds
	}{
		{0, 0, 0}, {0.5, 0, 51}, {0.95, 0, 97}, {0.999, 0, 4.3e6},
		{0.5, 103, 0.0005}, {0.25, 103, 0}, {0.75, 103, 51},
	}
	for _, tt := range tests {
		if got := millis(float64(c.percentile(tt.q, tt.zeros))); math.Abs(got-tt.want) > tt.want/30+0.001 {
			t.Errorf("percentile %v with %d zeros: %v ms, want %v", tt.q, tt.zeros, got, tt.want)
		}
	}
	if got := new(counts).percentile(0.5, 0); got != 0 {
		t.Errorf("percentile of nothing: %v, want 0", got)
	}
}

// A minute of known work: ten tasks a second of 200 ms one after the other on
// two permits, so that half of them wait; each tenth fails.
func TestStatsTellWhatHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		machine := func() resource.Sample {
			busy := time.Since(start).Seconds() // one CPU
			return resource.Sample{CPURatio: 0.5, MemoryRatio: 0.25, Throttled: 0.01, ProcessCPUSeconds: busy, RSSBytes: 1 << 29, Source: "test"}
		}
		s := newTest(t, Options{InitialLimit: 2, MinLimit: 1, Fixed: true, Resources: machine, Target: time.Second, Tick: 70 * time.Millisecond})
		for i := range 10 * 75 {
			go func() {
				permit, err := s.Acquire(t.Context(), Priority(i%policies.NumPriorities))
				if err != nil {
					t.Error(err)
					return
				}
				<-time.After(200 * time.Millisecond)
				permit.Release([]Outcome{OK, Failed}[i%10/9])
			}()
			if i%2 == 1 { // two at a time, each 200 ms
				<-time.After(200 * time.Millisecond)
			}
		}
		synctest.Wait()
		st := s.Stats()
		near := func(name string, got, want, tolerance float64) {
			t.Helper()
			if math.Abs(got-want) > tolerance {
				t.Errorf("%s = %v, want %v within %v", name, got, want, tolerance)
			}
		}
		near("seconds", st.Seconds, 60, 4)
		near("throughput", st.Throughput, 10, 0.2)
		near("arrivals", st.Arrivals, 10, 0.2)
		near("error rate", st.ErrorRate, 0.1, 0.005)
		near("latency mean", st.Latency.Mean, 200, 1)
		near("latency p50", st.Latency.P50, 200, 200.0/32)
		near("latency p99", st.Latency.P99, 200, 200.0/32)
		near("tasks per CPU second", st.TasksPerCPUSecond, 10, 0.2)
		near("tasks per GiB", st.TasksPerGiB, 20, 0.4)
		near("latency variation", st.LatencyVariation, 0, 0.001)
		near("latency trend", st.LatencyTrend, 0, 0.001)
		near("throughput variation", st.ThroughputVariation, 0, 0.25)
		near("utilization mean", st.UtilizationMean, 1, 0.05)
		near("cpu", st.CPU, 0.5, 0)
		near("memory", st.Memory, 0.25, 0)
		near("throttled", st.Throttled, 0.01, 0)
		if st.TotalOK != 675 || st.TotalFailed != 75 || st.ResourceSource != "test" || st.TargetMillis != 1000 || st.Policy != "linear" {
			t.Errorf("got %+v", st)
		}
	})
}

func TestStatsOfTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTest(t, Options{InitialLimit: 1, MinLimit: 1, Fixed: true, MaxWait: time.Hour})
		after(1) // the first window begins
		holder := acquire(t, s, Normal)
		first := queue(t.Context(), s, High)
		second := queue(t.Context(), s, High)
		third := queue(t.Context(), s, Low)
		<-time.After(10 * time.Second)
		st := s.Stats()
		if st.Queued != (PerPriority[int]{High: 2, Low: 1}) || st.InFlight != 1 || st.Utilization != 1 {
			t.Errorf("queued %+v, %d in flight, utilization %v", st.Queued, st.InFlight, st.Utilization)
		}
		holder.Release(OK)
		<-first
		<-second
		<-third
		<-time.After(10 * time.Second)
		st = s.Stats()
		// Ten of twenty seconds.
		if q := st.QueuedMean; math.Abs(q.High-1) > 0.05 || math.Abs(q.Low-0.5) > 0.05 || q.Critical != 0 {
			t.Errorf("mean queue %+v, want 1 high and 0.5 low", q)
		}
		// One of four did not wait, the others 10 s.
		if q := st.QueueTime; math.Abs(q.Mean-7500) > 10 || math.Abs(q.P50-10_000) > 10_000/32 {
			t.Errorf("queue time %+v, want a mean of 7500 ms and a median of 10000", q)
		}
	})
}

func TestStatsAreJSONFromTheFirstMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTest(t, Options{})
		for range 3 {
			st := s.Stats()
			if _, err := json.Marshal(st); err != nil {
				t.Errorf("%+v: %v", st, err)
			}
			if len(st.TotalRejected) != numRejectReasons {
				t.Errorf("rejections %v: want every reason", st.TotalRejected)
			}
			after(10)
		}
	})
}

func TestTrend(t *testing.T) {
	tests := []struct {
		values           []float64
		trend, variation float64
	}{
		{nil, 0, 0},
		{[]float64{5}, 0, 0},
		{[]float64{10, 10, 10, 10}, 0, 0},
		{[]float64{10, 10, 15, 15}, 0.5, 0.2},
		{[]float64{20, 20, 99, 10, 10}, -0.5, 1.0604},
	}
	for _, tt := range tests {
		if got := trend(tt.values); math.Abs(got-tt.trend) > 1e-3 {
			t.Errorf("trend(%v) = %v, want %v", tt.values, got, tt.trend)
		}
		if got := variation(tt.values); math.Abs(got-tt.variation) > 1e-2 {
			t.Errorf("variation(%v) = %v, want %v", tt.values, got, tt.variation)
		}
	}
}
