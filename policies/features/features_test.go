package features

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/perfopt/perfopt/policies"
)

const second = policies.Nanos(time.Second)

// start is a moment at the beginning of an hour.
const start = policies.Nanos(1_700_000_000/3600*3600) * second

func insert(t *Table, now policies.Nanos, s policies.Slot, in policies.Insert) {
	t.Observe(now, []policies.Event{{Slot: s, Op: policies.OpInsert}}, []policies.Insert{in})
}

func miss(t *Table, now policies.Nanos, h policies.KeyHash) {
	t.Observe(now, []policies.Event{{Slot: policies.NoSlot, Op: policies.OpMiss}}, []policies.Insert{{KeyHash: h}})
}

func hit(t *Table, now policies.Nanos, s policies.Slot) {
	t.Observe(now, []policies.Event{{Slot: s, Op: policies.OpHit}}, nil)
}

func near(t *testing.T, what string, got, want, relative float64) {
	t.Helper()
	if got != want && math.Abs(got-want) > relative*math.Abs(want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestARecordHas24Bytes(t *testing.T) {
	if size := unsafe.Sizeof(record{}); size != 24 {
		t.Errorf("a record has %d bytes, want 24", size)
	}
}

// TestPatternIsWhatTheDesignSays recomputes every formula from the list of
// accesses.
func TestPatternIsWhatTheDesignSays(t *testing.T) {
	for _, c := range []struct {
		name     string
		accesses []float64 // seconds
		misses   int       // of other keys, after the last access
		capacity int
		asked    float64 // seconds
	}{
		{"once", []float64{0}, 0, 100, 0},
		{"once, a minute ago", []float64{0}, 0, 100, 60},
		{"twice", []float64{0, 30}, 0, 100, 45},
		{"every ten seconds", []float64{0, 10, 20, 30, 40, 50, 60, 70, 80, 90}, 0, 100, 100},
		{"an hour later", []float64{0, 1, 2, 3}, 0, 100, 3603},
		{"a capacity of misses later", []float64{0, 1, 2, 3}, 100, 100, 3},
		{"both", []float64{0, 1, 2, 3}, 50, 100, 1803},
		{"a day later", []float64{0, 1, 2, 3}, 0, 100, 86400},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab := New(Options{Entries: c.capacity})
			at := func(s float64) policies.Nanos { return start + policies.Nanos(s*1e9) }
			insert(tab, at(c.accesses[0]), 7, policies.Insert{KeyHash: 1, Weight: 1})
			for _, s := range c.accesses[1:] {
				hit(tab, at(s), 7)
			}
			last := c.accesses[len(c.accesses)-1]
			for i := range c.misses {
				miss(tab, at(last), policies.KeyHash(100+i))
			}
			r, ok := tab.Record(7, at(c.asked))
			if !ok {
				t.Fatal("no record")
			}
			n, fast, slow := 0.0, 0.0, 0.0
			for i, s := range c.accesses {
				if i > 0 {
					n *= math.Exp2(-(s - c.accesses[i-1]) / 3600)
				}
				n = min(n+1, 63)
				fast += math.Ln2 / 1 * math.Exp2(-(c.asked-s)/60)
				slow += math.Ln2 / 10 * math.Exp2(-(c.asked-s)/600)
			}
			n *= math.Exp2(-(c.asked-last)/3600 - float64(c.misses)/float64(c.capacity))
			if fast < math.Ln2/256 {
				fast = 0 // a rate is as good as 0 eight half-lives after a single access
			}
			if slow < math.Ln2/10/256 {
				slow = 0
			}
			if n < 1.0/256 {
				n = 0
			}
			const tolerance = 0.005
			near(t, "count", r.Count, n, tolerance)
			near(t, "fast rate", r.Fast, fast, 2*tolerance)
			near(t, "slow rate", r.Slow, slow, 2*tolerance)
			near(t, "recency", r.Recency, c.asked-last, 0)
			near(t, "trend", r.Trend, (r.Fast-r.Slow)/9, 0)
			near(t, "confidence", r.Confidence, n/(n+4), tolerance)
			near(t, "time of day", r.TimeOfDay, 0.5, 0)
			z := 0.4*r.Slow + 0.3/max(r.Recency, 1) + 0.2*max(r.Trend, 0) + 0.1*0.5
			near(t, "prediction", r.Prediction, 1/(1+math.Exp(-z))*r.Confidence, 1e-12)
		})
	}
}

