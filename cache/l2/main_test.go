package l2

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
)

func TestMain(m *testing.M) {
	QuietClient()
	goleak.VerifyTestMain(m)
}

// server is a real redis-server of the test's own.
type server struct {
	t    *testing.T
	port int
	cmd  *exec.Cmd
}

// startServer starts redis-server on a free loopback port and waits until it
// answers; the test is skipped where there is none.
func startServer(t *testing.T, args ...string) *server {
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
	s.start(args...)
	t.Cleanup(s.kill)
	return s
}

func (s *server) start(args ...string) {
	s.t.Helper()
	s.cmd = command(s.t, "redis-server", append([]string{"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no"}, args...)...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	r := s.open()
	defer r.Close()
	eventually(s.t, "redis-server answers", func() bool { return r.Ping(s.t.Context()) == nil })
}

func command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = t.TempDir()
	return cmd
}

func (s *server) url() string { return fmt.Sprintf("redis://127.0.0.1:%d/0", s.port) }

// patience is the timeout of tests that are not about timeouts: a busy machine
// must not fail them.
const patience = 10 * time.Second

func (s *server) open() *Redis { return s.openWithin(patience) }

func (s *server) openWithin(timeout time.Duration) *Redis {
	s.t.Helper()
	r, err := OpenRedis(s.url(), RedisOptions{Timeout: timeout})
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

// kill ends the server at once, stopped or not.
func (s *server) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// eventually polls until the condition holds, for at most a minute.
func eventually(t *testing.T, what string, holds func() bool) {
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

func newTestTier(t *testing.T, store Store, o TierOptions) *Tier {
	t.Helper()
	o.Store = store
	if o.Timeout == 0 {
		o.Timeout = patience
	}
	tier := NewTier(o)
	t.Cleanup(func() { tier.Close() })
	return tier
}

// entry is a valid entry with that value.
func entry(value string) Entry {
	now := time.Now()
	return Entry{Value: []byte(value), Codec: 1, Created: now, FreshUntil: now.Add(time.Minute), Expires: now.Add(time.Hour)}
}

func flush(t *testing.T, tier *Tier) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := tier.Flush(ctx); err != nil {
		t.Fatalf("flush: %v; %+v", err, tier.Stats())
	}
}
