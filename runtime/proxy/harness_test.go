package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perfopt/perfopt/cache"
	"github.com/perfopt/perfopt/cache/tiered"
)

var _ Store = (*tiered.Cache[string, *Response])(nil)

// world is a client, a proxy with a real cache, and an origin, over loopback.
type world struct {
	t       testing.TB
	origin  *httptest.Server
	asked   atomic.Int64 // requests that the origin has got
	cache   *tiered.Cache[string, *Response]
	proxy   *Proxy
	server  *Server
	address string
	client  *http.Client
}

type settings struct {
	options func(*Options)
	cache   func(*tiered.Options[string, *Response])
	server  ServerOptions
}

func newWorld(t testing.TB, origin http.HandlerFunc, s settings) *world {
	t.Helper()
	w := &world{t: t}
	w.origin = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked.Add(1)
		origin(rw, r)
	}))
	t.Cleanup(w.origin.Close)
	w.start(w.origin.URL, s)
	return w
}

// start puts a proxy in front of an origin.
func (w *world) start(origin string, s settings) {
	t := w.t
	t.Helper()
	u, err := url.Parse(origin)
	if err != nil {
		t.Fatal(err)
	}
	co := tiered.Options[string, *Response]{
		L1: cache.Options[string, *Response]{Capacity: 64 << 20, Weigher: Weigh}, Codec: Codec{}, LoadTimeout: -1,
	}
	if s.cache != nil {
		s.cache(&co)
	}
	if w.cache, err = tiered.New(co); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.cache.Close() })
	o := Options{Origin: u, Cache: w.cache, Timeout: 20 * time.Second}
	if s.options != nil {
		s.options(&o)
	}
	if w.proxy, err = New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.proxy.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.address = l.Addr().String()
	w.server = NewServer(w.proxy, s.server)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := w.server.Serve(l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		w.server.Close()
		serving.Wait()
	})
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100}
	w.client = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(transport.CloseIdleConnections)
}

// reply is an answer that a client has got.
type reply struct {
	status int
	header http.Header
	body   string
	err    error // of reading the content
}

func (r reply) cacheStatus() string { return strings.Join(r.header["Cache-Status"], ", ") }

// do sends a request; fields are written "Name: value".
func (w *world) do(method, target, body string, fields ...string) reply {
	w.t.Helper()
	r, err := w.try(method, target, body, fields...)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, target, err)
	}
	return r
}

func (w *world) try(method, target, body string, fields ...string) (reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+w.address+"/", content)
	if err != nil {
		return reply{}, err
	}
	path, query, err := splitTarget(target)
	if err != nil {
		return reply{}, err
	}
	req.URL = outgoingURL(req.URL, path, query)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Host" {
			req.Host = value
			continue
		}
		req.Header[http.CanonicalHeaderKey(name)] = append(req.Header[http.CanonicalHeaderKey(name)], value)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(b), err}, nil
}

func (w *world) get(target string, fields ...string) reply {
	w.t.Helper()
	return w.do("GET", target, "", fields...)
}

// wantAsked checks how often the origin has been asked.
func (w *world) wantAsked(n int64, after string) {
	w.t.Helper()
	if got := w.asked.Load(); got != n {
		w.t.Errorf("after %s: the origin was asked %d times, want %d", after, got, n)
	}
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("it never came about that %s", what)
		}
	}
}

// raw sends bytes on a connection of its own and returns all that comes back
// until the proxy closes it.
func (w *world) raw(b string) string {
	w.t.Helper()
	nc, err := net.Dial("tcp", w.address)
	if err != nil {
		w.t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	if _, err := io.WriteString(nc, b); err != nil {
		w.t.Fatal(err)
	}
	got, err := io.ReadAll(nc)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		w.t.Fatalf("%q: %v", b, err)
	}
	return string(got)
}
