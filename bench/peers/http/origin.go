package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/perfopt/perfopt/runtime/demo"
)

const (
	objectPath = "/object"
	objectSize = 1024
	// countPath answers how many other requests there have been.
	countPath = "/origin/requests"
)

// serveOrigin is the demo origin with an object of 1 KiB beside it, in a
// process of its own so that its CPU time is its own. It prints its address
// when everything can be searched, and ends with ctx.
func serveOrigin(ctx context.Context) error {
	site, err := demo.Open(demo.Options{})
	if err != nil {
		return err
	}
	defer site.Close()
	select {
	case <-site.Indexed():
	case <-ctx.Done():
		return ctx.Err()
	}
	object := bytes.Repeat([]byte("perfopt "), objectSize/8)
	var requests atomic.Uint64
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+countPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		fmt.Fprint(w, requests.Load())
	})
	mux.HandleFunc("GET "+objectPath, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		h := w.Header()
		h.Set("Cache-Control", "public, max-age=3600")
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Length", strconv.Itoa(objectSize))
		h.Set("ETag", `"object"`)
		_, _ = w.Write(object)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		site.ServeHTTP(&lasting{w}, r)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	fmt.Printf("origin http://%s\n", l.Addr())
	if err := server.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}

// lasting makes good answers last an hour.
type lasting struct{ http.ResponseWriter }

// WriteHeader sends the head.
func (w *lasting) WriteHeader(status int) {
	if status == http.StatusOK {
		w.Header().Set("Cache-Control", "public, max-age=3600")
	}
	w.ResponseWriter.WriteHeader(status)
}
