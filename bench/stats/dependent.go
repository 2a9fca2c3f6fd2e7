package stats

import (
	"fmt"
	"math"
)

// BatchMeans cuts a series in the order of time into batches of equal length
// and returns their means, which are nearly independent where a batch is much
// longer than the memory of the series. What does not fill the batches is left
// out at the start, where a run is furthest from its steady state. A
// MeanInterval of ten batch means keeps its level under strong dependence.
//
// Source: B. Schmeiser, Batch Size Effects in the Analysis of Simulation Output,
// Operations Research 30 (1982): 10 to 30 batches, more gain little.
func BatchMeans(x []float64, batches int) ([]float64, error) {
	if batches < 2 {
		return nil, fmt.Errorf("%d batches: want at least 2", batches)
	}
	if err := check(x, batches); err != nil {
		return nil, err
	}
	length := len(x) / batches
	x = x[len(x)-length*batches:]
	means := make([]float64, batches)
	for i := range means {
		means[i] = Mean(x[i*length : (i+1)*length])
	}
	return means, nil
}

// lobato are the critical values of the self-normalised mean by level.
var lobato = map[float64]float64{0.90: 28.31, 0.95: 45.40, 0.99: 99.76}

// SelfNormalised returns the mean of a stationary series with an interval that
// needs no estimate of its dependence: mean +- sqrt(c V / n), where
// V = n^-2 * sum S_t^2 and S_t is the sum of the first t deviations from the
// mean. Level is 0.90, 0.95 or 0.99; at least 20 observations.
//
// Source: I. N. Lobato, Testing That a Dependent Process Is Uncorrelated,
// Journal of the American Statistical Association 96 (2001), table 1.
func SelfNormalised(x []float64, level float64) (Interval, error) {
	c, ok := lobato[level]
	if !ok {
		return Interval{}, fmt.Errorf("level %v: critical values are known for 0.90, 0.95 and 0.99", level)
	}
	if err := check(x, 20); err != nil {
		return Interval{}, err
	}
	n := float64(len(x))
	mean := Mean(x)
	var sum, squares float64
	for _, v := range x {
		sum += v - mean
		squares += sum * sum
	}
	half := math.Sqrt(c * squares / (n * n) / n)
	return Interval{Estimate: mean, Low: mean - half, High: mean + half, Level: level}, nil
}
