package policy

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unsafe"
)

func TestRecordsHaveTheSizesOfTheInterface(t *testing.T) {
	if n := unsafe.Sizeof(Event{}); n != eventSize {
		t.Errorf("Event has %d bytes, want %d", n, eventSize)
	}
	if n := unsafe.Sizeof(Insert{}); n != insertSize {
		t.Errorf("Insert has %d bytes, want %d", n, insertSize)
	}
	if n := unsafe.Sizeof(Load{}); n != loadSize {
		t.Errorf("Load has %d bytes, want %d", n, loadSize)
	}
}

// double answers twice the base; it refuses batches whose first rate is
// negative with the error given.
type double struct {
	refusal error
	now     Nanos
	keys    []KeyHash
}

func (d *double) TTL(b *Batch, out []float64) error {
	d.now, d.keys = b.Now(), append([]KeyHash(nil), b.Keys()...)
	base, rate := b.F64(BaseTTL), b.F64(RateSlow)
	for i := range out {
		if rate[i] < 0 {
			return d.refusal
		}
		out[i] = 2*base[i] + rate[i]
	}
	return nil
}

func TestTTLReadsItsColumnsInTheOrderOfTheManifest(t *testing.T) {
	p := &double{}
	h := newHost(t, Manifest{Name: "double", Columns: []Column{BaseTTL}, Optional: []Column{RateSlow}, MaxBatch: 5}, p)
	if s := h.start(0, 0, "{}"); s != 0 {
		t.Fatalf("start: status %d", s)
	}
	column(h, 0, uint64(7), uint64(8))
	column(h, 1, 60.0, 30.0)
	column(h, 2, 1.0, 2.0)
	if s := h.g.decideTTL(2); s != 2 {
		t.Fatalf("TTL: status %d, want 2", s)
	}
	if a, b := get[float64](h, 0), get[float64](h, 1); a != 121 || b != 62 {
		t.Errorf("TTLs are %v, %v: want 121, 62", a, b)
	}
	if p.now != 12345 || len(p.keys) != 2 || p.keys[0] != 7 || p.keys[1] != 8 {
		t.Errorf("now %d, keys %v: want 12345, [7 8]", p.now, p.keys)
	}
}

func TestErrorsBecomeStatuses(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int32
	}{
		{nil, 1},
		{ErrWarmingUp, statusWarmingUp},
		{ErrBadInput, statusBadInput},
		{ErrUnsupported, statusUnsupported},
		{errors.New("anything else"), statusInternalError},
	} {
		h := newHost(t, Manifest{Name: "double", Columns: []Column{BaseTTL, RateSlow}}, &double{refusal: c.err})
		column(h, 2, -1.0)
		if s := h.g.decideTTL(1); s != c.want {
			t.Errorf("error %v: status %d, want %d", c.err, s, c.want)
		}
	}
}

func TestKindsThatThePolicyDoesNotDecideAreUnsupported(t *testing.T) {
	h := newHost(t, Manifest{Name: "double", Columns: []Column{BaseTTL, RateSlow}}, &double{})
	for name, call := range map[string]func() int32{
		"score": func() int32 { return h.g.score(1) }, "observe": func() int32 { return h.g.observe(1) },
		"evict": func() int32 { return h.g.evict(1) }, "propose": func() int32 { return h.g.propose(1) },
		"scale": h.g.scale, "export": func() int32 { return h.g.exportState(16) },
		"import": func() int32 { return h.g.importState(0, 1) },
	} {
		if s := call(); s != statusUnsupported {
			t.Errorf("%s: status %d, want %d", name, s, statusUnsupported)
		}
	}
}

// fifo names slots in the order of their inserts.
type fifo struct {
	capacity Capacity
	queue    []Slot
	head     int
	weights  uint32
	misses   int
}

func (f *fifo) Reset(c Capacity) error {
	*f = fifo{capacity: c, queue: make([]Slot, 0, 64)}
	return nil
}

func (f *fifo) Observe(e *Events) error {
	for ev, in := range e.All() {
		switch ev.Op {
		case OpInsert:
			f.queue = append(f.queue, ev.Slot)
			f.weights += in.Weight
		case OpMiss:
			f.misses++
		}
	}
	return nil
}

