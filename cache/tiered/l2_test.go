package tiered

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/cache/l2"
)

// overRedis is a cache over the server; several share what lies there.
func overRedis(t *testing.T, s *server, change func(*Options[string, string])) *Cache[string, string] {
	t.Helper()
	c := newCache(t, func(o *Options[string, string]) {
		o.L2, o.L2Timeout = s.store(), patience
		if change != nil {
			change(o)
		}
	})
	eventually(t, "the list of purges is known", c.purges.known.Load)
	return c
}

func TestReadAndWriteThrough(t *testing.T) {
	s := startServer(t)
	a, b := overRedis(t, s, nil), overRedis(t, s, nil)
	mustFetch(t, a, "loaded", constant("v1"))
	a.Set("set", "v2")
	flush(t, a)
	for key, want := range map[string]string{"loaded": "v1", "set": "v2"} {
		item := mustFetch(t, b, key, never(t))
		if item.Value != want || item.Source != SourceL2 {
			t.Errorf("%s in another process: %+v", key, item)
		}
		if item := mustFetch(t, b, key, never(t)); item.Source != SourceL1 {
			t.Errorf("%s again: %+v", key, item)
		}
		first, _ := a.Get(key)
		second, _ := b.Get(key)
		if d := first.FreshUntil - second.FreshUntil; d != 0 {
			t.Errorf("%s: freshness differs by %v between processes", key, time.Duration(d))
		}
	}
}

func TestDeleteVoidsBothTiers(t *testing.T) {
	s := startServer(t)
	a, b := overRedis(t, s, nil), overRedis(t, s, nil)
	for i := range 100 {
		key := fmt.Sprint(i)
		a.Set(key, "old")
		flush(t, a)
		a.Delete(t.Context(), key)
		if item := mustFetch(t, a, key, constant("new")); item.Value != "new" {
			t.Fatalf("%s right after its delete: %+v", key, item)
		}
		a.Delete(t.Context(), key)
		flush(t, a)
		if item := mustFetch(t, b, key, constant("newer")); item.Value != "newer" {
			t.Fatalf("%s in another process after the delete arrived: %+v", key, item)
		}
		b.Delete(t.Context(), key)
		flush(t, b)
	}
}

// Loads that began before a delete fill neither tier.
func TestDeleteDuringLoadHoldsInL2(t *testing.T) {
	s := startServer(t)
	a, b := overRedis(t, s, nil), overRedis(t, s, nil)
	for i := range 20 {
		key := fmt.Sprint(i)
		began, goOn := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			a.Fetch(t.Context(), key, func(context.Context, string, Prior[string]) (Loaded[string], error) {
				close(began)
				<-goOn
				return fresh("old", time.Hour), nil
			})
		})
		<-began
		a.Delete(t.Context(), key)
		close(goOn)
		wg.Wait()
		flush(t, a)
		for _, c := range []*Cache[string, string]{a, b} {
			if item := mustFetch(t, c, key, constant("new")); item.Value != "new" {
				t.Fatalf("stale after a delete during a load: %+v", item)
			}
		}
		flush(t, a)
		flush(t, b)
		a.Delete(t.Context(), key)
		b.Delete(t.Context(), key)
	}
}

// A stale entry of L2 is a prior.
func TestStaleEntryOfL2IsValidated(t *testing.T) {
	s := startServer(t)
	a, b := overRedis(t, s, nil), overRedis(t, s, nil)
	old := Loaded[string]{Value: "v", Keep: time.Hour} // stale at once
	a.Put(t.Context(), "k", old)
	flush(t, a)
	item := mustFetch(t, b, "k", func(_ context.Context, _ string, p Prior[string]) (Loaded[string], error) {
		if !p.Exists || p.Value != "v" {
			t.Errorf("prior %+v", p)
		}
		return Loaded[string]{NotModified: true, Fresh: Default()}, nil
	})
	if item.Value != "v" || item.Source != SourceRevalidated {
		t.Errorf("got %+v", item)
	}
	flush(t, b)
	a.Delete(t.Context(), "other")
	c := overRedis(t, s, nil)
	if item := mustFetch(t, c, "k", never(t)); item.Value != "v" || item.Source != SourceL2 {
		t.Errorf("after validation elsewhere: %+v", item)
	}
}

