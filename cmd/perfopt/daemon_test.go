package main

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// daemon answers the admin API as perfoptd does, so that the tool's half can be
// tested by itself. It keeps what was pushed into the seat eviction.
type daemon struct {
	token string

	mu sync.Mutex
	// guards the fields below
	held []map[string]any // of the seat eviction, the newest last

}

// cmdDaemon starts a daemon that wants a token, or none, and points PERFOPT_ADMIN
// at it: daemon [TOKEN]
func cmdDaemon(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: daemon [TOKEN]")
	}
	d := &daemon{}
	if len(args) == 1 {
		d.token = args[0]
	}
	d.hold("linear", "", "file", "")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/policies", d.list)
	mux.HandleFunc("PUT /v1/policies/{seat}", d.push)
	mux.HandleFunc("POST /v1/policies/{seat}/rollback", d.rollback)
	mux.HandleFunc("GET /v1/policies/{seat}/history", d.history)
	mux.HandleFunc("GET /v1/cache/{what}", d.cache)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.token != "" && r.Header.Get("Authorization") != "Bearer "+d.token {
			refuse(w, http.StatusUnauthorized, "this needs the admin token")
			return
		}
		mux.ServeHTTP(w, r)
	}))
	ts.Defer(server.Close)
	ts.Setenv("PERFOPT_ADMIN", server.URL)
}

func (d *daemon) hold(name, digest, source, why string) map[string]any {
	d.held = append(d.held, map[string]any{"seat": "eviction", "kind": "eviction", "name": name, "version": "1.0.0", "digest": digest,
		"source": source, "since": "2024-05-01T10:00:00Z", "at": "2024-05-01T10:00:00Z", "why": why, "who": "127.0.0.1:9",
		"calls": 1234567, "faults": map[string]int{"trap": 1, "fuel": 2}, "state": "active"})
	return d.held[len(d.held)-1]
}

func (d *daemon) list(w http.ResponseWriter, _ *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	document(w, map[string]any{"seats": []any{d.held[len(d.held)-1],
		map[string]any{"seat": "ttl@docs", "kind": "ttl", "name": "fixed", "source": "file", "since": "2024-05-01T10:00:00Z", "faults": 0, "state": "quarantined"}}})
}

func (d *daemon) push(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	seat := r.PathValue("seat")
	if seat == "eviction@nowhere" {
		refuse(w, http.StatusNotFound, "there is no cache nowhere")
		return
	}
	text, err := pushed(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if strings.Contains(text, "garbage") {
		refuse(w, http.StatusUnprocessableEntity, "module: not WebAssembly")
		return
	}
	document(w, d.hold(seat+": "+text, strings.Repeat("ab12", 16), "push", r.Header.Get("Perfopt-Why")))
}

// pushed says what a push carries.
func pushed(r *http.Request) (string, error) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", err
	}
	if kind != "multipart/form-data" {
		return kind + " " + strings.TrimSpace(string(body)), nil
	}
	text := kind
	for form := multipart.NewReader(strings.NewReader(string(body)), params["boundary"]); ; {
		part, err := form.NextPart()
		if err == io.EOF {
			return text, nil
		}
		if err != nil {
			return "", err
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return "", err
		}
		text += fmt.Sprintf(" %s=%s", part.FormName(), strings.TrimSpace(string(data)))
	}
}

func (d *daemon) rollback(w http.ResponseWriter, _ *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.held) < 2 {
		refuse(w, http.StatusConflict, "the seat eviction held nothing before")
		return
	}
	d.held = d.held[:len(d.held)-1]
	document(w, d.held[len(d.held)-1])
}

func (d *daemon) history(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var newestFirst []any
	for i := range d.held {
		newestFirst = append(newestFirst, d.held[len(d.held)-1-i])
	}
	document(w, map[string]any{"seat": r.PathValue("seat"), "history": newestFirst})
}

func (d *daemon) cache(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch r.PathValue("what") {
	case "patterns":
		document(w, json.RawMessage(`{"cache":"`+q.Get("cache")+`","requests":1234567,"zipf_exponent":0.8123456,"hit_ratio":0.5,"working_set_bytes":3670016,`+
			`"classes":{"hot":12,"cold":3},"top":[{"key":"/a","hits":1000},{"key":"/bb","hits":7}],"periods":[1.5,60]}`))
	case "top":
		document(w, json.RawMessage(`{"entries":[{"key":"n=`+q.Get("n")+`","resident":true}]}`))
	case "explain":
		if q.Get("key") == "/unknown" {
			refuse(w, http.StatusNotFound, "the cache does not know /unknown")
			return
		}
		document(w, json.RawMessage(`{"key":`+string(must(json.Marshal(q.Get("key"))))+`,"resident":true,"expires_in_s":12.5,"policy":null}`))
	default:
		refuse(w, http.StatusNotFound, "no such endpoint")
	}
}

func document(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(must(json.Marshal(v))) // the client's problem
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.WriteHeader(status)
	document(w, map[string]string{"error": message})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
