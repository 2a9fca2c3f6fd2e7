package tiered

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/cache/l2"
)

func TestMain(m *testing.M) {
	l2.QuietClient()
	goleak.VerifyTestMain(m)
}

// newCache returns a cache of strings, closed at the end of the test.
func newCache(t testing.TB, change func(*Options[string, string])) *Cache[string, string] {
	t.Helper()
	o := Options[string, string]{L1: cache.Options[string, string]{Capacity: 1000}, Codec: String()}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// constant is a loader of one value that stays fresh as long as the cache says.
func constant(v string) Loader[string, string] {
	return func(context.Context, string, Prior[string]) (Loaded[string], error) {
		return Loaded[string]{Value: v, Fresh: Default()}, nil
	}
}

// fresh is a loaded value that is fresh that long.
func fresh(v string, d time.Duration) Loaded[string] {
	return Loaded[string]{Value: v, Fresh: FreshnessInput{Base: d, Origin: d}}
}

func mustFetch(t testing.TB, c *Cache[string, string], key string, load Loader[string, string]) Item[string] {
	t.Helper()
	item, err := c.Fetch(t.Context(), key, load)
	if err != nil {
		t.Fatalf("fetch %s: %v", key, err)
	}
	return item
}

// never is a loader for keys that must not be loaded.
func never(t testing.TB) Loader[string, string] {
	return func(_ context.Context, key string, _ Prior[string]) (Loaded[string], error) {
		t.Errorf("%s was loaded", key)
		return Loaded[string]{NoStore: true}, nil
	}
}

// server is a real redis-server of the test's own.
type server struct {
	t    testing.TB
	port int
	cmd  *exec.Cmd
}

func startServer(t testing.TB) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on PATH; this test talks to a real one")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, port: l.Addr().(*net.TCPAddr).Port}
	l.Close()
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", "--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
	s.cmd.Dir = s.t.TempDir()
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	r := s.store()
	defer r.Close()
	eventually(s.t, "redis-server answers", func() bool { return r.Ping(s.t.Context()) == nil })
}

// patience is the timeout of tests that are not about timeouts: a busy machine
// must not fail them.
const patience = 10 * time.Second

func (s *server) store() *l2.Redis { return s.storeWithin(patience) }

func (s *server) storeWithin(timeout time.Duration) *l2.Redis {
	s.t.Helper()
	r, err := l2.OpenRedis(fmt.Sprintf("redis://127.0.0.1:%d", s.port), l2.RedisOptions{Timeout: timeout})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// eventually polls until the condition holds, for at most a minute.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
			runtime.Gosched()
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		}
	}
}

func flush(t testing.TB, c *Cache[string, string]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.FlushL2(ctx); err != nil {
		t.Fatalf("flush: %v; %+v", err, *c.Stats().L2)
	}
}
