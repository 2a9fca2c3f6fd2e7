package hostabi_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/perfopt/perfopt/hostabi"
	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/eviction"
)

func TestTTLColumnsAndAnswersCross(t *testing.T) {
	h := newHost(t, hostabi.Options{})
	for _, n := range []int{0, 1, 2, 1023, 1024, 1025, 3000} {
		p := closing[policies.TTL](t)(loadNamed(t, h, "ttl-base").TTL(hostabi.Env{}))
		out := make([]policies.Nanos, n)
		if err := p.TTL(ttlBatch(p, n, 30), out); err != nil {
			t.Fatal(err)
		}
		for row, got := range out {
			if want := policies.Nanos(30+row) * 1e9; got != want {
				t.Fatalf("row %d of %d: %d, want %d", row, n, got, want)
			}
		}
	}
}

func TestEveryGoodTTLModuleAnswersWhatItSays(t *testing.T) {
	h := newHost(t, hostabi.Options{})
	for name, want := range map[string]float64{
		"ttl-seven": 7, "ttl-optional": 1, "ttl-start": 11, "ttl-simd": 5, "ttl-state": 1,
		"ttl-config": float64(len(`{"floor":1.5,"mode":"soft","steps":4,"strict":false}`)),
		"ttl-clock":  float64(someNow/1e9%1000) + 1000, // the call after pf_init
	} {
		p := closing[policies.TTL](t)(loadNamed(t, h, name).TTL(hostabi.Env{}))
		out := make([]policies.Nanos, 3)
		if err := p.TTL(ttlBatch(p, 3, 30), out); err != nil {
			t.Fatal(err)
		}
		for row := range out {
			if out[row] != policies.Nanos(want*1e9) {
				t.Errorf("%s, row %d: %v s, want %v s", name, row, float64(out[row])/1e9, want)
			}
		}
	}
}

func TestWarmingUpIsNoFault(t *testing.T) {
	h := newHost(t, hostabi.Options{})
	p := closing[policies.TTL](t)(loadNamed(t, h, "ttl-warming").TTL(hostabi.Env{}))
	if err := p.TTL(ttlBatch(p, 1, 30), make([]policies.Nanos, 1)); err != hostabi.ErrWarmingUp {
		t.Errorf("got %v, want %v", err, hostabi.ErrWarmingUp)
	}
}

func TestAFreshInstanceFollowsAFault(t *testing.T) {
	h := newHost(t, hostabi.Options{})
	p := closing[policies.TTL](t)(loadNamed(t, h, "ttl-third").TTL(hostabi.Env{}))
	out := make([]policies.Nanos, 1)
	for i := range 9 { // its third call traps, and so does the third of each successor
		err := p.TTL(ttlBatch(p, 1, 30), out)
		if faulty := i%3 == 2; (err != nil) != faulty {
			t.Errorf("call %d: %v, want a fault: %t", i+1, err, faulty)
		}
	}
}

func TestAnOrderIsSpentByAFaultUntilItIsReset(t *testing.T) {
	h := newHost(t, hostabi.Options{})
	o := closing[policies.Orderer](t)(loadNamed(t, h, "evict-trap").Eviction(hostabi.Env{}))
	if err := o.Observe([]policies.Event{{Op: policies.OpHit}}, nil); err == nil {
		t.Error("observed before it was reset")
	}
	for range 2 {
		if err := o.Reset(policies.Capacity{Weight: 1, MaxSlots: 4}); err != nil {
			t.Fatal(err)
		}
		if err := o.Observe([]policies.Event{{Op: policies.OpHit}}, nil); err != nil {
			t.Error(err)
		}
		out := make([]policies.Slot, 1)
		for range 2 {
			if _, err := o.Victims(1, out); err == nil {
				t.Error("a trap was no fault")
			}
		}
		if err := o.Observe([]policies.Event{{Op: policies.OpHit}}, nil); err == nil {
			t.Error("observed after a fault")
		}
	}
}

