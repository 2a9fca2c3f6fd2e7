package patterns_test

import (
	"fmt"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/cache/patterns"
)

// An analyzer listens to the batches of a cache.
func Example() {
	analyzer := patterns.New(patterns.Options{Capacity: 100})
	c, err := cache.New(cache.Options[int, string]{Capacity: 100, OnBatch: analyzer.Observe})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	for range 3 { // a loop over more keys than the cache holds
		for key := range 150 {
			if _, ok := c.Get(key); !ok {
				c.Set(key, "value")
			}
			c.Sync()
		}
	}
	r := analyzer.Report()
	for _, p := range r.Curve {
		if p.Capacity == 100 || p.Capacity == 200 {
			fmt.Printf("an LRU of %d would miss %.0f%%\n", p.Capacity, 100*p.MissRatio)
		}
	}
	fmt.Println("recommended:", r.RecommendedCapacity)
	// Output:
	// an LRU of 100 would miss 100%
	// an LRU of 200 would miss 33%
	// recommended: 200
}