func TestCountSaturatesAt63(t *testing.T) {
	tab := New(Options{})
	insert(tab, start, 0, policies.Insert{KeyHash: 1})
	for range 200 {
		hit(tab, start, 0)
	}
	if r, _ := tab.Record(0, start); r.Count != 63 {
		t.Errorf("count %v after 200 accesses, want 63", r.Count)
	}
}

// TestRatesOfBusyKeysAreUnbiased: at 6,000 accesses a minute an access moves
// the code of a rate by far less than a step.
func TestRatesOfBusyKeysAreUnbiased(t *testing.T) {
	tab := New(Options{Seed: 3})
	const keys = 16
	var events []policies.Event
	for s := range policies.Slot(keys) {
		insert(tab, start, s, policies.Insert{KeyHash: policies.KeyHash(s)})
		events = append(events, policies.Event{Slot: s, Op: policies.OpHit})
	}
	now := start
	for range 40 * 6000 {
		now += second / 100
		tab.Observe(now, events, nil)
	}
	var fast, slow float64
	for s := range policies.Slot(keys) {
		r, _ := tab.Record(s, now)
		near(t, "slow rate of one key", r.Slow, 6000*(1-math.Exp2(-4)), 0.2)
		fast, slow = fast+r.Fast/keys, slow+r.Slow/keys
	}
	near(t, "mean fast rate", fast, 6000, 0.03)
	near(t, "mean slow rate", slow, 6000*(1-math.Exp2(-4)), 0.03)
}

func TestAnAccessIsCountedOnce(t *testing.T) {
	tab := New(Options{Entries: 1e6})
	miss(tab, start, 5)
	insert(tab, start, 0, policies.Insert{KeyHash: 5})
	count := func(want float64) {
		t.Helper()
		r, _ := tab.Record(0, start)
		near(t, "count", r.Count, want, 0.005)
	}
	count(1)
	hit(tab, start, 0)
	count(2)
	tab.Observe(start, []policies.Event{{Slot: 0, Op: policies.OpUpdate}}, []policies.Insert{{KeyHash: 5, Weight: 9}})
	count(2)
	tab.Evicted(0)
	miss(tab, start, 5)
	insert(tab, start, 0, policies.Insert{KeyHash: 5})
	count(3)
	tab.Observe(start, []policies.Event{{Slot: 0, Op: policies.OpExpire}}, nil)
	tab.Observe(start, []policies.Event{{Slot: 0, Op: policies.OpInsert, Flags: policies.FlagPrefetched}},
		[]policies.Insert{{KeyHash: 5, Flags: policies.FlagPrefetched}})
	count(3)
}

func TestRecentKeysKeepThePast(t *testing.T) {
	tab := New(Options{RecentKeys: 64, Entries: 1e6})
	insert(tab, start, 3, policies.Insert{KeyHash: 9, Weight: 10})
	hit(tab, start, 3)
	if _, ok := tab.Recent(9); ok {
		t.Error("a resident is among the recent keys")
	}
	tab.Evicted(3)
	if tab.Resident(3) || tab.Len() != 0 {
		t.Error("the slot is still resident")
	}
	r, ok := tab.Recent(9)
	if !ok || r.Resident {
		t.Fatalf("recent: %+v, %v", r, ok)
	}
	near(t, "count", r.Count, 2, 0.005)
	miss(tab, start, 1)
	miss(tab, start, 2)
	miss(tab, start, 2)
	got := tab.RecentCandidates(nil, 10)
	slices.Sort(got)
	if want := []policies.KeyHash{2, 9}; !slices.Equal(got, want) {
		t.Errorf("candidates %v, want %v: evicted, and missed twice", got, want)
	}
	for h := range policies.KeyHash(10_000) {
		miss(tab, start+second, 1000+h)
	}
	if got := tab.RecentCandidates(nil, 100_000); len(got) != 0 {
		t.Errorf("candidates %v after 10,000 keys missed once, want none", got)
	}
}

