package linear

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
)

func measured(t *testing.T, o Options) (*Accuracy, func(now policies.Nanos, h policies.KeyHash)) {
	t.Helper()
	p, err := NewPredictor(o)
	if err != nil {
		t.Fatal(err)
	}
	table := features.New(features.Options{Entries: 1e6})
	a := NewAccuracy(p, table)
	return a, func(now policies.Nanos, h policies.KeyHash) {
		events := []policies.Event{{Slot: policies.NoSlot, Op: policies.OpMiss}}
		inserts := []policies.Insert{{KeyHash: h}}
		table.Observe(now, events, inserts)
		a.Observe(now, events, inserts)
	}
}

// TestAccuracyByHand: one key that comes back in time, one that comes too late,
// two that never come. What happens within the first horizon does not count.
func TestAccuracyByHand(t *testing.T) {
	a, miss := measured(t, Options{Horizon: time.Minute})
	const start = policies.Nanos(1e18)
	at := func(s float64) policies.Nanos { return start + policies.Nanos(s*1e9) }
	miss(at(-61), 9)
	miss(at(-30), 8)
	miss(at(-29), 8) // too early to count
	miss(at(0), 1)
	miss(at(0), 2)
	miss(at(0), 3)
	miss(at(59), 1)  // in time
	miss(at(61), 2)  // too late; 2 and 3 have failed by now
	miss(at(100), 1) // in time
	r := a.Report()
	if r.Outcomes != 6 || math.Abs(r.Base-1.0/3) > 1e-12 || math.Abs(r.BaseBrier-2.0/9) > 1e-12 || r.Share != 1 || r.Horizon != time.Minute {
		t.Fatalf("report %+v, want 6 outcomes of which 2 came true", r)
	}
	once := byHand(1, 0, math.Ln2/10, math.Ln2, 0.5)
	again := byHand(1*math.Exp2(-59.0/3600)+1, 0, math.Ln2/10*(1+math.Exp2(-5.9/60)), math.Ln2*(1+math.Exp2(-59.0/60)), 0.5)
	soon := byHand(1*math.Exp2(-1.0/3600)+1, 0, math.Ln2/10*(1+math.Exp2(-0.1/60)), math.Ln2*(1+math.Exp2(-1.0/60)), 0.5)
	want := (math.Pow(once-1, 2) + 3*math.Pow(once, 2) + math.Pow(soon, 2) + math.Pow(again-1, 2)) / 6
	if math.Abs(r.Brier-want) > 0.002 {
		t.Errorf("Brier score %v, want %v", r.Brier, want)
	}
	var outcomes uint64
	for _, b := range r.Bins {
		outcomes += b.Outcomes
		if b.Outcomes > 0 && !(b.Predicted >= b.Low && b.Predicted <= b.High) {
			t.Errorf("bin %+v: the mean lies outside", b)
		}
	}
	if outcomes != 6 {
		t.Errorf("%d outcomes in the bins, want 6", outcomes)
	}
}

func TestAccuracyStaysBounded(t *testing.T) {
	a, miss := measured(t, Options{Horizon: time.Minute})
	rng := rand.New(rand.NewPCG(1, 1))
	now := policies.Nanos(1e18)
	for range 200_000 {
		now += 1e6
		miss(now, policies.KeyHash(rng.Uint64N(100_000)))
		if len(a.pending) > maxPending || len(a.queue) > 4*maxPending+1 {
			t.Fatalf("%d predictions wait, %d in the queue", len(a.pending), len(a.queue))
		}
	}
	if r := a.Report(); r.Share > 0.1 || r.Outcomes == 0 {
		t.Errorf("report %+v, want a thinned sample with outcomes", r)
	}
}

// TestAccuracyStaysBoundedInOneMoment: a round of maintenance is one moment,
// however many accesses of a key it brings.
func TestAccuracyStaysBoundedInOneMoment(t *testing.T) {
	a, miss := measured(t, Options{Horizon: time.Minute})
	miss(1e18-120e9, 2) // fails, and ends the time in which nothing counts
	for range 5 * maxPending {
		miss(1e18, 1)
	}
	if waits := len(a.queue) - a.first; waits != 1 || len(a.pending) != 1 {
		t.Errorf("%d predictions of one key wait, %d in the queue, want 1", len(a.pending), waits)
	}
	const n = 5 * maxPending
	if r := a.Report(); r.Outcomes != n || r.Base != (n-1.0)/n {
		t.Errorf("report %+v, want every access of key 1 but the last to be followed by another", r)
	}
}

func TestHammerReportWhileObserving(t *testing.T) {
	a, miss := measured(t, Options{Horizon: time.Second})
	var readers sync.WaitGroup
	for range 4 {
		readers.Add(1)
		go func() {
			defer readers.Done()
			for range 500 {
				if r := a.Report(); r.Brier < 0 || r.Brier > 1 {
					t.Errorf("Brier score %v", r.Brier)
				}
			}
		}()
	}
	for i := range 5000 {
		miss(policies.Nanos(i)*1e7, policies.KeyHash(i%300))
	}
	readers.Wait()
}

func BenchmarkAccuracyObserve(b *testing.B) {
	for name, keys := range map[string]uint32{"one": 1, "many": 1 << 15} {
		b.Run(name, func(b *testing.B) { benchmarkAccuracy(b, keys) })
	}
}

func benchmarkAccuracy(b *testing.B, keys uint32) {
	p, _ := NewPredictor(Options{})
	table := features.New(features.Options{})
	a := NewAccuracy(p, table)
	var events []policies.Event
	for s := range policies.Slot(keys) {
		table.Observe(1e18, []policies.Event{{Slot: s, Op: policies.OpInsert}}, []policies.Insert{{KeyHash: policies.KeyHash(s)}})
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 1 << 16 {
		events = append(events, policies.Event{Slot: policies.Slot(rng.Uint32N(keys)), Op: policies.OpHit})
	}
	now, i := policies.Nanos(1e18), 0
	b.ReportAllocs()
	for b.Loop() {
		a.Observe(now, events[i:i+1024], nil)
		now, i = now+1e6, (i+1024)&(1<<16-1)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1024, "ns/event")
}
