package perfopt_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	perfopt "github.com/perfopt/perfopt/runtime"
)

type user struct{ Name string }

// open builds a runtime as an embedding program does.
func open() *perfopt.Runtime {
	rt, err := perfopt.New(perfopt.DefaultConfig())
	if err != nil {
		log.Fatal(err)
	}
	return rt
}

func closeRuntime(rt *perfopt.Runtime) {
	if err := rt.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func Example() {
	rt, err := perfopt.New(perfopt.DefaultConfig())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	defer rt.Shutdown(ctx)

	loads := 0
	users, err := perfopt.CacheOf(rt, "users", perfopt.JSON[user](), func(ctx context.Context, id int) (user, error) {
		loads++ // the slow way: a database
		return user{Name: fmt.Sprintf("user %d", id)}, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		u, err := users.GetOrLoad(ctx, 7)
		fmt.Println(u.Name, err)
	}
	fmt.Println("loads:", loads)
	// Output:
	// user 7 <nil>
	// user 7 <nil>
	// user 7 <nil>
	// loads: 1
}

func ExampleCacheOf() {
	rt := open()
	defer closeRuntime(rt)
	errMissing := errors.New("no such page")
	pages, err := perfopt.CacheOf(rt, "pages", perfopt.String(), func(ctx context.Context, path string) (string, error) {
		if path == "/nowhere" {
			return "", errMissing
		}
		return "content of " + path, nil
	}, perfopt.WithWeigher(func(path, content string) uint32 { return uint32(len(path) + len(content)) }))
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	_, resident := pages.Get("/index")
	fmt.Println("resident:", resident)
	fmt.Println(pages.GetOrLoad(ctx, "/index"))
	_, resident = pages.Get("/index")
	fmt.Println("resident:", resident)
	_, err = pages.GetOrLoad(ctx, "/nowhere")
	fmt.Println(errors.Is(err, errMissing))
	pages.Set("/index", "edited")
	fmt.Println(pages.GetOrLoad(ctx, "/index"))
	fmt.Println(pages.Delete(ctx, "/index"))
	_, resident = pages.Get("/index")
	fmt.Println("resident:", resident)
	// Output:
	// resident: false
	// content of /index <nil>
	// resident: true
	// true
	// edited <nil>
	// <nil>
	// resident: false
}

func ExampleDo() {
	rt := open()
	defer closeRuntime(rt)
	sum, err := perfopt.Do(context.Background(), rt, perfopt.High, func(ctx context.Context) (int, error) {
		return 20 + 22, nil
	})
	fmt.Println(sum, err)
	// Output: 42 <nil>
}

// Work that cannot be admitted is told why, and when to try again.
func ExampleDo_rejected() {
	cfg := perfopt.DefaultConfig()
	cfg.Scheduler.AdaptiveLimit = false
	cfg.Scheduler.MinLimit, cfg.Scheduler.InitialLimit = 1, 1
	cfg.Scheduler.QueueLength = 0 // what cannot start is rejected
	rt, err := perfopt.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer closeRuntime(rt)
	ctx := context.Background()
	_, err = perfopt.Do(ctx, rt, perfopt.Normal, func(ctx context.Context) (int, error) {
		_, err := perfopt.Do(ctx, rt, perfopt.Low, func(context.Context) (int, error) { return 0, nil })
		return 0, err // the only permit is taken
	})
	var rejected *perfopt.RejectedError
	if errors.As(err, &rejected) {
		fmt.Println(rejected.Priority, rejected.Reason, rejected.RetryAfter > 0)
	}
	// Output: low queue_full true
}

func ExampleDoBatch() {
	rt := open()
	defer closeRuntime(rt)
	var tasks []func(context.Context) (int, error)
	for i := range 4 {
		tasks = append(tasks, func(context.Context) (int, error) {
			if i == 2 {
				return 0, errors.New("two fails")
			}
			return i * i, nil
		})
	}
	for _, r := range perfopt.DoBatch(context.Background(), rt, perfopt.Background, tasks) {
		fmt.Println(r.Value, r.Err)
	}
	// Output:
	// 0 <nil>
	// 1 <nil>
	// 0 two fails
	// 9 <nil>
}

func ExampleRuntime_Swap() {
	rt := open()
	defer closeRuntime(rt)
	if _, err := perfopt.CacheOf(rt, "users", perfopt.String(), func(context.Context, string) (string, error) { return "", nil }); err != nil {
		log.Fatal(err)
	}
	show := func() {
		for _, s := range rt.Stats().Seats {
			if s.Seat == "eviction@users" {
				fmt.Println(s.Name, s.Source)
			}
		}
	}
	show()
	fmt.Println(rt.Swap(context.Background(), "eviction@users", "shipped:lru-c")) // a WebAssembly module
	show()
	fmt.Println(rt.Rollback("eviction@users"))
	show()
	fmt.Println(rt.Rollback("eviction@users"))
	// Output:
	// linear file
	// <nil>
	// lru-c push
	// <nil>
	// linear rollback
	// seat eviction@users held nothing else before: there is nothing to roll back to
}

func ExampleRuntime_SwapWith() {
	rt := open()
	defer closeRuntime(rt)
	err := rt.SwapWith(context.Background(), "scaling", perfopt.Policy{Use: "builtin:fixed", Config: map[string]any{"limit": 8}})
	fmt.Println(err, rt.Stats().Seats[0].Name)
	// Output: <nil> fixed
}

func ExampleRuntime_Stats() {
	rt := open()
	defer closeRuntime(rt)
	words, err := perfopt.CacheOf(rt, "words", perfopt.String(), func(_ context.Context, key string) (string, error) { return key, nil })
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range []string{"a", "b", "a", "a"} {
		if _, err := words.GetOrLoad(context.Background(), key); err != nil {
			log.Fatal(err)
		}
	}
	s := rt.Stats()
	c := s.Caches["words"]
	fmt.Println("hits", c.Hits, "misses", c.Misses, "ratio", c.HitRatio, "entries", c.L1.Entries, "tasks", s.Scheduler.TotalOK)
	// Output: hits 2 misses 2 ratio 0.5 entries 2 tasks 2
}

// A program with a server of its own mounts the admin API there.
func ExampleRuntime_AdminHandler() {
	rt := open()
	defer closeRuntime(rt)
	server := httptest.NewServer(rt.AdminHandler())
	defer server.Close()
	answer, err := http.Get(server.URL + "/v1/policies")
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	var policies struct{ Seats []perfopt.SeatStats }
	if err := json.NewDecoder(answer.Body).Decode(&policies); err != nil {
		log.Fatal(err)
	}
	for _, s := range policies.Seats {
		fmt.Println(s.Seat, s.Use, s.State)
	}
	// Output: scaling builtin:linear active
}
