package replay_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/perfopt/perfopt/bench/replay"
	"github.com/perfopt/perfopt/bench/trace"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/eviction"
)

// accesses is a source in memory.
type accesses struct {
	all []trace.Access
	err error // after the accesses; nil = io.EOF
}

func (s *accesses) Name() string { return "memory" }

func (s *accesses) ReadBatch(dst []trace.Access) (int, error) {
	if len(s.all) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		return 0, io.EOF
	}
	n := copy(dst, s.all)
	s.all = s.all[n:]
	return n, nil
}

func keysOf(keys ...uint64) *accesses {
	s := &accesses{}
	for _, k := range keys {
		s.all = append(s.all, trace.Access{Key: k})
	}
	return s
}

var everyNative = []replay.Candidate{natives["LRU"], natives["FIFO"], natives["S3-FIFO"]}

func objects(n ...int64) (c []replay.Capacity) {
	for _, v := range n {
		c = append(c, replay.Capacity{Amount: v})
	}
	return c
}

func sample(t testing.TB) *trace.Reader {
	t.Helper()
	r, err := trace.Open(trace.SampleName, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func run(t testing.TB, o replay.Options) []replay.Result {
	t.Helper()
	results, err := replay.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range results {
		results[i].Seconds = 0
	}
	return results
}

func TestCountsByHand(t *testing.T) {
	// LRU of 2: 1 2 miss, 1 hits, 3 evicts 2, 1 hits, 2 misses.
	// FIFO of 2: 1 2 miss, 1 hits, 3 evicts 1, 1 evicts 2, 2 misses.
	results := run(t, replay.Options{Source: keysOf(1, 2, 1, 3, 1, 2), Candidates: everyNative[:2], Capacities: objects(2)})
	for i, want := range []int64{4, 5} {
		if r := results[i]; r.Misses != want || r.Requests != 6 || r.Unit != "objects" || r.Bytes != nil {
			t.Errorf("%s: %+v, want %d misses of 6", r.Policy, r, want)
		}
	}
}

func TestBytesByHand(t *testing.T) {
	at := func(key uint64, size uint32) trace.Access { return trace.Access{Key: key, Size: size, HasSize: true} }
	for _, tt := range []struct {
		name     string
		accesses []trace.Access
		capacity int64
		misses   int64
		missed   int64
	}{
		{"fits", []trace.Access{at(1, 60), at(2, 40), at(1, 60), at(2, 40)}, 100, 2, 100},
		{"two leave for one", []trace.Access{at(1, 50), at(2, 50), at(3, 100), at(3, 100), at(1, 50)}, 100, 4, 250},
		{"heavier than the cache", []trace.Access{at(1, 101), at(1, 101), at(2, 100), at(1, 101), at(2, 100)}, 100, 4, 403},
		{"a hit that grew makes room", []trace.Access{at(1, 10), at(2, 50), at(2, 95), at(1, 10), at(2, 95)}, 100, 4, 165},
		{"an empty object takes a byte", []trace.Access{at(1, 0), at(2, 0), at(1, 0)}, 1, 3, 0},
	} {
		r := run(t, replay.Options{
			Source: &accesses{all: tt.accesses}, Candidates: everyNative[:1], Capacities: []replay.Capacity{{Amount: tt.capacity, Bytes: true}},
		})[0]
		if r.Misses != tt.misses || *r.MissedBytes != tt.missed || r.Unit != "bytes" {
			t.Errorf("%s: %d misses, %d bytes missed; want %d and %d", tt.name, r.Misses, *r.MissedBytes, tt.misses, tt.missed)
		}
	}
}

func TestTwoReplaysAreIdentical(t *testing.T) {
	capacities := append(objects(50, 500), replay.Capacity{Amount: 1 << 20, Bytes: true})
	var former []replay.Result
	for _, workers := range []int{1, 2, 5} {
		results := run(t, replay.Options{Source: sample(t), Candidates: everyNative, Capacities: capacities, Workers: workers})
		if former != nil && !slices.EqualFunc(results, former, same) {
			t.Fatalf("%d workers:\n%+v\nformerly\n%+v", workers, results, former)
		}
		former = results
	}
}

func same(a, b replay.Result) bool {
	return a.Policy == b.Policy && a.Capacity == b.Capacity && a.Misses == b.Misses && *a.MissedBytes == *b.MissedBytes && a.Calls == b.Calls
}

// TestLRUMissesFallWithCapacity is the inclusion property of LRU: what a
// smaller cache holds, a larger one holds too.
func TestLRUMissesFallWithCapacity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfN(rapid.Uint64Range(0, 40), 1, 3000).Draw(t, "keys")
		results, err := replay.Run(context.Background(), replay.Options{
			Source: keysOf(keys...), Candidates: everyNative[:1], Capacities: objects(1, 2, 3, 5, 8, 13, 21, 41),
		})
		if err != nil {
			t.Fatal(err)
		}
		unique := map[uint64]bool{}
		for _, k := range keys {
			unique[k] = true
		}
		last := int64(len(keys))
		for _, r := range results {
			if r.Misses > last || r.Misses < int64(len(unique)) {
				t.Fatalf("%d misses at %d objects, %d at the size below, %d keys", r.Misses, r.Capacity, last, len(unique))
			}
			last = r.Misses
		}
		if last != int64(len(unique)) {
			t.Fatalf("%d misses where everything fits, want %d", last, len(unique))
		}
	})
}

