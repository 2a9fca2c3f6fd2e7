// Package dashboard is the page at the root of the admin side: one HTML file,
// one style sheet and one script, embedded, without anything from elsewhere.
// It listens to /v1/events and shows what /v1/stats says: charts over the last
// five minutes, a row a seat, the caches, the routes, the queue, the patterns.
//
//   - [Handler] serves / and /page/.
//
// This package must not know what the numbers mean or where they come from:
// the page reads the documents of the admin API and nothing else.
//
// Caveats. Where the admin side needs a token, the page asks for it and keeps
// it in the tab only; its answers are read by fetch, since a browser's own
// event source cannot send a token.
package dashboard

import (
	"embed"
	"net/http"
)

//go:embed page
var files embed.FS

// policy keeps the page from loading or sending anything anywhere else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handler serves the page. Safe for concurrent use.
func Handler() http.Handler {
	serve := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		if r.URL.Path == "/" {
			http.ServeFileFS(w, r, files, "page/page.html")
			return
		}
		serve.ServeHTTP(w, r)
	})
}
