package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/perfopt/perfopt/cache/tiered"
	"github.com/perfopt/perfopt/policies"
)

// answering returns an origin that answers every request alike, with the
// number of the request as content.
func answering(status int, fields ...string) http.HandlerFunc {
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
		n++
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			w.Header().Add(name, value)
		}
		w.Header().Set("X-Number", strconv.Itoa(n))
		w.WriteHeader(status)
		if r.Method != http.MethodHead && !bodyless(status) {
			fmt.Fprint(w, n)
		}
	}
}

func TestWhatIsStored(t *testing.T) {
	for _, c := range []struct {
		name    string
		status  int
		answer  []string
		request []string
		first   string // Cache-Status of the first answer
		second  string // of the second, equal one
		asked   int64
	}{
		{"fresh", 200, []string{"Cache-Control: max-age=60"}, nil, "perfopt; fwd=uri-miss; ttl=60; stored", "perfopt; hit; ttl=60", 1},
		{"fresh 404", 404, []string{"Cache-Control: max-age=60"}, nil, "perfopt; fwd=uri-miss; ttl=60; stored", "perfopt; hit; ttl=60", 1},
		{"fresh 301", 301, []string{"Cache-Control: max-age=60", "Location: /x"}, nil, "perfopt; fwd=uri-miss; ttl=60; stored", "perfopt; hit; ttl=60", 1},
		{"fresh 204", 204, []string{"Cache-Control: max-age=60"}, nil, "perfopt; fwd=uri-miss; ttl=60; stored", "perfopt; hit; ttl=60", 1},
		{"nothing said", 200, nil, nil, "perfopt; fwd=uri-miss; detail=stale", "perfopt; fwd=uri-miss; detail=stale", 2},
		{"private", 200, []string{"Cache-Control: private, max-age=60"}, nil, "perfopt; fwd=uri-miss; detail=private", "perfopt; fwd=uri-miss; detail=private", 2},
		{"no-store", 200, []string{"Cache-Control: no-store"}, nil, "perfopt; fwd=uri-miss; detail=no-store", "perfopt; fwd=uri-miss; detail=no-store", 2},
		{"Set-Cookie", 200, []string{"Cache-Control: max-age=60", "Set-Cookie: a=b"}, nil, "perfopt; fwd=uri-miss; detail=set-cookie", "perfopt; fwd=uri-miss; detail=set-cookie", 2},
		{"Vary *", 200, []string{"Cache-Control: max-age=60", "Vary: Accept, *"}, nil, "perfopt; fwd=uri-miss; detail=vary", "perfopt; fwd=uri-miss; detail=vary", 2},
		{"Authorization", 200, []string{"Cache-Control: max-age=60"}, []string{"Authorization: x"}, "perfopt; fwd=uri-miss; detail=authorization", "perfopt; fwd=uri-miss; detail=authorization", 2},
		{"Authorization, public", 200, []string{"Cache-Control: public, max-age=60"}, []string{"Authorization: x"}, "perfopt; fwd=uri-miss; ttl=60; stored", "perfopt; hit; ttl=60", 1},
		{"range", 200, []string{"Cache-Control: max-age=60"}, []string{"Range: bytes=0-0"}, "perfopt; fwd=bypass; detail=range", "perfopt; fwd=bypass; detail=range", 2},
		{"request no-store", 200, []string{"Cache-Control: max-age=60"}, []string{"Cache-Control: no-store"}, "perfopt; fwd=uri-miss; detail=request-no-store", "perfopt; fwd=uri-miss; detail=request-no-store", 2},
		{"a precondition", 200, []string{"Cache-Control: max-age=60"}, []string{`If-Match: "x"`}, "perfopt; fwd=bypass; detail=precondition", "perfopt; fwd=bypass; detail=precondition", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, answering(c.status, c.answer...), settings{})
			one, two := w.get("/a?b", c.request...), w.get("/a?b", c.request...)
			if one.cacheStatus() != c.first || two.cacheStatus() != c.second {
				t.Errorf("Cache-Status %q, then %q; want %q, then %q", one.cacheStatus(), two.cacheStatus(), c.first, c.second)
			}
			if one.status != c.status || two.status != c.status {
				t.Errorf("status %d, then %d", one.status, two.status)
			}
			if c.asked == 1 && (one.body != two.body || two.header.Get("X-Number") != "1" || two.header.Get("Date") != one.header.Get("Date")) {
				t.Errorf("the hit differs: %+v, then %+v", one, two)
			}
			w.wantAsked(c.asked, "both")
		})
	}
}

