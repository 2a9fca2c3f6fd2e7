package stats

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// checkClose fails where got and want differ by more than 1e-6 of want.
func checkClose(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-6*max(1, math.Abs(want))) {
		t.Errorf("%s = %.10g, want %.10g", what, got, want)
	}
}

// sleep are the additional hours of sleep under two drugs: Student (1908),
// table 1; also R's data set "sleep".
var (
	sleepA = []float64{0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0}
	sleepB = []float64{1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4}
)

// maize are Darwin's differences in height of crossed and self-fertilised
// plants in eighths of an inch: Fisher (1935), section 17.
var maize = []float64{49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48}

// NIST Statistical Reference Datasets, univariate summary statistics: certified
// mean and standard deviation.
func TestMeanAndVarianceAgreeWithNIST(t *testing.T) {
	alternating := func(base float64) []float64 {
		x := []float64{base + 0.2}
		for range 500 {
			x = append(x, base+0.1, base+0.3)
		}
		return x
	}
	for _, tt := range []struct {
		name     string
		x        []float64
		mean, sd float64
	}{
		{"NumAcc1", []float64{10000001, 10000003, 10000002}, 10000002, 1},
		{"NumAcc2", alternating(1), 1.2, 0.1},
		{"NumAcc3", alternating(1000000), 1000000.2, 0.1},
		{"NumAcc4", alternating(10000000), 10000000.2, 0.1},
	} {
		checkClose(t, tt.name+" mean", Mean(tt.x), tt.mean)
		checkClose(t, tt.name+" standard deviation", math.Sqrt(Variance(tt.x)), tt.sd)
	}
	if v := Variance([]float64{1}); !math.IsNaN(v) {
		t.Errorf("variance of one value = %v, want NaN", v)
	}
	checkClose(t, "covariance", Covariance([]float64{1, 2, 4}, []float64{2, 1, 6}), 3.5)
}

func TestQuantileIsTypeSeven(t *testing.T) {
	ten := []float64{3, 1, 2, 10, 4, 9, 5, 8, 6, 7}
	for _, tt := range []struct {
		x       []float64
		q, want float64
	}{
		{[]float64{1, 2, 3, 4, 5}, 0.5, 3},                                               // gonum's LinInterp says 2.5
		{ten, 0, 1}, {ten, 0.25, 3.25}, {ten, 0.5, 5.5}, {ten, 0.75, 7.75}, {ten, 1, 10}, // R: quantile(1:10)
		{ten, 0.99, 9.91}, {ten, 0.1, 1.9},
		{[]float64{7}, 0.3, 7},
		{[]float64{math.Inf(-1), 0, math.Inf(1)}, 0.5, 0},
	} {
		checkClose(t, "quantile", Quantile(tt.x, tt.q), tt.want)
	}
	for _, tt := range []struct {
		x []float64
		q float64
	}{{nil, 0.5}, {ten, -0.1}, {ten, 1.1}, {ten, math.NaN()}, {[]float64{1, math.NaN()}, 0.5}} {
		if got := Quantile(tt.x, tt.q); !math.IsNaN(got) {
			t.Errorf("Quantile(%v, %v) = %v, want NaN", tt.x, tt.q, got)
		}
	}
	if !slices.Equal(ten, []float64{3, 1, 2, 10, 4, 9, 5, 8, 6, 7}) {
		t.Error("Quantile sorted its argument")
	}
}

// The values of the published table of t, with more digits from numerical
// integration of the density.
func TestTQuantile(t *testing.T) {
	for _, tt := range []struct{ p, df, want float64 }{
		{0.975, 9, 2.2621571628}, {0.975, 1, 12.7062047362}, {0.95, 9, 1.8331129327}, {0.8, 9, 0.8834038597},
		{0.995, 4, 4.6040948714}, {0.975, 30, 2.0422724563}, {0.9, 99, 1.2901614420}, {0.025, 9, -2.2621571628},
	} {
		checkClose(t, "t quantile", TQuantile(tt.p, tt.df), tt.want)
	}
}

