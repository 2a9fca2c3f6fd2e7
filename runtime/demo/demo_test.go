package demo

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/blevesearch/bleve_index_api.AnalysisWorker"))
}

func open(t *testing.T, o Options) *Site {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func get(t *testing.T, s *Site, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStandardLibrary(t *testing.T) {
	if findGOROOT("") == "" {
		t.Skip("skipped: there is no GOROOT with sources on this machine")
	}
	s := open(t, Options{})

	list := body(t, get(t, s, "/"))
	for _, want := range []string{`href="/pkg/net/http"`, `href="/pkg/bufio"`} {
		if !strings.Contains(list, want) {
			t.Errorf("list lacks %s", want)
		}
	}
	if strings.Contains(list, `/internal/`) {
		t.Error("list shows internal packages")
	}

	r := get(t, s, "/pkg/bufio")
	page := body(t, r)
	for _, want := range []string{"package bufio", `id="Reader.ReadByte"`, "func NewReader(rd io.Reader) *Reader"} {
		if !strings.Contains(page, want) {
			t.Errorf("bufio lacks %q", want)
		}
	}
	if r.Header.Get("Cache-Control") != "public, max-age=60" || !strings.HasPrefix(r.Header.Get("Server-Timing"), "render;dur=") {
		t.Errorf("header: %v", r.Header)
	}
	if r := get(t, s, "/pkg/bufio", "If-None-Match", r.Header.Get("ETag")); r.StatusCode != http.StatusNotModified {
		t.Errorf("conditional request: status %d", r.StatusCode)
	}

	<-s.Indexed()
	found := body(t, get(t, s, "/search?q="+url.QueryEscape("buffered reader")))
	if !strings.Contains(found, "/pkg/bufio#") || !strings.Contains(found, "<mark>") {
		t.Errorf("search found:\n%s", found)
	}
}

func TestFallsBackOnEmbeddedDocumentation(t *testing.T) {
	s := open(t, Options{GOROOT: "/nowhere", Fallback: fstest.MapFS{
		"guides/one.md": {Data: []byte("# First steps\n\nA zebra <b>walks</b>.\n")},
		"other.txt":     {Data: []byte("no page")},
	}})
	if page := body(t, get(t, s, "/pkg/guides/one")); !strings.Contains(page, "&lt;b&gt;walks") {
		t.Errorf("page: %s", page)
	}
	<-s.Indexed()
	found := body(t, get(t, s, "/search?q=zebra"))
	if !strings.Contains(found, "/pkg/guides/one#") || strings.Contains(found, "<b>") {
		t.Errorf("search found:\n%s", found)
	}
}

func TestBadRequests(t *testing.T) {
	s := open(t, Options{GOROOT: "/nowhere", Fallback: fstest.MapFS{"a.md": {Data: []byte("# A")}}})
	<-s.Indexed()
	for path, want := range map[string]int{
		"/pkg/../../etc/passwd": http.StatusMovedPermanently, "/pkg/nothing": 404, "/pkg/": 404, "/search": 400,
		"/search?q=" + strings.Repeat("x", 201): 400, "/elsewhere": 404,
	} {
		if r := get(t, s, path); r.StatusCode != want && !(want == 301 && r.StatusCode == 307) {
			t.Errorf("%s: status %d, want %d", path, r.StatusCode, want)
		}
	}
}

func TestWithoutAnythingToServe(t *testing.T) {
	if _, err := Open(Options{GOROOT: "/nowhere"}); err == nil {
		t.Error("no error")
	}
}
