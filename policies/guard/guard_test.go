package guard

import (
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perfopt/perfopt/policies"
)

// orderer answers what a test tells it to.
type orderer struct {
	victims func(need int64, out []policies.Slot) (int, error)
	observe func() error
	closed  bool
	state   []byte
	fuel    uint64
}

func (o *orderer) Info() policies.Info {
	return policies.Info{Name: "test", Kind: policies.KindEviction, StateVersion: 1}
}
func (o *orderer) Reset(policies.Capacity) error { return nil }
func (o *orderer) Observe([]policies.Event, []policies.Insert) error {
	if o.observe != nil {
		return o.observe()
	}
	return nil
}
func (o *orderer) Victims(need int64, out []policies.Slot) (int, error) { return o.victims(need, out) }
func (o *orderer) Close() error                                         { o.closed = true; return io.ErrClosedPipe }
func (o *orderer) ExportState(dst []byte) ([]byte, error)               { return append(dst, o.state...), nil }
func (o *orderer) ImportState(b []byte) error                           { o.state = b; return nil }
func (o *orderer) FuelUsed() uint64                                     { o.fuel += 10; return o.fuel }

// names answers with fixed slots and a fixed count.
func names(n int, slots ...policies.Slot) func(int64, []policies.Slot) (int, error) {
	return func(_ int64, out []policies.Slot) (int, error) {
		copy(out, slots)
		return n, nil
	}
}

func TestEvictionAnswersAreChecked(t *testing.T) {
	for _, c := range []struct {
		name    string
		policy  orderer
		want    []policies.Slot
		reason  policies.FaultReason // "" = no fault
		details string
	}{
		{name: "right", policy: orderer{victims: names(2, 1, 3)}, want: []policies.Slot{1, 3}},
		{name: "none", policy: orderer{victims: names(0)}},
		{name: "warming up", policy: orderer{victims: func(int64, []policies.Slot) (int, error) { return 3, warmingError{} }}},
		{name: "too many", policy: orderer{victims: names(5, 1, 2, 3, 4)}, reason: policies.FaultOutput, details: "named 5 victims where 0 to 4"},
		{name: "fewer than none", policy: orderer{victims: names(-1)}, reason: policies.FaultOutput, details: "named -1"},
		{name: "beyond the last slot", policy: orderer{victims: names(1, 10)}, reason: policies.FaultOutput, details: "beyond the last slot 9"},
		{name: "no slot", policy: orderer{victims: names(1, policies.NoSlot)}, reason: policies.FaultOutput, details: "beyond"},
		{name: "never inserted", policy: orderer{victims: names(1, 9)}, reason: policies.FaultOutput, details: "slot 9"},
		{name: "removed", policy: orderer{victims: names(1, 5)}, reason: policies.FaultOutput, details: "slot 5"},
		{name: "twice", policy: orderer{victims: names(2, 1, 1)}, reason: policies.FaultOutput, details: "victim 1 is slot 1"},
		{name: "error", policy: orderer{victims: func(int64, []policies.Slot) (int, error) { return 1, errors.New("no idea") }}, reason: policies.FaultStatus, details: "no idea"},
		{name: "panic", policy: orderer{victims: func(_ int64, out []policies.Slot) (int, error) { return int(out[100]), nil }}, reason: policies.FaultTrap, details: "out of range"},
		{name: "its own fault", policy: orderer{victims: func(int64, []policies.Slot) (int, error) {
			return 0, &policies.Fault{Policy: "x", Reason: policies.FaultFuel, Detail: "used up"}
		}}, reason: policies.FaultFuel, details: "used up"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var told []*policies.Fault
			h := NewHealth(Options{OnFault: func(f *policies.Fault) { told = append(told, f) }})
			g := Eviction(&c.policy, h)
			if err := g.Reset(policies.Capacity{Weight: 10, MaxSlots: 10}); err != nil {
				t.Fatal(err)
			}
			events := []policies.Event{{Slot: 5, Op: policies.OpInsert}, {Slot: 5, Op: policies.OpExpire}, {Slot: 4, Op: policies.OpRestore}}
			for s := range policies.Slot(4) {
				events = append(events, policies.Event{Slot: s, Op: policies.OpInsert})
			}
			if err := g.Observe(events, make([]policies.Insert, 6)); err != nil {
				t.Fatal(err)
			}
			out := make([]policies.Slot, 4)
			n, err := g.Victims(7, out)
			if c.reason == "" {
				if err != nil || !slices.Equal(out[:n], c.want) || len(told) != 0 {
					t.Errorf("victims %v, %v, faults %v; want %v", out[:n], err, told, c.want)
				}
				return
			}
			var fault *policies.Fault
			if !errors.As(err, &fault) || fault.Reason != c.reason || !strings.Contains(fault.Detail, c.details) || n != 0 {
				t.Fatalf("%d victims, %v; want a %s fault about %q", n, err, c.reason, c.details)
			}
			if s := h.Snapshot(); s.Faults[c.reason] != 1 || s.TotalFaults() != 1 || s.LastFault != fault || len(told) != 1 {
				t.Errorf("snapshot %+v, told %v", s, told)
			}
			if g.Spent() != fault || g.Observe(nil, nil) != error(fault) || g.Reset(policies.Capacity{}) != error(fault) {
				t.Error("the guard is not spent")
			}
		})
	}
}