func TestFillKeyReadsResidentsAndRecentKeys(t *testing.T) {
	tab := New(Options{})
	insert(tab, start, 3, policies.Insert{KeyHash: 9, Weight: 10, TTLMillis: 60_000, LoadCostMicros: 2000})
	hit(tab, start, 3)
	var rows policies.Rows
	rows.Now = start + second
	all := make([]policies.Column, 0, policies.NumColumns)
	for c := range policies.NumColumns {
		all = append(all, c)
	}
	rows.Resize(3, all)
	tab.FillKey(&rows, 0, 9, 3, true)
	tab.Evicted(3)
	tab.FillKey(&rows, 1, 9, policies.NoSlot, false)
	tab.FillKey(&rows, 2, 77, policies.NoSlot, false)
	near(t, "count of the resident", rows.Value(policies.ColFreq, 0), 2, 0.005)
	near(t, "size", rows.Value(policies.ColSize, 0), 10, 0)
	near(t, "load cost", rows.Value(policies.ColLoadCost, 0), 2, 0.023)
	near(t, "time left", rows.Value(policies.ColTTLLeft, 0), 59, 0)
	near(t, "resident", rows.Value(policies.ColResident, 0), 1, 0)
	near(t, "next access", rows.Value(policies.ColNextAccess, 0), 60/rows.Value(policies.ColRateSlow, 0), 0)
	near(t, "count of the recent key", rows.Value(policies.ColFreq, 1), 2, 0.005)
	near(t, "resident", rows.Value(policies.ColResident, 1), 0, 0)
	near(t, "count of the unknown key", rows.Value(policies.ColFreq, 2), 0, 0)
	near(t, "prediction of the unknown key", rows.Value(policies.ColPrediction, 2), 0, 0)
	if v := rows.Value(policies.ColRecency, 2); !math.IsInf(v, 1) {
		t.Errorf("recency of the unknown key: %v, want +Inf", v)
	}
	for _, c := range asked {
		if v := rows.Value(c, 0); !math.IsNaN(v) {
			t.Errorf("%v is %v, want NaN: only the one who asks knows it", c, v)
		}
	}
}

func TestFillAndRecordAgree(t *testing.T) {
	tab := New(Options{Complete: func(rows *policies.Rows, slots []policies.Slot) {
		for i := range slots {
			rows.Set(policies.ColAge, i, 12)
		}
	}})
	for s := range policies.Slot(50) {
		insert(tab, start, s, policies.Insert{KeyHash: policies.KeyHash(s * s), Weight: uint32(s)})
		for range s {
			hit(tab, start+policies.Nanos(s)*second, s)
		}
	}
	var rows policies.Rows
	rows.Now = start + 60*second
	rows.Resize(2, []policies.Column{policies.ColFreq, policies.ColPrediction, policies.ColAge})
	tab.Fill(&rows, []policies.Slot{4, 40})
	for i, s := range []policies.Slot{4, 40} {
		r, _ := tab.Record(s, rows.Now)
		if rows.KeyHash[i] != r.KeyHash || tab.KeyHash(s) != r.KeyHash {
			t.Errorf("slot %d: hash %v, want %v", s, rows.KeyHash[i], r.KeyHash)
		}
		near(t, "count", rows.Value(policies.ColFreq, i), r.Count, 0)
		near(t, "prediction", rows.Value(policies.ColPrediction, i), r.Prediction, 0)
		near(t, "age", rows.Value(policies.ColAge, i), 12, 0)
	}
}

func TestCodesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := rapid.Uint32().Draw(t, "weight")
		if got := decodeWeight(encodeWeight(w)); w < 64 && got != w || math.Abs(float64(got)-float64(w)) > 0.017*float64(w) {
			t.Fatalf("weight %d became %d", w, got)
		}
		cost := rapid.Uint32().Draw(t, "cost")
		if got := classMillis(costClass(cost)) * 1000; math.Abs(got-float64(cost)) > 0.03*float64(cost)+0.1 {
			t.Fatalf("cost %d us became %v", cost, got)
		}
		now := policies.Nanos(rapid.Int64Range(0, 4e18).Draw(t, "now"))
		ttl := rapid.Uint32Range(1, maxLifetimeSeconds*1000).Draw(t, "ttl")
		if got := secondsLeft(now, encodeDue(now, ttl)); math.Abs(got-float64(ttl)/1000) > 1.01 {
			t.Fatalf("%v s left became %v", float64(ttl)/1000, got)
		}
		u := rapid.Float64Range(0.01, 1e6).Draw(t, "u")
		code := math.Round((math.Log2(u) - lowestOctave) * stepsPerOctave)
		if got := sharedScales().value(decayed(uint64(code), 0)); math.Abs(got-u) > 0.0016*u {
			t.Fatalf("u %v became %v", u, got)
		}
	})
}

func TestDecayIsExactAtHalfLives(t *testing.T) {
	s := sharedScales()
	const code = codeOne + 5*stepsPerOctave
	for _, c := range []struct {
		name  string
		decay int64
	}{
		{"a minute of fast", 60 * 16 * fastDecay}, {"ten minutes of slow", 600 * 16 * slowDecay},
		{"an hour of count", 3600 * 16 * countDecay}, {"a capacity of count", epochsPerCapacity * epochDecay},
	} {
		if got := s.value(decayed(code, c.decay)); got != 16 {
			t.Errorf("%s: 32 became %v, want 16", c.name, got)
		}
	}
}

