// Package admin is the daemon's JSON API: statistics, policies and their
// history, decisions, the cache, reload, and a stream of events. It is one
// http.Handler over a small interface that its owner implements.
//
//   - [New] builds the handler from an [Engine] and [Options].
//   - [Push] is what a PUT of a policy carries, whatever its content type.
//   - [Error] lets the engine choose a status code.
//
// Every request's Host is checked against an allow-list (DNS rebinding),
// changes pass the standard library's cross-origin protection, need a content
// type that no form can send, and the token where one is set. Bodies are
// bounded.
//
// This package must not know how a policy is loaded or a cache built: it knows
// neither WebAssembly nor the package that wires the parts.
//
// Caveats. Without a token everybody on this machine may change policies; the
// configuration refuses such an admin address on any other than a loopback
// address. /healthz and /readyz answer without token, /metrics needs it.
package admin

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Engine is what the API shows and changes. All methods are safe for
// concurrent use.
type Engine interface {
	Policies
	Cache
	// Stats returns the document behind /v1/stats.
	Stats() any
	// Ready says whether requests are served as they should be, and details
	// about each part by name.
	Ready() (ready bool, parts map[string]string)
	// Reload reads the configuration again and says what was changed and what
	// takes effect at the next start only.
	Reload(ctx context.Context) (changed, restart []string, err error)
	// Subscribe calls send with events until ctx is done or send fails.
	Subscribe(ctx context.Context, send func(event string, data any) error) error
}

// Policies is the part about seats.
type Policies interface {
	// Seats lists the seats; the value is an array of objects.
	Seats() any
	// Push puts a policy in a seat and returns what sits there then.
	Push(ctx context.Context, seat string, p Push) (any, error)
	// Rollback returns a seat to what it held before.
	Rollback(ctx context.Context, seat, who string) (any, error)
	// History lists what a seat held, newest first.
	History(seat string) (any, error)
	// Decisions lists a seat's last decisions with inputs, newest first.
	Decisions(seat string) (any, error)
}

// Cache is the part about entries; cache "" is the default one.
type Cache interface {
	Patterns(cache string) (any, error)
	Top(cache string, n int) (any, error)
	Explain(cache, key string) (any, error)
	// Purge removes a key, or everything whose key has the prefix, in both
	// tiers, and returns how many were removed (-1: not counted).
	Purge(ctx context.Context, cache, key, prefix string) (int, error)
}

// Push is a policy to put in a seat: a module or a reference.
type Push struct {
	Module []byte         // the module's bytes; nil where Use is set
	Use    string         // a reference such as "builtin:lru"; "" where Module is set
	Config map[string]any // the policy's settings
	SHA256 string         // digest that the module must have; "" = any
	Who    string         // remote address
	Why    string         // free text of whoever pushes
}

// Error is an error with the status code that tells it best.
type Error struct {
	Status int
	Err    error
}

// Error returns the message of the wrapped error.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// Options configure the handler.
type Options struct {
	// Token is needed for everything but health where it is not empty; it is
	// asked at each request, so that it can be rotated.
	Token func() string
	// Hosts are accepted in Host besides loopback names.
	Hosts []string
	// Metrics serves /metrics.
	Metrics http.Handler
	// Page serves / and what it needs.
	Page http.Handler
	// MaxModule bounds a pushed module in bytes; 0 = 4 MiB.
	MaxModule int64
}

// New returns the API as a handler, safe for concurrent use.
func New(engine Engine, o Options) http.Handler {
	if o.MaxModule == 0 {
		o.MaxModule = 4 << 20
	}
	a := &api{engine: engine, options: o}
	mux := http.NewServeMux()
	a.routes(mux)
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fail(w, &Error{http.StatusForbidden, errors.New("changes from another site's page are refused")})
	}))
	return a.checkHost(a.checkToken(protection.Handler(refuseForms(mux))))
}

