package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"reflect"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestTheOriginSeesTheVeryTarget(t *testing.T) {
	var seen string
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.RequestURI
		w.Header().Set("Cache-Control", "max-age=60")
	}, settings{})
	for _, target := range []string{"/?b;c=2", "/a/%2e%2e/%2fadmin", "//x//y", "/a;x", "/A", "/%41", "/a?", "/a", "/a?&&=%zz", "/\"{}"} {
		seen = ""
		got := w.raw("GET " + target + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if seen != target || !strings.Contains(got, "fwd=uri-miss; ttl=60; stored") {
			t.Errorf("%q: the origin saw %q; %q", target, seen, got)
		}
	}
	// The absolute form says the host, and is the same resource.
	got := w.raw("GET http://A/a HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n")
	if !strings.Contains(got, "perfopt; hit") {
		t.Errorf("absolute form: %q", got)
	}
}

func TestHostsNeverShare(t *testing.T) {
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, r.Host+" "+r.Header.Get("X-Forwarded-Host"))
	}, settings{})
	for range 2 {
		for _, host := range []string{"a.example", "evil.example", "a.example:81"} {
			if got := w.get("/", "Host: "+host); got.body != host+" "+host {
				t.Errorf("%s gets what is for %q", host, got.body)
			}
		}
	}
	if got := w.get("/", "Host: A.EXAMPLE:80"); got.cacheStatus() != "perfopt; hit; ttl=60" {
		t.Errorf("the same host in other words: %q", got.cacheStatus())
	}
	for _, host := range []string{"a/b", "a@b", "", "a b"} {
		got := w.raw("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("host %q: %q", host, got)
		}
	}
	if got := w.raw("GET / HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.0 200 ") {
		t.Errorf("HTTP/1.0 without Host: %q", got)
	}
}

func TestHostFromOrigin(t *testing.T) {
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, r.Host+" "+r.Header.Get("X-Forwarded-Host"))
	}, settings{options: func(o *Options) { o.HostFromOrigin = true }})
	for _, host := range []string{"a.example", "b.example"} {
		want := strings.TrimPrefix(w.origin.URL, "http://") + " " + host
		if got := w.get("/", "Host: "+host); got.body != want {
			t.Errorf("the origin saw %q, want %q", got.body, want)
		}
	}
}

// spoofed are fields by which caches have been poisoned.
var spoofed = strings.Fields(`X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Forwarded-Port X-Forwarded-Scheme X-Forwarded-Server X-Forwarded-Prefix
	X-Forwarded-By X-Forwarded-Ssl X-Forwarded-Path X-Forwarded X-Forwarded_Host Forwarded X-Real-IP X-Client-IP X-Cluster-Client-IP True-Client-IP
	CF-Connecting-IP Fastly-Client-IP Client-IP X-Remote-IP X-Remote-Addr X-Originating-IP X-Original-URL X-Original-Host X-Original-URI X-Rewrite-URL
	X-Rewrite-URI X-HTTP-Method-Override X-HTTP-Method X-Method-Override X-Host X-HTTP-Host-Override X-Server-Name X-Scheme X-URL-Scheme X-Proto
	X-Base-URL X-Backend-Host X-Path X-URI X-URL X-Request-URI Front-End-Https X-ARR-SSL Proxy Proxy-Host Proxy-URL Request-URI Redirect Http-Host
	X-Accel-Redirect X-Sendfile X-Cache-Key X-Proxy-URL X-Override-URL X-Envoy-Original-Path X-Azure-ClientIP X-AppEngine-User-IP Base-URL Destination-URL
	X-Remote-User Via`)

func TestUnkeyedFieldsReachNobody(t *testing.T) {
	if len(spoofed) < 60 {
		t.Fatalf("%d names", len(spoofed))
	}
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		for name, values := range r.Header { // reflects all it gets
			fmt.Fprintf(w, "%s: %q\n", name, values)
		}
	}, settings{})
	for i, name := range spoofed {
		target := fmt.Sprintf("/%d", i)
		if got := w.get(target, name+": canary"); strings.Contains(got.body, "canary") {
			t.Errorf("%s reaches the origin: %s", name, got.body)
		}
		if got := w.get(target); got.cacheStatus() != "perfopt; hit; ttl=60" || strings.Contains(got.body, "canary") {
			t.Errorf("%s: a second client gets %q: %s", name, got.cacheStatus(), got.body)
		}
	}
}