// TestModuleEvictsAsItsNativeTwin drives the shipped module and the native LRU
// with one random stream.
func TestModuleEvictsAsItsNativeTwin(t *testing.T) {
	h := newHost(t, hostabi.Options{})
	module := closing[policies.Orderer](t)(lruC(t, h).Eviction(hostabi.Env{}))
	native := eviction.NewLRU()
	random := rand.New(rand.NewPCG(1, 2))
	const slots = 5000
	for range 3 {
		c := policies.Capacity{Weight: 4000, MaxSlots: slots}
		for _, o := range []policies.Orderer{module, native} {
			if err := o.Reset(c); err != nil {
				t.Fatal(err)
			}
		}
		resident := make([]bool, slots)
		var free []policies.Slot
		for s := range slots {
			free = append(free, policies.Slot(s))
		}
		for range 200 {
			var events []policies.Event
			var inserts []policies.Insert
			for range random.IntN(3000) {
				e := policies.Event{Slot: policies.Slot(random.IntN(slots))}
				switch here := resident[e.Slot]; {
				case !here && len(free) > 0 && random.IntN(2) == 0:
					e.Op, e.Slot = policies.OpInsert, free[0]
					free, resident[e.Slot] = free[1:], true
				case !here:
					e.Op, e.Slot = policies.OpMiss, policies.NoSlot
				default:
					e.Op = []policies.Op{policies.OpHit, policies.OpHit, policies.OpHit, policies.OpUpdate, policies.OpRemove, policies.OpExpire}[random.IntN(6)]
					if e.Op == policies.OpRemove || e.Op == policies.OpExpire {
						resident[e.Slot] = false
						free = append(free, e.Slot)
					}
				}
				events = append(events, e)
				if e.Op.HasInsert() {
					inserts = append(inserts, policies.Insert{KeyHash: policies.KeyHash(random.Uint64()), Weight: uint32(random.IntN(9))})
				}
			}
			need := random.Int64N(200)
			got, want := make([]policies.Slot, random.IntN(2000)), []policies.Slot(nil)
			want = make([]policies.Slot, min(len(got), 1024)) // a module answers a batch at most
			var n [2]int
			for i, o := range []policies.Orderer{module, native} {
				if err := o.Observe(events, inserts); err != nil {
					t.Fatal(err)
				}
				var err error
				if n[i], err = o.Victims(need, [][]policies.Slot{got, want}[i]); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(got[:n[0]], want[:n[1]]) {
				t.Fatalf("the module names %v, the native policy %v", got[:n[0]], want[:n[1]])
			}
			for _, s := range got[:n[0]] {
				resident[s] = false
				free = append(free, s)
			}
		}
	}
}

// TestAnOrderOfManySlotsGetsItsMemory: 12 bytes for each of eight million slots
// are more than the pages that a module may have for nothing, and clearing them
// is more work.
func TestAnOrderOfManySlotsGetsItsMemory(t *testing.T) {
	h := newHost(t, hostabi.Options{})
	o := closing[policies.Orderer](t)(lruC(t, h).Eviction(hostabi.Env{}))
	const slots = 8 << 20
	if err := o.Reset(policies.Capacity{Weight: slots, MaxSlots: slots}); err != nil {
		t.Fatal(err)
	}
	if err := o.Observe([]policies.Event{{Slot: slots - 1, Op: policies.OpInsert}}, []policies.Insert{{Weight: 1}}); err != nil {
		t.Fatal(err)
	}
	out := make([]policies.Slot, 1)
	if n, err := o.Victims(1, out); n != 1 || out[0] != slots-1 || err != nil {
		t.Errorf("victims %v, %v", out[:n], err)
	}
}

func TestAModuleOfBothFormsIsAskedWhichItHas(t *testing.T) {
	h := newHost(t, hostabi.Options{})
	for name, want := range map[string]bool{bothForms: false, "score-size": true} {
		if got := loadNamed(t, h, name).Scores(); got != want {
			t.Errorf("%s scores: %t, want %t", name, got, want)
		}
	}
}

func TestScoresCross(t *testing.T) {
	h := newHost(t, hostabi.Options{})
	p := closing[policies.Scorer](t)(loadNamed(t, h, "score-size").Scorer(hostabi.Env{}))
	var c policies.Candidates
	c.Resize(1500, p.Info().Columns)
	for row := range c.Len() {
		c.Set(policies.ColSize, row, float64(row))
	}
	out := make([]float64, c.Len())
	if err := p.Score(&c, out); err != nil {
		t.Fatal(err)
	}
	for row, got := range out {
		if got != -float64(row) {
			t.Fatalf("row %d: %v, want %v", row, got, -float64(row))
		}
	}
}

func TestPrefetchProposesWithinTheBudget(t *testing.T) {
	h := newHost(t, hostabi.Options{})
	p := closing[policies.Prefetch](t)(loadNamed(t, h, "prefetch-first").Prefetch(hostabi.Env{}))
	if err := p.Observe([]policies.Event{{Op: policies.OpHit}}, nil); err != nil {
		t.Errorf("a module that wants no events: %v", err)
	}
	for _, c := range []struct{ rows, budget, room, want int }{
		{10, 3, 3, 3}, {2, 8, 8, 2}, {10, 8, 4, 4}, {0, 4, 4, 0}, {10, 0, 4, 0}, {2000, 1500, 1500, 1500},
	} {
		var rows policies.Candidates
		rows.Resize(c.rows, nil)
		for i := range rows.KeyHash {
			rows.KeyHash[i] = policies.KeyHash(1000 + i)
		}
		out := make([]policies.KeyHash, c.room)
		n, err := p.Propose(&rows, c.budget, out)
		if err != nil || n != c.want {
			t.Errorf("%+v: proposed %d, %v", c, n, err)
		}
		for i, got := range out[:n] {
			if got != policies.KeyHash(1000+i) {
				t.Fatalf("%+v: proposal %d is %d", c, i, got)
			}
		}
	}
}

func TestLoadAndLimitCross(t *testing.T) {
	h := newHost(t, hostabi.Options{})
	p := closing[policies.Scaling](t)(loadNamed(t, h, "scale-up").Scaling(hostabi.Env{}))
	limit, reason, err := p.Limit(&policies.Load{Now: someNow, Tick: 1, Limit: 36.5})
	if limit != 37.5 || reason != 1007 || err != nil {
		t.Errorf("got %v, %v, %v", limit, reason, err)
	}
}

func TestStateIsHandedOverInChunks(t *testing.T) {
	h := newHost(t, hostabi.Options{})
	m := loadNamed(t, h, "ttl-state")
	old := closing[policies.TTL](t)(m.TTL(hostabi.Env{}))
	out := make([]policies.Nanos, 1)
	for range 5 {
		if err := old.TTL(ttlBatch(old, 1, 0), out); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // exporting twice gives the same
		state, err := old.(policies.Stateful).ExportState([]byte("before"))
		if err != nil {
			t.Fatal(err)
		}
		if want := "before" + strings.Repeat("\x05", 40_000); string(state) != want {
			t.Fatalf("state has %d bytes and starts with % x", len(state), state[:20])
		}
		heir := closing[policies.TTL](t)(m.TTL(hostabi.Env{}))
		if err := heir.(policies.Stateful).ImportState(state[6:]); err != nil {
			t.Fatal(err)
		}
		if err := heir.TTL(ttlBatch(heir, 1, 0), out); err != nil || out[0] != 6e9 {
			t.Errorf("the heir's first call is number %v, want 6 (%v)", float64(out[0])/1e9, err)
		}
	}
}

func TestStateThatCannotBeUsedIsAFault(t *testing.T) {
	h := newHost(t, hostabi.Options{})
	for name, want := range map[string]string{
		"state-endless": "state is larger than 16777216 bytes",
		"state-long":    "returned 1000000, want at most 16384",
	} {
		p := closing[policies.TTL](t)(loadNamed(t, h, name).TTL(hostabi.Env{})).(policies.Stateful)
		if got, err := p.ExportState([]byte{1}); err == nil || !strings.Contains(err.Error(), want) || len(got) != 1 {
			t.Errorf("%s: export: %d bytes, %v", name, len(got), err)
		}
		if err := p.ImportState([]byte{1}); err == nil {
			t.Errorf("%s: import was let pass", name)
		}
	}
	p := closing[policies.TTL](t)(loadNamed(t, h, "ttl-seven").TTL(hostabi.Env{})).(policies.Stateful)
	if _, err := p.ExportState(nil); err == nil || !strings.Contains(err.Error(), "no state to hand over") {
		t.Errorf("a module without state: %v", err)
	}
}

func TestConfigIsCheckedBeforeTheModuleSeesIt(t *testing.T) {
	h := newHost(t, hostabi.Options{})
	m := loadNamed(t, h, "ttl-config")
	for name, c := range map[string]struct {
		config map[string]any
		says   []string
	}{
		"defaults":  {nil, nil},
		"all":       {map[string]any{"floor": int64(2), "mode": "hard", "steps": 9.0, "strict": true}, nil},
		"unknown":   {map[string]any{"flor": 1}, []string{`unknown key "flor": policy ttl-config knows floor, mode, steps, strict`}},
		"type":      {map[string]any{"floor": "2", "strict": 1}, []string{"floor is a string, want a finite number", "strict is a number, want a boolean"}},
		"range":     {map[string]any{"floor": 10.5}, []string{"floor is 10.5, want at most 10"}},
		"enum":      {map[string]any{"mode": "harsh"}, []string{"mode is harsh, want one of [soft hard]"}},
		"fraction":  {map[string]any{"steps": 1.5}, []string{"steps is 1.5, want an integer"}},
		"nan":       {map[string]any{"floor": math.NaN()}, []string{"want a finite number"}},
		"too small": {map[string]any{"steps": 0}, []string{"steps is 0, want at least 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := m.ValidateConfig(c.config)
			if (err == nil) != (c.says == nil) {
				t.Fatalf("got %v", err)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("got %q, want %q", err, s)
				}
			}
			p, instance := m.TTL(hostabi.Env{Config: c.config})
			if (instance == nil) != (err == nil) {
				t.Errorf("an instance with that config: %v", instance)
			}
			if instance == nil {
				p.(interface{ Close() error }).Close()
			}
		})
	}
}

