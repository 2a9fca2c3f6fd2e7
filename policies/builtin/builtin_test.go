package builtin_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/builtin"
	"github.com/perfopt/perfopt/policies/features"
	"github.com/perfopt/perfopt/policies/guard"
	"github.com/perfopt/perfopt/policies/policytest"
)

// configs are the configurations beside the default with which a policy passes
// the suite of its kind.
var configs = map[string][]map[string]any{
	"eviction/linear":        {{"strict": true}, {"sample": int64(2), "weights": []any{1.0, int64(0), 0.5, 0.1}}},
	"ttl/linear":             {{"strict": true}, {"factor": 2.0, "once": int64(3), "horizon": "1m"}},
	"ttl/fixed":              {{"ttl": "7s"}},
	"prefetch/linear":        {{"strict": true}, {"threshold": 0.1, "ahead": "30s"}},
	"prefetch/refresh-ahead": {{"ahead": 60.0, "threshold": 0.1, "lifetime": "5m", "min_accesses": int64(1)}},
	"prefetch/association":   {{"keys": int64(16), "window": int64(8), "support": int64(1), "confidence": 0.1}},
	"scaling/linear":         {{"strict": true}},
	"scaling/fixed":          {{"limit": int64(20)}},
}

// TestEveryPolicyPassesTheSuiteOfItsKind runs over the whole table.
func TestEveryPolicyPassesTheSuiteOfItsKind(t *testing.T) {
	for _, kind := range policies.Kinds() {
		names := builtin.Names(kind)
		if len(names) == 0 {
			t.Errorf("no %s policies", kind)
		}
		for _, name := range names {
			all := append([]map[string]any{nil}, configs[string(kind)+"/"+name]...)
			for _, config := range all {
				t.Run(fmt.Sprintf("%s/%s/%v", kind, name, config), func(t *testing.T) {
					env := builtin.Env{Seed: 1, Config: config}
					switch kind {
					case policies.KindEviction:
						policytest.Eviction(t, func(table *features.Table) (policies.Orderer, error) {
							env.Features = table
							return builtin.Eviction(name, env)
						})
					case policies.KindTTL:
						policytest.TTL(t, func() (policies.TTL, error) { return builtin.TTL(name, env) })
					case policies.KindPrefetch:
						policytest.Prefetch(t, func() (policies.Prefetch, error) { return builtin.Prefetch(name, env) })
					case policies.KindScaling:
						policytest.Scaling(t, func() (policies.Scaling, error) { return builtin.Scaling(name, env) })
					}
				})
			}
		}
	}
}

// TestGuardedPoliciesPassTheSuiteToo: a guard changes no answer of a policy that
// is right, and counts no fault.
func TestGuardedPoliciesPassTheSuiteToo(t *testing.T) {
	h := guard.NewHealth(guard.Options{OnFault: func(f *policies.Fault) { t.Errorf("fault: %v", f) }})
	for _, name := range builtin.Names(policies.KindEviction) {
		t.Run("eviction/"+name, func(t *testing.T) {
			policytest.Eviction(t, func(table *features.Table) (policies.Orderer, error) {
				p, err := builtin.Eviction(name, builtin.Env{Features: table})
				if err != nil {
					return nil, err
				}
				return guard.Eviction(p, h), nil
			})
		})
	}
	for _, name := range builtin.Names(policies.KindPrefetch) {
		t.Run("prefetch/"+name, func(t *testing.T) {
			policytest.Prefetch(t, func() (policies.Prefetch, error) {
				p, err := builtin.Prefetch(name, builtin.Env{})
				if err != nil {
					return nil, err
				}
				return guard.Prefetch(p, h), nil
			})
		})
	}
	if h.Snapshot().Calls == 0 {
		t.Error("the guard was not asked")
	}
}

func TestPoliciesAreNamedAsTheyAreCalled(t *testing.T) {
	for _, name := range builtin.Names(policies.KindEviction) {
		if p, err := builtin.Eviction(name, builtin.Env{Features: features.New(features.Options{})}); err != nil || p.Info().Name != name {
			t.Errorf("eviction %s: %v", name, err)
		}
	}
	for _, name := range builtin.Names(policies.KindTTL) {
		if p, err := builtin.TTL(name, builtin.Env{}); err != nil || p.Info().Name != name {
			t.Errorf("ttl %s: %v", name, err)
		}
	}
	for _, name := range builtin.Names(policies.KindPrefetch) {
		if p, err := builtin.Prefetch(name, builtin.Env{}); err != nil || p.Info().Name != name {
			t.Errorf("prefetch %s: %v", name, err)
		}
	}
	for _, name := range builtin.Names(policies.KindScaling) {
		if p, err := builtin.Scaling(name, builtin.Env{}); err != nil || p.Info().Name != name {
			t.Errorf("scaling %s: %v", name, err)
		}
	}
}

func TestTheDefaultComesFirst(t *testing.T) {
	for _, kind := range policies.Kinds() {
		if names := builtin.Names(kind); names[0] != "linear" {
			t.Errorf("%s: %v, want linear first", kind, names)
		}
	}
	if builtin.Names("colour") != nil || builtin.Keys("colour", "linear") != nil || builtin.Keys(policies.KindTTL, "none") != nil {
		t.Error("an unknown kind or name has names or keys")
	}
}

