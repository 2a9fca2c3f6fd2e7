package cache_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perfopt/perfopt/cache"
)

// load makes a loader of one value.
func load[K, V any](v V) func(context.Context, K) (V, error) {
	return func(context.Context, K) (V, error) { return v, nil }
}

func TestLoadsAreCoalescedAndStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options[string, int]{Capacity: 10})
		var loads atomic.Int32
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				v, err := c.GetOrLoad(t.Context(), "k", func(context.Context, string) (int, error) {
					<-time.After(time.Second) // virtual time
					return int(loads.Add(1)), nil
				})
				if v != 1 || err != nil {
					t.Errorf("%d, %v", v, err)
				}
			})
		}
		wg.Wait()
		if v, err := c.GetOrLoad(t.Context(), "k", load[string](7)); v != 1 || err != nil {
			t.Errorf("%d, %v, want the stored 1", v, err)
		}
		if st := c.Stats(); st.Loads != 1 || st.LoadTime != time.Second || st.LoadP99 < time.Second || st.LoadP99 > 2*time.Second {
			t.Errorf("%+v", st)
		}
	})
}

func TestACancelledCallerLeavesTheOthersTheirLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options[string, int]{Capacity: 10})
		type traceID struct{}
		first, cancel := context.WithCancel(context.WithValue(t.Context(), traceID{}, "first"))
		loader := func(ctx context.Context, _ string) (int, error) {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(time.Minute):
				if ctx.Value(traceID{}) != "first" {
					t.Error("the context's values are lost")
				}
				return 1, nil
			}
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.GetOrLoad(first, "k", loader); !errors.Is(err, context.Canceled) {
				t.Errorf("first: %v, want its own end", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if v, err := c.GetOrLoad(t.Context(), "k", loader); v != 1 || err != nil {
				t.Errorf("second: %d, %v", v, err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
	})
}

func TestTheLastWaiterEndsTheLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options[string, int]{Capacity: 10})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ended := make(chan error, 1)
		_, err := c.GetOrLoad(ctx, "k", func(ctx context.Context, _ string) (int, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return 1, nil // too late: nobody wants it
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the load ended with %v", err)
		}
		synctest.Wait()
		if _, ok := c.Peek("k"); ok {
			t.Error("an abandoned load was stored")
		}
	})
}

func TestCloseEndsLoadsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options[string, int]{Capacity: 10})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.GetOrLoad(t.Context(), "k", func(ctx context.Context, _ string) (int, error) {
				<-ctx.Done()
				return 0, ctx.Err()
			}); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		})
		synctest.Wait()
		c.Close()
		wg.Wait()
		if v, err := c.GetOrLoad(t.Context(), "later", load[string](2)); v != 2 || err != nil {
			t.Errorf("after Close: %d, %v", v, err)
		}
	})
}

func TestAFailedLoadIsAnErrorForAllWaiters(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		loader func(context.Context, string) (int, error)
		check  func(error) bool
	}{
		"error": {func(context.Context, string) (int, error) { return 1, boom }, func(err error) bool { return err == boom }},
		"panic": {func(context.Context, string) (int, error) { panic(boom) }, func(err error) bool {
			var p *cache.PanicError
			return errors.As(err, &p) && errors.Is(err, boom) && len(p.Stack) > 0
		}},
		"exit": {func(context.Context, string) (int, error) { runtime.Goexit(); return 0, nil }, func(err error) bool { return err != nil }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newCache(t, cache.Options[string, int]{Capacity: 10})
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						_, err := l.GetOrLoad(t.Context(), "k", func(ctx context.Context, k string) (int, error) {
							<-time.After(time.Second) // virtual time
							return c.loader(ctx, k)
						})
						if !c.check(err) {
							t.Errorf("error %v", err)
						}
					})
				}
				wg.Wait()
				if st := l.Stats(); st.LoadErrors != 1 || st.Entries != 0 {
					t.Errorf("%+v", st)
				}
				if v, err := l.GetOrLoad(t.Context(), "k", load[string](2)); v != 2 || err != nil {
					t.Errorf("the next load: %d, %v", v, err)
				}
			})
		})
	}
}

func TestAWriteDuringALoadIsNotOverwritten(t *testing.T) {
	for name, c := range map[string]struct {
		write func(*cache.Cache[string, int])
		want  int // 0 = absent
	}{
		"set":    {func(c *cache.Cache[string, int]) { c.Set("k", 5) }, 5},
		"delete": {func(c *cache.Cache[string, int]) { c.Delete("k") }, 0},
		"clear":  {func(c *cache.Cache[string, int]) { c.Clear() }, 0},
	} {
		t.Run("GetOrLoad "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newCache(t, cache.Options[string, int]{Capacity: 10})
				v, err := l.GetOrLoad(t.Context(), "k", func(context.Context, string) (int, error) {
					c.write(l)
					return 1, nil
				})
				if v != 1 || err != nil {
					t.Errorf("the caller got %d, %v", v, err)
				}
				if e, _ := l.Peek("k"); e.Value != c.want {
					t.Errorf("stored %d, want %d", e.Value, c.want)
				}
				if st := l.Stats(); st.FillsRefused != 1 {
					t.Errorf("%+v", st)
				}
			})
		})
		t.Run("Fill "+name, func(t *testing.T) {
			l := newCache(t, cache.Options[string, int]{Capacity: 10})
			token := l.Begin("k")
			c.write(l)
			if l.Fill(token, 1, cache.Write{}) {
				t.Error("the fill was stored")
			}
			if e, _ := l.Peek("k"); e.Value != c.want {
				t.Errorf("stored %d, want %d", e.Value, c.want)
			}
			if !l.Fill(l.Begin("k"), 9, cache.Write{}) {
				t.Error("a fill under a fresh lease was refused")
			}
		})
	}
}

func TestAKeyDeletedDuringItsLoadIsLoadedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Options[string, int]{Capacity: 10})
		hold := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			v, err := c.GetOrLoad(t.Context(), "k", func(context.Context, string) (int, error) { <-hold; return 1, nil })
			if v != 1 || err != nil {
				t.Errorf("first: %d, %v", v, err)
			}
		})
		synctest.Wait()
		c.Delete("k")
		if v, err := c.GetOrLoad(t.Context(), "k", load[string](2)); v != 2 || err != nil {
			t.Errorf("after the deletion: %d, %v, want what is loaded anew", v, err)
		}
		close(hold)
		wg.Wait()
		if v, _ := c.Get("k"); v != 2 {
			t.Errorf("stored %d, want 2", v)
		}
	})
}

func TestAZeroTokenFillsNothing(t *testing.T) {
	c := newCache(t, cache.Options[string, int]{Capacity: 10})
	if c.Fill(cache.Token[string]{}, 1, cache.Write{}) {
		t.Error("a token that nobody gave out was honoured")
	}
}