// sevenSeconds is a TTL policy that always answers 7 s.
type sevenSeconds struct{}

func (sevenSeconds) Info() policies.Info { return policies.Info{Name: "seven", Kind: policies.KindTTL} }
func (sevenSeconds) TTL(_ *policies.TTLBatch, out []policies.Nanos) error {
	for i := range out {
		out[i] = policies.Nanos(7 * time.Second)
	}
	return nil
}

func TestThePolicyDecidesWithinTheOriginsFreshness(t *testing.T) {
	origin := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age="+strings.TrimPrefix(r.URL.Path, "/"))
	}
	w := newWorld(t, origin, settings{
		cache:   func(o *tiered.Options[string, *Response]) { o.L1.TTL = sevenSeconds{} },
		options: func(o *Options) { o.TTLMin, o.TTLMax = time.Second, time.Hour },
	})
	for target, want := range map[string]string{"/60": "perfopt; hit; ttl=7", "/3": "perfopt; hit; ttl=3"} {
		w.get(target)
		if got := w.get(target).cacheStatus(); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}

func TestRoutesGiveFreshnessPriorityAndCache(t *testing.T) {
	w := newWorld(t, answering(200), settings{options: func(o *Options) {
		o.Caches = map[string]Store{"docs": o.Cache}
		o.Routes = []Route{
			{Path: "/off", Cache: "off"},
			{Path: "/docs/", Cache: "docs", TTLDefault: 40 * time.Second},
			{Host: "other.example", Path: "/", TTLDefault: 20 * time.Second},
			{Path: "/get/**", Methods: []string{"GET"}, TTLDefault: 10 * time.Second},
		}
	}})
	for _, c := range []struct{ target, host, second string }{
		{"/off", "a", "perfopt; fwd=bypass"},
		{"/docs/x", "a", "perfopt; hit; ttl=40"},
		{"/x", "other.example", "perfopt; hit; ttl=20"},
		{"/get/x", "a", "perfopt; hit; ttl=10"},
		{"/x", "a", "perfopt; fwd=uri-miss; detail=stale"},
		{"/docs/../me", "a", "perfopt; fwd=uri-miss; detail=no-freshness"},
		{"/docs/%2e%2e/me", "a", "perfopt; fwd=uri-miss; detail=no-freshness"},
		{"/docs/me;x.css", "a", "perfopt; fwd=uri-miss; detail=no-freshness"},
	} {
		w.get(c.target, "Host: "+c.host)
		if got := w.get(c.target, "Host: "+c.host).cacheStatus(); got != c.second {
			t.Errorf("%s at %s: %q, want %q", c.target, c.host, got, c.second)
		}
	}
	if w.get("/docs/x", "Host: a", "Cookie: a=b").cacheStatus() != "perfopt; fwd=request; detail=no-freshness" {
		t.Error("what a rule stored is given to a request with a cookie")
	}
	if _, err := New(Options{Origin: w.proxy.origin, Routes: []Route{{Cache: "none"}, {Priority: "urgent"}}}); err == nil ||
		!strings.Contains(err.Error(), `"none"`) || !strings.Contains(err.Error(), `"urgent"`) {
		t.Errorf("bad routes: %v", err)
	}
}

