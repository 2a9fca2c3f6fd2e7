package linear_test

import (
	"fmt"

	"github.com/perfopt/perfopt/policies/features"
	"github.com/perfopt/perfopt/policies/linear"
)

func ExamplePredictor() {
	p, err := linear.NewPredictor(linear.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	hot := features.Pattern{Count: 12, Recency: 2, Slow: 4, Trend: 0.1, TimeOfDay: 0.5}
	cold := features.Pattern{Count: 1, Recency: 600, Slow: 0.03, TimeOfDay: 0.5}
	fmt.Printf("%.2f %.2f within %v\n", p.Predict(hot), p.Predict(cold), p.Horizon())
	// Output: 0.65 0.10 within 10m0s
}