func TestClockFollowsTheTrace(t *testing.T) {
	var seen []policies.Nanos
	watch := replay.Candidate{Name: "watch", New: func(env replay.Env) (policies.Orderer, error) {
		return &watcher{LRU: eviction.NewLRU(), now: func() { seen = append(seen, env.Now()) }}, nil
	}}
	timed := func(seconds ...float64) *accesses {
		s := &accesses{}
		for i, v := range seconds {
			s.all = append(s.all, trace.Access{Key: uint64(i), Time: time.Duration(v * float64(time.Second)), HasTime: true})
		}
		return s
	}
	for _, tt := range []struct {
		name   string
		source *accesses
		rate   float64
		want   []policies.Nanos
	}{
		{"times of the trace, never backwards", timed(1, 2, 1.5, 3), 0, []policies.Nanos{2e9, 2e9, 3e9}},
		{"1,000 a second without times", keysOf(1, 2, 3), 0, []policies.Nanos{1e6, 2e6}},
		{"the rate asked for", keysOf(1, 2, 3), 0.5, []policies.Nanos{2e9, 4e9}},
	} {
		seen = nil
		run(t, replay.Options{Source: tt.source, Candidates: []replay.Candidate{watch}, Capacities: objects(1), Rate: tt.rate})
		if !slices.Equal(seen, tt.want) {
			t.Errorf("%s: victims asked for at %v, want %v", tt.name, seen, tt.want)
		}
	}
}

type watcher struct {
	*eviction.LRU
	now func()
}

func (w *watcher) Victims(need int64, out []policies.Slot) (int, error) {
	w.now()
	return w.LRU.Victims(need, out)
}

func TestFaultIsReported(t *testing.T) {
	lying := replay.Candidate{Name: "liar", New: func(replay.Env) (policies.Orderer, error) { return &liar{eviction.NewLRU()}, nil }}
	r := run(t, replay.Options{Source: sample(t), Candidates: []replay.Candidate{lying}, Capacities: objects(100)})[0]
	if r.Faults == 0 || !strings.Contains(r.Failure, "output fault") {
		t.Errorf("%d faults, failure %q; want an output fault", r.Faults, r.Failure)
	}
	if r.Requests != 48_000 {
		t.Errorf("%d requests after the fault, want the whole trace", r.Requests)
	}
}

// liar names a slot that no entry holds.
type liar struct{ *eviction.LRU }

func (l *liar) Victims(_ int64, out []policies.Slot) (int, error) {
	out[0] = 1 << 30
	return 1, nil
}

func TestRunRefuses(t *testing.T) {
	broken := errors.New("disk on fire")
	refused := replay.Candidate{Name: "refused", New: func(replay.Env) (policies.Orderer, error) { return nil, broken }}
	bytes := []replay.Capacity{{Amount: 1000, Bytes: true}}
	for _, tt := range []struct {
		name string
		o    replay.Options
		want string
	}{
		{"no policy", replay.Options{Source: keysOf(1), Capacities: objects(1)}, "no policy"},
		{"no capacity", replay.Options{Source: keysOf(1), Candidates: everyNative}, "no capacity"},
		{"rate", replay.Options{Source: keysOf(1), Candidates: everyNative, Capacities: objects(1), Rate: -1}, "rate -1"},
		{"capacity", replay.Options{Source: keysOf(1), Candidates: everyNative, Capacities: objects(0)}, "capacity 0"},
		{"policy", replay.Options{Source: keysOf(1), Candidates: []replay.Candidate{refused}, Capacities: objects(1)}, "refused at 1: "},
		{"no sizes", replay.Options{Source: keysOf(1), Candidates: everyNative, Capacities: bytes}, "memory: access 1 has no size"},
		{"source", replay.Options{Source: &accesses{err: broken}, Candidates: everyNative, Capacities: objects(1)}, "disk on fire"},
	} {
		if _, err := replay.Run(t.Context(), tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	pieces := 0
	_, err := replay.Run(ctx, replay.Options{Source: sample(t), Candidates: everyNative, Capacities: objects(10), Progress: func(int64) {
		if pieces++; pieces == 3 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || pieces != 3 {
		t.Errorf("cancelled after 3 pieces: %v after %d", err, pieces)
	}
}

func TestParseCapacity(t *testing.T) {
	for _, tt := range []struct {
		text string
		want replay.Capacity
		show string
	}{
		{"1000", replay.Capacity{Amount: 1000}, "1000"},
		{" 7 ", replay.Capacity{Amount: 7}, "7"},
		{"64MiB", replay.Capacity{Amount: 64 << 20, Bytes: true}, "64MiB"},
		{"1.5 GB", replay.Capacity{Amount: 1_500_000_000, Bytes: true}, "1500000000B"},
		{"1gib", replay.Capacity{Amount: 1 << 30, Bytes: true}, "1GiB"},
		{"2048KiB", replay.Capacity{Amount: 2 << 20, Bytes: true}, "2MiB"},
		{"500B", replay.Capacity{Amount: 500, Bytes: true}, "500B"},
	} {
		got, err := replay.ParseCapacity(tt.text)
		if err != nil || got != tt.want || got.String() != tt.show {
			t.Errorf("ParseCapacity(%q) = %+v (%s), %v; want %+v (%s)", tt.text, got, got, err, tt.want, tt.show)
		}
	}
	for _, text := range []string{"", "0", "-1", "1.5", "x", "MiB", "0B", "-1MiB", "1e30TiB", "NaNB", "64 M", "99999999999999999999"} {
		if got, err := replay.ParseCapacity(text); err == nil {
			t.Errorf("ParseCapacity(%q) = %+v, want an error", text, got)
		}
	}
}
