package l2

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestTierRoundTrip(t *testing.T) {
	s := startServer(t)
	tier := newTestTier(t, s.open(), TierOptions{Prefix: "app:"})
	ctx := t.Context()
	if _, ok := tier.Get(ctx, "k"); ok {
		t.Fatal("hit in an empty store")
	}
	if !tier.Fill(tier.Lease("k"), entry("v1")) {
		t.Fatal("fill refused")
	}
	if e, ok := tier.Get(ctx, "k"); !ok || string(e.Value) != "v1" {
		t.Fatalf("while pending: %q, %v", e.Value, ok)
	}
	flush(t, tier)
	if e, ok := tier.Get(ctx, "k"); !ok || string(e.Value) != "v1" {
		t.Fatalf("from the store: %q, %v", e.Value, ok)
	}
	tier.Put("k", entry("v2"))
	flush(t, tier)
	if e, _ := tier.Get(ctx, "k"); string(e.Value) != "v2" {
		t.Fatalf("after put: %q", e.Value)
	}
	tier.Delete("k")
	if e, ok := tier.Get(ctx, "k"); ok {
		t.Fatalf("after delete: %q", e.Value)
	}
	flush(t, tier)
	if e, ok := tier.Get(ctx, "k"); ok {
		t.Fatalf("after the delete arrived: %q", e.Value)
	}
	st := tier.Stats()
	if st.Hits != 3 || st.Misses != 3 || st.Writes != 2 || st.Deletes != 1 || st.Pending != 0 || st.PendingBytes != 0 || st.StateName != "closed" {
		t.Errorf("stats %+v", st)
	}
}

func TestTierDeletesWhatIsWrong(t *testing.T) {
	s := startServer(t)
	r := s.open()
	tier := newTestTier(t, r, TierOptions{MaxValue: 1 << 16})
	ctx := t.Context()
	sealed := Seal(nil, "bit", entry("value"))
	sealed[EnvelopeBytes] ^= 4
	future := entry("value")
	future.Created = time.Now().Add(time.Hour)
	future.Expires = future.Created.Add(time.Hour)
	r.client.Set(ctx, "bit", sealed, 0)
	r.client.Set(ctx, "text", "hello", 0)
	r.client.Set(ctx, "future", Seal(nil, "future", future), 0)
	r.client.SetRange(ctx, "long", 1<<20, "x")
	r.client.LPush(ctx, "list", "a")
	r.client.HSet(ctx, "hash", "a", "b")
	keys := []string{"bit", "text", "future", "long", "list", "hash"}
	for _, key := range keys {
		if e, ok := tier.Get(ctx, key); ok {
			t.Errorf("%s: served %+v", key, e)
		}
	}
	flush(t, tier)
	if n := r.client.DBSize(ctx).Val(); n != 0 {
		t.Errorf("%d wrong values left, want 0", n)
	}
	if st := tier.Stats(); st.Corrupt != uint64(len(keys)) || st.State != StateClosed {
		t.Errorf("stats %+v, want %d corrupt and a closed breaker", st, len(keys))
	}
}

func TestTierClampsExpiry(t *testing.T) {
	s := startServer(t)
	r := s.open()
	tier := newTestTier(t, r, TierOptions{MaxTTL: time.Minute})
	r.client.Set(t.Context(), "k", Seal(nil, "k", entry("v")), 0)
	e, ok := tier.Get(t.Context(), "k")
	if left := time.Until(e.Expires); !ok || left > time.Minute {
		t.Errorf("hit %v with %v to live, want at most 1m", ok, left)
	}
}

func TestLeases(t *testing.T) {
	tests := map[string]struct {
		during func(*Tier)
		want   bool
	}{
		"nothing happened":   {func(*Tier) {}, true},
		"deleted":            {func(t *Tier) { t.Delete("k") }, false},
		"put":                {func(t *Tier) { t.Put("k", entry("newer")) }, false},
		"another fill":       {func(t *Tier) { t.Fill(t.Lease("k"), entry("other")) }, true},
		"another key's put":  {func(t *Tier) { t.Put("other key", entry("v")) }, true},
		"deleted, then sent": {func(t *Tier) { t.Delete("k"); t.Flush(context.Background()) }, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tier := newTestTier(t, newFakeStore(), TierOptions{})
			lease := tier.Lease("k")
			test.during(tier)
			if got := tier.Fill(lease, entry("loaded")); got != test.want {
				t.Errorf("fill: %v, want %v", got, test.want)
			}
		})
	}
	t.Run("zero", func(t *testing.T) {
		tier := newTestTier(t, newFakeStore(), TierOptions{})
		if tier.Fill(Lease{}, entry("v")) {
			t.Error("the zero lease fills")
		}
	})
}

func TestFillsThatDoNotFit(t *testing.T) {
	tier := newTestTier(t, newFakeStore(), TierOptions{MaxValue: 100})
	over, none := entry("v"), entry("v")
	over.Expires = time.Now()
	none.Codec = 0
	for name, e := range map[string]Entry{"large": entry(string(make([]byte, 101-EnvelopeBytes))), "over": over, "no codec": none} {
		if tier.Fill(tier.Lease("k"), e) {
			t.Errorf("%s: filled", name)
		}
	}
	if !tier.Fill(tier.Lease("k"), entry(string(make([]byte, 100-EnvelopeBytes)))) {
		t.Error("the largest that fits was refused")
	}
	tier.Put("k", over)
	flush(t, tier)
	if _, ok := tier.Get(t.Context(), "k"); ok {
		t.Error("a put that does not fit left the former value")
	}
}

