package perfopt

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	hclog "github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/perfopt/perfopt/runtime/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for a condition; reaching it fails the test.
const patience = 90 * time.Second

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if !soon(ok) {
		t.Fatalf("not within %s: %s", patience, what)
	}
}

// soon waits until ok, and reports whether it was within patience.
func soon(ok func() bool) bool { return within(patience, ok) }

func within(d time.Duration, ok func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok() {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ok()
		}
	}
}

// origin is a scriptable origin.
type origin struct {
	*httptest.Server
	requests atomic.Int64
	release  chan struct{} // /hold waits for it
}

func newOrigin(t *testing.T, name string) *origin {
	o := &origin{release: make(chan struct{})}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.requests.Add(1)
		w.Header().Set("X-Origin", name)
		w.Header().Set("X-Host", r.Host)
		w.Header().Set("X-For", r.Header.Get("X-Forwarded-For"))
		switch {
		case strings.HasPrefix(r.URL.Path, "/hold"):
			select {
			case <-o.release:
			case <-r.Context().Done():
			}
		case strings.HasPrefix(r.URL.Path, "/slow"):
			select {
			case <-time.After(400 * time.Millisecond):
			case <-r.Context().Done():
			}
		case strings.HasPrefix(r.URL.Path, "/large"):
			w.Header().Set("Cache-Control", "max-age=100")
			w.Write(make([]byte, 32<<10))
			return
		case strings.HasPrefix(r.URL.Path, "/endless"):
			w.Header().Set("Content-Length", fmt.Sprint(256<<20))
			for range 256 {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
			return
		case strings.HasPrefix(r.URL.Path, "/plain"):
			fmt.Fprint(w, "says nothing about freshness")
			return
		case strings.HasPrefix(r.URL.Path, "/long"): // fresh for longer than any test
			w.Header().Set("Cache-Control", "max-age=36000")
			fmt.Fprint(w, r.URL.Path)
			return
		case strings.HasPrefix(r.URL.Path, "/brief"):
			w.Header().Set("Cache-Control", "max-age=2")
			fmt.Fprint(w, r.URL.Path)
			return
		}
		w.Header().Set("Cache-Control", "max-age=100")
		io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.URL.Path)
	}))
	t.Cleanup(o.Close)
	return o
}

// system is a runtime under test with an origin behind it.
type system struct {
	*testing.T
	rt     *Runtime
	origin *origin
	log    *lockedBuffer
	dir    string
	cut    bool // the test has ended the runtime and cut something off
}

// lockedBuffer is a log that a test can read.
type lockedBuffer struct {
	text atomic.Pointer[string]
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	for {
		old := b.text.Load()
		next := b.String() + string(p)
		if b.text.CompareAndSwap(old, &next) {
			return len(p), nil
		}
	}
}

func (b *lockedBuffer) String() string {
	if s := b.text.Load(); s != nil {
		return *s
	}
	return ""
}

// start runs a runtime with the settings of a policies.toml.
func start(t *testing.T, toml string) *system {
	t.Helper()
	s, err := tryStart(t, toml, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tryStart(t *testing.T, toml, dir string) (*system, error) {
	t.Helper()
	cfg, err := config.Parse("policies.toml", toml)
	if err != nil {
		return nil, err
	}
	listenAnywhere(&cfg)
	if cfg.State.Dir == "" {
		cfg.State.Dir = dir
	}
	s := &system{T: t, origin: newOrigin(t, "one"), log: &lockedBuffer{}, dir: dir}
	behind, err := url.Parse(s.origin.URL)
	if err != nil {
		return nil, err
	}
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.LevelFromString(cfg.Log.Level), Output: s.log, JSONFormat: cfg.Log.Format == "json"})
	s.rt, err = New(cfg, WithLogger(log), WithOrigin(behind), WithSource(func() (Config, error) {
		text, err := os.ReadFile(dir + "/policies.toml")
		if err != nil {
			return Config{}, err
		}
		cfg, err := config.Parse("policies.toml", string(text))
		listenAnywhere(&cfg)
		cfg.State.Dir = dir
		return cfg, err
	}, dir))
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.rt.Shutdown(ctx); err != nil && !s.cut {
			t.Errorf("shutdown: %v", err)
		}
	})
	return s, s.rt.Start(t.Context())
}

// listenAnywhere replaces the default ports, which may be in use.
func listenAnywhere(cfg *Config) {
	if cfg.Listen.Proxy == config.Default().Listen.Proxy {
		cfg.Listen.Proxy = "127.0.0.1:0"
	}
	if cfg.Listen.Admin == config.Default().Listen.Admin {
		cfg.Listen.Admin = "127.0.0.1:0"
	}
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) cacheStatus() string { return a.header.Get("Cache-Status") }

var client = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// get asks the proxy; fields are names and values in turn.
func (s *system) get(path string, fields ...string) answer {
	return s.do("GET", "http://"+s.rt.ProxyAddr()+path, "", fields...)
}

// admin asks the admin side.
func (s *system) admin(method, path, body string, fields ...string) answer {
	return s.do(method, "http://"+s.rt.AdminAddr()+path, body, fields...)
}

func (s *system) do(method, url, body string, fields ...string) answer {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), method, url, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == "Host" {
			r.Host = fields[i+1]
			continue
		}
		r.Header.Set(fields[i], fields[i+1])
	}
	resp, err := client.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{resp.StatusCode, resp.Header, "error: " + err.Error()}
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// seatStats returns what a seat says of itself.
func (s *system) seatStats(name string) SeatStats {
	s.Helper()
	seat, err := s.rt.seat(name)
	if err != nil {
		s.Fatal(err)
	}
	return seat.describe()
}

// module reads a compiled test module.
func module(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
