package stats

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestJudge(t *testing.T) {
	base := []float64{0.40, 0.42, 0.41, 0.39, 0.43, 0.40, 0.41, 0.42, 0.40, 0.41}
	scaled := func(factors ...float64) []float64 {
		var b []float64
		for i, v := range base {
			b = append(b, v*factors[i%len(factors)])
		}
		return b
	}
	for _, tt := range []struct {
		name   string
		b      []float64
		margin float64
		want   Verdict
	}{
		{"clearly less", scaled(0.95, 0.96), 0.01, Improved},
		{"clearly more", scaled(1.05, 1.04), 0.01, Regressed},
		{"the same", base, 0, Equivalent},
		{"certain but within the margin", scaled(0.998), 0.01, Equivalent},
		{"certain and small, without a margin", scaled(0.998), 0, Improved},
		{"noisy", scaled(0.8, 1.2), 0.01, Inconclusive},
		{"noisy but within a wide margin", scaled(0.99, 1.01), 0.05, Equivalent},
	} {
		j, err := Judge(base, tt.b, 0.95, tt.margin)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if j.Verdict != tt.want {
			t.Errorf("%s: %s (%+v), want %s", tt.name, j.Verdict, j, tt.want)
		}
	}
}

func TestJudgeIsMirroredByExchangingArms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(0.2, 0.9), 10, 10)
		a, b := values.Draw(t, "a"), values.Draw(t, "b")
		ab, errAB := Judge(a, b, 0.95, 0)
		ba, errBA := Judge(b, a, 0.95, 0)
		if errAB != nil || errBA != nil {
			return // a mean without bounds
		}
		mirror := map[Verdict]Verdict{Improved: Regressed, Regressed: Improved, Equivalent: Equivalent, Inconclusive: Inconclusive}
		if ba.Verdict != mirror[ab.Verdict] {
			t.Fatalf("A then B %+v, B then A %+v", ab, ba)
		}
		// The paired interval and the ratio say the same about "no change".
		d, err := PairedInterval(b, a, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		if d.Contains(0) != ab.Change.Contains(0) && math.Abs(d.Low) > 1e-9 && math.Abs(d.High) > 1e-9 {
			t.Fatalf("difference %+v, ratio %+v", d, ab.Change)
		}
	})
}

func TestJudgeDoesNotDependOnTheUnit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(0.2, 0.9), 10, 10)
		a, b := values.Draw(t, "a"), values.Draw(t, "b")
		unit := rapid.SampledFrom([]float64{1.0 / 1024, 8, 4096}).Draw(t, "unit") // powers of two: exact
		one, err := Judge(a, b, 0.95, 0.01)
		if err != nil {
			return
		}
		for i := range a {
			a[i] *= unit
			b[i] *= unit
		}
		other, err := Judge(a, b, 0.95, 0.01)
		if err != nil || other.Verdict != one.Verdict {
			t.Fatalf("%+v became %+v, %v", one, other, err)
		}
	})
}
