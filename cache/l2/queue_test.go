package l2

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeStore records what reaches it, fails on demand and can hold calls: what
// a real server cannot be made to do at a chosen moment.
type fakeStore struct {
	mu     sync.Mutex // guards the fields below
	values map[string][]byte
	log    []string // "set k", "del k", in the order of arrival
	err    error    // answered by every call
}

func newFakeStore() *fakeStore { return &fakeStore{values: make(map[string][]byte)} }

func (f *fakeStore) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fakeStore) arrived() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

func (f *fakeStore) Get(_ context.Context, key string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	if v, ok := f.values[key]; ok {
		return v, nil
	}
	return nil, ErrMiss
}

func (f *fakeStore) Set(_ context.Context, items ...Item) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	for _, item := range items {
		f.values[item.Key] = item.Value
		f.log = append(f.log, "set "+item.Key)
	}
	return nil
}

func (f *fakeStore) Delete(_ context.Context, keys ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil && f.err != ErrRefused {
		return f.err
	}
	for _, key := range keys {
		delete(f.values, key)
		f.log = append(f.log, "del "+key)
	}
	return nil
}

func (f *fakeStore) Ping(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == ErrRefused {
		return nil
	}
	return f.err
}

func (f *fakeStore) Close() error { return nil }

// outage runs during over a tier whose store is away, then lets it return and
// waits until all is delivered.
func outage(t *testing.T, o TierOptions, during func(*Tier, *fakeStore)) (*Tier, *fakeStore) {
	t.Helper()
	f := newFakeStore()
	f.fail(errAway)
	o.Store = f
	tier := NewTier(o)
	synctest.Wait()
	if tier.State() != StateOpen {
		t.Fatalf("state %v over a store that is away", tier.State())
	}
	during(tier, f)
	f.fail(nil)
	flush(t, tier)
	return tier, f
}

func TestRecoveryDeliversNewestAndDeletesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier, f := outage(t, TierOptions{}, func(tier *Tier, _ *fakeStore) {
			for i := range 3 {
				tier.Fill(tier.Lease("fill"), entry(fmt.Sprint("fill", i)))
				tier.Put("put", entry(fmt.Sprint("put", i)))
			}
			tier.Put("gone", entry("gone"))
			tier.Delete("gone")
			tier.Delete("back")
			tier.Put("back", entry("back"))
			tier.Delete("dead")
		})
		defer tier.Close()
		if got, want := f.arrived(), []string{"del gone", "del dead", "set put", "set back", "set fill"}; !slices.Equal(got, want) {
			t.Errorf("arrived %v, want %v", got, want)
		}
		for key, want := range map[string]string{"fill": "fill2", "put": "put2", "back": "back"} {
			if e, _ := tier.Get(t.Context(), key); string(e.Value) != want {
				t.Errorf("%s: %q, want %q", key, e.Value, want)
			}
		}
	})
}

func TestFullQueueKeepsDeletes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier, f := outage(t, TierOptions{QueueOps: 4}, func(tier *Tier, _ *fakeStore) {
			for i := range 6 {
				filled := tier.Fill(tier.Lease(fmt.Sprint("fill", i)), entry("v"))
				if filled != (i < 4) {
					t.Errorf("fill %d: %v", i, filled)
				}
			}
			tier.Delete("a")
			tier.Delete("b")
			tier.Put("c", entry("c"))
		})
		defer tier.Close()
		if got, want := f.arrived(), []string{"del a", "del b", "set c", "set fill3"}; !slices.Equal(got, want) {
			t.Errorf("arrived %v, want %v", got, want)
		}
		if st := tier.Stats(); st.Dropped != 5 || st.Overflows != 0 {
			t.Errorf("stats %+v, want 5 dropped", st)
		}
	})
}

// When not even the deletes fit, what the store held until then is void.
func TestOverflowVoidsTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier, _ := outage(t, TierOptions{QueueOps: 4}, func(tier *Tier, f *fakeStore) {
			f.values["k0"] = Seal(nil, "k0", entry("stale"))
			<-time.After(time.Second)
			for i := range 6 {
				tier.Delete(fmt.Sprint("k", i))
			}
			<-time.After(time.Second)
			f.values["later"] = Seal(nil, "later", entry("later"))
		})
		defer tier.Close()
		synctest.Wait()
		if e, ok := tier.Get(t.Context(), "k0"); ok {
			t.Errorf("served %q, deleted during the outage", e.Value)
		}
		if e, ok := tier.Get(t.Context(), "later"); !ok {
			t.Errorf("an entry created after the overflow is not served: %q", e.Value)
		}
		if n := tier.Stats().Overflows; n != 1 {
			t.Errorf("%d overflows, want 1", n)
		}
	})
}

func TestPutThatFindsNoRoomDeletes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier, f := outage(t, TierOptions{QueueBytes: 300}, func(tier *Tier, f *fakeStore) {
			f.values["k"] = Seal(nil, "k", entry("old"))
			tier.Put("a", entry(string(make([]byte, 200))))
			tier.Put("k", entry(string(make([]byte, 200))))
		})
		defer tier.Close()
		if got, want := f.arrived(), []string{"del k", "set a"}; !slices.Equal(got, want) {
			t.Errorf("arrived %v, want %v", got, want)
		}
	})
}

func TestWaitingValuesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier, f := outage(t, TierOptions{}, func(tier *Tier, _ *fakeStore) {
			brief := entry("brief")
			brief.Expires = time.Now().Add(time.Second)
			tier.Fill(tier.Lease("fill"), brief)
			tier.Put("put", brief)
			<-time.After(2 * time.Second)
			if _, ok := tier.Get(t.Context(), "put"); ok {
				t.Error("an expired pending value is served")
			}
		})
		defer tier.Close()
		if got, want := f.arrived(), []string{"del put"}; !slices.Equal(got, want) {
			t.Errorf("arrived %v, want %v", got, want)
		}
	})
}

// A server out of memory keeps the tier alive; what it refused to replace is
// deleted.
func TestRefusedPutsAreDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		tier := NewTier(TierOptions{Store: f})
		defer tier.Close()
		f.fail(ErrRefused)
		tier.Put("put", entry("v"))
		tier.Fill(tier.Lease("fill"), entry("v"))
		flush(t, tier)
		if got, want := f.arrived(), []string{"del put"}; !slices.Equal(got, want) {
			t.Errorf("arrived %v, want %v", got, want)
		}
		if st := tier.Stats(); st.State != StateClosed || st.Refused == 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// A store that lives and refuses every write is asked at a bounded rate.
func TestFailingWritesAreNotRetriedInATightLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		tier := NewTier(TierOptions{Store: writeless{f}})
		defer tier.Close()
		tier.Delete("k")
		<-time.After(time.Minute)
		if n := tier.Stats().WriteErrors; n > 400 {
			t.Errorf("%d attempts in a minute", n)
		}
		if tier.State() == StateClosed {
			t.Error("reads go to a store that does not take deletes")
		}
	})
}

// Reads go on over a store that takes no values.
func TestFailingWritesDoNotStopReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		tier := NewTier(TierOptions{Store: writeless{f}})
		defer tier.Close()
		f.values["k"] = Seal(nil, "k", entry("v"))
		tier.Fill(tier.Lease("other"), entry("v"))
		for i := range 10_000 {
			if _, ok := tier.Get(t.Context(), "k"); !ok {
				t.Fatalf("read %d found nothing: %+v", i, tier.Stats())
			}
			<-time.After(time.Millisecond)
		}
		if n := tier.Stats().WriteErrors; n == 0 || n > 210 {
			t.Errorf("%d attempts to write in 10 s", n)
		}
	})
}

type writeless struct{ *fakeStore }

func (writeless) Set(context.Context, ...Item) error      { return errAway }
func (writeless) Delete(context.Context, ...string) error { return errAway }