func TestHeadIsAnsweredFromAStoredGet(t *testing.T) {
	w := newWorld(t, answering(200, "Cache-Control: max-age=60"), settings{})
	if got := w.do("HEAD", "/", ""); got.cacheStatus() != "perfopt; fwd=uri-miss" || got.header.Get("X-Number") != "1" {
		t.Errorf("cold HEAD: %+v", got)
	}
	if got := w.get("/"); got.body != "2" {
		t.Errorf("an answer to HEAD was stored: %+v", got)
	}
	got := w.do("HEAD", "/", "")
	if got.cacheStatus() != "perfopt; hit; ttl=60" || got.header.Get("Content-Length") != "1" || got.body != "" {
		t.Errorf("warm HEAD: %+v", got)
	}
	w.wantAsked(2, "HEAD, GET, HEAD")
}

func TestAgeIsPassedOnIncreased(t *testing.T) {
	w := newWorld(t, answering(200, "Cache-Control: max-age=60", "Age: 20"), settings{})
	if got := w.get("/"); got.header.Get("Age") != "20" || got.cacheStatus() != "perfopt; fwd=uri-miss; ttl=40; stored" {
		t.Errorf("miss: %+v", got)
	}
	got := w.get("/")
	if age, err := strconv.Atoi(got.header.Get("Age")); err != nil || age < 20 || !strings.HasPrefix(got.cacheStatus(), "perfopt; hit") {
		t.Errorf("hit: %+v", got)
	}
}

func TestVariantsLiveSideBySide(t *testing.T) {
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Add("Vary", "accept-LANGUAGE")
		w.Header().Add("Vary", "X-Tenant, Accept-Encoding")
		fmt.Fprintf(w, "%s/%s", r.Header.Get("Accept-Language"), r.Header.Get("X-Tenant"))
	}, settings{})
	de := []string{"Accept-Language: de", "X-Tenant: 1"}
	for _, c := range []struct {
		fields       []string
		status, body string
	}{
		{de, "perfopt; fwd=uri-miss; ttl=60; stored", "de/1"},
		{de, "perfopt; hit; ttl=60", "de/1"},
		{[]string{"Accept-Language: en", "X-Tenant: 1"}, "perfopt; fwd=vary-miss; ttl=60; stored", "en/1"},
		{[]string{"X-Tenant: 1"}, "perfopt; fwd=vary-miss; ttl=60; stored", "/1"},
		{[]string{"X-Tenant: 1"}, "perfopt; hit; ttl=60", "/1"},
		{de, "perfopt; hit; ttl=60", "de/1"},
		{[]string{"accept-language:   DE", "X-Tenant: 1"}, "perfopt; hit; ttl=60", "de/1"},
		{append(de, "Accept-Encoding: gzip"), "perfopt; fwd=vary-miss; ttl=60; stored", "de/1"},
		{append(de, "Accept-Encoding: deflate, gzip;q=0.5"), "perfopt; hit; ttl=60", "de/1"},
		{append(de, "Connection: X-Tenant"), "perfopt; fwd=vary-miss; ttl=60; stored", "de/"},
	} {
		if got := w.get("/", c.fields...); got.cacheStatus() != c.status || got.body != c.body {
			t.Errorf("%q: %q %q, want %q %q", c.fields, got.cacheStatus(), got.body, c.status, c.body)
		}
	}
	if got := w.do("HEAD", "/", "", de...); got.cacheStatus() != "perfopt; hit; ttl=60" {
		t.Errorf("HEAD: %q", got.cacheStatus())
	}
	w.do("POST", "/", "x")
	if got := w.get("/", de...); got.cacheStatus() != "perfopt; fwd=uri-miss; ttl=60; stored" {
		t.Errorf("a POST leaves a variant: %q", got.cacheStatus())
	}
}

