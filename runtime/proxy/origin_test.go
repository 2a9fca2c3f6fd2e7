package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perfopt/perfopt/cache/tiered"
	"github.com/perfopt/perfopt/scheduler"
)

// scripted is an origin that writes given bytes to whoever asks and then does
// what the script says; it serves on raw connections.
func scripted(t *testing.T, script func(nc net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer nc.Close()
				if _, err := http.ReadRequest(bufio.NewReader(nc)); err == nil {
					script(nc)
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return "http://" + l.Addr().String()
}

func TestAnOriginThatFailsOrLies(t *testing.T) {
	gone := scripted(t, func(net.Conn) {})
	untilLeft := func(nc net.Conn) { io.Copy(io.Discard, nc) }
	for _, c := range []struct {
		name    string
		origin  string
		status  int
		detail  string
		content bool // the answer begins and breaks off
	}{
		{"down", "http://127.0.0.1:1", 502, "origin-unreachable", false},
		{"closing at once", gone, 502, "origin-unreachable", false},
		{"garbage", scripted(t, func(nc net.Conn) { io.WriteString(nc, "SSH-2.0-OpenSSH\r\n") }), 502, "origin-unreachable", false},
		{"a huge head", scripted(t, func(nc net.Conn) {
			fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nX: %s\r\n\r\n", strings.Repeat("x", 1<<20))
		}), 502, "origin-unreachable", false},
		{"silent", scripted(t, untilLeft), 504, "origin-timeout", false},
		{"silent in storable content", scripted(t, func(nc net.Conn) {
			io.WriteString(nc, "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nabc")
			untilLeft(nc)
		}), 504, "origin-timeout", false},
		{"short of storable content", scripted(t, func(nc net.Conn) {
			io.WriteString(nc, "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nabc")
		}), 502, "origin-truncated", false},
		{"short of storable chunks", scripted(t, func(nc net.Conn) {
			io.WriteString(nc, "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
		}), 502, "origin-truncated", false},
		{"short of private content", scripted(t, func(nc net.Conn) {
			io.WriteString(nc, "HTTP/1.1 200 OK\r\nCache-Control: private\r\nContent-Length: 10\r\n\r\nabc")
		}), 200, "private", true},
		{"short of private chunks", scripted(t, func(nc net.Conn) {
			io.WriteString(nc, "HTTP/1.1 200 OK\r\nCache-Control: private\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
		}), 200, "private", true},
		{"silent in private content", scripted(t, func(nc net.Conn) {
			io.WriteString(nc, "HTTP/1.1 200 OK\r\nCache-Control: private\r\nContent-Length: 10\r\n\r\nabc")
			untilLeft(nc)
		}), 200, "private", true},
		{"an upgrade nobody asked for", scripted(t, func(nc net.Conn) {
			io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		}), 502, "protocol", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &world{t: t}
			w.start(c.origin, settings{options: func(o *Options) { o.Timeout = 300 * time.Millisecond }})
			for range 2 {
				got, err := w.try("GET", "/", "")
				if c.content && err != nil {
					continue // it broke off before anything of it was sent on
				}
				if err != nil {
					t.Fatal(err)
				}
				if got.status != c.status || !strings.HasSuffix(got.cacheStatus(), "detail="+c.detail) {
					t.Errorf("%d %q, want %d with detail %s", got.status, got.cacheStatus(), c.status, c.detail)
				}
				if c.content != (got.err != nil) {
					t.Errorf("content %q, %v", got.body, got.err)
				}
				if !c.content && (!strings.HasPrefix(got.body, fmt.Sprint(c.status)) || got.header.Get("Cache-Control") != "no-store") {
					t.Errorf("the error is told as %q, %v", got.body, got.header)
				}
			}
			if n := w.cache.Stats().L1.Entries; n != 0 {
				t.Errorf("%d entries are stored", n)
			}
			eventually(t, "the origin's failures are counted", func() bool {
				s := w.proxy.Stats()
				return s.OriginErrors == 2 || c.content || c.detail == "protocol"
			})
		})
	}
}

func TestMoreContentThanAnnounced(t *testing.T) {
	w := &world{t: t}
	w.start(scripted(t, func(nc net.Conn) {
		io.WriteString(nc, "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
	}), settings{})
	for _, target := range []string{"/a", "/b", "/a", "/b"} {
		if got := w.get(target); got.status != 200 || got.body != "abc" {
			t.Errorf("%s: %+v", target, got)
		}
	}
}

func TestContentThatEndsWithTheConnectionIsNotStored(t *testing.T) {
	w := &world{t: t}
	w.start(scripted(t, func(nc net.Conn) {
		io.WriteString(nc, "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nConnection: close\r\n\r\nabc")
	}), settings{})
	for range 2 {
		if got := w.get("/"); got.status != 200 || got.body != "abc" || got.cacheStatus() != "perfopt; fwd=uri-miss; detail=length-unknown" {
			t.Errorf("%+v", got)
		}
	}
}

func TestAClientThatLeavesCostsTheOthersNothing(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-release
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, "whole")
	}, settings{})
	nc, err := net.Dial("tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: "+w.address+"\r\n\r\n")
	<-began
	var waiting sync.WaitGroup
	for range 5 {
		waiting.Go(func() {
			if got, err := w.try("GET", "/", ""); err != nil || got.body != "whole" {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	eventually(t, "all wait", func() bool { return w.cache.Stats().L1.Misses >= 6 })
	nc.Close()
	eventually(t, "the first has left", func() bool { return w.proxy.Stats().Aborted == 1 })
	close(release)
	waiting.Wait()
	w.wantAsked(1, "all")
}

func TestAClientThatLeavesEndsItsStream(t *testing.T) {
	left := make(chan struct{})
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "HEAD" {
			return
		}
		defer close(left)
		w.Header().Set("Cache-Control", "private")
		for {
			if _, err := io.WriteString(w, strings.Repeat("x", 64<<10)); err != nil {
				return
			}
		}
	}, settings{})
	nc, err := net.Dial("tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := io.CopyN(io.Discard, nc, 1<<20); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	<-left
	if got := w.do("HEAD", "/?x", ""); got.status != 200 {
		t.Errorf("the service is not up: %+v", got)
	}
}

func TestColdRequestsAreCoalesced(t *testing.T) {
	release := make(chan struct{})
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "Accept-Encoding")
		fmt.Fprint(w, "whole")
	}, settings{})
	const n = 50
	var collapsed atomic.Int64
	var waiting sync.WaitGroup
	for range n {
		waiting.Go(func() {
			got, err := w.try("GET", "/", "")
			if err != nil || got.body != "whole" {
				t.Errorf("%+v, %v", got, err)
			}
			if strings.Contains(got.cacheStatus(), "collapsed") {
				collapsed.Add(1)
			}
		})
	}
	eventually(t, "all wait", func() bool { return w.cache.Stats().L1.Misses >= n })
	close(release)
	waiting.Wait()
	w.wantAsked(1, "all")
	if got := collapsed.Load(); got != n-1 {
		t.Errorf("%d answers say that they were collapsed, want %d", got, n-1)
	}
}

func TestPrivateAnswersNeverCross(t *testing.T) {
	for _, control := range []string{"private, max-age=60", "no-store", "max-age=60", ""} {
		w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
			if control != "" {
				w.Header().Set("Cache-Control", control)
			}
			if control == "max-age=60" {
				w.Header().Set("Set-Cookie", "again="+r.Header.Get("Cookie"))
			}
			if control == "" {
				w.Header().Set("ETag", `"same-for-all"`)
				w.Header().Set("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
				if r.Header.Get("If-None-Match") != "" {
					w.WriteHeader(304)
					return
				}
			}
			fmt.Fprint(w, r.Header.Get("Cookie"))
		}, settings{})
		var users sync.WaitGroup
		for user := range 2 {
			for range 40 {
				users.Go(func() {
					mine := fmt.Sprintf("user=%d", user)
					for i := range 10 {
						got, err := w.try("GET", fmt.Sprintf("/me/%d", i), "", "Cookie: "+mine)
						if err != nil || got.body != mine || strings.Contains(got.cacheStatus(), "hit") {
							t.Errorf("%q: %s gets %q, %q, %v", control, mine, got.body, got.cacheStatus(), err)
							return
						}
					}
				})
			}
		}
		users.Wait()
	}
}

