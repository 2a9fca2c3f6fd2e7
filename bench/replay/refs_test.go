package replay_test

import (
	"testing"

	"github.com/perfopt/perfopt/bench/replay"
	"github.com/perfopt/perfopt/hostabi"
	"github.com/perfopt/perfopt/hostabi/ref"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/builtin"
)

// open returns the candidates behind references to eviction policies.
func open(t testing.TB, uses ...string) (c []replay.Candidate) {
	t.Helper()
	host, err := hostabi.New(t.Context(), hostabi.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(); err != nil {
			t.Error(err)
		}
	})
	resolver := ref.New(host, nil)
	for _, use := range uses {
		l, err := resolver.Open(t.Context(), policies.KindEviction, use, ref.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
		c = append(c, replay.FromRef(l))
	}
	return c
}

// TestModuleMissesWhatItsNativeTwinDoes replays the sample under the WebAssembly
// form of LRU and the native one: they also are asked as often.
func TestModuleMissesWhatItsNativeTwinDoes(t *testing.T) {
	capacities := append(objects(1, 100, 1000), replay.Capacity{Amount: 1 << 20, Bytes: true})
	results := run(t, replay.Options{Source: sample(t), Candidates: open(t, "builtin:lru", "shipped:lru-c"), Capacities: capacities})
	for i := 0; i < len(results); i += 2 {
		native, module := results[i], results[i+1]
		if !same(replay.Result{Policy: native.Policy, Capacity: module.Capacity, Misses: module.Misses, MissedBytes: module.MissedBytes, Calls: module.Calls}, native) {
			t.Errorf("native %+v, module %+v", native, module)
		}
		if module.Calls == 0 || module.Faults != 0 {
			t.Errorf("module at %d: %d calls, %d faults; want calls and no fault", module.Capacity, module.Calls, module.Faults)
		}
	}
}

// TestEveryBuiltinIsReplayed keeps the table of built-in policies honest: each
// is asked, commits no fault, and misses less than everything.
func TestEveryBuiltinIsReplayed(t *testing.T) {
	var uses []string
	for _, name := range builtin.Names(policies.KindEviction) {
		uses = append(uses, "builtin:"+name)
	}
	o := replay.Options{Source: sample(t), Candidates: open(t, uses...), Capacities: objects(500)}
	for _, r := range run(t, o) {
		if r.Calls == 0 || r.Faults != 0 || r.Failure != "" || r.MissRatio > 0.6 {
			t.Errorf("%+v: want calls, no fault and a miss ratio of at most 0.6", r)
		}
	}
}

func BenchmarkReplay(b *testing.B) {
	for _, use := range []string{"builtin:lru", "builtin:s3fifo", "builtin:linear", "shipped:lru-c"} {
		b.Run(use, func(b *testing.B) {
			candidates := open(b, use)
			var requests int64
			for b.Loop() {
				r := run(b, replay.Options{Source: sample(b), Candidates: candidates, Capacities: objects(500)})[0]
				requests += r.Requests
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(requests), "ns/access")
		})
	}
}
