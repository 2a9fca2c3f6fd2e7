package tiered_test

import (
	"context"
	"fmt"
	"time"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/cache/tiered"
)

// A cache without a second tier, filled by a loader.
func Example() {
	pages, err := tiered.New(tiered.Options[string, string]{
		L1:  cache.Options[string, string]{Capacity: 1000},
		TTL: time.Minute,
	})
	if err != nil {
		panic(err)
	}
	defer pages.Close()

	load := func(_ context.Context, key string, _ tiered.Prior[string]) (tiered.Loaded[string], error) {
		return tiered.Loaded[string]{Value: "content of " + key, Fresh: tiered.Default()}, nil
	}
	for range 2 {
		item, err := pages.Fetch(context.Background(), "/index", load)
		if err != nil {
			panic(err)
		}
		fmt.Println(item.Source, item.Value)
	}
	// Output:
	// load content of /index
	// l1 content of /index
}

// A loader that validates what the cache still holds instead of loading anew.
func ExampleLoader() {
	pages, err := tiered.New(tiered.Options[string, string]{L1: cache.Options[string, string]{Capacity: 1000}})
	if err != nil {
		panic(err)
	}
	defer pages.Close()

	load := func(_ context.Context, _ string, prior tiered.Prior[string]) (tiered.Loaded[string], error) {
		l := tiered.Loaded[string]{
			Fresh: tiered.FreshnessInput{Origin: 0}, // the origin wants to be asked each time
			Keep:  time.Hour,
		}
		if prior.Exists { // and says that nothing has changed
			l.NotModified = true
		} else {
			l.Value = "version 1"
		}
		return l, nil
	}
	for range 2 {
		item, err := pages.Fetch(context.Background(), "/news", load)
		if err != nil {
			panic(err)
		}
		fmt.Println(item.Source, item.Value)
	}
	// Output:
	// load version 1
	// revalidated version 1
}