func TestAVictimMayReturn(t *testing.T) {
	g := Eviction(&orderer{victims: names(1, 1)}, NewHealth(Options{}))
	if err := g.Reset(policies.Capacity{Weight: 10, MaxSlots: 10}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := g.Observe([]policies.Event{{Slot: 1, Op: policies.OpInsert}}, make([]policies.Insert, 1)); err != nil {
			t.Fatal(err)
		}
		if n, err := g.Victims(1, make([]policies.Slot, 1)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if _, err := g.Victims(1, make([]policies.Slot, 1)); err == nil {
		t.Error("an entry was evicted twice")
	}
}

func TestGuardsForwardStateFuelAndClose(t *testing.T) {
	o := &orderer{victims: names(0), state: []byte("abc")}
	h := NewHealth(Options{})
	g := Eviction(o, h)
	if b, err := g.ExportState([]byte("x")); err != nil || string(b) != "xabc" {
		t.Errorf("state %q, %v", b, err)
	}
	if err := g.ImportState([]byte("new")); err != nil || string(o.state) != "new" {
		t.Errorf("state %q, %v", o.state, err)
	}
	if err := g.Observe(nil, nil); err != nil {
		t.Fatal(err)
	}
	if s := h.Snapshot(); s.Fuel == 0 || s.Calls != 1 {
		t.Errorf("fuel %d, calls %d", s.Fuel, s.Calls)
	}
	if err := g.Close(); err != io.ErrClosedPipe || !o.closed {
		t.Errorf("close: %v", err)
	}
	none := TTL(ttlFunc(nil), nil, h)
	if _, err := none.ExportState(nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("export without state: %v", err)
	}
	if err := none.ImportState(nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("import without state: %v", err)
	}
	if err := none.Close(); err != nil {
		t.Errorf("close of what has nothing to close: %v", err)
	}
}

func TestQuarantine(t *testing.T) {
	fails := errors.New("fails")
	ask := func(g *TTLGuard) {
		in := new(policies.TTLBatch)
		in.Resize(1, g.Info().Columns)
		in.Set(policies.ColBaseTTL, 0, 60)
		if err := g.TTL(in, make([]policies.Nanos, 1)); err != nil {
			panic(err)
		}
	}
	t.Run("three faults in a minute", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			calls, told := 0, []string{}
			h := NewHealth(Options{OnQuarantine: func(why string) { told = append(told, why) }})
			g := TTL(ttlFunc(func(*policies.TTLBatch, []policies.Nanos) error { calls++; return fails }), nil, h)
			ask(g)
			<-time.After(31 * time.Second)
			ask(g)
			<-time.After(31 * time.Second) // the first is forgotten
			ask(g)
			if h.Quarantined() {
				t.Fatal("in quarantine after two faults in a minute")
			}
			<-time.After(28 * time.Second)
			ask(g)
			ask(g)
			s := h.Snapshot()
			if !s.Quarantined || len(told) != 1 || s.Why != told[0] || !strings.Contains(s.Why, "3 faults within 1m0s") || s.At.IsZero() {
				t.Errorf("snapshot %+v, told %q", s, told)
			}
			if calls != 4 || s.Calls != 4 {
				t.Errorf("asked %d times, want 4: not in quarantine", calls)
			}
		})
	})
	t.Run("too many of all calls", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			h := NewHealth(Options{MinCalls: 1000})
			g := TTL(ttlFunc(func(*policies.TTLBatch, []policies.Nanos) error {
				if n++; n%500 == 0 {
					return fails
				}
				return nil
			}), nil, h)
			for range 999 {
				ask(g)
			}
			if h.Quarantined() {
				t.Fatal("in quarantine before there were enough calls")
			}
			<-time.After(time.Hour)
			ask(g)
			if s := h.Snapshot(); !s.Quarantined || !strings.Contains(s.Why, "2 faults in 1000 calls") {
				t.Errorf("snapshot %+v", s)
			}
		})
	})
}

