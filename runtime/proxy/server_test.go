package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// ledger is an origin that notes every request it gets.
type ledger struct {
	mu   sync.Mutex
	seen []string
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, fmt.Sprintf("%s %s %d", r.Method, r.RequestURI, len(b)))
	w.Header().Set("Cache-Control", "max-age=60")
}

func (l *ledger) smuggled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.seen {
		if strings.Contains(s, "smuggled") {
			return true
		}
	}
	return false
}

func TestSmugglingEndsAtTheProxy(t *testing.T) {
	for _, c := range smuggling {
		if !c.bad {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			l := &ledger{}
			w := newWorld(t, l.ServeHTTP, settings{})
			// A good request before it, so that the lane could be in use, and
			// one behind it that must not be seen.
			got := w.raw("GET /first HTTP/1.1\r\nHost: a\r\n\r\n" + c.bytes + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
			first, rest, ok := strings.Cut(got, "HTTP/1.1 400 Bad Request\r\n")
			if !ok && !strings.Contains(got, "HTTP/1.1 502 ") {
				t.Errorf("no refusal: %q", got)
			}
			if !strings.HasPrefix(first, "HTTP/1.1 200 OK\r\n") {
				t.Errorf("the good request before it gets %q", first)
			}
			if strings.Contains(rest, "HTTP/1.1 200") || l.smuggled() {
				t.Errorf("something went on behind it: %q, %q", rest, l.seen)
			}
		})
	}
}

// dial opens a connection to the proxy with a bound on the test's patience.
func (w *world) dial() (net.Conn, *bufio.Reader) {
	w.t.Helper()
	nc, err := net.Dial("tcp", w.address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	return nc, bufio.NewReader(nc)
}

func readReply(r *bufio.Reader, method string) (reply, error) {
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if resp.Close {
		resp.Header.Set("Connection", "close")
	}
	return reply{resp.StatusCode, resp.Header, string(b), err}, err
}

func (w *world) laneHits() uint64 { return w.server.laneHits.Load() }

func TestTheLaneAnswersLikeNetHTTP(t *testing.T) {
	origin := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("X-A", "a")
		switch r.URL.Path {
		case "/large":
			fmt.Fprint(w, strings.Repeat("0123456789", 10_000))
			return
		case "/vary":
			w.Header().Set("Vary", "Accept-Encoding")
		case "/404":
			w.WriteHeader(404)
		case "/204":
			w.WriteHeader(204)
			return
		}
		fmt.Fprint(w, r.URL.Path+r.Header.Get("Accept-Encoding"))
	}
	targets := []string{"/", "/large", "/vary", "/404", "/204", "/a?b;c"}
	var answers [2][]string
	for i := range answers {
		w := newWorld(t, origin, settings{server: ServerOptions{NetHTTPOnly: i == 1}})
		nc, lines := w.dial()
		for range 3 {
			for _, target := range targets {
				for _, encoding := range []string{"gzip", "br"} {
					fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: a\r\nAccept-Encoding: %s\r\n\r\n", target, encoding)
					got, err := readReply(lines, "GET")
					if err != nil {
						t.Fatal(err)
					}
					delete(got.header, "Date")
					answers[i] = append(answers[i], fmt.Sprintf("%s %s: %d %v %q", target, encoding, got.status, got.header, got.body))
				}
			}
		}
		hits := w.laneHits()
		if i == 0 && hits == 0 || i == 1 && hits != 0 {
			t.Errorf("%d answers came through the lane", hits)
		}
		eventually(t, "every request is counted", func() bool {
			o := w.proxy.Stats().Routes[0].Outcomes
			return o[Hit].Count+o[Miss].Count == uint64(len(answers[i]))
		})
	}
	for i := range answers[0] {
		if answers[0][i] != answers[1][i] {
			t.Errorf("lane:     %.300s\nnet/http: %.300s", answers[0][i], answers[1][i])
		}
	}
}

