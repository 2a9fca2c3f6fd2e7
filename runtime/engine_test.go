package perfopt

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/perfopt/perfopt/cache/l2"
)

// decode asks the admin side and decodes the answer, which must have that
// status.
func decode[T any](s *system, status int, method, path, body string) T {
	s.Helper()
	a := s.admin(method, path, body, "Content-Type", "application/json")
	if a.status != status {
		s.Errorf("%s %s: %d %s, want %d", method, path, a.status, a.body, status)
	}
	var v T
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		s.Errorf("%s %s: %v in %s", method, path, err, a.body)
	}
	return v
}

type refusal struct {
	Error string `json:"error"`
}

// keyOf returns the key under which the proxy stores a path.
func (s *system) keyOf(path string) string {
	s.Helper()
	c, err := (engine{s.rt}).cache("")
	if err != nil {
		s.Fatal(err)
	}
	key := ""
	eventually(s.T, path+" is resident", func() bool {
		for _, e := range c.Top(1000) {
			if strings.HasSuffix(e.Key, path) {
				key = e.Key
			}
		}
		return key != ""
	})
	return key
}

func (s *system) explainPath(key string) string {
	return "/v1/cache/explain?key=" + url.QueryEscape(key)
}

func TestPatternsAndTopOverLiveTraffic(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	for i := range 20 {
		for range 20 - i {
			s.get(fmt.Sprintf("/page/%d", i))
		}
	}
	eventually(t, "the patterns have seen it, but for what a full ring dropped", func() bool {
		p := decode[struct{ Hits, Misses uint64 }](s, 200, "GET", "/v1/cache/patterns", "")
		return p.Misses == 20 && p.Hits > 100
	})
	p := decode[struct {
		Zipf       float64 `json:"zipf"`
		WorkingSet []struct{ Keys float64 }
		Classes    []struct {
			Name string
			Keys float64
		}
		Curve []any
	}](s, 200, "GET", "/v1/cache/patterns?cache=default", "")
	if p.Zipf <= 0 || len(p.Curve) == 0 || len(p.Classes) != 5 || p.Classes[3].Name != "hot" || p.Classes[3].Keys == 0 {
		t.Errorf("patterns: %+v", p)
	}
	top := decode[struct {
		Cache   string
		Entries []struct {
			Key     string
			Count   float64
			Recency float64 `json:"recency_s"`
		}
	}](s, 200, "GET", "/v1/cache/top?n=3", "")
	if top.Cache != "default" || len(top.Entries) != 3 {
		t.Errorf("top: %+v", top)
	}
	for i, e := range top.Entries {
		if !strings.Contains(e.Key, "/page/") || e.Count < 0.5 || e.Recency < 0 || i > 0 && e.Recency < top.Entries[i-1].Recency {
			t.Errorf("line %d of top: %+v", i, top.Entries)
		}
	}
	for path, want := range map[string]int{
		"/v1/cache/patterns?cache=nowhere": 404, "/v1/cache/top?cache=nowhere": 404, "/v1/cache/top?n=0": 400,
		"/v1/cache/top?n=1001": 400, "/v1/cache/explain": 400, "/v1/cache/explain?key=x&cache=nowhere": 404,
		"/v1/policies/eviction@nowhere/history": 404, "/v1/policies/nonsense/history": 404, "/v1/decisions/ttl@nowhere": 404,
		"/v1/nothing": 404,
	} {
		if got := decode[refusal](s, want, "GET", path, ""); got.Error == "" {
			t.Errorf("%s: no error", path)
		}
	}
}