func TestConfigurationIsDecodedStrictly(t *testing.T) {
	for _, c := range []struct {
		kind, name string
		config     map[string]any
		want       []string // parts of the error; none = it is right
	}{
		{"eviction", "linear", nil, nil},
		{"eviction", "linear", map[string]any{"strict": true, "sample": 16, "weights": []float64{1, 2, 3, 4}, "horizon": time.Minute}, nil},
		{"eviction", "linear", map[string]any{"smaple": 16}, []string{`unknown key "smaple"`, "sample", "weights"}},
		{"eviction", "linear", map[string]any{"sample": "many", "strict": 1}, []string{`sample: "many", want a whole number`, "strict: 1, want true or false"}},
		{"eviction", "linear", map[string]any{"sample": 1.5}, []string{"sample: 1.5, want a whole number"}},
		{"eviction", "linear", map[string]any{"sample": 1000}, []string{"sample: 1000, want 1 to 256"}},
		{"eviction", "linear", map[string]any{"weights": []any{1.0, "x"}}, []string{`weights: [1]: "x", want a number`}},
		{"eviction", "linear", map[string]any{"weights": []any{1.0}}, []string{"want 4"}},
		{"eviction", "linear", map[string]any{"weights": 7}, []string{"weights: 7, want a list of numbers"}},
		{"eviction", "linear", map[string]any{"confidence": -1, "horizon": "1ms"}, []string{"confidence: -1", "horizon: 1ms"}},
		{"eviction", "lru", map[string]any{"size": 1}, []string{`unknown key "size"`, "no settings"}},
		{"eviction", "lruu", nil, []string{`"lruu"`, "linear, lru, fifo, s3fifo"}},
		{"evictions", "lru", nil, []string{"unknown policy kind"}},
		{"ttl", "fixed", map[string]any{"ttl": "7s"}, nil},
		{"ttl", "fixed", map[string]any{"ttl": int64(7)}, nil},
		{"ttl", "fixed", map[string]any{"ttl": "7"}, []string{`ttl: "7", want a time such as "30s"`}},
		{"ttl", "fixed", map[string]any{"ttl": -7}, []string{"not negative"}},
		{"ttl", "fixed", map[string]any{"ttl": math.NaN()}, []string{"want a time"}},
		{"ttl", "fixed", map[string]any{"ttl": nil}, []string{"want a time"}},
		{"ttl", "linear", map[string]any{"factor": 0.5}, []string{"factor: 0.5, want 1 to 1000"}},
		{"prefetch", "linear", map[string]any{"threshold": 2}, []string{"threshold: 2"}},
		{"prefetch", "association", map[string]any{"window": 9, "keys": 10}, []string{"window: 9, want 1 to 8"}},
		{"prefetch", "refresh-ahead", map[string]any{"ahead": "-1s"}, []string{"ahead: -1s"}},
		{"scaling", "linear", map[string]any{"cpu_low": 0.7, "strict": true}, nil},
		{"scaling", "aimd", map[string]any{"grow": 1}, []string{`unknown key "grow"`}},
		{"scaling", "linear", map[string]any{"grow": uint8(9)}, []string{"grow"}},
	} {
		err := builtin.Validate(c.kind, c.name, c.config)
		switch {
		case len(c.want) == 0 && err != nil:
			t.Errorf("%s %s %v: %v", c.kind, c.name, c.config, err)
		case len(c.want) > 0 && err == nil:
			t.Errorf("%s %s %v: no error", c.kind, c.name, c.config)
		}
		for _, part := range c.want {
			if err != nil && !strings.Contains(err.Error(), part) {
				t.Errorf("%s %s %v: error %q does not say %q", c.kind, c.name, c.config, err, part)
			}
		}
	}
}

func TestKeysAreWhatDecodes(t *testing.T) {
	if got, want := builtin.Keys(policies.KindEviction, "linear"), []string{"confidence", "horizon", "sample", "strict", "weights"}; !slices.Equal(got, want) {
		t.Errorf("keys %v, want %v", got, want)
	}
	for _, kind := range policies.Kinds() {
		for _, name := range builtin.Names(kind) {
			for _, key := range builtin.Keys(kind, name) {
				if err := builtin.Validate(string(kind), name, map[string]any{key: struct{}{}}); err == nil || strings.Contains(err.Error(), "unknown") {
					t.Errorf("%s %s: key %s given nonsense: %v", kind, name, key, err)
				}
			}
		}
	}
}

func ExampleTTL() {
	p, err := builtin.TTL("fixed", builtin.Env{Config: map[string]any{"ttl": "7s"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	in := new(policies.TTLBatch)
	in.Resize(1, p.Info().Columns)
	in.Set(policies.ColBaseTTL, 0, 60)
	in.Set(policies.ColOriginTTL, 0, math.NaN())
	out := make([]policies.Nanos, 1)
	if err := p.TTL(in, out); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(time.Duration(out[0]))
	_, err = builtin.TTL("fixed", builtin.Env{Config: map[string]any{"tll": "7s"}})
	fmt.Println(err)
	// Output:
	// 7s
	// ttl policy builtin:fixed: unknown key "tll": there are ttl
}
