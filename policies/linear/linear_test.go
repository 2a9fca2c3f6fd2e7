package linear

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/policies/features"
)

var nan = math.NaN()

// byHand is p as the design writes it.
func byHand(n, age, slow, fast, timeOfDay float64) float64 {
	x := [4]float64{slow, 1 / max(age, 1), max((fast-slow)/9, 0), timeOfDay}
	w := [4]float64{0.4, 0.3, 0.2, 0.1}
	z := 0.0
	for i := range x {
		z += w[i] * x[i]
	}
	return 1 / (1 + math.Exp(-z)) * (n / (n + 4))
}

// key is a row as the tests write it.
type key struct {
	n, age, slow, fast, tod float64
	cost, size              float64
}

var keys = []key{
	{n: 0, age: math.Inf(1), tod: 0.5, size: 1},
	{n: 1, age: 0, slow: 0.069, fast: 0.69, tod: 0.5, cost: 20, size: 100},
	{n: 1, age: 30, slow: 0.067, fast: 0.49, tod: 1, cost: 20, size: 5},
	{n: 12, age: 4, slow: 0.8, fast: 3, tod: 0.25, cost: 0, size: 10},
	{n: 40, age: 400, slow: 2.5, fast: 0.1, tod: 0, cost: 3.5, size: 0},
	{n: 63, age: 0.5, slow: 600, fast: 900, tod: 0.5, cost: 1000, size: 4096},
}

func rowsOf(keys []key, columns []policies.Column) *policies.Rows {
	r := new(policies.Rows)
	r.Resize(len(keys), columns)
	for i, k := range keys {
		r.KeyHash[i] = policies.KeyHash(i + 1)
		for c, v := range map[policies.Column]float64{
			policies.ColFreq: k.n, policies.ColRecency: k.age, policies.ColRateSlow: k.slow, policies.ColRateFast: k.fast,
			policies.ColTrend: (k.fast - k.slow) / 9, policies.ColTimeOfDay: k.tod,
			policies.ColLoadCost: k.cost, policies.ColSize: k.size,
			policies.ColResident: 1, policies.ColTTLLeft: 1,
			policies.ColBaseTTL: 60, policies.ColOriginTTL: nan, policies.ColMinTTL: nan, policies.ColMaxTTL: nan,
		} {
			r.Set(c, i, v)
		}
	}
	return r
}

func TestStrictPredictionByHand(t *testing.T) {
	p, err := NewPredictor(Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	if p.Horizon() != 10*time.Minute {
		t.Errorf("horizon %v, want 10 min", p.Horizon())
	}
	rows := rowsOf(keys, columns())
	for i, k := range keys {
		want := byHand(k.n, k.age, k.slow, k.fast, k.tod)
		if got := p.row(rows, i); math.Abs(got-want) > 1e-15 {
			t.Errorf("%+v: p = %v, want %v", k, got, want)
		}
	}
}

func TestStrictScoreByHand(t *testing.T) {
	s, err := NewScorer(EvictionOptions{Options: Options{Strict: true}})
	if err != nil {
		t.Fatal(err)
	}
	in := &policies.Candidates{Rows: *rowsOf(keys, s.Info().Columns)}
	out := make([]float64, len(keys))
	if err := s.Score(in, out); err != nil {
		t.Fatal(err)
	}
	for i, k := range keys {
		loadCost, size := k.cost, k.size
		if loadCost == 0 {
			loadCost = 1
		}
		if size == 0 {
			size = 1
		}
		want := byHand(k.n, k.age, k.slow, k.fast, k.tod) * loadCost / size
		if math.Abs(out[i]-want) > 1e-12*want {
			t.Errorf("%+v: score %v, want %v", k, out[i], want)
		}
	}
}

func TestStrictTTLByHand(t *testing.T) {
	ttl, err := NewTTL(TTLOptions{Options: Options{Strict: true}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name                    string
		key                     int
		base, origin, low, high float64
	}{
		{"unknown", 0, 60, nan, 1, 3600}, {"once", 1, 60, nan, 1, 3600}, {"often", 3, 60, nan, 1, 3600},
		{"cold", 4, 60, nan, 1, 3600}, {"hot", 5, 60, nan, 1, 3600}, {"upper bound", 5, 60, nan, 1, 100},
		{"lower bound", 0, 60, nan, 1, 3600}, {"lower bound of a cold key", 3, 10, nan, 30, 3600},
		{"the origin's freshness is not raised", 5, 60, 60, 1, 3600},
		{"nor by the lower bound", 3, 5, 5, 30, 3600}, {"but shortened", 3, 60, 60, 1, 3600},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := keys[c.key]
			in := &policies.TTLBatch{Rows: *rowsOf([]key{k}, ttl.Info().Columns)}
			for column, v := range map[policies.Column]float64{
				policies.ColBaseTTL: c.base, policies.ColOriginTTL: c.origin, policies.ColMinTTL: c.low, policies.ColMaxTTL: c.high,
			} {
				in.Set(column, 0, v)
			}
			want := c.base
			if k.n > 1 {
				p := byHand(k.n, k.age, k.slow, k.fast, k.tod)
				want = min(max(c.base*math.Pow(4, 2*p-1), c.low), c.high)
			}
			if !math.IsNaN(c.origin) {
				want = min(want, c.origin)
			}
			out := make([]policies.Nanos, 1)
			if err := ttl.TTL(in, out); err != nil {
				t.Fatal(err)
			}
			if math.Abs(float64(out[0])-want*1e9) > 1 {
				t.Errorf("lifetime %v, want %v s", time.Duration(out[0]), want)
			}
		})
	}
}