type ttlFunc func(*policies.TTLBatch, []policies.Nanos) error

func (ttlFunc) Info() policies.Info { return policies.Info{Name: "test", Kind: policies.KindTTL} }
func (f ttlFunc) TTL(in *policies.TTLBatch, out []policies.Nanos) error {
	return f(in, out)
}

func answers(ttl time.Duration) ttlFunc {
	return func(_ *policies.TTLBatch, out []policies.Nanos) error {
		for i := range out {
			out[i] = policies.Nanos(ttl)
		}
		return nil
	}
}

type warmingError struct{}

func (warmingError) Error() string { return "warming up" }
func (warmingError) Warming() bool { return true }

func TestTTLAnswersAreBounded(t *testing.T) {
	nan := math.NaN()
	five := answers(5 * time.Second)
	for _, c := range []struct {
		name             string
		policy, fallback ttlFunc
		least, most      float64
		origin           float64
		want             time.Duration
		clamped, faults  uint64
	}{
		{"right", answers(7 * time.Second), five, 1, 60, nan, 7 * time.Second, 0, 0},
		{"too long", answers(time.Hour), five, 1, 60, nan, time.Minute, 1, 0},
		{"too short", answers(time.Millisecond), five, 1, 60, nan, time.Second, 1, 0},
		{"above the origin's", answers(50 * time.Second), five, 1, 60, 30, 30 * time.Second, 1, 0},
		{"the origin's is below the least", answers(50 * time.Second), five, 10, 60, 3, 3 * time.Second, 1, 0},
		{"no bounds", answers(time.Hour), five, nan, nan, nan, time.Hour, 0, 0},
		{"negative", answers(-1), five, 1, 60, nan, 5 * time.Second, 0, 1},
		{"negative, no fallback", answers(-1), nil, 1, 60, nan, 20 * time.Second, 0, 1},
		{"error", func(*policies.TTLBatch, []policies.Nanos) error { return io.EOF }, five, 1, 60, nan, 5 * time.Second, 0, 1},
		{"panic", func(*policies.TTLBatch, []policies.Nanos) error { panic("no") }, five, 1, 60, nan, 5 * time.Second, 0, 1},
		{"fallback panics too", func(*policies.TTLBatch, []policies.Nanos) error { panic("no") },
			func(*policies.TTLBatch, []policies.Nanos) error { panic("no") }, 1, 60, nan, 20 * time.Second, 0, 1},
		{"warming up", func(*policies.TTLBatch, []policies.Nanos) error { return warmingError{} }, five, 1, 60, nan, 5 * time.Second, 0, 0},
		{"fallback out of bounds", answers(-1), answers(time.Hour), 1, 60, nan, time.Minute, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := NewHealth(Options{})
			var fallback policies.TTL
			if c.fallback != nil {
				fallback = c.fallback
			}
			g := TTL(c.policy, fallback, h)
			in := new(policies.TTLBatch)
			in.Resize(1, g.Info().Columns)
			in.Set(policies.ColBaseTTL, 0, 20)
			in.Set(policies.ColMinTTL, 0, c.least)
			in.Set(policies.ColMaxTTL, 0, c.most)
			in.Set(policies.ColOriginTTL, 0, c.origin)
			out := make([]policies.Nanos, 1)
			if err := g.TTL(in, out); err != nil || time.Duration(out[0]) != c.want {
				t.Errorf("lifetime %v, %v; want %v", time.Duration(out[0]), err, c.want)
			}
			if s := h.Snapshot(); s.Clamped != c.clamped || s.TotalFaults() != c.faults || s.Calls != 1 || s.Rows != 1 {
				t.Errorf("snapshot %+v, want %d clamped, %d faults", s, c.clamped, c.faults)
			}
			d := h.Decisions()
			if len(d) != 1 || d[0].Outputs["ttl_s"] != c.want.Seconds() || d[0].Inputs["base_ttl_s"] != 20 {
				t.Fatalf("decisions %+v", d)
			}
			if _, ok := d[0].Inputs["origin_ttl_s"]; ok != (c.origin == c.origin) {
				t.Errorf("decisions %+v: an unknown input is shown", d)
			}
			if strings.HasPrefix(d[0].Reason, "fallback") != (c.faults > 0) {
				t.Errorf("reason %q", d[0].Reason)
			}
		})
	}
}

