package prefetch

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/perfopt/perfopt/policies"
)

// asked shows accesses that all miss: nothing stays resident.
func asked(t *testing.T, p policies.Prefetch, keys ...policies.KeyHash) {
	t.Helper()
	var events []policies.Event
	var inserts []policies.Insert
	for _, h := range keys {
		events = append(events, policies.Event{Slot: policies.NoSlot, Op: policies.OpMiss})
		inserts = append(inserts, policies.Insert{KeyHash: h})
	}
	if err := p.Observe(events, inserts); err != nil {
		t.Fatal(err)
	}
}

func proposed(t *testing.T, p policies.Prefetch, budget int) []policies.KeyHash {
	t.Helper()
	in := new(policies.Candidates)
	in.Resize(0, p.Info().Columns)
	out := make([]policies.KeyHash, budget)
	n, err := p.Propose(in, budget, out)
	if err != nil {
		t.Fatal(err)
	}
	return out[:n]
}

func newAssociation(t testing.TB, o AssociationOptions) *Association {
	t.Helper()
	a, err := NewAssociation(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestASuccessorIsProposedFromTheThirdTime(t *testing.T) {
	a := newAssociation(t, AssociationOptions{})
	other := policies.KeyHash(1000)
	for round := range 5 {
		asked(t, a, 1)
		want := []policies.KeyHash{}
		if round >= 3 {
			want = append(want, 2)
		}
		if got := proposed(t, a, 4); !slices.Equal(got, want) {
			t.Fatalf("after %d times: proposed %v, want %v", round, got, want)
		}
		asked(t, a, 2, other, other+1, other+2, other+3)
		other += 4
		if got := proposed(t, a, 4); len(got) != 0 {
			t.Fatalf("proposed %v after the successor was asked for", got)
		}
	}
}

func TestASuccessorBehindOthersIsFound(t *testing.T) {
	a := newAssociation(t, AssociationOptions{})
	other := policies.KeyHash(1000)
	for range 4 {
		asked(t, a, 1, other, other+1, 2, other+2, other+3, other+4)
		other += 5
	}
	proposed(t, a, 4)
	asked(t, a, 1)
	if got := proposed(t, a, 4); !slices.Equal(got, []policies.KeyHash{2}) {
		t.Errorf("proposed %v, want 2", got)
	}
}

func TestAResidentSuccessorIsNotProposed(t *testing.T) {
	a := newAssociation(t, AssociationOptions{})
	for i := range policies.KeyHash(4) {
		asked(t, a, 1, 2, 100+4*i, 101+4*i, 102+4*i, 103+4*i)
	}
	proposed(t, a, 4)
	show := func(op policies.Op, in ...policies.Insert) {
		if err := a.Observe([]policies.Event{{Slot: 7, Op: op}}, in); err != nil {
			t.Fatal(err)
		}
	}
	show(policies.OpInsert, policies.Insert{KeyHash: 2})
	asked(t, a, 1)
	if got := proposed(t, a, 4); len(got) != 0 {
		t.Errorf("proposed %v, which is resident", got)
	}
	show(policies.OpExpire)
	asked(t, a, 1)
	if got := proposed(t, a, 4); !slices.Equal(got, []policies.KeyHash{2}) {
		t.Errorf("proposed %v after it expired, want 2", got)
	}
	show(policies.OpInsert, policies.Insert{KeyHash: 2})
	show(policies.OpInsert, policies.Insert{KeyHash: 50}) // evicted: the slot has another key
	asked(t, a, 1)
	if got := proposed(t, a, 4); !slices.Equal(got, []policies.KeyHash{2}) {
		t.Errorf("proposed %v after it was evicted, want 2", got)
	}
}

func TestHitsAreLearntToo(t *testing.T) {
	a := newAssociation(t, AssociationOptions{})
	if err := a.Observe([]policies.Event{{Slot: 3, Op: policies.OpRestore}}, []policies.Insert{{KeyHash: 1}}); err != nil {
		t.Fatal(err)
	}
	hit := []policies.Event{{Slot: 3, Op: policies.OpHit}}
	for i := range policies.KeyHash(4) {
		if err := a.Observe(hit, nil); err != nil {
			t.Fatal(err)
		}
		asked(t, a, 2, 100+4*i, 101+4*i, 102+4*i, 103+4*i)
	}
	proposed(t, a, 4)
	if err := a.Observe(hit, nil); err != nil {
		t.Fatal(err)
	}
	if got := proposed(t, a, 4); !slices.Equal(got, []policies.KeyHash{2}) {
		t.Errorf("proposed %v, want 2", got)
	}
}

func TestRandomKeysHaveNoSuccessors(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	zipf := rand.NewZipf(rng, 1.01, 1, 20_000)
	for _, c := range []struct {
		name string
		key  func() uint64
	}{
		{"uniform over 500", func() uint64 { return rng.Uint64N(500) }},
		{"uniform over 100,000", func() uint64 { return rng.Uint64N(100_000) }},
		{"never twice", rng.Uint64},
		{"skewed", zipf.Uint64},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAssociation(t, AssociationOptions{})
			const accesses = 100_000
			proposals := 0
			for range accesses / 20 {
				for range 20 {
					// A cache that keeps what is popular: keys below 50.
					h := c.key()
					if h >= 50 {
						asked(t, a, policies.KeyHash(h))
						continue
					}
					if !a.holds(policies.Slot(h)) {
						asked(t, a, policies.KeyHash(h))
						if err := a.Observe([]policies.Event{{Slot: policies.Slot(h), Op: policies.OpInsert}}, []policies.Insert{{KeyHash: policies.KeyHash(h)}}); err != nil {
							t.Fatal(err)
						}
					} else if err := a.Observe([]policies.Event{{Slot: policies.Slot(h), Op: policies.OpHit}}, nil); err != nil {
						t.Fatal(err)
					}
				}
				proposals += len(proposed(t, a, 8))
			}
			if proposals > accesses/1000 {
				t.Errorf("%d proposals in %d random accesses", proposals, accesses)
			}
		})
	}
}