func TestCacheDeception(t *testing.T) {
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "secret of ", r.Header.Get("Cookie")) // says nothing about caching
	}, settings{options: func(o *Options) { o.Routes = []Route{{Path: "/**.css", TTLDefault: time.Hour}} }})
	for _, target := range []string{"/me/x.css", "/me%0a.css", "/me;x.css", "/me%2f..%2fx.css", "/static/..%2fme.css", "/me?x.css"} {
		w.get(target, "Cookie: victim")
		if got := w.get(target); strings.Contains(got.body, "victim") {
			t.Errorf("%s: an attacker gets %q, %q", target, got.body, got.cacheStatus())
		}
	}
}

func TestRejectedWorkIsToldSo(t *testing.T) {
	limit, err := scheduler.New(scheduler.Options{InitialLimit: 1, MinLimit: 1, MaxLimit: 1, Fixed: true, QueueLength: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(limit.Close)
	began, release := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-release
	}, settings{options: func(o *Options) { o.Limiter = limit }})
	var first sync.WaitGroup
	first.Go(func() {
		if got, err := w.try("GET", "/a", ""); err != nil || got.status != 200 {
			t.Errorf("admitted: %+v, %v", got, err)
		}
	})
	<-began
	for _, method := range []string{"GET", "POST"} {
		got := w.do(method, "/b", "")
		if got.status != 503 || got.header.Get("Retry-After") == "" || got.header.Get("Retry-After") == "0" ||
			!strings.HasSuffix(got.cacheStatus(), "detail=queue_full") || !strings.HasPrefix(got.body, "503 ") {
			t.Errorf("%s: %+v", method, got)
		}
	}
	close(release)
	first.Wait()
	s := w.proxy.Stats()
	if n := s.Routes[0].Outcomes[Rejected].Count; n != 2 || s.ErrorRate < 0.6 || s.ErrorRate > 0.7 || s.OriginRequests != 1 {
		t.Errorf("%+v", s)
	}
	if st := limit.Stats(); st.InFlight != 0 {
		t.Errorf("%v permits are not given back", st.InFlight)
	}
}