func TestLinesOfAModuleAreMadeHarmless(t *testing.T) {
	var text bytes.Buffer
	logger := hclog.New(&hclog.LoggerOptions{Output: &text, Level: hclog.Trace, DisableTime: true})
	h := newHost(t, hostabi.Options{Logger: logger})
	moved := map[string][]float64{}
	p := closing[policies.TTL](t)(loadNamed(t, h, "ttl-reports").TTL(hostabi.Env{
		Metric: func(name string, v float64) { moved[name] = append(moved[name], v) }}))
	if err := p.TTL(ttlBatch(p, 1, 30), make([]policies.Nanos, 1)); err != hostabi.ErrWarmingUp {
		t.Fatal(err)
	}
	if strings.Count(text.String(), "\n") != 1 || strings.ContainsAny(text.String(), "\x1b\x07") {
		t.Errorf("log: %q", text.String())
	}
	if want := `[WARN]  one\x0aERROR forged \x1b]0;title\x07` + " \uFFFD"; !strings.HasPrefix(text.String(), want) {
		t.Errorf("log: %q, want it to start with %q", text.String(), want)
	}
	if !strings.Contains(text.String(), "policy=ttl-reports") {
		t.Errorf("log does not name the policy: %q", text.String())
	}
	if !slices.Equal(moved["level"], []float64{2.5}) || !slices.Equal(moved["calls"], []float64{1}) {
		t.Errorf("metrics %v", moved)
	}
}

