package scaling_test

import (
	"math"
	"testing"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/scaling"
)

// good is a load below every low mark, with a limit of 20 in use.
func good() policies.Load {
	return policies.Load{
		Limit: 20, MinLimit: 4, MaxLimit: 100, InFlight: 20, MaxInFlight: 20,
		CPU: 0.5, Memory: 0.5, ErrorRate: 0.01, MeanMillis: 100, Target: 200,
		Completions: 50, Throughput: 200,
	}
}

func mustLinear(t *testing.T, o scaling.LinearOptions) *scaling.Linear {
	t.Helper()
	l, err := scaling.NewLinear(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// ask fails the test if the policy answers with an error.
func ask(t *testing.T, p policies.Scaling, in policies.Load) (float64, policies.Reason) {
	t.Helper()
	limit, reason, err := p.Limit(&in)
	if err != nil {
		t.Fatalf("Limit(%+v): %v", in, err)
	}
	return limit, reason
}

// near absorbs the last bits of float arithmetic.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Abs(b) }

func TestStrictRule(t *testing.T) {
	nan := math.NaN()
	tests := []struct {
		name   string
		change func(*policies.Load)
		limit  float64
		reason policies.Reason
	}{
		{"all low grows by 1.1", func(in *policies.Load) {}, 22, policies.ReasonGrow},
		{"growth stops at the maximum", func(in *policies.Load) { in.MaxLimit = 21 }, 21, policies.ReasonGrow},
		{"grows though not in use", func(in *policies.Load) { in.InFlight, in.MaxInFlight = 1, 1 }, 22, policies.ReasonGrow},

		{"cpu just below the low mark", func(in *policies.Load) { in.CPU = 0.799 }, 22, policies.ReasonGrow},
		{"cpu at the low mark holds", func(in *policies.Load) { in.CPU = 0.80 }, 20, policies.ReasonHold},
		{"cpu at the high mark holds", func(in *policies.Load) { in.CPU = 0.90 }, 20, policies.ReasonHold},
		{"cpu above the high mark cuts by 0.9", func(in *policies.Load) { in.CPU = 0.901 }, 18, policies.ReasonCPU},

		{"memory just below the low mark", func(in *policies.Load) { in.Memory = 0.849 }, 22, policies.ReasonGrow},
		{"memory at the low mark holds", func(in *policies.Load) { in.Memory = 0.85 }, 20, policies.ReasonHold},
		{"memory at the high mark holds", func(in *policies.Load) { in.Memory = 0.90 }, 20, policies.ReasonHold},
		{"memory above the high mark cuts", func(in *policies.Load) { in.Memory = 0.901 }, 18, policies.ReasonMemory},

		{"errors just below the low mark", func(in *policies.Load) { in.ErrorRate = 0.049 }, 22, policies.ReasonGrow},
		{"errors at the low mark hold", func(in *policies.Load) { in.ErrorRate = 0.05 }, 20, policies.ReasonHold},
		{"errors at the high mark hold", func(in *policies.Load) { in.ErrorRate = 0.10 }, 20, policies.ReasonHold},
		{"errors above the high mark cut", func(in *policies.Load) { in.ErrorRate = 0.101 }, 18, policies.ReasonErrors},

		{"latency just below the target", func(in *policies.Load) { in.Target = 100.1 }, 22, policies.ReasonGrow},
		{"latency at the target holds", func(in *policies.Load) { in.Target = 100 }, 20, policies.ReasonHold},
		{"latency at twice the target holds", func(in *policies.Load) { in.Target = 50 }, 20, policies.ReasonHold},
		{"latency above twice the target cuts", func(in *policies.Load) { in.Target = 49.9 }, 18, policies.ReasonLatency},

		{"one high mark is enough", func(in *policies.Load) { in.Memory, in.CPU = 0.1, 0.95 }, 18, policies.ReasonCPU},
		{"a cut stops at the minimum", func(in *policies.Load) { in.CPU, in.MinLimit = 0.95, 19 }, 19, policies.ReasonCPU},
		{"throttling is not in the rule", func(in *policies.Load) { in.Throttled = 1 }, 22, policies.ReasonGrow},

		{"nine completions are no window", func(in *policies.Load) { in.Completions = 9 }, 20, policies.ReasonWindow},
		{"ten completions are one", func(in *policies.Load) { in.Completions = 10 }, 22, policies.ReasonGrow},
		{"no window, no cut", func(in *policies.Load) { in.Completions, in.CPU = 9, 1 }, 20, policies.ReasonWindow},

		{"an unknown target never grows", func(in *policies.Load) { in.Target = nan }, 20, policies.ReasonHold},
		{"an unknown target still cuts", func(in *policies.Load) { in.Target, in.CPU = nan, 0.95 }, 18, policies.ReasonCPU},
		{"all failed cuts", func(in *policies.Load) { in.MeanMillis, in.ErrorRate = nan, 1 }, 18, policies.ReasonErrors},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := mustLinear(t, scaling.LinearOptions{Strict: true})
			in := good()
			ask(t, l, in)
			ask(t, l, in) // two stable windows: the third may grow
			tt.change(&in)
			limit, reason := ask(t, l, in)
			if !near(limit, tt.limit) || reason != tt.reason {
				t.Errorf("%+v: got %v (%v), want %v (%v)", in, limit, reason, tt.limit, tt.reason)
			}
		})
	}
}