func TestExplainResidentEvictedAndUnknownKeys(t *testing.T) {
	t.Parallel()
	s := start(t, "[cache]\nmax_entries = 20\n[policy.eviction]\nuse = \"builtin:fifo\"\n")
	for range 5 {
		s.get("/first")
	}
	key := s.keyOf("/first")
	type explanation struct {
		Resident, Fresh, Known bool
		Count                  float64
		Weight                 uint32
		FreshFor               float64 `json:"fresh_for_s"`
		Policy                 string
	}
	eventually(t, "what was asked is known", func() bool {
		x := decode[explanation](s, 200, "GET", s.explainPath(key), "")
		if !x.Resident || !x.Fresh || x.FreshFor <= 0 || x.FreshFor > 100 || x.Weight == 0 || x.Policy != "fifo" {
			t.Fatalf("a resident: %+v", x)
		}
		return x.Known && math.Round(x.Count) == 5
	})
	n := 0
	eventually(t, "the entry was evicted", func() bool {
		n++
		s.get(fmt.Sprintf("/other/%d", n))
		x := decode[explanation](s, 200, "GET", s.explainPath(key), "")
		return !x.Resident
	})
	if x := decode[explanation](s, 200, "GET", s.explainPath(key), ""); !x.Known || math.Round(x.Count) != 5 || x.Fresh {
		t.Errorf("an evicted key: %+v", x)
	}
	if got := decode[refusal](s, 404, "GET", s.explainPath("never asked for"), ""); !strings.Contains(got.Error, "never asked for") {
		t.Errorf("an unknown key: %s", got.Error)
	}
}

func TestPurgeByKeyAndPrefixInBothTiers(t *testing.T) {
	t.Parallel()
	redis := startRedisServer(t)
	s := start(t, "[cache.l2]\nurl = \""+redis.url()+"\"\n[prefetch]\nenabled = false\n")
	other := start(t, "[cache.l2]\nurl = \""+redis.url()+"\"\n[origin]\nurl = \""+s.origin.URL+"\"\n[prefetch]\nenabled = false\n")
	written := func(s *system) {
		t.Helper()
		eventually(t, "all is written", func() bool { return s.rt.Stats().Caches["default"].L2.Pending == 0 })
	}
	// Both proxies show the origin the same host, so their keys are the same.
	get := func(s *system, path string) string { return s.get(path, "Host", "site.test").cacheStatus() }
	n := 0
	eventually(t, "what one stored the other finds in the second tier", func() bool {
		n++
		path := fmt.Sprintf("/warm/%d", n)
		get(s, path)
		written(s)
		before := s.origin.requests.Load()
		get(other, path)
		return s.origin.requests.Load() == before
	})
	paths := []string{"/a/1", "/a/2", "/b/1"}
	for _, path := range paths {
		get(s, path)
	}
	written(s)
	purge := func(body string) map[string]any {
		t.Helper()
		got := decode[map[string]any](s, 200, "POST", "/v1/cache/purge", body)
		written(s)
		return got
	}
	key := s.keyOf("/a/1")
	prefix := strings.TrimSuffix(key, "1")
	for _, step := range []struct {
		body    string
		removed any
		gone    map[string]bool
	}{
		{fmt.Sprintf(`{"key": %q}`, key), 1.0, map[string]bool{"/a/1": true}},
		{fmt.Sprintf(`{"key": %q}`, "nothing"), 0.0, nil},
		{fmt.Sprintf(`{"prefix": %q}`, prefix), nil, map[string]bool{"/a/1": true, "/a/2": true}},
	} {
		if got := purge(step.body); got["removed"] != step.removed || got["purged"] != true {
			t.Errorf("%s: %v", step.body, got)
		}
		for _, path := range paths {
			before := s.origin.requests.Load()
			get(s, path)
			if asked := s.origin.requests.Load() > before; asked != step.gone[path] {
				t.Errorf("after %s: %s asked the origin: %v", step.body, path, asked)
			}
		}
		written(s)
	}
	for body, want := range map[string]int{`{}`: 400, `{"key":"a","prefix":"b"}`: 400, `{"tags":"a"}`: 400, `{"cache":"nowhere","key":"a"}`: 404} {
		decode[refusal](s, want, "POST", "/v1/cache/purge", body)
	}
}

func TestDecisionsOfEveryKind(t *testing.T) {
	t.Parallel()
	s := start(t, "[cache]\nmax_entries = 20\n[scheduler]\ntick = \"10ms\"\n[prefetch]\ntick = \"10ms\"\nmax_share = \"50%\"\n")
	n := 0
	want := map[string][2]string{
		"eviction": {"need", "victims"}, "ttl": {"base_ttl_s", "ttl_s"}, "prefetch": {"candidates", "proposed"}, "scaling": {"cpu", "limit"},
	}
	eventually(t, "each seat has decided", func() bool {
		n++
		s.get(fmt.Sprintf("/%d", n))
		for seat, names := range want {
			got := decode[struct {
				Seat      string
				Decisions []struct{ Inputs, Outputs map[string]float64 }
			}](s, 200, "GET", "/v1/decisions/"+seat, "")
			if got.Seat != seat {
				t.Fatalf("decisions of %s: %+v", seat, got)
			}
			if len(got.Decisions) == 0 {
				return false
			}
			for _, d := range got.Decisions {
				if _, in := d.Inputs[names[0]]; !in {
					t.Fatalf("%s lacks the input %s: %+v", seat, names[0], d)
				}
				if _, out := d.Outputs[names[1]]; !out {
					t.Fatalf("%s lacks the output %s: %+v", seat, names[1], d)
				}
			}
		}
		return true
	})
}