// priorities is a limiter that notes whom it admits.
type priorities struct {
	Limiter
	mu   sync.Mutex
	seen []scheduler.Priority
}

func (p *priorities) Acquire(ctx context.Context, priority scheduler.Priority) (scheduler.Permit, error) {
	p.mu.Lock()
	p.seen = append(p.seen, priority)
	p.mu.Unlock()
	return p.Limiter.Acquire(ctx, priority)
}

func TestEveryOriginRequestIsATask(t *testing.T) {
	s, err := scheduler.New(scheduler.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	limit := &priorities{Limiter: s}
	w := newWorld(t, answering(200, "Cache-Control: max-age=60"), settings{options: func(o *Options) {
		o.Limiter = limit
		o.Routes = []Route{{Path: "/high", Priority: "high", TrustPriority: true}}
	}})
	w.get("/")
	w.get("/")
	w.get("/low", "Priority: u=5")
	w.get("/no", "Priority: u=0")
	w.get("/high")
	w.do("POST", "/high", "", "Priority: u=0")
	w.get("/range", "Range: bytes=0-0")
	if _, err := w.proxy.Load(t.Context(), "http://"+w.address+"/", tiered.Prior[*Response]{}); err != nil {
		t.Error(err)
	}
	want := fmt.Sprint([]scheduler.Priority{scheduler.Normal, scheduler.Low, scheduler.Normal, scheduler.High, scheduler.Critical,
		scheduler.Normal, scheduler.Background})
	if got := fmt.Sprint(limit.seen); got != want {
		t.Errorf("priorities %s, want %s", got, want)
	}
	if st := s.Stats(); st.InFlight != 0 {
		t.Errorf("%v permits are not given back", st.InFlight)
	}
}
