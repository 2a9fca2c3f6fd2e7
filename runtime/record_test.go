package perfopt

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	hclog "github.com/hashicorp/go-hclog"

	"github.com/perfopt/perfopt/bench/trace"
	"github.com/perfopt/perfopt/policies"
)

// recorded reads a recording as replay does.
func recorded(t *testing.T, path string) []trace.Access {
	t.Helper()
	r, err := trace.Open(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []trace.Access
	for a, err := range r.All() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

// TestRecordingIsWhatWasAsked replays the questions: with their order known,
// the recording has the same keys in the same order, and the sizes of entries.
func TestRecordingIsWhatWasAsked(t *testing.T) {
	for _, ending := range []string{"", ".gz", ".zst"} {
		path := filepath.Join(t.TempDir(), "a.oracleGeneral"+ending)
		size := func(key int) int { return 400 + key }
		rt := mustNew(t, func(cfg *Config) {
			cfg.Record.Accesses, cfg.Prefetch.Enabled = path, false
			cfg.Cache.Capacity = 64 << 10 // less than the keys need
		})
		c, err := CacheOf(rt, "default", Bytes(), func(_ context.Context, key int) ([]byte, error) {
			return make([]byte, size(key)), nil
		}, WithWeigher(func(_ int, v []byte) uint32 { return uint32(len(v)) }))
		if err != nil {
			t.Fatal(err)
		}
		var asked []int
		ask := func(key int) {
			asked = append(asked, key)
			if _, err := c.GetOrLoad(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			c.tiered.Sync() // or accesses of one batch may change places
		}
		const keys = 300
		for key := range keys { // misses, of which none is lost: they tell the hashes
			ask(key)
		}
		rng := rand.New(rand.NewPCG(3, 4))
		zipf := rand.NewZipf(rng, 1.1, 1, keys-1)
		for range 3000 {
			ask(int(zipf.Uint64()))
		}
		if s := rt.Stats().Caches["default"]; s.L1.Evictions["policy"] == 0 || s.Hits == 0 {
			t.Fatalf("the test needs hits and evictions: %+v", s.L1)
		}
		end(t, rt)
		got := recorded(t, path)
		if len(got) > len(asked) || len(got) < len(asked)*99/100 {
			t.Fatalf("%d accesses recorded of %d", len(got), len(asked))
		}
		keyOf := map[uint64]int{}
		for key := range keys {
			keyOf[got[key].Key] = key
		}
		if len(keyOf) != keys {
			t.Fatalf("%d hashes of %d keys", len(keyOf), keys)
		}
		next := 0
		for i, a := range got {
			key, known := keyOf[a.Key]
			for next < len(asked) && asked[next] != key {
				next++ // a hit is lost if maintenance reads while it is written
			}
			if !known || next == len(asked) {
				t.Fatalf("access %d is of key %d, which was not asked for then", i, key)
			}
			next++
			if a.Size != uint32(size(key)) {
				t.Fatalf("access %d of key %d: size %d, want %d", i, key, a.Size, size(key))
			}
			if i > 0 && a.Time < got[i-1].Time {
				t.Fatalf("access %d lies before the one before", i)
			}
		}
	}
}

// TestRecordingOfTheProxy: every request is an access, also one whose answer
// is not stored.
func TestRecordingOfTheProxy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.oracleGeneral")
	s := behind(t, "[record]\naccesses = \""+path+"\"\n[prefetch]\nenabled = false\n", webOrigin(nil))
	want := map[string]int{}
	for i := range 90 {
		path := fmt.Sprintf("/%s/%d", []string{"plain", "private", "wide"}[i%3], i%9)
		want[path]++
		s.get(path)
	}
	end(t, s.rt)
	counts := map[uint64]int{}
	for _, a := range recorded(t, path) {
		counts[a.Key]++
	}
	var got, asked []int
	for _, n := range counts {
		got = append(got, n)
	}
	for _, n := range want {
		asked = append(asked, n)
	}
	slices.Sort(got)
	slices.Sort(asked)
	if !slices.Equal(got, asked) {
		t.Errorf("accesses by key: %v, want %v", got, asked)
	}
}

// TestSlowDiskDropsAndCounts lets the recorder's queue fill before its writer
// begins.
func TestSlowDiskDropsAndCounts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.oracleGeneral")
	w, err := trace.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{
		writer: w, log: hclog.NewNullLogger(), more: make(chan struct{}, 1), done: make(chan struct{}),
		slots: map[policies.Slot]trace.Access{}, pending: map[uint64]uint64{},
	}
	const each, batches = 7, recordQueue/7 + 10
	for i := range batches {
		var events []policies.Event
		var inserts []policies.Insert
		for j := range each {
			events = append(events, policies.Event{Slot: policies.NoSlot, Op: policies.OpMiss}, policies.Event{Slot: policies.Slot(j), Op: policies.OpInsert})
			in := policies.Insert{KeyHash: policies.KeyHash(i*each + j), Weight: 5}
			inserts = append(inserts, in, in)
		}
		r.observe(policies.Nanos(i), events, inserts)
	}
	if n := r.dropped.Load(); n != batches*each-recordQueue {
		t.Errorf("%d dropped, want %d", n, batches*each-recordQueue)
	}
	go r.write()
	r.close()
	r.close()
	if n := len(recorded(t, path)); n != recordQueue {
		t.Errorf("%d recorded, want %d", n, recordQueue)
	}
}

// TestMissesWithoutInsertAreRecorded: the wait for an insert is bounded, and
// what still waits at the end is written then.
func TestMissesWithoutInsertAreRecorded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.oracleGeneral")
	r, err := newRecorder(path, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	const batches, each = 21, 500
	misses := 0
	for range batches {
		var events []policies.Event
		var inserts []policies.Insert
		for range each {
			events = append(events, policies.Event{Slot: policies.NoSlot, Op: policies.OpMiss})
			inserts = append(inserts, policies.Insert{KeyHash: policies.KeyHash(misses)})
			misses++
		}
		r.observe(1, events, inserts)
		if len(r.pending) > pendingMisses || len(r.order) > pendingMisses {
			t.Fatalf("%d misses wait", len(r.pending))
		}
	}
	r.close()
	got := recorded(t, path)
	if len(got) != misses || r.dropped.Load() > 0 {
		t.Errorf("%d of %d recorded, %d dropped", len(got), misses, r.dropped.Load())
	}
	for i, a := range got {
		if a.Key != uint64(i) || a.Size != 1 {
			t.Fatalf("access %d: %+v", i, a)
		}
	}
}

func mustNew(t *testing.T, change func(*Config)) *Runtime {
	t.Helper()
	cfg := DefaultConfig()
	change(&cfg)
	rt, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return rt
}
