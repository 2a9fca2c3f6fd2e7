package stats

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

// rejections counts in how many of runs experiments the true mean 0 lies
// outside of the interval.
func rejections(t *testing.T, runs int, series func(*rand.Rand) []float64, interval func([]float64) (Interval, error)) int {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 11))
	n := 0
	for range runs {
		i, err := interval(series(rng))
		if err != nil {
			t.Fatal(err)
		}
		if !i.Contains(0) {
			n++
		}
	}
	return n
}

// autoregressive returns a stationary series x[t] = r x[t-1] + noise.
func autoregressive(rng *rand.Rand, n int, r float64) []float64 {
	x := make([]float64, n)
	last := rng.NormFloat64() / math.Sqrt(1-r*r)
	for i := range x {
		last = r*last + rng.NormFloat64()
		x[i] = last
	}
	return x
}

// binomialBounds are the 0.1 % and 99.9 % quantiles of the number of rejections
// among runs at a true rate.
func binomialBounds(runs int, rate float64) (low, high int) {
	d := distuv.Binomial{N: float64(runs), P: rate}
	for d.CDF(float64(low)) < 0.001 {
		low++
	}
	for high = low; d.CDF(float64(high)) < 0.999; high++ {
	}
	return low, high
}

func TestIntervalsKeepTheirLevel(t *testing.T) {
	const runs = 3000
	student := func(level float64) func([]float64) (Interval, error) {
		return func(x []float64) (Interval, error) { return MeanInterval(x, level) }
	}
	batches := func(x []float64) (Interval, error) {
		means, err := BatchMeans(x, 10)
		if err != nil {
			return Interval{}, err
		}
		return MeanInterval(means, 0.95)
	}
	self := func(level float64) func([]float64) (Interval, error) {
		return func(x []float64) (Interval, error) { return SelfNormalised(x, level) }
	}
	for _, tt := range []struct {
		name     string
		n        int
		ar       float64
		interval func([]float64) (Interval, error)
		// The rate of false rejections lies in this range: exact for
		// independent data, with the finite-sample excess of each method else.
		least, most float64
	}{
		{"t, independent, 95 %", 10, 0, student(0.95), 0.05, 0.05},
		{"t, independent, 80 %", 5, 0, student(0.80), 0.20, 0.20},
		{"batches, independent", 200, 0, batches, 0.05, 0.05},
		{"batches, AR 0.6", 200, 0.6, batches, 0.04, 0.075},
		{"self-normalised, independent, 90 %", 500, 0, self(0.90), 0.09, 0.11},
		{"self-normalised, independent, 95 %", 500, 0, self(0.95), 0.045, 0.055},
		{"self-normalised, independent, 99 %", 500, 0, self(0.99), 0.008, 0.012},
		{"self-normalised, AR 0.6", 200, 0.6, self(0.95), 0.04, 0.07},
		// The negative control: what the two methods are there to avoid.
		{"t, AR 0.6", 200, 0.6, student(0.95), 0.30, 0.40},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := rejections(t, runs, func(rng *rand.Rand) []float64 { return autoregressive(rng, tt.n, tt.ar) }, tt.interval)
			low, _ := binomialBounds(runs, tt.least)
			_, high := binomialBounds(runs, tt.most)
			if got < low || got > high {
				t.Errorf("the truth lies outside in %d of %d runs, want %d to %d", got, runs, low, high)
			}
		})
	}
}

func TestVisibleChangeIsSeenInFourOfFive(t *testing.T) {
	const runs, pairs, sd = 3000, 10, 1.0
	rng := rand.New(rand.NewPCG(3, 5))
	// The formula with the true deviation says which effect to plant.
	exact := (tOf(0.95, pairs) + TQuantile(power, pairs-1)) * sd / 3.1622776601683795
	seen := 0
	for range runs {
		d := make([]float64, pairs)
		for i := range d {
			d[i] = exact + sd*rng.NormFloat64()
		}
		i, err := MeanInterval(d, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		if !i.Contains(0) {
			seen++
		}
	}
	// Bloom's formula is an approximation of the noncentral t: 0.80 to 0.83.
	low, _ := binomialBounds(runs, 0.80)
	_, high := binomialBounds(runs, 0.84)
	if seen < low || seen > high {
		t.Errorf("seen in %d of %d runs, want %d to %d", seen, runs, low, high)
	}
}