func TestAFloodOfLinesIsDropped(t *testing.T) {
	var text bytes.Buffer
	h := newHost(t, hostabi.Options{Logger: hclog.New(&hclog.LoggerOptions{Output: &text})})
	closing[policies.TTL](t)(loadNamed(t, h, "ttl-floods").TTL(hostabi.Env{}))
	if n := strings.Count(text.String(), "\n"); n < 100 || n > 200 {
		t.Errorf("%d lines of 1000 were logged, want about 100", n)
	}
}

func TestNothingIsAllocatedByACall(t *testing.T) {
	h := newHost(t, hostabi.Options{})
	ttl := closing[policies.TTL](t)(loadNamed(t, h, "ttl-base").TTL(hostabi.Env{}))
	batch, lifetimes := ttlBatch(ttl, 64, 1), make([]policies.Nanos, 64)
	score := closing[policies.Scorer](t)(loadNamed(t, h, "score-size").Scorer(hostabi.Env{}))
	var rows policies.Candidates
	rows.Resize(64, score.Info().Columns)
	scores := make([]float64, 64)
	order := closing[policies.Orderer](t)(lruC(t, h).Eviction(hostabi.Env{}))
	if err := order.Reset(policies.Capacity{Weight: 64, MaxSlots: 64}); err != nil {
		t.Fatal(err)
	}
	events := make([]policies.Event, 64)
	inserts := make([]policies.Insert, 64)
	for i := range events {
		events[i] = policies.Event{Slot: policies.Slot(i), Op: policies.OpInsert}
		inserts[i].Weight = 1
	}
	victims := make([]policies.Slot, 64)
	ahead := closing[policies.Prefetch](t)(loadNamed(t, h, "prefetch-first").Prefetch(hostabi.Env{}))
	keys := make([]policies.KeyHash, 16)
	var tick policies.Load
	scale := closing[policies.Scaling](t)(loadNamed(t, h, "scale-up").Scaling(hostabi.Env{}))
	for name, call := range map[string]func() error{
		"ttl":      func() error { return ttl.TTL(batch, lifetimes) },
		"score":    func() error { return score.Score(&rows, scores) },
		"observe":  func() error { return order.Observe(events, inserts) },
		"victims":  func() error { _, err := order.Victims(4, victims); return err },
		"prefetch": func() error { _, err := ahead.Propose(&rows, 16, keys); return err },
		"scaling":  func() error { _, _, err := scale.Limit(&tick); return err },
	} {
		if n := testing.AllocsPerRun(100, func() {
			if err := call(); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations a call", name, n)
		}
	}
}

func TestFuelIsDeterministicAndGrowsWithRows(t *testing.T) {
	h := newHost(t, hostabi.Options{})
	m := loadNamed(t, h, "ttl-base")
	used := func(n int) uint64 {
		p := closing[policies.TTL](t)(m.TTL(hostabi.Env{}))
		meter := p.(interface{ FuelUsed() uint64 })
		before := meter.FuelUsed()
		if err := p.TTL(ttlBatch(p, n, 1), make([]policies.Nanos, n)); err != nil {
			t.Fatal(err)
		}
		return meter.FuelUsed() - before
	}
	one, hundred := used(1), used(100)
	if one < 100 || hundred < one+99*10 || hundred > one+99*100 {
		t.Errorf("1 row costs %d, 100 rows %d", one, hundred)
	}
	for range 3 {
		if again := used(100); again != hundred {
			t.Errorf("100 rows cost %d, and then %d", hundred, again)
		}
	}
}

func TestCloseWaitsAndIsFinal(t *testing.T) {
	h := newHost(t, hostabi.Options{})
	m := loadNamed(t, h, "ttl-base")
	p, err := m.TTL(hostabi.Env{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil { // the instance keeps the code
		t.Fatal(err)
	}
	if _, err := m.TTL(hostabi.Env{}); err == nil {
		t.Error("a closed module made an instance")
	}
	var group sync.WaitGroup
	start := make(chan struct{})
	for range 4 {
		group.Go(func() {
			out := make([]policies.Nanos, 8)
			batch := ttlBatch(p, 8, 1)
			<-start
			for {
				if err := p.TTL(batch, out); err != nil {
					if !strings.Contains(err.Error(), "the instance is closed") {
						t.Error(err)
					}
					return
				}
				if out[7] != 8e9 {
					t.Errorf("row 7: %d", out[7])
				}
			}
		})
	}
	close(start)
	for range 2 {
		if err := p.(interface{ Close() error }).Close(); err != nil {
			t.Error(err)
		}
	}
	group.Wait()
}

func TestHostCountsWhatIsOpen(t *testing.T) {
	h, err := hostabi.New(context.Background(), hostabi.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := h.Load(context.Background(), wasm(t, "ttl-base"))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err == nil || !strings.Contains(err.Error(), "1 policy modules are still open") {
		t.Errorf("got %v", err)
	}
	m.Close()
	m.Close()
	for range 2 {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := h.Load(context.Background(), wasm(t, "ttl-base")); err == nil {
		t.Error("a closed host loaded a module")
	}
}

func TestClosingAModuleLeavesItsTwinAlone(t *testing.T) {
	h := newHost(t, hostabi.Options{})
	first, second := loadNamed(t, h, "ttl-seven"), loadNamed(t, h, "ttl-seven")
	p := closing[policies.TTL](t)(second.TTL(hostabi.Env{}))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	out := make([]policies.Nanos, 1)
	if err := p.TTL(ttlBatch(p, 1, 1), out); err != nil || out[0] != 7e9 {
		t.Errorf("%d, %v", out[0], err)
	}
}

func TestModuleDescribesItself(t *testing.T) {
	h := newHost(t, hostabi.Options{})
	b := wasm(t, "ttl-reports")
	m := load(t, h, b)
	if m.Size() != len(b) || len(m.Digest()) != 64 || !m.Manifest().Has(policies.KindTTL) {
		t.Errorf("size %d, digest %s, kinds %v", m.Size(), m.Digest(), m.Kinds())
	}
	if _, err := hex.DecodeString(m.Digest()); err != nil {
		t.Error(err)
	}
	if want := []string{"perfopt_v1 log (i32, i32, i32) -> ()", "perfopt_v1 metric (i32, f64) -> ()"}; !slices.Equal(m.Imports(), want) {
		t.Errorf("imports %v", m.Imports())
	}
	if !slices.Contains(m.Exports(), "pf_ttl (i32) -> i32") || !slices.Contains(m.Exports(), "memory memory") {
		t.Errorf("exports %v", m.Exports())
	}
	if info := m.Info(policies.KindTTL); info.Name != "ttl-reports" || !slices.Equal(info.Columns, []policies.Column{policies.ColBaseTTL}) {
		t.Errorf("info %+v", info)
	}
}
