package patterns

import (
	"container/list"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/perfopt/perfopt/bench/trace"
	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/policies"
)

// ask is an access of a trace.
type ask struct {
	key    uint64
	weight uint32
}

// lru returns the miss ratio of an LRU that holds that weight, by simulation.
func lru(asks []ask, capacity int64) float64 {
	type entry struct {
		key    uint64
		weight int64
	}
	order, index, used, misses := list.New(), map[uint64]*list.Element{}, int64(0), 0
	for _, a := range asks {
		if e, ok := index[a.key]; ok {
			order.MoveToFront(e)
			continue
		}
		misses++
		index[a.key] = order.PushFront(entry{a.key, int64(a.weight)})
		used += int64(a.weight)
		for used > capacity && order.Len() > 0 {
			last := order.Remove(order.Back()).(entry)
			used -= last.weight
			delete(index, last.key)
		}
	}
	return float64(misses) / float64(len(asks))
}

// feed shows accesses to an analyzer, a millisecond apart: each as a miss and
// an insert, as of a cache that keeps nothing.
func feed(a *Analyzer, asks []ask) {
	now := policies.Nanos(1e18)
	for chunk := range slices.Chunk(asks, 512) {
		var events []policies.Event
		var inserts []policies.Insert
		for i, x := range chunk {
			now += policies.Nanos(time.Millisecond)
			events = append(events, policies.Event{Slot: policies.NoSlot, Op: policies.OpMiss}, policies.Event{Slot: policies.Slot(i), Op: policies.OpInsert})
			inserts = append(inserts, policies.Insert{KeyHash: policies.KeyHash(x.key)}, policies.Insert{KeyHash: policies.KeyHash(x.key), Weight: x.weight})
		}
		a.Observe(now, events, inserts)
	}
}

// zipfian draws from keys by falling popularity, exponent s, the ranks being
// scattered over the key space.
func zipfian(n, keys int, s float64, seed uint64) []ask {
	rng := rand.New(rand.NewPCG(seed, 1))
	cumulated := make([]float64, keys)
	sum := 0.0
	for i := range cumulated {
		sum += 1 / math.Pow(float64(i+1), s)
		cumulated[i] = sum
	}
	asks := make([]ask, n)
	for i := range asks {
		rank, _ := slices.BinarySearch(cumulated, rng.Float64()*sum)
		asks[i] = ask{uint64(rank) * 0x9E3779B97F4A7C15, 1}
	}
	return asks
}

func ratioAt(r Report, capacity int64) float64 {
	for _, p := range r.Curve {
		if p.Capacity == capacity {
			return p.MissRatio
		}
	}
	return math.NaN()
}

// With fewer keys than the bound nothing is estimated.
func TestCurveIsExactOnSmallKeySets(t *testing.T) {
	asks := zipfian(50_000, 2000, 0.9, 1)
	a := New(Options{Capacity: 256, HalfLife: -1})
	feed(a, asks)
	r := a.Report()
	if r.SampleRate != 1 || r.Misses != 50_000 {
		t.Fatalf("sample rate %v of %d accesses", r.SampleRate, r.Misses)
	}
	checked := 0
	for _, p := range r.Curve {
		// Up to 64 each distance has a bucket of its own.
		tolerance := 1e-9
		if p.Capacity > 64 {
			tolerance = 0.0015
		}
		if want := lru(asks, p.Capacity); math.Abs(p.MissRatio-want) > tolerance {
			t.Errorf("capacity %d: %.5f, simulated %.5f", p.Capacity, p.MissRatio, want)
		}
		checked++
	}
	if checked < 15 || math.IsNaN(ratioAt(r, 256)) || r.MissRatio != ratioAt(r, 256) {
		t.Errorf("%d points, miss ratio %v", checked, r.MissRatio)
	}
}

