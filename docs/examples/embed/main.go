// Command embed caches the answers of a slow function, limits how many of its
// calls run at once, and exchanges the cache's eviction policy while it works.
package main

import (
	"context"
	"fmt"
	"log"
	"strings"
	"sync"
	"time"

	perfopt "github.com/perfopt/perfopt/runtime"
)

type Quote struct {
	Symbol string
	Cents  int
}

// quote stands for a database or a service of yours.
func quote(ctx context.Context, symbol string) (Quote, error) {
	select {
	case <-time.After(20 * time.Millisecond):
		return Quote{symbol, 100 * len(symbol)}, nil
	case <-ctx.Done():
		return Quote{}, ctx.Err()
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	ctx := context.Background()
	rt, err := perfopt.New(perfopt.DefaultConfig())
	check(err)
	defer rt.Shutdown(ctx)
	quotes, err := perfopt.CacheOf(rt, "quotes", perfopt.JSON[Quote](), quote)
	check(err)
	// Forty callers ask for four keys at once: four loads, the others share them.
	var callers sync.WaitGroup
	for i := range 40 {
		callers.Go(func() {
			_, err := quotes.GetOrLoad(ctx, strings.Fields("ABC DEFG HI JKLMN")[i%4])
			check(err)
		})
	}
	callers.Wait()
	// Work that is not cached runs under the same limit, by priority.
	answer, err := perfopt.Do(ctx, rt, perfopt.High, func(context.Context) (int, error) { return 6 * 7, nil })
	fmt.Println(answer, err)
	check(rt.Swap(ctx, "eviction@quotes", "builtin:s3fifo"))
	c := rt.Stats().Caches["quotes"].L1
	fmt.Printf("loads %d, answered otherwise %d, eviction by %s\n", c.Loads.Count, 40-c.Loads.Count, c.Policy)
}
