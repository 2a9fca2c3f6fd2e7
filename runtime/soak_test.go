package perfopt

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// resources are what may not grow while nothing but time passes.
type resources struct {
	goroutines, files int
	heap              uint64
}

func measureResources(t *testing.T) resources {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Logf("open files are not counted on this system: %v", err)
	}
	return resources{runtime.NumGoroutine(), len(files), m.HeapAlloc}
}

// TestSoak serves, swaps every seat, reloads and purges for a while, and then
// holds no more than it held after the first quarter of that time. A few
// seconds, or as long as PERFOPT_SOAK says.
func TestSoak(t *testing.T) {
	length := 4 * time.Second
	if text := os.Getenv("PERFOPT_SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatalf("PERFOPT_SOAK: %v", err)
		}
	}
	s := start(t, "[cache]\ncapacity = \"512KiB\"\n")
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport}
	done := make(chan struct{})
	var served, failed atomic.Int64
	var work sync.WaitGroup
	for w := range 4 {
		work.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(w)))
			zipf := rand.NewZipf(rng, 1.1, 1, 5000)
			for {
				select {
				case <-done:
					return
				default:
				}
				r, err := c.Get(fmt.Sprintf("http://%s/%d", s.rt.ProxyAddr(), zipf.Uint64()))
				if err != nil {
					failed.Add(1)
					continue
				}
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
				if served.Add(1); r.StatusCode != http.StatusOK {
					failed.Add(1)
				}
			}
		})
	}
	changes := []func(i int) error{
		func(i int) error {
			return s.rt.Swap(t.Context(), "eviction", []string{"shipped:lru-c", "builtin:linear", "shipped:s3fifo-c"}[i%3])
		},
		func(i int) error {
			return s.rt.Swap(t.Context(), "ttl", []string{"builtin:fixed", "builtin:change-rate"}[i%2])
		},
		func(i int) error {
			return s.rt.Swap(t.Context(), "scaling", []string{"shipped:gradient-c", "builtin:aimd"}[i%2])
		},
		func(i int) error {
			level := []string{"warn", "error"}[i%2]
			if err := os.WriteFile(s.dir+"/policies.toml", []byte("[log]\nlevel = \""+level+"\"\n"), 0o600); err != nil {
				return err
			}
			_, _, err := s.rt.Reload(t.Context())
			return err
		},
		func(int) error {
			_, err := engine{s.rt}.Purge(t.Context(), "", "", "http://"+s.rt.ProxyAddr()+"/1")
			return err
		},
	}
	changed := 0
	pass := func(length time.Duration) {
		for i, end := 0, time.Now().Add(length); time.Now().Before(end); i++ {
			for _, change := range changes {
				if err := change(i); err != nil {
					t.Error(err)
				}
				changed++
			}
			pause(10 * time.Millisecond)
		}
	}
	pass(length / 4)
	before := measureResources(t)
	pass(length * 3 / 4)
	after := measureResources(t)
	close(done)
	work.Wait()
	t.Logf("%d requests, %d changes; after a quarter %+v, at the end %+v", served.Load(), changed, before, after)
	if failed.Load() > 0 || served.Load() == 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), served.Load())
	}
	if after.goroutines > before.goroutines+20 || after.files > before.files+20 || after.heap > before.heap*3/2+32<<20 {
		t.Errorf("it grew: after a quarter %+v, at the end %+v", before, after)
	}
}