func TestCurveOnASample(t *testing.T) {
	asks := zipfian(200_000, 60_000, 0.8, 2)
	for _, keys := range []int{2048, 8192} {
		a := New(Options{Capacity: 6000, Keys: keys, HalfLife: -1})
		feed(a, asks)
		r := a.Report()
		if r.SampledKeys > keys || r.SampleRate > 0.2 {
			t.Errorf("%d keys at rate %v, bound %d", r.SampledKeys, r.SampleRate, keys)
		}
		sum, n := 0.0, 0
		for i := 1; i < len(r.Curve); i += 4 {
			sum += math.Abs(r.Curve[i].MissRatio - lru(asks, r.Curve[i].Capacity))
			n++
		}
		if mean := sum / float64(n); mean > 0.015 {
			t.Errorf("%d keys: mean error %.4f over %d capacities, want at most 0.015", keys, mean, n)
		}
	}
}

func TestCurveOverBytes(t *testing.T) {
	asks := zipfian(50_000, 3000, 0.8, 3)
	for i := range asks {
		asks[i].weight = 100 + uint32(mix(policies.KeyHash(asks[i].key))%4000)
	}
	a := New(Options{Capacity: 1 << 20, HalfLife: -1})
	feed(a, asks)
	r := a.Report()
	for i := 2; i < len(r.Curve); i += 3 {
		// An entry that does not fit as a whole makes a byte LRU no stack
		// algorithm: the two may differ a little.
		if want := lru(asks, r.Curve[i].Capacity); math.Abs(r.Curve[i].MissRatio-want) > 0.01 {
			t.Errorf("capacity %d: %.4f, simulated %.4f", r.Curve[i].Capacity, r.Curve[i].MissRatio, want)
		}
	}
	gained := lru(asks, 1<<20) - lru(asks, 1<<20+1<<18)
	if want := gained * 4 * r.PerSecond; math.Abs(r.MarginalHitsPerMiB-want) > 0.3*want {
		t.Errorf("marginal hits %.1f a second and MiB, simulated %.1f", r.MarginalHitsPerMiB, want)
	}
}

// The curve of a recorded trace against LRU, whole and on a sample.
func TestWeb07(t *testing.T) {
	folder := os.Getenv("PERFOPT_TRACES")
	if folder == "" {
		folder = filepath.Join("..", "..", "..", "shared", "traces")
	}
	r, err := trace.Open(filepath.Join(folder, "web07.be32.xz"), "auto")
	if err != nil {
		t.Skipf("no trace web07: set PERFOPT_TRACES to its folder (%v)", err)
	}
	defer r.Close()
	var asks []ask
	for {
		x, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		asks = append(asks, ask{x.Key, 1})
	}
	// From reference-miss-ratios.csv: LRU at 1, 5 and 10 % of the keys.
	reference := map[float64]float64{205: 0.6083, 1024: 0.4944, 2048: 0.4434}
	for keys, tolerance := range map[int]float64{1 << 15: 0.003, 4096: 0.03} {
		a := New(Options{Capacity: 2048, Keys: keys, HalfLife: -1})
		feed(a, asks)
		got := a.Report()
		for capacity, want := range reference {
			if simulated := lru(asks, int64(capacity)); math.Abs(simulated-want) > 0.0002 {
				t.Errorf("the test's own LRU of %v: %.4f, reference %.4f", capacity, simulated, want)
			}
			if m := a.missRatio(capacity); math.Abs(m-want) > tolerance {
				t.Errorf("%d keys, capacity %v: %.4f, reference %.4f", keys, capacity, m, want)
			}
		}
		t.Logf("%d keys: rate %.3f, zipf %.2f (fit %.2f), one hit %.2f, recommended %d, classes %+v",
			keys, got.SampleRate, got.Zipf, got.ZipfFit, got.OneHitRatio, got.RecommendedCapacity, got.Classes)
	}
}

func TestZipfExponent(t *testing.T) {
	for _, s := range []float64{0.7, 0.9, 1.1} {
		a := New(Options{Keys: 4096, HalfLife: -1})
		feed(a, zipfian(200_000, 20_000, s, 4))
		r := a.Report()
		if math.Abs(r.Zipf-s) > 0.12 || r.ZipfFit < 0.95 {
			t.Errorf("exponent %.3f (fit %.3f), want %.1f", r.Zipf, r.ZipfFit, s)
		}
	}
	a := New(Options{HalfLife: -1})
	var asks []ask
	for i := range 20_000 {
		asks = append(asks, ask{uint64(i % 1000), 1})
	}
	feed(a, asks)
	if r := a.Report(); math.Abs(r.Zipf) > 0.01 {
		t.Errorf("exponent %.3f where all keys are alike", r.Zipf)
	}
}