func TestReadinessTellsOfTheSecondTierAndOfSeats(t *testing.T) {
	t.Parallel()
	redis := startRedisServer(t)
	s := start(t, "[cache.l2]\nurl = \""+redis.url()+"\"\n")
	type readiness struct {
		Ready bool
		Parts map[string]string
	}
	ready := func(status int) readiness { return decode[readiness](s, status, "GET", "/readyz", "") }
	if got := ready(200); !got.Ready || got.Parts["cache default"] != "ok" || got.Parts["scheduler"] != "ok" {
		t.Errorf("at first: %+v", got)
	}
	redis.kill()
	n := 0
	eventually(t, "readiness says that the second tier is away", func() bool {
		n++
		if a := s.get(fmt.Sprintf("/%d", n)); a.status != 200 || a.body != fmt.Sprintf("/%d", n) {
			t.Fatalf("without the second tier: %d %s", a.status, a.body)
		}
		got := ready(200)
		return got.Ready && strings.Contains(got.Parts["cache default"], "second tier is away")
	})
	if got := s.rt.Stats().Caches["default"].L2; got.State == l2.StateClosed || got.LastError == "" {
		t.Errorf("statistics: %+v", got)
	}
	if !strings.Contains(s.admin("GET", "/metrics", "").body, `perfopt_l2_up{cache="default"} 0`) {
		t.Error("/metrics does not say so")
	}
	if !strings.Contains(s.log.String(), "second cache tier is away") {
		t.Error("the log does not say so")
	}
	redis.start()
	eventually(t, "the second tier is back", func() bool { return ready(200).Parts["cache default"] == "ok" })
	eventually(t, "and used", func() bool {
		n++
		s.get(fmt.Sprintf("/%d", n))
		return redis.do("DBSIZE") != ":0"
	})
}

func TestReadinessWhileDraining(t *testing.T) {
	t.Parallel()
	rt := mustNew(t, func(*Config) {})
	end(t, rt)
	ready, parts := engine{rt}.Ready()
	if ready || parts["daemon"] != "draining" {
		t.Errorf("after shutdown: %v %v", ready, parts)
	}
}