func TestTrustedProxiesAreBelieved(t *testing.T) {
	var seen http.Header
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		w.Header().Set("Cache-Control", "max-age=60")
	}, settings{options: func(o *Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }})
	fields := []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: www.example", "X-Real-IP: 192.0.2.1"}
	w.get("/", fields...)
	for name, want := range map[string]string{
		"X-Forwarded-For": "192.0.2.1, 127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "www.example", "X-Real-Ip": "192.0.2.1",
	} {
		if got := seen.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := w.get("/", fields...).cacheStatus(); got != "perfopt; hit; ttl=60" {
		t.Errorf("the same again: %q", got)
	}
	for _, other := range []string{"X-Forwarded-Host: other.example", "X-Forwarded-Proto: http"} {
		if got := w.get("/", append([]string{other}, fields[0])...).cacheStatus(); strings.HasPrefix(got, "perfopt; hit") {
			t.Errorf("%s shares an answer: %q", other, got)
		}
	}
	if got := w.get("/", append([]string{"X-Original-URL: /admin"}, fields...)...).cacheStatus(); got != "perfopt; fwd=bypass; detail=override" {
		t.Errorf("an override from a trusted proxy: %q", got)
	}
}

func TestHopByHopFieldsEndAtTheProxy(t *testing.T) {
	var seen http.Header
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Connection", "X-Out")
		w.Header().Set("X-Out", "1")
		w.Header().Set("Keep-Alive", "timeout=5")
		w.Header().Set("Proxy-Authenticate", "Basic")
		w.Header().Set("X-Stays", "1")
	}, settings{})
	for _, target := range []string{"/", "/", "/x?private"} {
		got := w.get(target, "Connection: X-In, X-Forwarded-For, close", "X-In: 1", "TE: trailers", "Proxy-Authorization: x", "Keep-Alive: 1",
			"Proxy-Connection: close", "X-Kept: 1")
		for _, name := range []string{"X-Out", "Keep-Alive", "Proxy-Authenticate"} {
			if v := got.header[name]; v != nil {
				t.Errorf("%s: the client gets %s: %q", got.cacheStatus(), name, v)
			}
		}
		if got.header.Get("X-Stays") != "1" {
			t.Errorf("%s: an end-to-end field is lost", got.cacheStatus())
		}
	}
	var names []string
	for name := range seen {
		names = append(names, name)
	}
	sort.Strings(names)
	want := []string{"Accept-Encoding", "User-Agent", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Kept"}
	if seen["Accept-Encoding"] == nil {
		want = want[1:]
	}
	if !reflect.DeepEqual(names, want) || seen.Get("X-Forwarded-For") != "127.0.0.1" {
		t.Errorf("the origin sees %q, X-Forwarded-For %q, want %q", names, seen.Get("X-Forwarded-For"), want)
	}
}

func TestUnusualRequestsPassThrough(t *testing.T) {
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if r.Header.Get("Range") != "" {
			w.Header().Set("Content-Range", "bytes 0-0/2")
			w.WriteHeader(206)
		}
		fmt.Fprintf(w, "%s %s %s", r.Method, r.Header.Get("Range"), b)
	}, settings{})
	w.get("/")
	for _, c := range []struct {
		method, body string
		fields       []string
		status       int
		want, proxy  string
	}{
		{"POST", "x", nil, 200, "POST  x", "perfopt; fwd=method"},
		{"gEt", "", nil, 200, "gEt  ", "perfopt; fwd=method"},
		{"BREW", "", nil, 200, "BREW  ", "perfopt; fwd=method"},
		{"OPTIONS", "", nil, 200, "OPTIONS  ", "perfopt; fwd=method"},
		{"GET", "content", nil, 200, "GET  content", "perfopt; fwd=bypass; detail=content"},
		{"GET", "", []string{"Range: bytes=0-0"}, 206, "GET bytes=0-0 ", "perfopt; fwd=bypass; detail=range"},
		{"GET", "", []string{`If-Range: "x"`}, 200, "GET  ", "perfopt; fwd=bypass; detail=range"},
		{"GET", "", []string{"Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: x"}, 200, "GET  ", "perfopt; fwd=bypass; detail=upgrade"},
		{"POST", "x", []string{"Expect: 100-continue"}, 200, "POST  x", "perfopt; fwd=method"},
	} {
		got := w.do(c.method, "/", c.body, c.fields...)
		if got.status != c.status || got.body != c.want || got.cacheStatus() != c.proxy {
			t.Errorf("%s %q: %d %q %q, want %d %q %q", c.method, c.fields, got.status, got.body, got.cacheStatus(), c.status, c.want, c.proxy)
		}
	}
	for _, line := range []string{"CONNECT a:1 HTTP/1.1", "TRACE / HTTP/1.1"} {
		got := w.raw(line + "\r\nHost: a:1\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 4") || !strings.Contains(got, "Cache-Status: perfopt; detail=") {
			t.Errorf("%s: %q", line, got)
		}
	}
	if got := w.raw("OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("OPTIONS *: %q", got)
	}
}