func TestStrictPrefetchByHand(t *testing.T) {
	f, err := NewPrefetch(PrefetchOptions{Options: Options{Strict: true}})
	if err != nil {
		t.Fatal(err)
	}
	in := &policies.Candidates{Rows: *rowsOf(keys, f.Info().Columns)}
	in.Set(policies.ColTTLLeft, 5, 1e6) // strict does not look at it
	type proposal struct {
		key     policies.KeyHash
		benefit float64
	}
	var want []proposal
	for i, k := range keys {
		if p := byHand(k.n, k.age, k.slow, k.fast, k.tod); p >= 0.6 {
			want = append(want, proposal{policies.KeyHash(i + 1), p * max(k.cost, 1)})
		}
	}
	slices.SortFunc(want, func(a, b proposal) int { return int(math.Copysign(1, b.benefit-a.benefit)) })
	if len(want) < 2 {
		t.Fatalf("the test has %d likely keys, want at least 2", len(want))
	}
	for budget := range len(keys) {
		out := make([]policies.KeyHash, len(keys))
		n, err := f.Propose(in, budget, out)
		if err != nil || n != min(budget, len(want)) {
			t.Fatalf("budget %d: %d proposals, %v; want %d", budget, n, err, min(budget, len(want)))
		}
		for i := range n {
			if out[i] != want[i].key {
				t.Errorf("budget %d: proposal %d is key %d, want %d", budget, i, out[i], want[i].key)
			}
		}
	}
}

func TestDefaultPrefetchLeavesFreshResidentsAlone(t *testing.T) {
	f, err := NewPrefetch(PrefetchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	in := &policies.Candidates{Rows: *rowsOf([]key{keys[5], keys[5], keys[5]}, f.Info().Columns)}
	in.Set(policies.ColTTLLeft, 0, 100)
	in.Set(policies.ColTTLLeft, 1, 4)
	in.Set(policies.ColTTLLeft, 2, 100)
	in.Set(policies.ColResident, 2, 0)
	out := make([]policies.KeyHash, 3)
	n, err := f.Propose(in, 3, out)
	if err != nil || !slices.Equal(out[:n], []policies.KeyHash{2, 3}) {
		t.Errorf("proposed %v, %v; want the one near its expiry and the one that is not resident", out[:n], err)
	}
}

func TestSettingsAreUsed(t *testing.T) {
	x := features.Pattern{Count: 8, Recency: 2, Slow: 1, Trend: 0.5, TimeOfDay: 0.25}
	p, err := NewPredictor(Options{Weights: []float64{1, 2, 3, 4}, Confidence: 2, Horizon: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	want := 1 / (1 + math.Exp(-(1 + 1 + 1.5 + 1))) * 8 / 10
	if got := p.Predict(x); math.Abs(got-want) > 1e-15 {
		t.Errorf("p = %v, want %v", got, want)
	}
	if p.Horizon() != time.Minute {
		t.Errorf("horizon %v", p.Horizon())
	}
}

func TestScoringAllocatesNothing(t *testing.T) {
	s, _ := NewScorer(EvictionOptions{})
	in := &policies.Candidates{Rows: *rowsOf(keys, s.Info().Columns)}
	out := make([]float64, len(keys))
	ttl, _ := NewTTL(TTLOptions{})
	batch := &policies.TTLBatch{Rows: *rowsOf(keys, ttl.Info().Columns)}
	lives := make([]policies.Nanos, len(keys))
	if n := testing.AllocsPerRun(100, func() {
		if s.Score(in, out) != nil || ttl.TTL(batch, lives) != nil {
			t.Error("an error")
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