func TestATTLDecisionAllocatesNothing(t *testing.T) {
	g := TTL(answers(time.Second), nil, NewHealth(Options{}))
	in := new(policies.TTLBatch)
	in.Resize(1, g.Info().Columns)
	out := make([]policies.Nanos, 1)
	if err := g.TTL(in, out); err != nil {
		t.Fatal(err)
	}
	for range 300 { // the record of decisions grows to its size
		_ = g.TTL(in, out)
	}
	if n := testing.AllocsPerRun(100, func() { _ = g.TTL(in, out) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestHammerTTL(t *testing.T) {
	h := NewHealth(Options{Faults: 1000})
	g := TTL(answers(time.Second), nil, h)
	var done sync.WaitGroup
	for range 8 {
		done.Add(1)
		go func() {
			defer done.Done()
			in := new(policies.TTLBatch)
			in.Resize(3, g.Info().Columns)
			out := make([]policies.Nanos, 3)
			for i := range 1000 {
				if g.TTL(in, out) != nil {
					t.Error("an error")
				}
				if i%100 == 0 {
					h.Snapshot()
					h.Decisions()
				}
			}
		}()
	}
	done.Wait()
	if s := h.Snapshot(); s.Calls != 8000 || s.Rows != 24000 || s.MeanNanos <= 0 || s.P99Nanos <= 0 || s.RowNanos <= 0 {
		t.Errorf("snapshot %+v", s)
	}
	if d := h.Decisions(); len(d) != 256 {
		t.Errorf("%d decisions kept, want 256", len(d))
	}
}

func BenchmarkTTL(b *testing.B) {
	g := TTL(answers(time.Second), nil, NewHealth(Options{}))
	in := new(policies.TTLBatch)
	in.Resize(1, g.Info().Columns)
	out := make([]policies.Nanos, 1)
	b.ReportAllocs()
	for b.Loop() {
		_ = g.TTL(in, out)
	}
}

func BenchmarkEvictionObserve(b *testing.B) {
	g := Eviction(&orderer{victims: names(0)}, NewHealth(Options{}))
	if err := g.Reset(policies.Capacity{Weight: 10, MaxSlots: 10}); err != nil {
		b.Fatal(err)
	}
	events := make([]policies.Event, 1024)
	for i := range events {
		events[i].Op = policies.OpHit
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = g.Observe(events, nil)
	}
}
