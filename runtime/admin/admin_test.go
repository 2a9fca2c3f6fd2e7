package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// engine answers with what it was asked.
type engine struct {
	pushed  Push
	changes int
	fail    error
	purged  string
}

func (e *engine) Stats() any { return map[string]int{"requests": 7} }
func (e *engine) Ready() (bool, map[string]string) {
	return e.fail == nil, map[string]string{"l2": "away"}
}
func (e *engine) Seats() any { return []string{"eviction"} }

func (e *engine) Reload(context.Context) ([]string, []string, error) {
	e.changes++
	return []string{"log.level"}, nil, e.fail
}

func (e *engine) Subscribe(ctx context.Context, send func(string, any) error) error {
	return errors.Join(send("swap", map[string]string{"seat": "ttl"}), send("stats", 1))
}

func (e *engine) Push(_ context.Context, seat string, p Push) (any, error) {
	e.changes++
	e.pushed = p
	return map[string]string{"seat": seat}, e.fail
}

func (e *engine) Rollback(_ context.Context, seat, who string) (any, error) {
	e.changes++
	return seat, e.fail
}

func (e *engine) History(seat string) (any, error)       { return []string{seat}, e.fail }
func (e *engine) Decisions(seat string) (any, error)     { return []string{seat}, e.fail }
func (e *engine) Patterns(cache string) (any, error)     { return cache, e.fail }
func (e *engine) Top(cache string, n int) (any, error)   { return n, e.fail }
func (e *engine) Explain(cache, key string) (any, error) { return key, e.fail }
func (e *engine) Purge(_ context.Context, cache, key, prefix string) (int, error) {
	e.changes++
	e.purged = key + "|" + prefix
	return 3, e.fail
}

type call struct {
	method, path, body string
	header             map[string]string
}

