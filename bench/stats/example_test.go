package stats_test

import (
	"fmt"
	"log"

	"github.com/perfopt/perfopt/bench/stats"
)

func ExampleJudge() {
	// Miss ratios of two policies in ten batches of one trace.
	a := []float64{0.41, 0.43, 0.40, 0.42, 0.45, 0.41, 0.40, 0.44, 0.42, 0.41}
	b := []float64{0.39, 0.42, 0.38, 0.41, 0.43, 0.40, 0.39, 0.42, 0.40, 0.40}
	j, err := stats.Judge(a, b, 0.95, 0.01)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %+.1f %% [%+.1f, %+.1f], would have seen %.1f %%\n",
		j.Verdict, 100*j.Change.Estimate, 100*j.Change.Low, 100*j.Change.High, 100*j.Visible)
	// Output: improved: -3.6 % [-4.4, -2.7], would have seen 1.3 %
}