func TestTheLaneLeavesTheRestToNetHTTP(t *testing.T) {
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("ETag", `"x"`)
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, "%s %s %s", r.Method, r.RequestURI, b)
	}, settings{})
	nc, lines := w.dial()
	send := func(method, fields, content string) reply {
		t.Helper()
		fmt.Fprintf(nc, "%s / HTTP/1.1\r\nHost: a\r\n%s\r\n%s", method, fields, content)
		got, err := readReply(lines, method)
		if err != nil {
			t.Fatalf("%s %q: %v", method, fields, err)
		}
		return got
	}
	send("GET", "", "") // a miss
	send("GET", "", "") // the handler's hit teaches the lane
	for _, c := range []struct {
		method, fields, content string
		lane                    bool
		status                  string
	}{
		{"GET", "", "", true, "perfopt; hit; ttl=60"},
		{"GET", "User-Agent: x\r\nAccept: */*\r\nCookie: a=b\r\nConnection: keep-alive\r\n", "", true, "perfopt; hit; ttl=60"},
		{"HEAD", "", "", false, "perfopt; hit; ttl=60"},
		{"GET", "If-None-Match: \"x\"\r\n", "", false, "perfopt; hit; ttl=60"},
		{"GET", "Range: bytes=0-0\r\n", "", false, "perfopt; fwd=bypass; detail=range"},
		{"GET", "Content-Length: 0\r\n", "", false, "perfopt; hit; ttl=60"},
		{"GET", "Content-Length: 3\r\n", "abc", false, "perfopt; fwd=bypass; detail=content"},
		{"GET", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n", false, "perfopt; fwd=bypass; detail=content"},
		{"GET", "cache-CONTROL: no-cache\r\n", "", false, "perfopt; fwd=request; ttl=60; stored"},
		{"GET", "Pragma: x\r\n", "", false, "perfopt; hit; ttl=60"},
		{"GET", "Authorization: x\r\n", "", false, "perfopt; fwd=request; detail=authorization"},
		{"GET", "Connection: X-A\r\n", "", false, "perfopt; hit; ttl=60"},
		{"GET", "Upgrade: h2c\r\n", "", false, "perfopt; fwd=bypass; detail=upgrade"},
		{"GET", "", "", true, "perfopt; hit; ttl=60"},
	} {
		before := w.laneHits()
		got := send(c.method, c.fields, c.content)
		// net/http may have the next request's first byte already when it has
		// answered one, and then that is not for the lane.
		for range 100 {
			if !c.lane || w.laneHits() > before {
				break
			}
			got = send(c.method, c.fields, c.content)
		}
		if lane := w.laneHits() > before; lane != c.lane || got.cacheStatus() != c.status {
			t.Errorf("%s %q: lane %v, %q, want %v, %q", c.method, c.fields, lane, got.cacheStatus(), c.lane, c.status)
		}
	}
	// Several at once, one of them not for the lane, are answered in order.
	io.WriteString(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nPOST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"+
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	for _, want := range []string{"GET / ", "GET / ", "POST /p hi", "GET / "} {
		got, err := readReply(lines, "GET")
		if err != nil || got.body != want {
			t.Errorf("pipelined: %q, %v, want %q", got.body, err, want)
		}
	}
	if _, err := lines.ReadByte(); err != io.EOF {
		t.Errorf("after Connection: close: %v", err)
	}
}

// FuzzLane holds the lane's reading of a head against net/http's: what the lane
// takes, net/http accepts, and reads alike.
func FuzzLane(f *testing.F) {
	for _, c := range smuggling {
		f.Add([]byte(c.bytes))
	}
	f.Add([]byte("GET /a?b HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\nCookie: a=b\r\n\r\nrest"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := readLane(b)
		if !ok {
			return
		}
		var s scanner
		if n := s.feed(b[:got.length]); n < got.length || !s.atStart() {
			t.Fatalf("%q: the scanner stops at %d of %d", b, n, got.length)
		}
		reader := bufio.NewReader(strings.NewReader(string(b)))
		req, err := http.ReadRequest(reader)
		if err != nil {
			t.Fatalf("%q: net/http refuses: %v", b, err)
		}
		if string(got.host) != req.Host || string(got.target) != req.RequestURI || req.Method != "GET" || req.ContentLength != 0 ||
			!req.ProtoAtLeast(1, 1) || len(req.TransferEncoding) > 0 || got.last != req.Close ||
			string(got.encoding) != strings.Join(req.Header["Accept-Encoding"], ",") || got.cookie != (req.Header["Cookie"] != nil) {
			t.Fatalf("%q: the lane reads %q, net/http %+v", b, got.target, req)
		}
		if left := reader.Buffered(); len(b)-left != got.length {
			t.Fatalf("%q: the lane ends it at %d, net/http at %d", b, got.length, len(b)-left)
		}
		for _, name := range []string{"Authorization", "Range", "If-None-Match", "If-Modified-Since", "If-Range", "If-Match", "Cache-Control", "Pragma", "Expect", "Upgrade"} {
			if _, there := req.Header[name]; there {
				t.Fatalf("%q: the lane takes a request with %s", b, name)
			}
		}
	})
}

func TestShutdownCutsNoRequestOff(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		if r.URL.Path == "/slow" {
			close(began)
			<-release
		}
		fmt.Fprint(w, "whole")
	}, settings{})
	idle, idleLines := w.dial()
	for range 3 {
		fmt.Fprint(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, err := readReply(idleLines, "GET"); err != nil {
			t.Fatal(err)
		}
	}
	busy, busyLines := w.dial()
	fmt.Fprint(busy, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-began
	done := make(chan error, 1)
	go func() { done <- w.server.Shutdown(t.Context()) }()
	eventually(t, "the proxy stops listening", func() bool {
		nc, err := net.Dial("tcp", w.address)
		if err == nil {
			nc.Close()
		}
		return err != nil
	})
	// A request on an idle connection that the client has sent just now.
	fmt.Fprint(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if got, err := readReply(idleLines, "GET"); err == nil && (got.body != "whole" || got.header.Get("Connection") != "close") {
		t.Errorf("the last request of an idle connection: %+v", got)
	}
	select {
	case err := <-done:
		t.Fatalf("Shutdown returns with a request in flight: %v", err)
	default:
	}
	close(release)
	if got, err := readReply(busyLines, "GET"); err != nil || got.body != "whole" {
		t.Errorf("the request in flight: %+v, %v", got, err)
	}
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private")
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}, settings{})
	nc, lines := w.dial()
	fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := http.ReadResponse(lines, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.server.Shutdown(ctx) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestSlowClientsAreCutOff(t *testing.T) {
	w := newWorld(t, answering(200, "Cache-Control: max-age=60"), settings{server: ServerOptions{
		ReadHeaderTimeout: 50 * time.Millisecond, ReadTimeout: 100 * time.Millisecond, IdleTimeout: 50 * time.Millisecond,
	}})
	for _, start := range []string{"", "GET / HTTP/1.1\r\nHo", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"} {
		nc, lines := w.dial()
		fmt.Fprint(nc, start)
		if _, err := io.Copy(io.Discard, lines); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%q: the connection is still open: %v", start, err)
		}
	}
	// Idle in the lane.
	nc, lines := w.dial()
	for range 3 {
		fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, err := readReply(lines, "GET"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := lines.ReadByte(); err != io.EOF {
		t.Errorf("an idle connection ends with %v", err)
	}
}

func TestHammer(t *testing.T) {
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path[1] {
		case 'p':
			w.Header().Set("Cache-Control", "private")
		case 'v':
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Vary", "Accept-Encoding")
		default:
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("ETag", `"x"`)
		}
		fmt.Fprint(w, r.URL.Path)
	}, settings{})
	var clients sync.WaitGroup
	for c := range 8 {
		clients.Go(func() {
			nc, err := net.Dial("tcp", w.address)
			if err != nil {
				t.Error(err)
				return
			}
			defer nc.Close()
			lines := bufio.NewReader(nc)
			for i := range 200 {
				target := fmt.Sprintf("/%c%d", "pvab"[(c+i)%4], i%7)
				method, fields := "GET", ""
				switch i % 11 {
				case 3:
					method = "DELETE"
				case 5:
					fields = "Cache-Control: no-cache\r\n"
				case 7:
					fields = "Accept-Encoding: gzip\r\n"
				}
				fmt.Fprintf(nc, "%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n", method, target, fields)
				got, err := readReply(lines, method)
				if err != nil || got.body != target || got.header["Cache-Status"] == nil {
					t.Errorf("%s %s: %+v, %v", method, target, got, err)
					return
				}
			}
		})
	}
	clients.Wait()
	eventually(t, "every request is counted", func() bool { return w.proxy.Stats().Requests == 8*200 })
	if s := w.proxy.Stats(); s.Routes[0].Outcomes[Hit].P50 <= 0 || s.Bytes == 0 {
		t.Errorf("%+v", s)
	}
}
