package guard

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/perfopt/perfopt/policies"
)

// liar answers with whatever bytes it was given, as a module may.
type liar struct {
	kind  policies.Kind
	bytes []byte
}

func (l *liar) word() uint64 {
	var b [8]byte
	n := copy(b[:], l.bytes)
	l.bytes = l.bytes[n:]
	return binary.LittleEndian.Uint64(b[:])
}

// fails sometimes returns an error and sometimes panics.
func (l *liar) fails() error {
	switch l.word() % 16 {
	case 0:
		return errors.New("no")
	case 1:
		panic("no")
	}
	return nil
}

func (l *liar) Info() policies.Info {
	return policies.Info{Name: "liar", Kind: l.kind, Columns: []policies.Column{policies.ColBaseTTL}}
}

func (l *liar) Reset(policies.Capacity) error                     { return nil }
func (l *liar) Observe([]policies.Event, []policies.Insert) error { return nil }

func (l *liar) Victims(need int64, out []policies.Slot) (int, error) {
	for i := range out {
		out[i] = policies.Slot(l.word() % 40)
	}
	return int(int8(l.word())), l.fails()
}

func (l *liar) TTL(in *policies.TTLBatch, out []policies.Nanos) error {
	for i := range out {
		out[i] = policies.Nanos(l.word())
	}
	return l.fails()
}

func (l *liar) Propose(in *policies.Candidates, budget int, out []policies.KeyHash) (int, error) {
	for i := range out {
		out[i] = policies.KeyHash(l.word() % 40)
	}
	return int(int8(l.word())), l.fails()
}

func (l *liar) Limit(*policies.Load) (float64, policies.Reason, error) {
	return math.Float64frombits(l.word()), policies.Reason(l.word()), l.fails()
}

// FuzzAnswers lets policies answer arbitrary bytes and holds what comes through
// the guards against what a host may be given.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\xf8\x7f\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte("\x05\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x02"))
	f.Fuzz(func(t *testing.T, answers []byte) {
		checkVictims(t, answers)
		checkTTL(t, answers)
		checkProposals(t, answers)
		checkLimit(t, answers)
	})
}

func checkVictims(t *testing.T, answers []byte) {
	g := Eviction(&liar{policies.KindEviction, answers}, NewHealth(Options{}))
	if err := g.Reset(policies.Capacity{Weight: 100, MaxSlots: 32}); err != nil {
		t.Fatal(err)
	}
	resident := map[policies.Slot]bool{}
	var events []policies.Event
	var inserts []policies.Insert
	for s := range policies.Slot(16) {
		events = append(events, policies.Event{Slot: 2 * s, Op: policies.OpInsert})
		inserts = append(inserts, policies.Insert{KeyHash: policies.KeyHash(s), Weight: 1})
		resident[2*s] = true
	}
	if err := g.Observe(events, inserts); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		var out [8]policies.Slot
		n, err := g.Victims(8, out[:])
		if err != nil {
			if g.Spent() == nil {
				t.Fatal("an error, and the instance is not spent")
			}
			return
		}
		if n < 0 || n > len(out) {
			t.Fatalf("%d victims of %d", n, len(out))
		}
		for _, s := range out[:n] {
			if !resident[s] {
				t.Fatalf("victim %d is not resident, or was named before", s)
			}
			delete(resident, s)
		}
	}
}

func checkTTL(t *testing.T, answers []byte) {
	g := TTL(&liar{policies.KindTTL, answers}, nil, NewHealth(Options{}))
	var in policies.TTLBatch
	in.Resize(3, g.Info().Columns)
	for i := range 3 {
		in.Set(policies.ColBaseTTL, i, 10)
		in.Set(policies.ColOriginTTL, i, []float64{math.NaN(), 5, 20}[i])
		in.Set(policies.ColMinTTL, i, 2)
		in.Set(policies.ColMaxTTL, i, 15)
	}
	out := make([]policies.Nanos, 3)
	if err := g.TTL(&in, out); err != nil {
		t.Fatal(err)
	}
	for i, most := range []policies.Nanos{15e9, 5e9, 15e9} {
		if out[i] < 2e9 || out[i] > most {
			t.Fatalf("row %d: %d ns, want 2 s to %d ns", i, out[i], most)
		}
	}
}

func checkProposals(t *testing.T, answers []byte) {
	g := Prefetch(&liar{policies.KindPrefetch, answers}, NewHealth(Options{}))
	var in policies.Candidates
	in.Resize(4, nil)
	for i := range in.KeyHash {
		in.KeyHash[i] = policies.KeyHash(i)
	}
	out := make([]policies.KeyHash, 6)
	n, err := g.Propose(&in, 3, out)
	if err != nil || n < 0 || n > 3 {
		t.Fatalf("%d proposals of 3, %v", n, err)
	}
	seen := map[policies.KeyHash]bool{}
	for _, h := range out[:n] {
		if h > 3 || seen[h] {
			t.Fatalf("proposal %d was not shown, or stands twice", h)
		}
		seen[h] = true
	}
}

func checkLimit(t *testing.T, answers []byte) {
	g := Scaling(&liar{policies.KindScaling, answers}, nil, NewHealth(Options{}))
	limit, _, err := g.Limit(&policies.Load{Limit: 20, MinLimit: 4, MaxLimit: 25})
	if err != nil || !(limit >= 10 && limit <= 25) {
		t.Fatalf("limit %v, %v: want 10 to 25", limit, err)
	}
}
