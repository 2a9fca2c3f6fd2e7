package replay_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/perfopt/perfopt/bench/replay"
	"github.com/perfopt/perfopt/bench/stats"
)

func compare(t *testing.T, o replay.CompareOptions) *replay.Comparison {
	t.Helper()
	c, err := replay.Compare(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	c.A.Seconds, c.B.Seconds = 0, 0
	return c
}

// drifting is traffic by Zipf's law whose keys change with time.
func drifting(requests int) *accesses {
	rng := rand.New(rand.NewPCG(1, 2))
	z := rand.NewZipf(rng, 1.2, 4, 2000)
	keys := make([]uint64, requests)
	for i := range keys {
		keys[i] = z.Uint64() + uint64(i/2000)*20
	}
	return keysOf(keys...)
}

func TestCompareSaysWhoIsBetter(t *testing.T) {
	lru, fifo := natives["LRU"], natives["FIFO"]
	c := compare(t, replay.CompareOptions{Source: drifting(60_500), A: fifo, B: lru, Capacity: replay.Capacity{Amount: 50}})
	alone := run(t, replay.Options{Source: drifting(60_500), Candidates: []replay.Candidate{fifo, lru}, Capacities: objects(50)})
	if c.A != alone[0] || c.B != alone[1] {
		t.Errorf("side by side %+v and %+v, alone %+v", c.A, c.B, alone)
	}
	if c.OnTrace.Misses != c.B.Misses-c.A.Misses || c.OnTrace.Misses >= 0 {
		t.Errorf("difference on the trace %+v, want %d", c.OnTrace, c.B.Misses-c.A.Misses)
	}
	i := c.Beyond
	if i.Verdict != stats.Improved || i.Relative.High >= 0 || i.MissRatio.High >= 0 || i.SelfNormalised == nil || *i.Visible <= 0 {
		t.Errorf("%+v, want improved", i)
	}
	if i.WarmupRequests+10*i.BatchRequests != 60_400 || i.WarmupRequests == 0 || i.BatchTurnovers < 10 {
		t.Errorf("warm-up of %d, batches of %d with %.1f turnovers; want all whole windows of 200", i.WarmupRequests, i.BatchRequests, i.BatchTurnovers)
	}

	back := compare(t, replay.CompareOptions{Source: drifting(60_500), A: lru, B: fifo, Capacity: replay.Capacity{Amount: 50}})
	if back.Beyond.Verdict != stats.Regressed || back.OnTrace.Misses != -c.OnTrace.Misses {
		t.Errorf("arms exchanged: %+v, want regressed", back.Beyond)
	}
}

func TestCompareWithItself(t *testing.T) {
	lru := natives["LRU"]
	c := compare(t, replay.CompareOptions{Source: drifting(60_000), A: lru, B: lru, Capacity: replay.Capacity{Amount: 50}})
	if c.OnTrace.Misses != 0 || c.Beyond.Verdict != stats.Equivalent || c.A != c.B {
		t.Errorf("%+v, want equivalent and no difference", c)
	}
}

func TestCompareAdmitsWhatItCannotSay(t *testing.T) {
	lru, fifo := natives["LRU"], natives["FIFO"]
	for _, tt := range []struct {
		name     string
		source   *accesses
		capacity int64
		want     string
	}{
		{"short", drifting(1_900), 50, "the trace is too short"},
		{"empty", keysOf(), 50, "the trace is too short"},
		{"never full", drifting(60_000), 100_000, "the cache never filled"},
		{"few turnovers", drifting(60_000), 1_000, "exchanges the contents of the cache"},
	} {
		c := compare(t, replay.CompareOptions{Source: tt.source, A: lru, B: fifo, Capacity: replay.Capacity{Amount: tt.capacity}})
		if c.Beyond.Verdict != stats.Inconclusive || !strings.Contains(c.Beyond.Reason, tt.want) {
			t.Errorf("%s: %s because %q, want inconclusive because %q", tt.name, c.Beyond.Verdict, c.Beyond.Reason, tt.want)
		}
	}
}

// TestCompareFindsNoDifferenceByChance compares two caches whose policies
// differ in nothing but luck: the verdict may be a difference in 5 % of cases.
func TestCompareFindsNoDifferenceByChance(t *testing.T) {
	runs, most := 60, 9 // the 99.9 % quantile of the binomial distribution (60, 0.05)
	if raceDetector {
		runs, most = 10, 4
	}
	wrong := 0
	for seed := range uint64(runs) {
		a, b := randomEviction(2*seed), randomEviction(2*seed+1)
		c := compare(t, replay.CompareOptions{Source: drifting(20_000), A: a, B: b, Capacity: replay.Capacity{Amount: 50}})
		if v := c.Beyond.Verdict; v == stats.Improved || v == stats.Regressed {
			wrong++
		}
	}
	if wrong > most {
		t.Errorf("%d of %d comparisons of a policy with itself found a difference", wrong, runs)
	}
}

func TestSampleTellsPoliciesApart(t *testing.T) {
	var ratios []float64
	for _, r := range run(t, replay.Options{Source: sample(t), Candidates: everyNative, Capacities: objects(200)}) {
		ratios = append(ratios, r.MissRatio)
	}
	t.Logf("lru, fifo, s3fifo: %.4f", ratios)
	slices.Sort(ratios)
	if ratios[0]*1.02 > ratios[1] || ratios[1]*1.02 > ratios[2] {
		t.Errorf("miss ratios %.4f: want at least 2 %% between them", ratios)
	}
}