func TestAUsedRowSurvivesKeysThatComeOnce(t *testing.T) {
	a := newAssociation(t, AssociationOptions{Keys: 64})
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		asked(t, a, 1, 2, policies.KeyHash(rng.Uint64()), policies.KeyHash(rng.Uint64()), policies.KeyHash(rng.Uint64()))
	}
	proposed(t, a, 4)
	asked(t, a, 1)
	if got := proposed(t, a, 4); !slices.Equal(got, []policies.KeyHash{2}) {
		t.Errorf("proposed %v, want 2", got)
	}
}

func TestRefreshAheadByHand(t *testing.T) {
	r, err := NewRefreshAhead(RefreshAheadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	nan := math.NaN()
	rows := []struct {
		why                               string
		resident, left, n, rate, base, ms float64
		proposed                          bool
	}{
		{"likely and about to expire", 1, 4, 5, 1, 60, 10, true},
		{"more is saved", 1, 4, 5, 1, 60, 100, true},
		{"not about to expire", 1, 6, 5, 1, 60, 10, false},
		{"never expires", 1, math.Inf(1), 5, 1, 60, 10, false},
		{"not resident", 0, 4, 5, 1, 60, 10, false},
		{"asked for once", 1, 4, 1, 1, 60, 10, false},
		{"too rare for its lifetime", 1, 4, 5, 0.9, 60, 10, false},
		{"rare but long-lived", 1, 4, 5, 0.1, 3600, 10, true},
		{"base unknown", 1, 4, 5, 1, nan, 10, true},
		{"nothing known", nan, nan, nan, nan, nan, nan, false},
	}
	in := new(policies.Candidates)
	in.Resize(len(rows), r.Info().Columns)
	values := map[policies.KeyHash]float64{}
	for i, row := range rows {
		h := policies.KeyHash(i + 1)
		in.KeyHash[i] = h
		for c, v := range map[policies.Column]float64{
			policies.ColResident: row.resident, policies.ColTTLLeft: row.left, policies.ColFreq: row.n,
			policies.ColRateSlow: row.rate, policies.ColBaseTTL: row.base, policies.ColLoadCost: row.ms,
		} {
			in.Set(c, i, v)
		}
		if row.proposed {
			base := row.base
			if math.IsNaN(base) {
				base = 60
			}
			values[h] = (1 - math.Exp(-row.rate*base/60)) * row.ms
		}
	}
	out := make([]policies.KeyHash, len(rows))
	n, err := r.Propose(in, len(out), out)
	if err != nil || n != len(values) {
		t.Fatalf("proposed %v, %v", out[:n], err)
	}
	for i, h := range out[:n] {
		if _, ok := values[h]; !ok {
			t.Errorf("proposed the entry that is %q", rows[h-1].why)
		}
		if i > 0 && values[h] > values[out[i-1]] {
			t.Errorf("proposal %d saves %v, the one before %v", i, values[h], values[out[i-1]])
		}
	}
}

func BenchmarkAssociationObserve(b *testing.B) {
	a := newAssociation(b, AssociationOptions{})
	rng := rand.New(rand.NewPCG(1, 1))
	const slots = 1 << 14
	for s := range policies.Slot(slots) {
		a.hold(s, policies.KeyHash(s))
	}
	events := make([]policies.Event, 1<<16)
	for i := range events {
		events[i] = policies.Event{Slot: policies.Slot(rng.Uint32N(slots)), Op: policies.OpHit}
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Observe(events[i:i+1024], nil); err != nil {
			b.Fatal(err)
		}
		i = (i + 1024) & (1<<16 - 1)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1024, "ns/event")
}