func TestStrictGrowsOnlyAfterStableWindows(t *testing.T) {
	// The coefficient of variation of {100, 100, x}: x = 200 has mean 133.33,
	// standard deviation 47.14, so 0.354; x = 160 has 120, 28.28, 0.236.
	tests := []struct {
		name  string
		means []float64
		grow  bool
	}{
		{"first window", []float64{100}, false},
		{"second window", []float64{100, 100}, false},
		{"third window", []float64{100, 100, 100}, true},
		{"variation 0.354", []float64{100, 100, 200}, false},
		{"variation 0.236", []float64{100, 100, 160}, true},
		{"an unstable window is forgotten after three", []float64{100, 200, 100, 100, 100}, true},
		{"and not before", []float64{100, 300, 100, 100}, false},
		{"windows of too little work do not count", []float64{100, 100, -1, -1}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := mustLinear(t, scaling.LinearOptions{Strict: true})
			var limit float64
			var reason policies.Reason
			for _, mean := range tt.means {
				in := good()
				in.Target = 1000
				in.MeanMillis = mean
				if mean < 0 {
					in.MeanMillis, in.Completions = 100, 5
				}
				limit, reason = ask(t, l, in)
			}
			if grew := reason == policies.ReasonGrow && near(limit, 22); grew != tt.grow {
				t.Errorf("means %v: got limit %v (%v), want growth %v", tt.means, limit, reason, tt.grow)
			}
		})
	}
}

// Each number of the rule is a setting: changed alone, it moves the answer to a
// load that the default answers otherwise.
func TestStrictSettings(t *testing.T) {
	base := func() scaling.LinearOptions { return scaling.LinearOptions{Strict: true} }
	tests := []struct {
		name   string
		set    func(*scaling.LinearOptions)
		change func(*policies.Load)
		limit  float64
		reason policies.Reason
	}{
		{"grow", func(o *scaling.LinearOptions) { o.Grow = 1.5 }, nil, 30, policies.ReasonGrow},
		{"shrink", func(o *scaling.LinearOptions) { o.Shrink = 0.5 }, func(in *policies.Load) { in.CPU = 1 }, 10, policies.ReasonCPU},
		{"cpu_low", func(o *scaling.LinearOptions) { o.CPULow = 0.4 }, nil, 20, policies.ReasonHold},
		{"cpu_high", func(o *scaling.LinearOptions) { o.CPULow, o.CPUHigh = 0.3, 0.4 }, nil, 18, policies.ReasonCPU},
		{"memory_low", func(o *scaling.LinearOptions) { o.MemoryLow = 0.4 }, nil, 20, policies.ReasonHold},
		{"memory_high", func(o *scaling.LinearOptions) { o.MemoryLow, o.MemoryHigh = 0.3, 0.4 }, nil, 18, policies.ReasonMemory},
		{"errors_low", func(o *scaling.LinearOptions) { o.ErrorsLow = 0.005 }, nil, 20, policies.ReasonHold},
		{"errors_high", func(o *scaling.LinearOptions) { o.ErrorsLow, o.ErrorsHigh = 0.001, 0.005 }, nil, 18, policies.ReasonErrors},
		{"latency_high", func(o *scaling.LinearOptions) { o.LatencyHigh = 1.5 }, func(in *policies.Load) { in.Target = 60 }, 18, policies.ReasonLatency},
		{"target_ms", func(o *scaling.LinearOptions) { o.TargetMillis = 40 }, nil, 18, policies.ReasonLatency},
		{"min_completions", func(o *scaling.LinearOptions) { o.MinCompletions = 51 }, nil, 20, policies.ReasonWindow},
		{"stable_windows", func(o *scaling.LinearOptions) { o.StableWindows = 4 }, nil, 20, policies.ReasonUnstable},
		{"stable_variation", func(o *scaling.LinearOptions) { o.StableVariation = 0.01 }, func(in *policies.Load) { in.MeanMillis = 110 }, 20, policies.ReasonUnstable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := base()
			tt.set(&o)
			l := mustLinear(t, o)
			in := good()
			ask(t, l, in)
			ask(t, l, in)
			if tt.change != nil {
				tt.change(&in)
			}
			limit, reason := ask(t, l, in)
			if !near(limit, tt.limit) || reason != tt.reason {
				t.Errorf("got %v (%v), want %v (%v)", limit, reason, tt.limit, tt.reason)
			}
		})
	}
}
