package scaling_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/scaling"
)

// all returns a constructor of every policy of this package.
func all(t *testing.T) map[string]func() policies.Scaling {
	must := func(p policies.Scaling, err error) policies.Scaling {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	return map[string]func() policies.Scaling{
		"linear":        func() policies.Scaling { return must(scaling.NewLinear(scaling.LinearOptions{})) },
		"linear strict": func() policies.Scaling { return must(scaling.NewLinear(scaling.LinearOptions{Strict: true})) },
		"aimd":          func() policies.Scaling { return must(scaling.NewAIMD(scaling.AIMDOptions{})) },
		"fixed":         func() policies.Scaling { return must(scaling.NewFixed(scaling.FixedOptions{Limit: 33})) },
	}
}

// drawLoad draws a load whose parts may each be extreme or unknown.
func drawLoad(t *rapid.T) policies.Load {
	number := func(name string, low, high float64) float64 {
		if rapid.IntRange(0, 9).Draw(t, name+" unknown") == 0 {
			return math.NaN()
		}
		return rapid.Float64Range(low, high).Draw(t, name)
	}
	low := rapid.Float64Range(1, 50).Draw(t, "min")
	high := low + rapid.Float64Range(0, 1000).Draw(t, "range")
	return policies.Load{
		Limit: rapid.Float64Range(low, high).Draw(t, "limit"), MinLimit: low, MaxLimit: high,
		InFlight: rapid.Float64Range(0, 2000).Draw(t, "in flight"), MaxInFlight: rapid.Float64Range(0, 2000).Draw(t, "peak"),
		CPU: rapid.Float64Range(0, 1).Draw(t, "cpu"), Memory: rapid.Float64Range(0, 1).Draw(t, "memory"),
		Throttled: rapid.Float64Range(0, 1).Draw(t, "throttled"), ErrorRate: rapid.Float64Range(0, 1).Draw(t, "errors"),
		MeanMillis: number("mean", 0, 1e6), Target: number("target", 0, 1e5),
		Completions: rapid.Float64Range(0, 100).Draw(t, "completions"),
		Throughput:  rapid.Float64Range(0, 1e6).Draw(t, "throughput"),
	}
}

// Whatever the load, every policy answers with a number within the bounds, and
// twins agree.
func TestAnswersWithinBounds(t *testing.T) {
	for name, make := range all(t) {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				p, twin := make(), make()
				if info := p.Info(); info.Kind != policies.KindScaling || info.Name == "" {
					t.Fatalf("Info() = %+v", info)
				}
				for i := range rapid.IntRange(1, 40).Draw(t, "questions") {
					in := drawLoad(t)
					in.Now = policies.Nanos(i) * 1e8
					limit, reason, err := p.Limit(&in)
					if err != nil || !(limit >= in.MinLimit && limit <= in.MaxLimit) {
						t.Fatalf("Limit(%+v) = %v, %v, %v: want %v to %v", in, limit, reason, err, in.MinLimit, in.MaxLimit)
					}
					again, reasonAgain, _ := twin.Limit(&in)
					if again != limit || reasonAgain != reason {
						t.Fatalf("a twin answers %v (%v), want %v (%v)", again, reasonAgain, limit, reason)
					}
				}
			})
		})
	}
}

