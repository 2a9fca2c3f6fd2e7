package features

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/perfopt/perfopt/policies"
)

func TestResidentsAsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r residents
		held := map[policies.Slot]bool{}
		for _, s := range rapid.SliceOf(rapid.Uint32Range(0, 600_000)).Draw(t, "toggled") {
			slot := policies.Slot(s)
			if held[slot] {
				r.remove(slot)
				delete(held, slot)
			} else {
				r.add(slot)
				held[slot] = true
			}
		}
		var want []policies.Slot
		for s := range held {
			want = append(want, s)
		}
		slices.Sort(want)
		if r.total != len(want) {
			t.Fatalf("total %d, want %d", r.total, len(want))
		}
		for i, s := range want {
			if got := r.nth(i); got != s {
				t.Fatalf("resident %d is %d, want %d", i, got, s)
			}
		}
		got := make([]policies.Slot, len(want)+3)
		if n := r.all(got); !slices.Equal(got[:n], want) {
			t.Fatalf("all %v, want %v", got[:n], want)
		}
	})
}

func TestSampleIsDistinctAndUniform(t *testing.T) {
	for _, c := range []struct {
		name   string
		stride policies.Slot
	}{{"dense", 1}, {"sparse", 40_009}} {
		t.Run(c.name, func(t *testing.T) {
			tab := New(Options{})
			const entries, k, rounds = 40, 8, 5000
			for i := range policies.Slot(entries) {
				insert(tab, start, i*c.stride, policies.Insert{KeyHash: policies.KeyHash(i)})
			}
			rng := rand.NewPCG(1, 2)
			counts := map[policies.Slot]float64{}
			for range rounds {
				var out [k]policies.Slot
				if n := tab.Sample(rng, out[:]); n != k {
					t.Fatalf("%d sampled, want %d", n, k)
				}
				for i, s := range out {
					if slices.Contains(out[:i], s) || !tab.Resident(s) {
						t.Fatalf("sample %v", out)
					}
					counts[s]++
				}
			}
			chi := 0.0
			const want = float64(rounds * k / entries)
			for i := range policies.Slot(entries) {
				chi += math.Pow(counts[i*c.stride]-want, 2) / want
			}
			if chi > 80 { // 39 degrees of freedom: p < 0.0002
				t.Errorf("chi-squared %v over %d residents", chi, entries)
			}
			out := make([]policies.Slot, entries+5)
			if n := tab.Sample(rng, out); n != entries {
				t.Errorf("%d sampled of all, want %d", n, entries)
			}
		})
	}
}

func TestRoomIsAlwaysFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab := New(Options{})
		weights := rapid.SliceOfN(rapid.Int64Range(1, 9), 1, 60).Draw(t, "weights")
		for i, w := range weights {
			insert(tab, start, policies.Slot(i), policies.Insert{KeyHash: policies.KeyHash(i), Weight: uint32(w)})
		}
		need := rapid.Int64Range(1, 300).Draw(t, "need")
		out := make([]policies.Slot, rapid.IntRange(1, 80).Draw(t, "room"))
		n := tab.Room(need, func(s policies.Slot) int64 { return weights[s] }, out)
		var sum int64
		for i, s := range out[:n] {
			if slices.Contains(out[:i], s) || !tab.Resident(s) {
				t.Fatalf("victims %v", out[:n])
			}
			if sum >= need {
				t.Fatalf("more than needed: %v for %d", out[:n], need)
			}
			sum += weights[s]
		}
		if sum < need && n < min(len(out), len(weights)) {
			t.Fatalf("%d of %d found in %d residents", sum, need, len(weights))
		}
		if tab.Len() != len(weights) {
			t.Fatalf("%d residents, want %d: victims stay until they are evicted", tab.Len(), len(weights))
		}
	})
}

func TestRoomTakesTheColdest(t *testing.T) {
	tab := New(Options{})
	for i := range policies.Slot(10) {
		insert(tab, start+policies.Nanos(i)*second, 9-i, policies.Insert{KeyHash: policies.KeyHash(i)})
	}
	var out [3]policies.Slot
	n := tab.Room(2, func(policies.Slot) int64 { return 1 }, out[:])
	if !slices.Equal(out[:n], []policies.Slot{9, 8}) {
		t.Errorf("victims %v, want 9 and 8", out[:n])
	}
	if got := slices.Collect(tab.Coldest(start + 20*second)); !slices.Equal(got, []policies.Slot{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}) {
		t.Errorf("coldest first: %v", got)
	}
	for s := range tab.Hottest(start + 20*second) {
		if s != 0 {
			t.Errorf("hottest is %d, want 0", s)
		}
		break
	}
}

func TestRestoreSaysWhatIsKnown(t *testing.T) {
	tab := New(Options{})
	insert(tab, start, 1, policies.Insert{KeyHash: 5, Weight: 40, TTLMillis: 30_000})
	insert(tab, start, 2, policies.Insert{KeyHash: 6, Weight: 50})
	if in, ok := tab.Restore(1, start+10*second); !ok || in != (policies.Insert{KeyHash: 5, Weight: 40, TTLMillis: 20_000}) {
		t.Errorf("restored %+v, %v", in, ok)
	}
	if in, ok := tab.Restore(2, start+10*second); !ok || in != (policies.Insert{KeyHash: 6, Weight: 50}) {
		t.Errorf("restored %+v, %v", in, ok)
	}
	if _, ok := tab.Restore(3, start); ok {
		t.Error("restored a slot that holds nothing")
	}
}

// TestHammerReaders reads from many goroutines while maintenance changes the
// table; what is read must make sense.
func TestHammerReaders(t *testing.T) {
	tab := New(Options{MaxSlots: 4096, RecentKeys: 256})
	var done sync.WaitGroup
	stop := make(chan struct{})
	for g := range uint64(4) {
		done.Add(1)
		go func() {
			defer done.Done()
			rng := rand.New(rand.NewPCG(g, 1))
			var rows policies.Rows
			rows.Resize(1, []policies.Column{policies.ColFreq, policies.ColPrediction, policies.ColSize})
			for {
				select {
				case <-stop:
					return
				default:
				}
				s := policies.Slot(rng.Uint32N(4096))
				rows.Now = start + policies.Nanos(rng.Int64N(1e12))
				tab.FillKey(&rows, 0, tab.KeyHash(s), s, tab.Resident(s))
				if p := rows.Value(policies.ColPrediction, 0); !(p >= 0 && p <= 1) {
					t.Errorf("prediction %v", p)
				}
				if r, ok := tab.Record(s, rows.Now); ok && (r.Weight != 0 && r.Weight != 7) {
					t.Errorf("weight %d", r.Weight)
				}
				if r, ok := tab.Recent(policies.KeyHash(rng.Uint64N(5000))); ok && r.Count > 63 {
					t.Errorf("count %v", r.Count)
				}
				if rng.Uint32N(500) == 0 {
					for range tab.Coldest(rows.Now) {
						break
					}
					tab.RecentCandidates(nil, 10)
				}
			}
		}()
	}
	rng := rand.New(rand.NewPCG(9, 9))
	for i := range 20_000 {
		now := start + policies.Nanos(i)*second/100
		s := policies.Slot(rng.Uint32N(4096))
		h := policies.KeyHash(rng.Uint64N(5000))
		switch i % 4 {
		case 0:
			miss(tab, now, h)
		case 1:
			insert(tab, now, s, policies.Insert{KeyHash: h, Weight: 7})
		case 2:
			hit(tab, now, s)
		case 3:
			tab.Evicted(s)
		}
	}
	close(stop)
	done.Wait()
}
