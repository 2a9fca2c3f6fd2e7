package replay_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/perfopt/perfopt/bench/replay"
	"github.com/perfopt/perfopt/bench/trace"
	"github.com/perfopt/perfopt/hostabi"
	"github.com/perfopt/perfopt/hostabi/ref"
	"github.com/perfopt/perfopt/policies"
)

// twinTraces are the traces of the repository and, with PERFOPT_FULL=1, every
// reference trace.
func twinTraces(t *testing.T) []string {
	paths := []string{trace.SampleName, filepath.Join("..", "trace", "testdata", "web07.be32.xz")}
	if !full() {
		return paths
	}
	for _, row := range readRows(t, filepath.Join(tracesDir(), "reference-miss-ratios.csv")) {
		found, err := filepath.Glob(filepath.Join(tracesDir(), row.trace+".*"))
		if err != nil || len(found) != 1 {
			t.Fatalf("trace %s: %v, %v", row.trace, found, err)
		}
		if !slices.Contains(paths, found[0]) {
			paths = append(paths, found[0])
		}
	}
	return paths
}

// A shipped module with a native twin misses exactly what the twin misses.
func TestShippedModulesMissWhatTheirTwinsMiss(t *testing.T) {
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
	for native, module := range map[string]string{"builtin:lru": "shipped:lru-c", "builtin:s3fifo": "shipped:s3fifo-c"} {
		var pair []replay.Candidate
		for _, use := range []string{native, module} {
			l, err := resolver.Open(t.Context(), policies.KindEviction, use, ref.OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			pair = append(pair, replay.FromRef(l))
		}
		for _, path := range twinTraces(t) {
			t.Run(strings.TrimPrefix(module, "shipped:")+"/"+filepath.Base(path), func(t *testing.T) {
				source, err := trace.Open(path, "")
				if err != nil {
					t.Fatal(err)
				}
				defer source.Close()
				results, err := replay.Run(t.Context(), replay.Options{Source: source, Candidates: pair,
					Capacities: []replay.Capacity{{Amount: 50}, {Amount: 1000}}})
				if err != nil {
					t.Fatal(err)
				}
				misses := map[int64]int64{}
				for _, r := range results {
					if r.Policy == native {
						misses[r.Capacity] = r.Misses
					}
				}
				for _, r := range results {
					if r.Misses != misses[r.Capacity] || r.Calls == 0 || r.Faults != 0 {
						t.Errorf("%s at %d: %d misses, %d calls, %d faults: want the twin's %d misses, calls and no fault",
							r.Policy, r.Capacity, r.Misses, r.Calls, r.Faults, misses[r.Capacity])
					}
				}
			})
		}
	}
}