// refuseForms refuses what a page's plain form can send, which browsers send
// without asking first.
func refuseForms(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
		form := kind == "application/x-www-form-urlencoded" || kind == "text/plain" || kind == "multipart/form-data" && r.Method == http.MethodPost
		if form && r.Method != http.MethodGet {
			fail(w, &Error{http.StatusUnsupportedMediaType, errors.New("a form cannot change anything here: send application/json or application/wasm")})
			return
		}
		next.ServeHTTP(w, r)
	})
}

type api struct {
	engine  Engine
	options Options
}

func (a *api) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", a.ready)
	mux.HandleFunc("GET /v1/stats", func(w http.ResponseWriter, r *http.Request) { reply(w, http.StatusOK, a.engine.Stats()) })
	mux.HandleFunc("POST /v1/reload", a.reload)
	mux.HandleFunc("GET /v1/events", a.events)
	a.policyRoutes(mux)
	a.cacheRoutes(mux)
	if a.options.Metrics != nil {
		mux.Handle("GET /metrics", a.options.Metrics)
	}
	if a.options.Page != nil {
		mux.Handle("GET /{$}", a.options.Page)
		mux.Handle("GET /page/", a.options.Page)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, &Error{http.StatusNotFound, errors.New("no such endpoint: " + r.Method + " " + r.URL.Path)})
	})
}

// checkHost refuses names that are not this daemon's, so that a page which
// lets its own name point here (DNS rebinding) reads nothing.
func (a *api) checkHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		host = strings.ToLower(strings.Trim(host, "[]"))
		ip := net.ParseIP(host)
		local := host == "localhost" || ip != nil && ip.IsLoopback()
		if !local && !slices.Contains(a.options.Hosts, host) {
			fail(w, &Error{http.StatusMisdirectedRequest, errors.New("Host " + r.Host + " is not this daemon's: add it to listen.admin_hosts if it should be")})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a *api) checkToken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want := ""
		if a.options.Token != nil {
			want = a.options.Token()
		}
		open := r.URL.Path == "/healthz" || r.URL.Path == "/readyz" ||
			r.Method == http.MethodGet && (r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, "/page/"))
		if want == "" || open {
			next.ServeHTTP(w, r)
			return
		}
		got, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			fail(w, &Error{http.StatusUnauthorized, errors.New("this needs the admin token: Authorization: Bearer TOKEN")})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a *api) ready(w http.ResponseWriter, r *http.Request) {
	ready, parts := a.engine.Ready()
	status := http.StatusOK
	if !ready {
		status = http.StatusServiceUnavailable
	}
	reply(w, status, map[string]any{"ready": ready, "parts": parts})
}

func (a *api) reload(w http.ResponseWriter, r *http.Request) {
	changed, restart, err := a.engine.Reload(r.Context())
	if err != nil {
		fail(w, withStatus(err, http.StatusUnprocessableEntity))
		return
	}
	reply(w, http.StatusOK, map[string][]string{"changed": orEmpty(changed), "restart": orEmpty(restart)})
}

// events streams server-sent events. A client that does not read for ten
// seconds is dropped.
func (a *api) events(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	if control.Flush() != nil {
		return
	}
	_ = a.engine.Subscribe(r.Context(), func(event string, data any) error {
		line, err := json.Marshal(data)
		if err != nil {
			return err
		}
		_ = control.SetWriteDeadline(time.Now().Add(10 * time.Second)) // a writer without deadlines has none to set
		if _, err := io.WriteString(w, "event: "+event+"\ndata: "+string(line)+"\n\n"); err != nil {
			return err
		}
		return control.Flush()
	}) // the client has gone or the daemon ends: either way the stream is over
}

func reply(w http.ResponseWriter, status int, document any) {
	body, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client may have gone
}

func fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var coded *Error
	if errors.As(err, &coded) {
		status = coded.Status
	}
	reply(w, status, map[string]string{"error": err.Error()})
}

// withStatus gives an error a status where it has none.
func withStatus(err error, status int) error {
	var coded *Error
	if errors.As(err, &coded) {
		return err
	}
	return &Error{status, err}
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