func do(h http.Handler, c call) *http.Response {
	r := httptest.NewRequest(c.method, "http://127.0.0.1:8081"+c.path, strings.NewReader(c.body))
	for k, v := range c.header {
		if k == "Host" {
			r.Host = v
		}
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(r *http.Response) string {
	b, _ := io.ReadAll(r.Body) // a recorder's body does not fail
	return string(b)
}

func TestEndpoints(t *testing.T) {
	jsonType := map[string]string{"Content-Type": "application/json"}
	for _, c := range []struct {
		call   call
		status int
		want   string
	}{
		{call{method: "GET", path: "/healthz"}, 200, `"ok"`},
		{call{method: "GET", path: "/readyz"}, 200, `"l2": "away"`},
		{call{method: "GET", path: "/v1/stats"}, 200, `"requests": 7`},
		{call{method: "GET", path: "/v1/policies"}, 200, `"seats"`},
		{call{method: "GET", path: "/v1/policies/eviction@docs/history"}, 200, `eviction@docs`},
		{call{method: "GET", path: "/v1/decisions/scaling"}, 200, `scaling`},
		{call{method: "GET", path: "/v1/cache/patterns?cache=docs"}, 200, `docs`},
		{call{method: "GET", path: "/v1/cache/top"}, 200, `20`},
		{call{method: "GET", path: "/v1/cache/top?n=0"}, 400, `from 1 to 1000`},
		{call{method: "GET", path: "/v1/cache/explain"}, 400, `key is missing`},
		{call{method: "GET", path: "/v1/cache/explain?key=a%26b"}, 200, `a\u0026b`},
		{call{method: "POST", path: "/v1/reload"}, 200, `"log.level"`},
		{call{method: "POST", path: "/v1/policies/ttl/rollback"}, 200, `ttl`},
		{call{"POST", "/v1/cache/purge", `{"key":"k"}`, jsonType}, 200, `"removed": 3`},
		{call{"POST", "/v1/cache/purge", `{"key":"k","prefix":"p"}`, jsonType}, 400, `either`},
		{call{"POST", "/v1/cache/purge", `{"kei":"k"}`, jsonType}, 400, `kei`},
		{call{"PUT", "/v1/policies/ttl", `{"use":"builtin:fixed","config":{"ttl":"7s"}}`, jsonType}, 200, `ttl`},
		{call{"PUT", "/v1/policies/ttl", `{"use":"builtin:fixed"} {}`, jsonType}, 400, `more than one`},
		{call{"PUT", "/v1/policies/ttl", `{}`, jsonType}, 400, `lacks`},
		{call{"PUT", "/v1/policies/ttl", "\x00asm", map[string]string{"Content-Type": "application/wasm"}}, 200, `ttl`},
		{call{"PUT", "/v1/policies/ttl", strings.Repeat("x", 2000), map[string]string{"Content-Type": "application/wasm"}}, 413, `max_module`},
		{call{"PUT", "/v1/policies/ttl", "x", map[string]string{"Content-Type": "image/png"}}, 415, `want application/wasm`},
		{call{method: "GET", path: "/v1/experiments"}, 404, `no such endpoint`},
		{call{method: "DELETE", path: "/v1/policies/ttl"}, 404, `no such endpoint`},
		{call{method: "GET", path: "/v1/policies-x"}, 404, `no such endpoint`},
	} {
		h := New(&engine{}, Options{MaxModule: 1000})
		r := do(h, c.call)
		if body := text(r); r.StatusCode != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s %s: %d %s, want %d with %s", c.call.method, c.call.path, r.StatusCode, body, c.status, c.want)
		}
	}
}

func TestPushCarriesWhatWasSent(t *testing.T) {
	e := &engine{}
	h := New(e, Options{})
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("module", "p.wasm")
	if err != nil {
		t.Fatal(err)
	}
	part.Write([]byte("\x00asm"))
	if err := errors.Join(form.WriteField("config", `{"k":16}`), form.Close()); err != nil {
		t.Fatal(err)
	}
	r := do(h, call{"PUT", "/v1/policies/eviction", body.String(), map[string]string{"Content-Type": form.FormDataContentType(), "Perfopt-Why": "try it"}})
	if r.StatusCode != 200 || string(e.pushed.Module) != "\x00asm" || e.pushed.Config["k"] != 16.0 || e.pushed.Why != "try it" || e.pushed.Who == "" {
		t.Errorf("status %d, pushed %+v", r.StatusCode, e.pushed)
	}
}

func TestEngineErrorsKeepTheirStatus(t *testing.T) {
	e := &engine{fail: errors.New("module has no memory")}
	h := New(e, Options{})
	push := call{"PUT", "/v1/policies/ttl", "\x00asm", map[string]string{"Content-Type": "application/wasm"}}
	if r := do(h, push); r.StatusCode != 422 || !strings.Contains(text(r), "module has no memory") {
		t.Errorf("status %d", r.StatusCode)
	}
	e.fail = &Error{404, errors.New("no such seat")}
	if r := do(h, push); r.StatusCode != 404 {
		t.Errorf("status %d", r.StatusCode)
	}
	if r := do(h, call{method: "GET", path: "/readyz"}); r.StatusCode != 503 {
		t.Errorf("not ready: status %d", r.StatusCode)
	}
}

func TestForeignRequestsChangeNothing(t *testing.T) {
	for _, path := range []string{"/v1/reload", "/v1/policies/ttl/rollback", "/v1/cache/purge"} {
		for name, header := range map[string]map[string]string{
			"foreign host":      {"Host": "rebind.evil", "Origin": "http://rebind.evil"},
			"foreign origin":    {"Origin": "http://evil.example"},
			"cross site":        {"Sec-Fetch-Site": "cross-site"},
			"same site":         {"Sec-Fetch-Site": "same-site"},
			"form":              {"Content-Type": "application/x-www-form-urlencoded"},
			"plain form":        {"Content-Type": "text/plain"},
			"upload form":       {"Content-Type": "multipart/form-data; boundary=x"},
			"wrong token":       {"Authorization": "Bearer no"},
			"no token":          {},
			"token as a cookie": {"Cookie": "token=secret"},
		} {
			e := &engine{}
			h := New(e, Options{Token: func() string { return "secret" }})
			if _, ok := header["Authorization"]; !ok && name != "no token" && name != "token as a cookie" {
				header["Authorization"] = "Bearer secret"
			}
			if r := do(h, call{"POST", path, `{"key":"k"}`, header}); r.StatusCode < 400 || e.changes != 0 {
				t.Errorf("%s, %s: status %d, %d changes", path, name, r.StatusCode, e.changes)
			}
		}
	}
}

func TestHostIsCheckedOnReadsToo(t *testing.T) {
	h := New(&engine{}, Options{Hosts: []string{"admin.internal"}})
	for host, want := range map[string]int{
		"127.0.0.1:8081": 200, "localhost:1": 200, "[::1]:8081": 200, "admin.internal": 200, "ADMIN.internal:9": 200,
		"rebind.evil": 421, "127.0.0.1.evil": 421, "": 421, "10.0.0.1": 421,
	} {
		if r := do(h, call{method: "GET", path: "/v1/stats", header: map[string]string{"Host": host}}); r.StatusCode != want {
			t.Errorf("Host %q: status %d, want %d", host, r.StatusCode, want)
		}
	}
}

func TestTokenCanBeRotated(t *testing.T) {
	token := "one"
	h := New(&engine{}, Options{Token: func() string { return token }})
	get := func(with string) int {
		return do(h, call{method: "GET", path: "/v1/stats", header: map[string]string{"Authorization": "Bearer " + with}}).StatusCode
	}
	if get("one") != 200 {
		t.Error("the token is refused")
	}
	token = "two"
	if get("one") != 401 || get("two") != 200 {
		t.Error("the old token is still taken, or the new one is not")
	}
	if r := do(h, call{method: "GET", path: "/healthz"}); r.StatusCode != 200 {
		t.Error("health needs the token")
	}
}

func TestEventStream(t *testing.T) {
	server := httptest.NewServer(New(&engine{}, Options{}))
	defer server.Close()
	r, err := http.Get(server.URL + "/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	want := "event: swap\ndata: {\"seat\":\"ttl\"}\n\nevent: stats\ndata: 1\n\n"
	if got := text(r); got != want || r.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("got %q", got)
	}
}

func FuzzPush(f *testing.F) {
	f.Add("application/json", []byte(`{"use":"builtin:lru","config":{"a":[1]}}`))
	f.Add("multipart/form-data; boundary=x", []byte("--x\r\nContent-Disposition: form-data; name=\"config\"\r\n\r\n{}\r\n--x--"))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		r := httptest.NewRequest("PUT", "http://localhost/v1/policies/ttl", bytes.NewReader(body))
		r.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		New(&engine{}, Options{}).ServeHTTP(w, r)
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("answer is not JSON: %q", w.Body)
		}
	})
}