// A loop over 1,000 keys: nothing hits below, everything above.
func TestRecommendedCapacityOfALoop(t *testing.T) {
	a := New(Options{Capacity: 500, HalfLife: -1})
	var asks []ask
	for i := range 50_000 {
		asks = append(asks, ask{uint64(i % 1000), 1})
	}
	feed(a, asks)
	r := a.Report()
	if r.RecommendedCapacity < 1000 || r.RecommendedCapacity > 1420 {
		t.Errorf("recommended %d, want the loop's 1000 (next point of the curve)", r.RecommendedCapacity)
	}
	if r.MissRatio < 0.999 {
		t.Errorf("miss ratio %v at half of the loop", r.MissRatio)
	}
	last := r.ReuseDistances[len(r.ReuseDistances)-1]
	if last.Distance != 1024 || last.Share < 0.97 || math.Abs(r.FirstShare-0.02) > 1e-9 {
		t.Errorf("distances %+v, first %v", r.ReuseDistances, r.FirstShare)
	}
}

func TestClasses(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	var asks []ask
	const (
		hotKeys, warmKeys, periodicKeys, scanKeys = 10, 200, 20, 3000
		periodic, scan                            = 1_000_000, 2_000_000
	)
	for i := range 60_000 {
		switch {
		case i%500 < periodicKeys: // each every 500 accesses
			asks = append(asks, ask{uint64(periodic + i%500), 1})
		case rng.IntN(3) > 0:
			asks = append(asks, ask{uint64(rng.IntN(hotKeys)), 1})
		default:
			asks = append(asks, ask{uint64(1000 + rng.IntN(warmKeys)), 1})
		}
		if i == 30_000 {
			for k := range scanKeys {
				asks = append(asks, ask{uint64(scan + k), 1})
			}
		}
	}
	a := New(Options{Capacity: 5000, HalfLife: -1})
	feed(a, asks)
	got := map[string]Class{}
	share := 0.0
	for _, c := range a.Report().Classes {
		got[c.Name] = c
		share += c.Accesses
	}
	for name, want := range map[string]float64{"hot": hotKeys, "warm": warmKeys, "periodic": periodicKeys, "scan": scanKeys - scanWindow/2, "cold": scanWindow / 2} {
		if c := got[name]; math.Abs(c.Keys-want) > 0.02*want+1 {
			t.Errorf("%s: %.0f keys, want %.0f", name, c.Keys, want)
		}
	}
	if math.Abs(share-1) > 1e-6 || got["hot"].Accesses < 0.5 {
		t.Errorf("shares sum to %v, hot %v", share, got["hot"].Accesses)
	}
}

func TestWorkingSetAndOneHitRatio(t *testing.T) {
	a := New(Options{HalfLife: -1})
	var asks []ask
	for i := range 100_000 { // 100 s; the first 30 keys of each second return
		asks = append(asks, ask{uint64(i % 30), 2})
		if i%25 == 0 {
			asks = append(asks, ask{uint64(1_000_000 + i), 2})
		}
	}
	feed(a, asks)
	r := a.Report()
	minute, hour := r.WorkingSet[0], r.WorkingSet[2]
	// 104,000 accesses a millisecond apart: 60,000 of them in the last minute,
	// give or take a batch.
	if want := 30 + 60_000.0/26; math.Abs(minute.Keys-want) > 512.0/26 || minute.Weight != 2*minute.Keys {
		t.Errorf("minute %+v, want %.0f keys of weight 2", minute, want)
	}
	if hour.Keys != 4030 {
		t.Errorf("hour %+v, want 4030 keys", hour)
	}
	if want := 4000.0 / 4030; math.Abs(r.OneHitRatio-want) > 1e-9 {
		t.Errorf("one-hit ratio %v, want %v", r.OneHitRatio, want)
	}
}