// Redis is killed and frozen under load: every call comes back, nothing fails,
// and a delete made meanwhile holds afterwards.
func TestOutages(t *testing.T) {
	outages := map[string]struct{ begin, end func(*server) }{
		"killed": {func(s *server) { s.kill() }, func(s *server) { s.start() }},
		"frozen": {
			func(s *server) { s.signal(syscall.SIGSTOP) },
			func(s *server) { s.signal(syscall.SIGCONT) },
		},
	}
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			var opened, closed atomic.Int32
			tier := newTestTier(t, s.openWithin(DefaultTimeout), TierOptions{Timeout: DefaultTimeout, OnState: func(st State, err error) {
				switch {
				case st == StateOpen && err != nil:
					opened.Add(1)
				case st == StateClosed && err == nil:
					closed.Add(1)
				}
			}})
			ctx := t.Context()
			tier.Put("kept", entry("kept"))
			tier.Put("deleted", entry("old"))
			tier.Put("replaced", entry("old"))
			flush(t, tier)

			outage.begin(s)
			var wg sync.WaitGroup
			for g := range 16 {
				wg.Go(func() {
					for i := range 50 {
						tier.Get(ctx, fmt.Sprint("cold", g, i))
					}
				})
			}
			wg.Wait()
			if tier.State() == StateClosed {
				t.Fatalf("closed breaker over a %s server: %+v", name, tier.Stats())
			}
			tier.Delete("deleted")
			tier.Put("replaced", entry("new"))
			tier.Fill(tier.Lease("filled"), entry("filled"))
			if _, ok := tier.Get(ctx, "deleted"); ok {
				t.Error("a deleted entry is served during the outage")
			}
			if e, ok := tier.Get(ctx, "replaced"); !ok || string(e.Value) != "new" {
				t.Errorf("own write not seen during the outage: %q, %v", e.Value, ok)
			}
			if st := tier.Stats(); st.Pending != 3 || st.LastError == "" || st.Skipped == 0 {
				t.Errorf("stats during the outage: %+v", st)
			}

			outage.end(s)
			flush(t, tier)
			eventually(t, "the breaker closes", func() bool { return tier.State() == StateClosed })
			for key, want := range map[string]string{"deleted": "", "replaced": "new", "filled": "filled"} {
				e, answer := tier.Read(ctx, key)
				for answer == Away { // a busy machine may take longer than the timeout
					e, answer = tier.Read(ctx, key)
				}
				if string(e.Value) != want {
					t.Errorf("%s after recovery: %q, want %q", key, e.Value, want)
				}
			}
			if opened.Load() == 0 || closed.Load() == 0 {
				t.Errorf("told of opening %d and closing %d times", opened.Load(), closed.Load())
			}
		})
	}
}

func TestCloseOverFrozenServer(t *testing.T) {
	s := startServer(t)
	tier := NewTier(TierOptions{Store: s.openWithin(DefaultTimeout)})
	s.signal(syscall.SIGSTOP)
	tier.Put("k", entry("v"))
	tier.Close()
	tier.Close()
	if _, ok := tier.Get(t.Context(), "other"); ok {
		t.Error("hit after close")
	}
}

// Close delivers what is pending.
func TestCloseDelivers(t *testing.T) {
	s := startServer(t)
	tier := NewTier(TierOptions{Store: s.open()})
	for i := range 1000 {
		tier.Put(fmt.Sprint(i), entry("v"))
	}
	tier.Close()
	r := s.open()
	defer r.Close()
	if n := r.client.DBSize(t.Context()).Val(); n != 1000 {
		t.Errorf("%d values arrived, want 1000", n)
	}
}

// The caller's own cancellation says nothing about the store.
func TestCancelledReadsDoNotOpenTheBreaker(t *testing.T) {
	s := startServer(t)
	tier := newTestTier(t, s.open(), TierOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		tier.Get(ctx, "k")
	}
	if st := tier.Stats(); st.State != StateClosed || st.Errors != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestTierHammer(t *testing.T) {
	s := startServer(t)
	tier := newTestTier(t, s.open(), TierOptions{QueueOps: 64, QueueBytes: 1 << 14})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				key := fmt.Sprint((g + i) % 100)
				switch i % 5 {
				case 0:
					tier.Delete(key)
				case 1:
					tier.Put(key, entry(key))
				case 2:
					tier.Fill(tier.Lease(key), entry(key))
				default:
					if e, ok := tier.Get(t.Context(), key); ok && string(e.Value) != key {
						t.Errorf("%s: got %q", key, e.Value)
					}
				}
				tier.Stats()
			}
		})
	}
	wg.Wait()
	flush(t, tier)
	if st := tier.Stats(); st.Pending != 0 || st.PendingBytes != 0 || st.Corrupt != 0 {
		t.Errorf("stats %+v", st)
	}
}

var errAway = errors.New("away")