func (f *fifo) Victims(need int64, out []Slot) (int, error) {
	n := copy(out[:min(int64(len(out)), need)], f.queue[f.head:])
	f.head += n
	return n, nil
}

func TestOrdererSeesEventsJoinedWithInserts(t *testing.T) {
	p := &fifo{}
	h := newHost(t, Manifest{Name: "fifo"}, p)
	if s := h.start(1000, 16, "{}"); s != 0 {
		t.Fatalf("start: status %d", s)
	}
	if p.capacity != (Capacity{Weight: 1000, MaxSlots: 16}) {
		t.Fatalf("capacity is %+v", p.capacity)
	}
	s := h.events([]Event{
		{Slot: NoSlot, Op: OpMiss}, {Slot: 3, Op: OpInsert}, {Slot: 3, Op: OpHit},
		{Slot: NoSlot, Op: OpMiss}, {Slot: 5, Op: OpInsert},
	}, []Insert{{KeyHash: 1}, {KeyHash: 1, Weight: 10}, {KeyHash: 2}, {KeyHash: 2, Weight: 32}})
	if s != 5 || p.misses != 2 || p.weights != 42 {
		t.Fatalf("status %d, misses %d, weight %d: want 5, 2, 42", s, p.misses, p.weights)
	}
	put(h, h.in(evictNeed), int64(2))
	if s := h.g.evict(8); s != 2 || get[Slot](h, 0) != 3 || get[Slot](h, 1) != 5 {
		t.Fatalf("status %d, victims %d, %d: want 2, 3, 5", s, get[Slot](h, 0), get[Slot](h, 1))
	}
	if s := h.start(1000, 16, "{}"); s != 0 || len(p.queue) != 0 {
		t.Fatalf("a second start left %d slots in the order", len(p.queue))
	}
}

func TestCallsDoNotAllocate(t *testing.T) {
	f := newHost(t, Manifest{Name: "fifo"}, &fifo{})
	f.start(1000, 16, "{}")
	ttl := newHost(t, Manifest{Name: "double", Columns: []Column{BaseTTL, RateSlow}, MaxBatch: 16}, staticTTL{})
	if n := testing.AllocsPerRun(100, func() {
		f.events([]Event{{Slot: 3, Op: OpHit}}, nil)
		f.g.evict(0)
		ttl.g.decideTTL(16)
	}); n != 0 {
		t.Errorf("%v allocations a round, want none", n)
	}
}

type staticTTL struct{}

func (staticTTL) TTL(b *Batch, out []float64) error {
	copy(out, b.F64(BaseTTL))
	return nil
}

type shift struct{ in Load }

func (s *shift) Limit(in *Load) (float64, Reason, error) {
	s.in = *in
	return in.Limit + in.CPU, ReasonCustom + 7, nil
}

func TestScalingReadsTheLoadRecord(t *testing.T) {
	p := &shift{}
	h := newHost(t, Manifest{Name: "shift"}, p)
	put(h, h.in(0), Load{Tick: 3, Limit: 12, CPU: 0.5, WindowNanos: 1e8})
	if s := h.g.scale(); s != 0 || get[float64](h, 0) != 12.5 || get[Reason](h, 2) != ReasonCustom+7 {
		t.Fatalf("status %d, limit %v, reason %d", s, get[float64](h, 0), get[Reason](h, 2))
	}
	if p.in.Tick != 3 || p.in.WindowNanos != 1e8 {
		t.Errorf("load is %+v", p.in)
	}
}

// next proposes the keys it was shown, in their order.
type next struct{ static }

type static struct{}

func (static) Observe(*Events) error { return nil }

func (next) Propose(b *Batch, out []KeyHash) (int, error) { return copy(out, b.Keys()), nil }

func TestPrefetchIsHeldToTheBudget(t *testing.T) {
	h := newHost(t, Manifest{Name: "next", MaxBatch: 8}, next{})
	column(h, 0, uint64(1), uint64(2), uint64(3))
	put(h, headerCount, uint32(2))
	if s := h.g.propose(3); s != 2 || get[KeyHash](h, 1) != 2 {
		t.Fatalf("status %d, second key %d: want 2, 2", s, get[KeyHash](h, 1))
	}
}