func TestTimeOfDayIsLearntInADay(t *testing.T) {
	tab := New(Options{})
	const hour = 3600 * second
	day := start / (24 * hour) * 24 * hour
	insert(tab, day+24*hour, 0, policies.Insert{KeyHash: 1})
	for i := range policies.Nanos(24 * 4) {
		now := day + 24*hour + i*hour/4
		requests := 10
		if (i/4)%24 == 20 {
			requests = 40
		}
		if got := tab.TimeOfDay(now); got != 0.5 {
			t.Fatalf("after %d quarters: %v, want 0.5", i, got)
		}
		for range requests {
			hit(tab, now, 0)
		}
	}
	tab.Observe(day+48*hour, nil, nil)
	near(t, "busiest hour", tab.TimeOfDay(day+68*hour), 1, 0)
	near(t, "other hour", tab.TimeOfDay(day+57*hour), 0.25, 1e-9)
}

func TestUntouchedEntriesDoNotComeBackToLife(t *testing.T) {
	tab := New(Options{Entries: 1})
	insert(tab, start, 0, policies.Insert{KeyHash: 1})
	for range 50 {
		hit(tab, start, 0)
	}
	for day := range policies.Nanos(120) {
		now := start + day*24*3600*second
		miss(tab, now, policies.KeyHash(2+day))
		if r, _ := tab.Record(0, now); day > 1 && (r.Count > 0 || r.Slow > 0 || r.Recency < 24*3600) {
			t.Fatalf("on day %d: %+v", day, r)
		}
	}
}

func TestOddEventsAreIgnored(t *testing.T) {
	tab := New(Options{MaxSlots: 10})
	tab.Observe(start, []policies.Event{
		{Slot: 3, Op: policies.OpHit}, {Slot: policies.NoSlot, Op: policies.OpHit}, {Slot: 5, Op: policies.OpRemove},
		{Slot: 10, Op: policies.OpInsert}, {Slot: 4, Op: policies.OpUpdate}, {Slot: 1, Op: policies.OpInsert}, {Op: 99},
	}, []policies.Insert{{KeyHash: 1}, {KeyHash: 2}})
	tab.Evicted(7)
	if tab.Len() != 0 {
		t.Errorf("%d residents, want none", tab.Len())
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	tab := New(Options{MaxSlots: 1000})
	var events []policies.Event
	var inserts []policies.Insert
	for s := range policies.Slot(500) {
		events = append(events, policies.Event{Slot: policies.NoSlot, Op: policies.OpMiss}, policies.Event{Slot: s, Op: policies.OpInsert}, policies.Event{Slot: s, Op: policies.OpHit})
		inserts = append(inserts, policies.Insert{KeyHash: policies.KeyHash(s)}, policies.Insert{KeyHash: policies.KeyHash(s)})
	}
	tab.Observe(start, events, inserts)
	if n := testing.AllocsPerRun(20, func() { tab.Observe(start, events, inserts) }); n != 0 {
		t.Errorf("%v allocations a batch, want none", n)
	}
}

func BenchmarkObserveHits(b *testing.B) {
	tab := New(Options{})
	const slots, batch = 1 << 17, 1024
	for s := range policies.Slot(slots) {
		insert(tab, start, s, policies.Insert{KeyHash: policies.KeyHash(s), Weight: 1})
	}
	rng := rand.New(rand.NewPCG(1, 2))
	z := rand.NewZipf(rng, 1.01, 1, slots-1)
	events := make([]policies.Event, 64*batch)
	for i := range events {
		events[i] = policies.Event{Slot: policies.Slot(z.Uint64()), Op: policies.OpHit}
	}
	now, i := start, 0
	b.ReportAllocs()
	for b.Loop() {
		tab.Observe(now, events[i*batch:(i+1)*batch], nil)
		now, i = now+second/1000, (i+1)%64
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/event")
}

func BenchmarkFill(b *testing.B) {
	tab := New(Options{})
	for s := range policies.Slot(1 << 14) {
		insert(tab, start, s, policies.Insert{KeyHash: policies.KeyHash(s), Weight: 1})
	}
	rng := rand.NewPCG(1, 2)
	var slots [16]policies.Slot
	var rows policies.Rows
	rows.Now = start + 10*second
	b.ReportAllocs()
	for b.Loop() {
		rows.Resize(tab.Sample(rng, slots[:]), []policies.Column{policies.ColFreq, policies.ColRecency, policies.ColRateSlow, policies.ColTrend, policies.ColTimeOfDay})
		tab.Fill(&rows, slots[:])
	}
}