func TestWrongEntriesOfL2AreMisses(t *testing.T) {
	s := startServer(t)
	numbers := func() *Cache[string, int] {
		c, err := New(Options[string, int]{Name: "n", L1: cache.Options[string, int]{Capacity: 10}, L2: s.store(), L2Timeout: patience, Codec: JSON[int]()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		eventually(t, "the list of purges is known", c.purges.known.Load)
		return c
	}
	c := numbers()
	texts := overRedis(t, s, func(o *Options[string, string]) { o.Name, o.CodecID = "n", codecJSON })
	other := overRedis(t, s, func(o *Options[string, string]) { o.Name = "n" })
	texts.Set("no number", "no JSON either")
	other.Set("other codec", "5")
	flush(t, texts)
	flush(t, other)
	load := func(context.Context, string, Prior[int]) (Loaded[int], error) {
		return Loaded[int]{Value: 7, Fresh: Default()}, nil
	}
	for _, key := range []string{"no number", "other codec"} {
		if item, err := c.Fetch(t.Context(), key, load); err != nil || item.Value != 7 || item.Source != SourceLoad {
			t.Errorf("%s: %+v, %v", key, item, err)
		}
	}
	if n := c.Stats().CodecErrors; n != 1 {
		t.Errorf("%d codec errors, want 1", n)
	}
}

type panickingCodec struct{}

func (panickingCodec) Encode([]byte, string) ([]byte, error) { panic("encode") }
func (panickingCodec) Decode([]byte) (string, error)         { panic("decode") }

func TestPanickingCodecFailsNoRequest(t *testing.T) {
	s := startServer(t)
	a := overRedis(t, s, func(o *Options[string, string]) { o.CodecID = 1 })
	b := overRedis(t, s, func(o *Options[string, string]) { o.CodecID, o.Codec = 1, panickingCodec{} })
	a.Set("k", "v")
	flush(t, a)
	if item := mustFetch(t, b, "k", constant("loaded")); item.Value != "loaded" {
		t.Errorf("got %+v", item)
	}
	if n := b.Stats().CodecErrors; n != 2 {
		t.Errorf("%d codec errors, want 2", n)
	}
}

// Redis is killed and frozen while callers go on: no call fails, and what was
// deleted or written meanwhile holds afterwards, here and elsewhere.
func TestOutage(t *testing.T) {
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
			roomy := func(o *Options[string, string]) { o.L1.Capacity = 10_000 }
			a := overRedis(t, s, func(o *Options[string, string]) {
				roomy(o)
				o.L2.Close()
				o.L2, o.L2Timeout = s.storeWithin(l2.DefaultTimeout), l2.DefaultTimeout
			})
			b := overRedis(t, s, roomy)
			a.Set("warm", "warm")
			a.Set("deleted", "old")
			a.Set("written", "old")
			flush(t, a)
			outage.begin(s)
			var loads atomic.Int32
			var wg sync.WaitGroup
			for g := range 16 {
				wg.Go(func() {
					for i := range 100 {
						if item, err := a.Fetch(t.Context(), "warm", never(t)); err != nil || item.Value != "warm" {
							t.Errorf("warm key: %+v, %v", item, err)
						}
						key := fmt.Sprint("cold", g, i)
						item, err := a.Fetch(t.Context(), key, func(context.Context, string, Prior[string]) (Loaded[string], error) {
							loads.Add(1)
							return Loaded[string]{Value: key, Fresh: Default()}, nil
						})
						if err != nil || item.Value != key {
							t.Errorf("cold key: %+v, %v", item, err)
						}
					}
				})
			}
			wg.Wait()
			if loads.Load() != 1600 {
				t.Errorf("%d loads, want 1600", loads.Load())
			}
			a.Delete(t.Context(), "deleted")
			a.Set("written", "new")
			st := a.Stats()
			if st.L2.State == l2.StateClosed || st.L2.Skipped == 0 || st.L2.Errors == 0 {
				t.Errorf("stats during the outage: %+v", *st.L2)
			}
			// The breaker, not each caller's patience, ended the waiting: 16
			// callers met the frozen server once or twice each.
			if st.L2.Errors > 100 {
				t.Errorf("%d reads waited for a server that is away", st.L2.Errors)
			}
			outage.end(s)
			flush(t, a)
			eventually(t, "L2 is read again", func() bool { return b.l2.State() == l2.StateClosed && b.purges.known.Load() })
			if item := mustFetch(t, b, "deleted", constant("loaded")); item.Value != "loaded" {
				t.Errorf("deleted during the outage: %+v", item)
			}
			if item := mustFetch(t, b, "written", constant("loaded")); item.Value != "new" {
				t.Errorf("written during the outage: %+v", item)
			}
		})
	}
}