// memory is a TTL policy whose state is some bytes.
type memory struct {
	staticTTL
	state   []byte
	version uint32
	calls   int
}

func (m *memory) ExportState(dst []byte) ([]byte, error) {
	m.calls++
	return append(dst, m.state...), nil
}

func (m *memory) ImportState(state []byte, version uint32) error {
	m.state, m.version = append([]byte(nil), state...), version
	return nil
}

func TestStateMovesInChunks(t *testing.T) {
	for _, size := range []int{0, 1, hostOutCap - 1, hostOutCap, hostOutCap + 1, 3 * hostOutCap} {
		manifest := Manifest{Name: "memory", StateVersion: 4, Columns: []Column{BaseTTL}}
		from := &memory{state: bytes.Repeat([]byte("abcdefg"), size/7+1)[:size]}
		to := &memory{state: []byte("older")}
		a, b := newHost(t, manifest, from), newHost(t, manifest, to)
		for {
			n := a.g.exportState(hostOutCap)
			if n < 0 {
				t.Fatalf("size %d: export: status %d", size, n)
			}
			copy(b.arena[headerSize:], a.arena[headerSize+hostInCap:][:n])
			if s := b.g.importState(n, 4); s != n {
				t.Fatalf("size %d: import: status %d, want %d", size, s, n)
			}
			if n < hostOutCap {
				break
			}
		}
		if !bytes.Equal(to.state, from.state) || to.version != 4 || from.calls != 1 {
			t.Errorf("size %d: %d bytes of version %d arrived in %d exports", size, len(to.state), to.version, from.calls)
		}
	}
}

func TestServeRefusesWhatCannotBeServed(t *testing.T) {
	ok := staticTTL{}
	for _, c := range []struct {
		name string
		m    Manifest
		p    any
		want string
	}{
		{"decides nothing", Manifest{Name: "x"}, struct{}{}, "decides nothing"},
		{"no name", Manifest{}, ok, `name ""`},
		{"bad name", Manifest{Name: "Heat!"}, ok, "Heat!"},
		{"long name", Manifest{Name: strings.Repeat("a", 65)}, ok, "up to 63"},
		{"batch", Manifest{Name: "x", MaxBatch: 1025}, ok, "MaxBatch 1025"},
		{"column twice", Manifest{Name: "x", Columns: []Column{Freq}, Optional: []Column{Freq}}, ok, "column freq: listed twice"},
		{"unknown column", Manifest{Name: "x", Columns: []Column{200}}, ok, "column 200"},
		{"state without methods", Manifest{Name: "x", StateVersion: 1}, ok, "Stateful"},
		{"methods without state", Manifest{Name: "x"}, &memory{}, "Stateful"},
		{"default out of bounds", Manifest{Name: "x", Config: Schema{"k": Number(5, "").Between(0, 1)}}, ok, `setting "k"`},
		{"empty setting", Manifest{Name: "x", Config: Schema{"k": {}}}, ok, "make it with"},
		{"two orders", Manifest{Name: "x"}, struct {
			*fifo
			scores
		}{}, "one order of eviction"},
		{"too large", Manifest{Name: "x", Config: Schema{"k": Boolean(true, strings.Repeat("long ", 2000))}}, ok, "8 KiB"},
		{"setting name", Manifest{Name: "x", Config: Schema{"half-life": Number(1, "")}}, ok, `setting "half-life"`},
		{"metric name", Manifest{Name: "x", Gauges: []*Gauge{NewGauge("Hot", "")}}, ok, `metric "Hot"`},
		{"metric twice", Manifest{Name: "x", Gauges: []*Gauge{NewGauge("a", "")}, Counters: []*Counter{NewCounter("a", "")}}, ok, "listed twice"},
		{"many metrics", Manifest{Name: "x", Gauges: make([]*Gauge, 33)}, ok, "33 metrics"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := newGuest(c.m, c.p)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v: want one with %q", err, c.want)
			}
		})
	}
}

type scores struct{}

func (scores) Score(*Batch, []float64) error { return nil }
