package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// validated is an origin with one resource of which the version can be
// changed; every answer has to be validated.
type validated struct {
	version    atomic.Int64
	conditions atomic.Int64 // requests that were conditional
	control    string
	extra      func(w http.ResponseWriter, unchanged bool)
}

func (v *validated) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	etag := fmt.Sprintf(`"v%d"`, v.version.Load())
	w.Header().Set("ETag", etag)
	w.Header().Set("X-Version", etag)
	if v.control != "" {
		w.Header().Set("Cache-Control", v.control)
	}
	match := r.Header.Get("If-None-Match")
	if match != "" {
		v.conditions.Add(1)
	}
	if v.extra != nil {
		v.extra(w, match == etag)
	}
	if match == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "text/x")
	fmt.Fprint(w, "content of ", etag)
}

func TestStaleEntriesAreValidated(t *testing.T) {
	for _, control := range []string{"", "no-cache", "max-age=0", "max-age=60, no-cache"} {
		o := &validated{control: control}
		w := newWorld(t, o.ServeHTTP, settings{})
		if got := w.get("/"); got.cacheStatus() != "perfopt; fwd=uri-miss; ttl=0; stored" || got.body != `content of "v0"` {
			t.Errorf("%q: first: %+v", control, got)
		}
		for range 3 {
			got := w.get("/")
			if got.cacheStatus() != "perfopt; fwd=stale; fwd-status=304; ttl=0; stored" || got.status != 200 || got.body != `content of "v0"` {
				t.Errorf("%q: unchanged: %+v", control, got)
			}
		}
		o.version.Add(1)
		if got := w.get("/"); got.cacheStatus() != "perfopt; fwd=stale; ttl=0; stored" || got.body != `content of "v1"` {
			t.Errorf("%q: changed: %+v", control, got)
		}
		if n := o.conditions.Load(); n != 4 {
			t.Errorf("%q: %d conditional requests, want 4", control, n)
		}
		s := w.proxy.Stats()
		if got := s.Routes[0].Outcomes[Revalidated].Count; got != 3 {
			t.Errorf("%q: %d revalidated requests counted, want 3", control, got)
		}
	}
}

func TestA304UpdatesTheStoredFields(t *testing.T) {
	n := 0
	o := &validated{control: "no-cache", extra: func(w http.ResponseWriter, unchanged bool) {
		n++
		w.Header().Set("X-Number", fmt.Sprint(n))
		if unchanged {
			w.Header().Set("Content-Type", "text/other")
			w.Header().Set("Content-Encoding", "br")
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Connection", "X-Hop")
			w.Header().Set("X-Hop", "1")
		}
	}}
	w := newWorld(t, o.ServeHTTP, settings{})
	w.get("/")
	w.get("/")
	got := w.get("/")
	if got.cacheStatus() != "perfopt; hit; ttl=60" || got.header.Get("X-Number") != "2" {
		t.Errorf("the fields of the 304 are not stored: %+v", got)
	}
	if got.header.Get("Content-Type") != "text/x" || got.header.Get("Content-Encoding") != "" || got.header.Get("X-Hop") != "" ||
		got.body != `content of "v0"` {
		t.Errorf("the 304 changed what describes the content: %+v", got)
	}
}

func TestA304ThatIsPrivateEndsTheStoring(t *testing.T) {
	o := &validated{control: "no-cache", extra: func(w http.ResponseWriter, unchanged bool) {
		if unchanged {
			w.Header().Set("Cache-Control", "private")
			w.Header().Set("Set-Cookie", "a=b")
		}
	}}
	w := newWorld(t, o.ServeHTTP, settings{})
	w.get("/")
	if got := w.get("/"); got.cacheStatus() != "perfopt; fwd=stale; fwd-status=304; detail=private" || got.status != 200 || got.header.Get("Set-Cookie") != "a=b" {
		t.Errorf("the request that asked: %+v", got)
	}
}

func TestA304ForAnotherTagIsAskedAgain(t *testing.T) {
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != "" {
			w.Header().Set("ETag", `"other"`)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("ETag", `"mine"`)
		fmt.Fprint(w, "whole")
	}, settings{})
	w.get("/")
	if got := w.get("/"); got.status != 200 || got.body != "whole" {
		t.Errorf("got %+v", got)
	}
	w.wantAsked(3, "a miss, a validation and a load")
}

func TestLastModifiedValidates(t *testing.T) {
	const date = "Fri, 02 Jan 2026 03:04:05 GMT"
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Last-Modified", date)
		if r.Header.Get("If-Modified-Since") == date {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		fmt.Fprint(w, "whole")
	}, settings{})
	w.get("/")
	if got := w.get("/"); got.body != "whole" || got.cacheStatus() != "perfopt; fwd=stale; fwd-status=304; ttl=0; stored" {
		t.Errorf("got %+v", got)
	}
	if got := w.get("/", "Cookie: a=b"); got.cacheStatus() != "perfopt; fwd=stale; detail=no-freshness" {
		t.Errorf("a request with a cookie validates what was stored without explicit freshness: %q", got.cacheStatus())
	}
}