func TestVariantsAreBounded(t *testing.T) {
	w := newWorld(t, answering(200, "Cache-Control: max-age=60", "Vary: X-A"), settings{})
	stored := 0
	for i := range 3 * maxVariants {
		got := w.get("/", "X-A: "+strconv.Itoa(i)).cacheStatus()
		if strings.Contains(got, "stored") {
			stored++
		} else if got != "perfopt; fwd=vary-miss; detail=variants" {
			t.Fatalf("variant %d: %q", i, got)
		}
	}
	if stored != maxVariants {
		t.Errorf("%d variants are stored, want %d", stored, maxVariants)
	}
	if got := w.get("/", "X-A: 0").cacheStatus(); !strings.HasPrefix(got, "perfopt; hit") {
		t.Errorf("the first variant: %q", got)
	}
}

func TestTheMarkerWidensWithVary(t *testing.T) {
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "X-A")
		if r.Header.Get("X-A") == "2" {
			w.Header().Set("Vary", "X-A, X-B")
		}
		fmt.Fprint(w, r.Header.Get("X-A")+r.Header.Get("X-B"))
	}, settings{})
	w.get("/", "X-A: 1")
	w.get("/", "X-A: 2", "X-B: 1")
	for _, b := range []string{"2", "1"} {
		if got := w.get("/", "X-A: 2", "X-B: "+b); got.body != "2"+b {
			t.Errorf("X-B %s selects %q", b, got.body)
		}
	}
	if got := w.get("/", "X-A: 2", "X-B: 1").cacheStatus(); !strings.HasPrefix(got, "perfopt; hit") {
		t.Errorf("the widened variant: %q", got)
	}
}

func TestEncodedForOneClassOnly(t *testing.T) {
	// An origin that encodes although nobody asked, and varies by encoding.
	w := newWorld(t, answering(200, "Cache-Control: max-age=60", "Vary: Accept-Encoding", "Content-Encoding: deflate"), settings{})
	w.get("/", "Accept-Encoding: deflate")
	if got := w.get("/", "Accept-Encoding: identity"); got.body != "2" || got.cacheStatus() != "perfopt; fwd=uri-miss; detail=encoding" {
		t.Errorf("a request of the same class gets an encoding that it may not understand: %+v", got)
	}
}

func TestOnlyIfCached(t *testing.T) {
	w := newWorld(t, answering(200, "Cache-Control: max-age=60"), settings{})
	if got := w.get("/", "Cache-Control: only-if-cached"); got.status != 504 || got.cacheStatus() != "perfopt; detail=only-if-cached" {
		t.Errorf("cold: %+v", got)
	}
	w.wantAsked(0, "only-if-cached")
	w.get("/")
	if got := w.get("/", "Cache-Control: only-if-cached"); got.status != 200 || got.cacheStatus() != "perfopt; hit; ttl=60" {
		t.Errorf("warm: %+v", got)
	}
}

func TestRequestsCanDemandFresherAnswers(t *testing.T) {
	w := newWorld(t, answering(200, "Cache-Control: max-age=60", "Age: 20"), settings{})
	w.get("/")
	n := int64(1)
	for _, c := range []struct {
		field string
		hit   bool
	}{
		{"Cache-Control: max-age=50", true}, {"Cache-Control: max-age=10", false}, {"Cache-Control: max-age=x", false},
		{"Cache-Control: no-cache", false}, {"Pragma: no-cache", false}, {"Cache-Control: min-fresh=30", true}, {"Cache-Control: min-fresh=45", false},
		{"Cache-Control: max-stale=100", true}, {"Cache-Control: no-store", true},
	} {
		got := w.get("/", c.field)
		if hit := strings.HasPrefix(got.cacheStatus(), "perfopt; hit"); hit != c.hit {
			t.Errorf("%s: %q", c.field, got.cacheStatus())
		} else if !hit {
			n++
			if got.body != strconv.FormatInt(n, 10) || got.cacheStatus() != "perfopt; fwd=request; ttl=40; stored" {
				t.Errorf("%s: %+v", c.field, got)
			}
			if again := w.get("/"); again.body != got.body {
				t.Errorf("%s: what was loaded is not stored: %+v", c.field, again)
			}
		}
		w.wantAsked(n, c.field)
	}
}