func TestAIMD(t *testing.T) {
	tests := []struct {
		name   string
		change func(*policies.Load)
		limit  float64
		reason policies.Reason
	}{
		{"good adds one", func(in *policies.Load) {}, 21, policies.ReasonGrow},
		{"growth stops at the maximum", func(in *policies.Load) { in.MaxLimit = 20.5 }, 20.5, policies.ReasonGrow},
		{"at the maximum", func(in *policies.Load) { in.MaxLimit = 20 }, 20, policies.ReasonBound},
		{"not in use", func(in *policies.Load) { in.MaxInFlight = 15 }, 20, policies.ReasonUnused},
		{"in between", func(in *policies.Load) { in.CPU = 0.85 }, 20, policies.ReasonHold},
		{"cpu", func(in *policies.Load) { in.CPU = 0.95 }, 18, policies.ReasonCPU},
		{"memory", func(in *policies.Load) { in.Memory = 0.95 }, 18, policies.ReasonMemory},
		{"errors", func(in *policies.Load) { in.ErrorRate = 0.2 }, 18, policies.ReasonErrors},
		{"latency", func(in *policies.Load) { in.MeanMillis = 401 }, 18, policies.ReasonLatency},
		{"a cut stops at the minimum", func(in *policies.Load) { in.CPU, in.MinLimit = 0.95, 19 }, 19, policies.ReasonCPU},
		{"too little work", func(in *policies.Load) { in.CPU, in.Completions = 0.95, 9 }, 20, policies.ReasonWindow},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := scaling.NewAIMD(scaling.AIMDOptions{})
			if err != nil {
				t.Fatal(err)
			}
			in := good()
			tt.change(&in)
			limit, reason := ask(t, a, in)
			if !near(limit, tt.limit) || reason != tt.reason {
				t.Errorf("got %v (%v), want %v (%v)", limit, reason, tt.limit, tt.reason)
			}
		})
	}
}

func TestFixed(t *testing.T) {
	tests := []struct{ option, limit float64 }{{0, 20}, {50, 50}, {500, 100}, {1, 4}}
	for _, tt := range tests {
		f, err := scaling.NewFixed(scaling.FixedOptions{Limit: tt.option})
		if err != nil {
			t.Fatal(err)
		}
		if limit, reason := ask(t, f, good()); limit != tt.limit || reason != policies.ReasonFixed {
			t.Errorf("Limit option %v: got %v (%v), want %v", tt.option, limit, reason, tt.limit)
		}
	}
}

func TestOptionsOutOfRangeAreErrors(t *testing.T) {
	linear := func(set func(*scaling.LinearOptions)) error {
		var o scaling.LinearOptions
		set(&o)
		_, err := scaling.NewLinear(o)
		return err
	}
	aimd := func(set func(*scaling.AIMDOptions)) error {
		var o scaling.AIMDOptions
		set(&o)
		_, err := scaling.NewAIMD(o)
		return err
	}
	_, fixed := scaling.NewFixed(scaling.FixedOptions{Limit: -1})
	tests := []struct {
		err  error
		want []string
	}{
		{linear(func(o *scaling.LinearOptions) { o.CPULow, o.Grow = 0.95, 0.5 }), []string{"cpu_low", "grow"}},
		{linear(func(o *scaling.LinearOptions) { o.MemoryHigh = 1.5 }), []string{"memory_high"}},
		{linear(func(o *scaling.LinearOptions) { o.TargetMillis = math.NaN() }), []string{"target_ms"}},
		{linear(func(o *scaling.LinearOptions) { o.StableWindows = -1 }), []string{"stable_windows"}},
		{aimd(func(o *scaling.AIMDOptions) { o.Decrease, o.Increase = 2, -1 }), []string{"decrease", "increase"}},
		{fixed, []string{"limit"}},
	}
	for _, tt := range tests {
		if tt.err == nil {
			t.Errorf("no error, want one that names %v", tt.want)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(tt.err.Error(), want) {
				t.Errorf("error %q does not name %s", tt.err, want)
			}
		}
	}
}

func ExampleLinear() {
	linear, err := scaling.NewLinear(scaling.LinearOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	load := policies.Load{
		Limit: 20, MinLimit: 4, MaxLimit: 1000, InFlight: 20, MaxInFlight: 20,
		CPU: 0.4, Memory: 0.5, MeanMillis: 12, Target: 15, Completions: 150, Throughput: 1500,
	}
	limit, reason, _ := linear.Limit(&load)
	fmt.Println(limit, reason)
	load.MeanMillis = 31
	limit, reason, _ = linear.Limit(&load)
	fmt.Println(limit, reason)
	// Output:
	// 22 grow
	// 18 latency
}