func TestConditionalRequestsAreAnsweredFromTheCache(t *testing.T) {
	w := newWorld(t, answering(200, "Cache-Control: max-age=60", `ETag: "a"`, "Last-Modified: Fri, 02 Jan 2026 03:04:05 GMT", "Content-Type: text/x"), settings{})
	// The first request's own condition does not reach the origin.
	if got := w.get("/", `If-None-Match: "old"`); got.status != 200 || got.body != "1" {
		t.Fatalf("first: %+v", got)
	}
	for _, c := range []struct {
		fields []string
		status int
	}{
		{[]string{`If-None-Match: "a"`}, 304},
		{[]string{`If-None-Match: W/"a"`}, 304},
		{[]string{`If-None-Match: "x", W/"y" , "a"`}, 304},
		{[]string{`If-None-Match: "x"`, `If-None-Match: "a"`}, 304},
		{[]string{`If-None-Match: *`}, 304},
		{[]string{`If-None-Match: "A"`}, 200},
		{[]string{`If-None-Match: a`}, 200},
		{[]string{`If-None-Match: "x, a"`}, 200},
		{[]string{`If-None-Match: "x"`, "If-Modified-Since: Fri, 02 Jan 2026 03:04:05 GMT"}, 200},
		{[]string{"If-Modified-Since: Fri, 02 Jan 2026 03:04:05 GMT"}, 304},
		{[]string{"If-Modified-Since: Sat, 03 Jan 2026 03:04:05 GMT"}, 304},
		{[]string{"If-Modified-Since: Thu, 01 Jan 2026 03:04:05 GMT"}, 200},
		{[]string{"If-Modified-Since: yesterday"}, 200},
	} {
		got := w.get("/", c.fields...)
		if got.status != c.status || !strings.HasPrefix(got.cacheStatus(), "perfopt; hit") {
			t.Errorf("%q: %d %q, want %d", c.fields, got.status, got.cacheStatus(), c.status)
		}
		if got.status == 304 && (got.body != "" || got.header.Get("ETag") != `"a"` || got.header.Get("Content-Type") != "" || got.header.Get("Date") == "") {
			t.Errorf("%q: the 304 has %v %q", c.fields, got.header, got.body)
		}
	}
	w.wantAsked(1, "all")
}

func TestUnsafeMethodsInvalidate(t *testing.T) {
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			w.Header().Set("Cache-Control", "max-age=60")
			return
		}
		switch r.URL.Query().Get("answer") {
		case "location":
			w.Header().Set("Location", "/b")
			w.WriteHeader(201)
		case "content-location":
			w.Header().Set("Content-Location", "http://"+r.Host+"/b")
		case "foreign":
			w.Header().Set("Location", "http://elsewhere.example/b")
			w.WriteHeader(201)
		case "error":
			w.WriteHeader(500)
		}
	}, settings{})
	for _, c := range []struct {
		method, target, probe string
		gone                  bool
	}{
		{"POST", "/a", "/a", true}, {"PUT", "/a", "/a", true}, {"DELETE", "/a", "/a", true}, {"PATCH", "/a", "/a", true}, {"BREW", "/a", "/a", true},
		{"OPTIONS", "/a", "/a", false}, {"PROPFIND", "/a", "/a", false}, {"POST", "/a?answer=error", "/a?answer=error", false},
		{"POST", "/a", "/b", false}, {"POST", "/a?answer=location", "/b", true}, {"POST", "/a?answer=content-location", "/b", true},
		{"POST", "/a?answer=foreign", "/b", false}, {"POST", "/a?x", "/a", false},
	} {
		w.get(c.probe)
		w.do(c.method, c.target, "")
		gone := !strings.HasPrefix(w.get(c.probe).cacheStatus(), "perfopt; hit")
		if gone != c.gone {
			t.Errorf("%s %s: %s gone: %v", c.method, c.target, c.probe, gone)
		}
	}
}

func TestALoadOvertakenByAnInvalidationIsNotStored(t *testing.T) {
	for _, fields := range [][]string{nil, {"Cache-Control: no-cache"}, {"X-Vary: 1"}} {
		began, release := make(chan struct{}), make(chan struct{})
		var slow atomic.Bool
		slow.Store(true)
		w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			if r.Header.Get("X-Vary") != "" {
				w.Header().Set("Vary", "X-Vary")
			}
			if r.Method == "GET" && slow.Swap(false) {
				close(began)
				<-release
				fmt.Fprint(w, "old")
				return
			}
			fmt.Fprint(w, "new")
		}, settings{})
		done := make(chan reply, 1)
		go func() {
			r, err := w.try("GET", "/", "", fields...)
			if err != nil {
				t.Error(err)
			}
			done <- r
		}()
		<-began
		w.do("POST", "/", "x")
		close(release)
		<-done
		if got := w.get("/", fields[:min(len(fields), 1)]...); got.body != "new" {
			t.Errorf("%q: %+v", fields, got)
		}
		if got := w.get("/"); got.body != "new" {
			t.Errorf("%q: what was overtaken is stored: %+v", fields, got)
		}
	}
}