func TestTooManyFields(t *testing.T) {
	w := newWorld(t, answering(200), settings{})
	head := "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: 1\r\n", maxFields+1) + "\r\n"
	if got := w.raw(head); !strings.HasPrefix(got, "HTTP/1.1 431 ") || !strings.Contains(got, "Cache-Status: perfopt; detail=fields") {
		t.Errorf("many fields: %q", got)
	}
	if got := w.raw("GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 431 ") {
		t.Errorf("a large head: %q", got)
	}
	w.wantAsked(0, "both")
	if got := w.get("/"); got.status != 200 {
		t.Errorf("then a good request: %d", got.status)
	}
}

func TestInterimAnswersArePassedOn(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
			w.Header().Set("Cache-Control", "max-age=60")
			w.WriteHeader(200)
		}, settings{})
		var got []string
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			got = append(got, fmt.Sprint(code, h.Get("Link")))
			return nil
		}})
		req, err := http.NewRequestWithContext(ctx, method, "http://"+w.address+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := w.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if want := []string{"103</style.css>; rel=preload"}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, want %q", method, got, want)
		}
		if resp.StatusCode != 200 || resp.Header.Get("Link") != "" {
			t.Errorf("%s: the final answer is %d, Link %q", method, resp.StatusCode, resp.Header.Get("Link"))
		}
	}
}

func TestStreamsAreFlushedAndTrailersPassed(t *testing.T) {
	next := make(chan struct{})
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(w, "one\n")
		w.(http.Flusher).Flush()
		<-next
		fmt.Fprint(w, "two\n")
		w.Header().Set("X-Sum", "42")
	}, settings{})
	resp, err := w.client.Get("http://" + w.address + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "one\n" {
		t.Fatalf("the first event: %q, %v", line, err)
	}
	close(next)
	rest, err := io.ReadAll(lines)
	if err != nil || string(rest) != "two\n" || resp.Trailer.Get("X-Sum") != "42" {
		t.Errorf("then %q, %v, trailer %v", rest, err, resp.Trailer)
	}
}

func TestWebSocketsAreJoined(t *testing.T) {
	var origin sync.WaitGroup
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" {
			t.Errorf("the origin sees Upgrade %q", r.Header.Get("Upgrade"))
		}
		origin.Add(1)
		defer origin.Done()
		nc, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer nc.Close()
		fmt.Fprint(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		for {
			line, err := buffered.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Fprint(nc, "echo ", line)
		}
	}, settings{})
	nc, err := net.Dial("tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(nc, "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	lines := bufio.NewReader(nc)
	resp, err := http.ReadResponse(lines, nil)
	if err != nil || resp.StatusCode != 101 || resp.Header.Get("Cache-Status") != "perfopt; fwd=bypass; detail=upgrade" {
		t.Fatalf("%+v, %v", resp, err)
	}
	// Bytes that are no HTTP, and would not pass the scanner.
	fmt.Fprint(nc, "\x00 : \x01\n")
	if line, err := lines.ReadString('\n'); err != nil || line != "echo \x00 : \x01\n" {
		t.Errorf("echo: %q, %v", line, err)
	}
	w.proxy.Close()
	if _, err := lines.ReadByte(); err == nil {
		t.Error("Close leaves the connection open")
	}
	origin.Wait()
}
