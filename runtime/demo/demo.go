// Package demo is the origin that perfoptd stands in front of when none is
// configured: a documentation server over the Go standard library. It is a
// real one, so that caching and limiting it shows what they do for real work:
// a package page parses the package's sources and renders its documentation,
// a search runs over the full text of all of it, and both cost CPU time on
// every request.
//
//   - [Open] finds a library to serve: the sources below a GOROOT, else the
//     project's own documentation, which is embedded.
//   - [Site] is an http.Handler with three kinds of page: the list of packages
//     (/), a package (/pkg/net/http) and a search (/search?q=round+trip).
//
// Answers carry Cache-Control, a strong ETag over the body, and Server-Timing
// with the time that rendering took, so that a client sees what a hit saves.
//
// This package must not know that a proxy or a cache stands in front of it; it
// imports nothing else of perfopt, and an embedding program never builds it.
//
// Caveats. The search index is built in the background in the first seconds;
// until it is ready a search answers 503 with Retry-After, which no cache
// stores. The index lives in memory (a few tens of MiB).
package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Options configure a site. The zero value serves the GOROOT of this machine,
// where there is one.
type Options struct {
	// GOROOT is the Go installation to document; "" = the machine's own,
	// looked up in the build's settings and through a go command on PATH.
	GOROOT string
	// Fallback is served where there is no GOROOT: Markdown files.
	Fallback fs.FS
}

// Site serves the documentation. Safe for concurrent use.
type Site struct {
	library library
	index   *searchIndex
	mux     *http.ServeMux
}

// library is what a site documents.
type library interface {
	// Title names the whole.
	Title() string
	// Pages lists the pages, sorted by path.
	Pages() []page
	// Render writes one page; fs.ErrNotExist where there is none of that path.
	Render(path string) (rendered, error)
	// Documents yields what can be searched, in a stable order.
	Documents(ctx context.Context, yield func(document) error) error
}

// page is an entry of the list of pages.
type page struct {
	Path     string // such as "net/http"
	Synopsis string // one sentence
}

// document is something that a search can find.
type document struct {
	ID   string // page path, "#", anchor
	Name string // what it is called
	Text string // its full text
}

// Open finds the library and begins to index it. Close ends the indexing.
func Open(o Options) (*Site, error) {
	lib, err := openLibrary(o)
	if err != nil {
		return nil, err
	}
	index, err := newSearchIndex(lib)
	if err != nil {
		return nil, fmt.Errorf("demo origin: %w", err)
	}
	s := &Site{library: lib, index: index, mux: http.NewServeMux()}
	s.mux.HandleFunc("GET /{$}", s.serveList)
	s.mux.HandleFunc("GET /pkg/{path...}", s.servePage)
	s.mux.HandleFunc("GET /search", s.serveSearch)
	return s, nil
}

func openLibrary(o Options) (library, error) {
	if root := findGOROOT(o.GOROOT); root != "" {
		return openStandardLibrary(root)
	}
	if o.Fallback == nil {
		return nil, errors.New("demo origin: there is no Go installation on this machine and no documentation to fall back on")
	}
	return openMarkdown(o.Fallback)
}

// Title says what is documented, for people.
func (s *Site) Title() string { return s.library.Title() }

// Indexed is closed once everything can be searched.
func (s *Site) Indexed() <-chan struct{} { return s.index.ready }

// Close ends the indexing and frees the index. Safe to call twice.
func (s *Site) Close() error { return s.index.close() }

// ServeHTTP answers one request.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Site) serveList(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	view := view{Title: s.library.Title(), Pages: s.library.Pages()}
	s.answer(w, r, view, start, 5*time.Minute)
}

func (s *Site) servePage(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	path := r.PathValue("path")
	doc, err := s.library.Render(path)
	if errors.Is(err, fs.ErrNotExist) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		http.Error(w, fmt.Sprintf("no page %q: the list is at /", path), http.StatusNotFound)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.answer(w, r, view{Title: doc.Title, Body: doc.HTML}, start, time.Minute)
}

func (s *Site) serveSearch(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	query := strings.TrimSpace(r.URL.Query().Get("q"))
	if query == "" || len(query) > 200 {
		http.Error(w, "search for something: /search?q=WORDS (up to 200 bytes)", http.StatusBadRequest)
		return
	}
	select {
	case <-s.index.ready:
	default:
		w.Header().Set("Retry-After", "2")
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "the search index is being built, try again in a moment", http.StatusServiceUnavailable)
		return
	}
	found, total, err := s.index.search(r.Context(), query, 20)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.answer(w, r, view{Title: query, Query: query, Found: found, Total: total, Searched: true}, start, 30*time.Second)
}

// answer renders the view with honest caching fields and answers a conditional
// request with 304.
func (s *Site) answer(w http.ResponseWriter, r *http.Request, v view, start time.Time, fresh time.Duration) {
	v.Library = s.library.Title()
	body, err := v.render()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	sum := sha256.Sum256(body)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(fresh.Seconds())))
	h.Set("ETag", `"`+hex.EncodeToString(sum[:12])+`"`)
	h.Set("Server-Timing", fmt.Sprintf("render;dur=%.2f", float64(time.Since(start).Microseconds())/1000))
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(body)))
}