func TestStartWithoutRedis(t *testing.T) {
	store, err := l2.OpenRedis("redis://127.0.0.1:1", l2.RedisOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := newCache(t, func(o *Options[string, string]) { o.L2 = store })
	if item := mustFetch(t, c, "k", constant("v")); item.Value != "v" {
		t.Errorf("got %+v", item)
	}
	eventually(t, "it is told that L2 is away", func() bool { return c.Stats().L2.State != l2.StateClosed })
}

// Overlapping writes of one key never leave the tiers with different values.
func TestOverlappingWritesDoNotSplitTheTiers(t *testing.T) {
	s := startServer(t)
	var weighed atomic.Int32
	reached, goOn := make(chan struct{}), make(chan struct{})
	c := overRedis(t, s, func(o *Options[string, string]) {
		o.L1.Weigher = func(_, v string) uint32 {
			// The second time it is L1 that weighs it: L2 has taken it.
			if v == "slow" && weighed.Add(1) == 2 {
				close(reached)
				<-goOn
			}
			return 1
		}
	})
	var wg sync.WaitGroup
	wg.Go(func() { c.Set("k", "slow") })
	<-reached
	c.Set("k", "fast")
	close(goOn)
	wg.Wait()
	one, resident := c.Peek("k")
	two, there := c.l2.Get(t.Context(), "k")
	if resident && there && one.Value != string(two.Value) {
		t.Errorf("L1 has %q, L2 %q", one.Value, two.Value)
	}
	if n := c.Stats().Overlaps; n != 1 {
		t.Errorf("%d overlaps, want 1", n)
	}
}

func TestPurgeByPrefix(t *testing.T) {
	s := startServer(t)
	a, b := overRedis(t, s, nil), overRedis(t, s, nil)
	for _, key := range []string{"/a/1", "/a/2", "/b/1"} {
		a.Set(key, "old")
	}
	flush(t, a)
	if err := a.PurgePrefix(t.Context(), "/a/"); err != nil {
		t.Fatal(err)
	}
	check := func(who string, c *Cache[string, string]) {
		t.Helper()
		for _, key := range []string{"/a/1", "/a/2"} {
			if item, ok := c.Get(key); ok {
				t.Errorf("%s: %s is served: %+v", who, key, item)
			}
			if item, ok := c.Peek(key); ok {
				t.Errorf("%s: %s is there: %+v", who, key, item)
			}
		}
	}
	check("at once", a)
	if item := mustFetch(t, a, "/b/1", never(t)); item.Value != "old" {
		t.Errorf("another prefix: %+v", item)
	}
	flush(t, a)
	// Another process that starts now, and one that looks it up.
	fresh := overRedis(t, s, nil)
	b.readPurges()
	for who, c := range map[string]*Cache[string, string]{"self": a, "new process": fresh, "other process": b} {
		// Not a prior either: it was voided, not outdated.
		item := mustFetch(t, c, "/a/1", func(_ context.Context, _ string, p Prior[string]) (Loaded[string], error) {
			if p.Exists {
				t.Errorf("%s: prior %+v", who, p)
			}
			return Loaded[string]{Value: who, Fresh: Default(), NoStore: true}, nil
		})
		if item.Value != who {
			t.Errorf("%s got %+v", who, item)
		}
	}
	mustFetch(t, a, "/a/2", constant("new"))
	if item := mustFetch(t, a, "/a/2", never(t)); item.Value != "new" {
		t.Errorf("stored after the purge: %+v", item)
	}
}

func TestManyPurgesStayBounded(t *testing.T) {
	var p purges
	for i := range 1000 {
		p.merge([]purge{{fmt.Sprintf("/section/%03d/", i), 1000 + 1}})
	}
	list := p.list.Load()
	if len(list.list) != maxPurges {
		t.Errorf("%d purges, want %d", len(list.list), maxPurges)
	}
	c := newCache(t, nil)
	c.purges.list.Store(list)
	for i := range 1000 {
		if key := fmt.Sprintf("/section/%03d/x", i); !c.void(key, 1001) {
			t.Fatalf("%s is not void any more", key)
		}
	}
	if c.void("/other", 1001) || c.void("/section/001/x", 1002) {
		t.Error("voids other prefixes or later entries")
	}
	if p.merge([]purge{{"/section/", 999}}) && p.merge([]purge{{"/section/005", 900}}) {
		t.Error("an older, narrower purge changed the list")
	}
	if p.merge([]purge{{"", 5000}}); len(p.list.Load().list) != 1 {
		t.Errorf("after purging all: %+v", p.list.Load().list)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	type key struct{ _, _ int }
	_, err := New(Options[key, int]{
		L1: cache.Options[key, int]{Capacity: 1}, L2: &l2.Redis{}, TTL: -1, CodecID: 255,
		Prefetch: PrefetchOptions[key, int]{Enabled: true},
	})
	for _, want := range []string{"KeyString is missing", "Codec is missing", "TTL", "CodecID", "Load is missing"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	if _, err := New(Options[key, int]{}); err == nil {
		t.Error("no capacity accepted")
	}
	c, err := New(Options[key, int]{L1: cache.Options[key, int]{Capacity: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.PurgePrefix(t.Context(), "x"); !errors.Is(err, ErrNoKeyText) {
		t.Errorf("purge: %v", err)
	}
	if _, err := c.DeleteKey(t.Context(), "x"); !errors.Is(err, ErrNoKeyText) {
		t.Errorf("delete: %v", err)
	}
	if _, ok := c.ExplainKey("x"); ok {
		t.Error("explained a text that is no key")
	}
}

// ailing is a store that fails to read one key, or any at all.
type ailing struct {
	l2.Store
	key     string
	healthy atomic.Bool // key can be read
	down    atomic.Bool
}

var errAiling = errors.New("not now")

func (f *ailing) Get(ctx context.Context, key string) ([]byte, error) {
	if f.down.Load() || strings.HasSuffix(key, f.key) && !f.healthy.Load() {
		return nil, errAiling
	}
	return f.Store.Get(ctx, key)
}

func (f *ailing) Set(ctx context.Context, items ...l2.Item) error {
	if f.down.Load() {
		return errAiling
	}
	return f.Store.Set(ctx, items...)
}

func (f *ailing) Ping(ctx context.Context) error {
	if f.down.Load() {
		return errAiling
	}
	return f.Store.Ping(ctx)
}

// Before a process knows what others have purged, at its start and after an
// outage, it does not read L2.
func TestPurgesAreKnownBeforeL2IsRead(t *testing.T) {
	s := startServer(t)
	a := overRedis(t, s, nil)
	purge := func(key string) {
		a.Set(key, "old")
		a.PurgePrefix(t.Context(), key)
		a.Set("other "+key, "v")
		flush(t, a)
	}
	store := &ailing{Store: s.store(), key: purgeKey}
	purge("at the start")
	b := newCache(t, func(o *Options[string, string]) { o.L2, o.L2Timeout = store, patience })
	unread := func(key string) {
		t.Helper()
		for range 10 {
			if item := mustFetch(t, b, key, constant("new")); item.Value != "new" {
				t.Fatalf("purged entry served: %+v", item)
			}
			b.l1.Delete(key)
		}
		if b.purges.known.Load() {
			t.Fatal("purges known without having been read")
		}
		store.healthy.Store(true)
		eventually(t, "purges are known", b.purges.known.Load)
		if item := mustFetch(t, b, "other "+key, never(t)); item.Source != SourceL2 {
			t.Errorf("then: %+v", item)
		}
	}
	unread("at the start")

	store.down.Store(true)
	for i := range 3 {
		mustFetch(t, b, fmt.Sprint(i), constant("v"))
	}
	if st := b.l2.State(); st == l2.StateClosed {
		t.Fatalf("the breaker has not opened: %+v", b.l2.Stats())
	}
	purge("after an outage")
	store.healthy.Store(false)
	store.down.Store(false)
	eventually(t, "the breaker closes", func() bool { return b.l2.State() == l2.StateClosed })
	unread("after an outage")
}