func TestBodiesAboveTheBoundStreamThrough(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<14) // 256 KiB
	for _, announced := range []bool{true, false} {
		w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			if announced {
				w.Header().Set("Content-Length", strconv.Itoa(len(big)))
			}
			for rest := big; rest != ""; rest = rest[4096:] {
				fmt.Fprint(w, rest[:4096])
			}
		}, settings{options: func(o *Options) { o.MaxBody = 100_000 }})
		for range 2 {
			if got := w.get("/"); got.body != big || got.cacheStatus() != "perfopt; fwd=uri-miss; detail=too-large" {
				t.Errorf("announced %v: %d bytes, %v, %q", announced, len(got.body), got.err, got.cacheStatus())
			}
		}
		if s := w.cache.Stats(); s.L1.Entries != 0 {
			t.Errorf("announced %v: %d entries", announced, s.L1.Entries)
		}
	}
}

func TestABodyLargerThanTheCacheIsServedAndNotKept(t *testing.T) {
	big := strings.Repeat("x", 200_000)
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, big)
	}, settings{cache: func(o *tiered.Options[string, *Response]) { o.L1.Capacity = 100_000 }})
	for range 2 {
		if got := w.get("/"); got.status != 200 || got.body != big {
			t.Errorf("%d, %d bytes, %q", got.status, len(got.body), got.cacheStatus())
		}
	}
	w.wantAsked(2, "both")
}

func TestPrefetchRepeatsOnlyWhatClientsAskedFor(t *testing.T) {
	var seen []http.Header
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Clone())
		w.Header().Set("Cache-Control", "max-age=60")
		switch r.URL.Path {
		case "/private":
			w.Header().Set("Cache-Control", "private")
		case "/vary":
			w.Header().Set("Vary", "Accept-Language")
		case "/cookie":
			w.Header().Set("Vary", "Cookie")
		case "/redirect":
			w.Header().Set("Location", "http://169.254.169.254/latest")
			w.WriteHeader(302)
		}
	}, settings{})
	for _, path := range []string{"/a?b;c", "/private", "/vary", "/cookie", "/redirect"} {
		w.get(path, "Cookie: secret=1", "Accept-Language: de", "X-Canary: canary", "User-Agent: canary")
	}
	w.do("HEAD", "/head", "")
	base := "http://" + w.address
	load := func(key string) (tiered.Loaded[*Response], error) {
		return w.proxy.Load(t.Context(), key, tiered.Prior[*Response]{})
	}
	for _, key := range []string{base + "/private", base + "/cookie", base + "/head", base + "/never", base + "/vary"} {
		if _, err := load(key); !errors.Is(err, ErrNotRepeatable) {
			t.Errorf("%s: %v", key, err)
		}
	}
	n := w.asked.Load()
	l, err := load(base + "/a?b;c")
	if err != nil || l.NoStore || l.Value.Status() != 200 {
		t.Fatalf("load: %+v, %v", l, err)
	}
	if l, err = load(base + "/redirect"); err != nil || l.Value.Status() != 302 {
		t.Errorf("redirect: %+v, %v", l, err)
	}
	item, ok := w.cache.Peek(base + "/vary")
	if !ok {
		t.Fatal("no marker")
	}
	if _, err = load(item.Value.marker.key(base+"/vary", header("Accept-Language: de"))); err != nil {
		t.Errorf("variant: %v", err)
	}
	w.wantAsked(n+3, "three loads")
	for _, h := range seen[n:] {
		for name, values := range h {
			if strings.Contains(strings.Join(values, ""), "canary") || name == "Cookie" || name == "X-Forwarded-For" {
				t.Errorf("a prefetch carries the client's %s: %q", name, values)
			}
		}
	}
	if got := seen[len(seen)-1].Get("Accept-Language"); got != "de" {
		t.Errorf("the variant's own field is %q", got)
	}
	if s := w.proxy.Stats(); s.Prefetches != 3 {
		t.Errorf("%d prefetches counted", s.Prefetches)
	}
}