// Keys that lie beyond reach leave; the sample stays about the present, and the
// curve within reach is not touched by it.
func TestSampleForgetsWhatIsOutOfReach(t *testing.T) {
	asks := zipfian(50_000, 500, 0.9, 6)
	for i := range asks {
		if i%2 == 0 {
			asks[i].key = uint64(1<<40 + i) // never again
		}
	}
	a := New(Options{Capacity: 100, Reach: 8, HalfLife: -1})
	feed(a, asks)
	r := a.Report()
	if r.SampleRate != 1 || r.SampledKeys > 800 {
		t.Errorf("%d keys at rate %v, want at most 8 times the capacity at rate 1", r.SampledKeys, r.SampleRate)
	}
	for _, p := range r.Curve {
		if want := lru(asks, p.Capacity); math.Abs(p.MissRatio-want) > 0.002 {
			t.Errorf("capacity %d: %.4f, simulated %.4f", p.Capacity, p.MissRatio, want)
		}
	}
	if r.OneHitRatio < 0.9 {
		t.Errorf("one-hit ratio %v forgets the keys that left", r.OneHitRatio)
	}
}

func TestBounds(t *testing.T) {
	a := New(Options{Keys: 1000, Rate: 2000, HalfLife: -1})
	rng := rand.New(rand.NewPCG(7, 7))
	var asks []ask
	for range 100_000 {
		asks = append(asks, ask{rng.Uint64(), 1})
	}
	feed(a, asks)
	if r := a.Report(); r.SampledKeys > 1000 || r.MemoryBytes > 1<<20 {
		t.Errorf("%d keys, %d bytes", r.SampledKeys, r.MemoryBytes)
	}
	busy := New(Options{Keys: 1 << 16, Rate: 2000, HalfLife: -1})
	events, inserts := make([]policies.Event, 1000), make([]policies.Insert, 1000)
	for i := range 300 { // 300,000 accesses of 20,000 keys within a second
		for j := range events {
			events[j] = policies.Event{Slot: policies.NoSlot, Op: policies.OpMiss}
			inserts[j].KeyHash = policies.KeyHash((i*1000 + j) % 20_000)
		}
		busy.Observe(1e18, events, inserts)
	}
	if r := busy.Report(); r.SampledKeys > 2*minKeys || r.SampledKeys < minKeys/2 {
		t.Errorf("%d keys under load, want about %d", r.SampledKeys, minKeys)
	}
	slots := New(Options{})
	slots.Observe(1e18, []policies.Event{{Slot: policies.NoSlot - 1, Op: policies.OpInsert}, {Slot: 5, Op: policies.OpHit}, {Op: policies.OpMiss}}, []policies.Insert{{KeyHash: 1}})
	if r := slots.Report(); r.MemoryBytes > 4<<20 {
		t.Errorf("%d bytes for a slot number out of bounds", r.MemoryBytes)
	}
}

// What was seen long ago counts less.
func TestHalfLife(t *testing.T) {
	a := New(Options{Capacity: 100, HalfLife: time.Minute})
	var loop, narrow []ask
	for i := range 60_000 {
		loop = append(loop, ask{uint64(i % 1000), 1})
		narrow = append(narrow, ask{uint64(i % 50), 1})
	}
	feed(a, loop)
	before := a.Report().MissRatio
	now := policies.Nanos(1e18) + policies.Nanos(time.Hour)
	for i := range 6000 {
		now += policies.Nanos(10 * time.Millisecond)
		a.Observe(now, []policies.Event{{Slot: policies.NoSlot, Op: policies.OpMiss}}, []policies.Insert{{KeyHash: policies.KeyHash(narrow[i].key)}})
	}
	if after := a.Report().MissRatio; before < 0.99 || after > 0.05 {
		t.Errorf("miss ratio %v in the loop, %v an hour later", before, after)
	}
}