// TestEventsTellWhatHappens reads the stream as a client does.
func TestEventsTellWhatHappens(t *testing.T) {
	t.Parallel()
	s := start(t, "[guard]\nfaults = 1000\n")
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	r, err := http.NewRequestWithContext(ctx, "GET", "http://"+s.rt.AdminAddr()+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	if got := stream.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type %s", got)
	}
	lines := bufio.NewScanner(stream.Body)
	lines.Buffer(nil, 1<<20)
	next := func(want string) map[string]any {
		t.Helper()
		name := ""
		for lines.Scan() {
			line := lines.Text()
			if v, ok := strings.CutPrefix(line, "event: "); ok {
				name = v
			}
			v, ok := strings.CutPrefix(line, "data: ")
			if !ok || name != want {
				continue
			}
			var data map[string]any
			if err := json.Unmarshal([]byte(v), &data); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			return data
		}
		t.Fatalf("the stream ended before %s: %v", want, lines.Err())
		return nil
	}
	if data := next("stats"); data["caches"] == nil {
		t.Errorf("the first statistics: %v", data)
	}
	if data := next("stats"); data["caches"] == nil { // a second later; now the stream is subscribed
		t.Errorf("statistics: %v", data)
	}
	if err := s.rt.Swap(t.Context(), "eviction", "builtin:s3fifo"); err != nil {
		t.Fatal(err)
	}
	if data := next("policy"); data["seat"] != "eviction" || data["name"] != "s3fifo" {
		t.Errorf("policy: %v", data)
	}
	if err := os.WriteFile(s.dir+"/policies.toml", []byte("[log]\nlevel = \"warn\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	decode[map[string]any](s, 200, "POST", "/v1/reload", "")
	if data := next("reload"); fmt.Sprint(data["changed"]) != "[guard.faults log.level]" {
		t.Errorf("reload: %v", data)
	}
	if err := s.rt.SwapModule(t.Context(), "ttl", module(t, trapModule), nil); err != nil {
		t.Fatal(err)
	}
	for i := range 2500 {
		s.get(fmt.Sprintf("/%d", i))
		if s.seatStats("ttl").Faults > 0 {
			break
		}
	}
	if data := next("fault"); data["seat"] != "ttl" || data["reason"] != "fuel" {
		t.Errorf("fault: %v", data)
	}
}

func TestRefusalsOfPushAndRollback(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	if got := decode[refusal](s, 409, "POST", "/v1/policies/scaling/rollback", ""); !strings.Contains(got.Error, "nothing to roll back to") {
		t.Errorf("rollback: %s", got.Error)
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "/v1/policies/nowhere/rollback", "", 404, "nowhere"},
		{"POST", "/v1/policies/ttl@nowhere/rollback", "", 404, "ttl@nowhere"},
		{"PUT", "/v1/policies/nowhere", `{"use":"builtin:lru"}`, 404, "nowhere"},
		{"PUT", "/v1/policies/eviction", `{"use":"builtin:nothing"}`, 422, "nothing"},
		{"PUT", "/v1/policies/eviction", `{"use":"/etc/policy.wasm"}`, 400, "does not read files"},
		{"PUT", "/v1/policies/eviction", `{"use":"builtin:linear","config":{"no":1}}`, 422, "no"},
		{"PUT", "/v1/policies/eviction", `{"use":""}`, 400, "use"},
		{"PUT", "/v1/policies/ttl", `{"use":"builtin:lru"}`, 422, "lru"},
	} {
		before := s.seatStats("eviction")
		if got := decode[refusal](s, c.status, c.method, c.path, c.body); !strings.Contains(got.Error, c.says) {
			t.Errorf("%s %s %s: %q does not say %q", c.method, c.path, c.body, got.Error, c.says)
		}
		if after := s.seatStats("eviction"); after.Name != before.Name || after.Since != before.Since {
			t.Errorf("%s changed the seat: %+v", c.body, after)
		}
	}
	decode[map[string]any](s, 200, "PUT", "/v1/policies/eviction", `{"use":"builtin:lru"}`)
	if got := decode[SeatStats](s, 200, "POST", "/v1/policies/eviction/rollback", ""); got.Name != "linear" || got.Source != "rollback" {
		t.Errorf("rolled back to %+v", got)
	}
	history := decode[struct {
		History []struct{ Who, Name, Source string }
	}](s, 200, "GET", "/v1/policies/eviction/history", "").History
	if len(history) != 3 || history[0].Source != "rollback" || history[1].Source != "push" || history[1].Who == "" || history[2].Source != "file" {
		t.Errorf("history: %+v", history)
	}
}

// TestStatisticsAreAlwaysJSON: a runtime that has seen nothing, one in use and
// one that is shut down never show NaN or infinity, which JSON cannot say.
func TestStatisticsAreAlwaysJSON(t *testing.T) {
	t.Parallel()
	rt, c := embed(t, nil, func(_ context.Context, key string) (string, error) { return key, nil })
	look := func(when string) {
		t.Helper()
		text, err := json.Marshal(rt.Stats())
		if err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if bytes.Contains(text, []byte("NaN")) || bytes.Contains(text, []byte("null,\"scheduler")) {
			t.Errorf("%s: %s", when, text)
		}
		for _, seat := range rt.seatList() {
			if _, err := json.Marshal(seat.decisions()); err != nil {
				t.Errorf("%s: decisions of %s: %v", when, seat.name, err)
			}
		}
		if _, err := json.Marshal(c.tiered.Top(10)); err != nil {
			t.Errorf("%s: top: %v", when, err)
		}
	}
	look("at first")
	for i := range 300 {
		if _, err := c.GetOrLoad(t.Context(), fmt.Sprint(i%100)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "points of the series", func() bool { look("in use"); return len(rt.Stats().Series) >= 2 })
	end(t, rt)
	look("after shutdown")
}
