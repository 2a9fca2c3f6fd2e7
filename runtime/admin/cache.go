package admin

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

func (a *api) cacheRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/cache/patterns", func(w http.ResponseWriter, r *http.Request) {
		document, err := a.engine.Patterns(r.URL.Query().Get("cache"))
		answer(w, document, err, http.StatusNotFound)
	})
	mux.HandleFunc("GET /v1/cache/top", func(w http.ResponseWriter, r *http.Request) {
		n := 20
		if text := r.URL.Query().Get("n"); text != "" {
			var err error
			if n, err = strconv.Atoi(text); err != nil || n < 1 || n > 1000 {
				fail(w, &Error{http.StatusBadRequest, fmt.Errorf("n=%q: want a number from 1 to 1000", text)})
				return
			}
		}
		document, err := a.engine.Top(r.URL.Query().Get("cache"), n)
		answer(w, document, err, http.StatusNotFound)
	})
	mux.HandleFunc("GET /v1/cache/explain", func(w http.ResponseWriter, r *http.Request) {
		key := r.URL.Query().Get("key")
		if key == "" {
			fail(w, &Error{http.StatusBadRequest, errors.New("key is missing: /v1/cache/explain?key=KEY; /v1/cache/top lists some")})
			return
		}
		document, err := a.engine.Explain(r.URL.Query().Get("cache"), key)
		answer(w, document, err, http.StatusNotFound)
	})
	mux.HandleFunc("POST /v1/cache/purge", a.purge)
}

func (a *api) purge(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != "application/json" {
		fail(w, &Error{http.StatusUnsupportedMediaType, errors.New("want Content-Type application/json")})
		return
	}
	body, err := readBounded(http.MaxBytesReader(w, r.Body, maxDocument), "the body", maxDocument)
	if err != nil {
		fail(w, withStatus(err, http.StatusBadRequest))
		return
	}
	var what struct {
		Cache  string `json:"cache"`
		Key    string `json:"key"`
		Prefix string `json:"prefix"`
	}
	if err := strict(body, &what); err != nil {
		fail(w, withStatus(fmt.Errorf("body: %w", err), http.StatusBadRequest))
		return
	}
	if (what.Key == "") == (what.Prefix == "") {
		fail(w, &Error{http.StatusBadRequest, errors.New(`want either {"key": ...} or {"prefix": ...}`)})
		return
	}
	removed, err := a.engine.Purge(r.Context(), what.Cache, what.Key, what.Prefix)
	document := map[string]any{"purged": true}
	if removed >= 0 {
		document["removed"] = removed
	}
	answer(w, document, err, http.StatusNotFound)
}