// Through a real cache: hits come as slots.
func TestBehindACache(t *testing.T) {
	asks := zipfian(50_000, 3000, 0.9, 8)
	a := New(Options{Capacity: 300, HalfLife: -1})
	c, err := cache.New(cache.Options[uint64, uint64]{
		Capacity: 300, Inline: true, KeyHash: func(k uint64) policies.KeyHash { return policies.KeyHash(k) }, OnBatch: a.Observe,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, x := range asks {
		if _, ok := c.Get(x.key); !ok {
			c.Set(x.key, x.key)
		}
	}
	c.Sync()
	r, st := a.Report(), c.Stats()
	if r.Hits != st.Hits || r.Misses != st.Misses || r.Hits == 0 {
		t.Errorf("saw %d hits and %d misses, the cache %d and %d", r.Hits, r.Misses, st.Hits, st.Misses)
	}
	if want := lru(asks, 300); math.Abs(r.MissRatio-want) > 0.002 {
		t.Errorf("miss ratio of an LRU %.4f, simulated %.4f", r.MissRatio, want)
	}
}

func TestReportIsJSON(t *testing.T) {
	for name, asks := range map[string][]ask{"nothing seen": nil, "one access": {{1, 1}}, "some": zipfian(1000, 50, 1, 9)} {
		for _, capacity := range []int64{0, 10} {
			a := New(Options{Capacity: capacity})
			feed(a, asks)
			if _, err := json.Marshal(a.Report()); err != nil {
				t.Errorf("%s, capacity %d: %v", name, capacity, err)
			}
		}
	}
}

func TestReportWhileObserving(t *testing.T) {
	a := New(Options{Capacity: 100, Keys: 256})
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				a.Report()
			}
		}
	})
	feed(a, zipfian(20_000, 1000, 0.9, 10))
	close(stop)
	wg.Wait()
}

// The tree against a plain list.
func TestOrderMatchesAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const keys = 8
		o := newOrder(3 * keys)
		positions := map[uint32]uint32{}
		var plain []uint32 // oldest first
		weights := map[uint32]int64{}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			key := rapid.Uint32Range(0, keys-1).Draw(t, "key")
			if at := slices.Index(plain, key); at >= 0 {
				want := int64(0)
				for _, k := range plain[at+1:] {
					want += weights[k]
				}
				if got := o.after(positions[key]); got != want {
					t.Fatalf("after %d: %d, want %d", key, got, want)
				}
				if rapid.Bool().Draw(t, "reweigh") {
					weights[key] = rapid.Int64Range(1, 9).Draw(t, "weight")
					o.reweigh(positions[key], weights[key])
					continue
				}
				o.remove(positions[key])
				plain = slices.Delete(plain, at, at+1)
			}
			if o.full() {
				o.compact(func(k, p uint32) { positions[k] = p })
			}
			weights[key] = rapid.Int64Range(1, 9).Draw(t, "weight")
			positions[key] = o.push(key, weights[key])
			plain = append(plain, key)
			if got := o.oldest(); got != plain[0] {
				t.Fatalf("oldest %d, want %d", got, plain[0])
			}
		}
	})
}

func TestBuckets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.Float64Range(1, 1e14).Draw(t, "distance")
		b := bucket(d)
		if high := bound(b); d > high || d < 1 || (b > 0 && d <= bound(b-1)) {
			t.Fatalf("distance %v in bucket %d up to %v", d, b, high)
		}
	})
}

func BenchmarkObserve(b *testing.B) {
	asks := zipfian(1<<20, 1<<20, 0.9, 11)
	for _, keys := range []int{8192, 1 << 21} {
		name := map[int]string{8192: "sampled", 1 << 21: "every key"}[keys]
		b.Run(name, func(b *testing.B) {
			a := New(Options{Keys: keys, Capacity: 1 << 18, HalfLife: -1, Rate: math.MaxInt})
			events, inserts := make([]policies.Event, 1024), make([]policies.Insert, 1024)
			at := 0
			for b.Loop() {
				for i := range events {
					events[i] = policies.Event{Slot: policies.NoSlot, Op: policies.OpMiss}
					inserts[i].KeyHash = policies.KeyHash(asks[at&(len(asks)-1)].key)
					at++
				}
				a.Observe(policies.Nanos(at), events, inserts)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1024, "ns/access")
		})
	}
}