func TestPairedIntervalAgreesWithR(t *testing.T) {
	// R: t.test(a, b, paired = TRUE) on the data set sleep.
	got, err := PairedInterval(sleepA, sleepB, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	checkClose(t, "estimate", got.Estimate, -1.58)
	checkClose(t, "low", got.Low, -2.4598858)
	checkClose(t, "high", got.High, -0.7001142)
	d, _ := differences(sleepA, sleepB)
	visible, err := VisibleChange(d, 0.95, 0.8)
	if err != nil {
		t.Fatal(err)
	}
	checkClose(t, "visible change", visible, 1.2234934012)
}

func TestRatioIntervalAgreesWithInvertedTTest(t *testing.T) {
	a := []float64{5.1, 4.8, 5.6, 5.0, 5.3, 4.9, 5.2, 5.5}
	b := []float64{4.2, 4.1, 4.9, 4.4, 4.3, 4.2, 4.6, 4.4}
	got, err := RatioInterval(a, b, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	// Bounds found by bisection on the t statistic of b - r*a.
	checkClose(t, "estimate", got.Estimate, 0.8478260869565216)
	checkClose(t, "low", got.Low, 0.8200827906775515)
	checkClose(t, "high", got.High, 0.876189895909114)
	if _, err := RatioInterval([]float64{-1, 1, 0.1}, []float64{1, 2, 3}, 0.95); err == nil {
		t.Error("a mean around 0 has a ratio, want an error")
	}
}

func TestSignFlipAgreesWithFisher(t *testing.T) {
	p, err := SignFlip(maize)
	if err != nil {
		t.Fatal(err)
	}
	checkClose(t, "p of Darwin's maize", p, 1726.0/32768)
	for _, tt := range []struct {
		d    []float64
		want float64
	}{
		{[]float64{1}, 1}, {[]float64{1, 1}, 0.5}, {[]float64{1, 2, 3, 4, 5}, 2.0 / 32}, {[]float64{0, 0, 0}, 1},
		{[]float64{0.1, 0.2, 0.3, -0.3}, 0.75}, // equal sums that differ by rounding; counted by hand
	} {
		p, err := SignFlip(tt.d)
		if err != nil {
			t.Fatal(err)
		}
		checkClose(t, "p", p, tt.want)
	}
	if _, err := SignFlip(make([]float64, maxFlips+1)); err == nil {
		t.Error("25 differences: no error")
	}
}

// Hamilton's depression scale before and after, from Hollander and Wolfe,
// Nonparametric Statistical Methods (1973), table 3.1; R: wilcox.test(x, y,
// paired = TRUE, conf.int = TRUE) gives 0.46.
func TestHodgesLehmannAgreesWithHollanderAndWolfe(t *testing.T) {
	x := []float64{1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30}
	y := []float64{0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29}
	d, _ := differences(x, y)
	got, err := HodgesLehmann(d)
	if err != nil {
		t.Fatal(err)
	}
	checkClose(t, "pseudo-median", got, 0.46)
}

func TestBatchMeansLeaveOutTheStart(t *testing.T) {
	got, err := BatchMeans([]float64{100, 1, 2, 3, 4, 5, 6}, 3)
	if err != nil || !slices.Equal(got, []float64{1.5, 3.5, 5.5}) {
		t.Errorf("batch means %v, %v; want [1.5 3.5 5.5]", got, err)
	}
}

func TestSelfNormalisedByHand(t *testing.T) {
	x := []float64{1, 2, 4, 3, 5, 7, 6, 8, 2, 1, 3, 4, 5, 5, 6, 2, 1, 9, 8, 7}
	got, err := SelfNormalised(x, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	checkClose(t, "mean", got.Estimate, 4.45)
	checkClose(t, "low", got.Low, 2.4736496705)
	checkClose(t, "high", got.High, 6.4263503295)
	if _, err := SelfNormalised(x, 0.8); err == nil {
		t.Error("a level without critical value: no error")
	}
}

func TestTooLittleIsAnError(t *testing.T) {
	one, two := []float64{1}, []float64{1, 2}
	for name, err := range map[string]error{
		"MeanInterval":   second(MeanInterval(one, 0.95)),
		"PairedInterval": second(PairedInterval(one, one, 0.95)),
		"RatioInterval":  second(RatioInterval(one, one, 0.95)),
		"VisibleChange":  second(VisibleChange(one, 0.95, 0.8)),
		"BatchMeans":     second(BatchMeans(two, 3)),
		"SelfNormalised": second(SelfNormalised(two, 0.95)),
		"SignFlip":       second(SignFlip(nil)),
		"HodgesLehmann":  second(HodgesLehmann(nil)),
		"Judge":          second(Judge(one, one, 0.95, 0)),
	} {
		if !errors.Is(err, ErrTooFew) {
			t.Errorf("%s: %v, want ErrTooFew", name, err)
		}
	}
	nan := []float64{1, math.NaN()}
	for name, err := range map[string]error{
		"NaN":          second(MeanInterval(nan, 0.95)),
		"NaN in b":     second(RatioInterval(two, nan, 0.95)),
		"lengths":      second(PairedInterval(one, two, 0.95)),
		"level":        second(MeanInterval(two, 1)),
		"power":        second(VisibleChange(two, 0.95, 0.4)),
		"margin":       second(Judge(two, two, 0.95, -1)),
		"one batch":    second(BatchMeans(two, 1)),
		"negative":     second(Judge([]float64{-3, -3.1, -3}, []float64{-3, -3, -3}, 0.95, 0)),
		"ratio length": second(RatioInterval(one, two, 0.95)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }
