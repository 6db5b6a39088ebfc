package web

import (
	"context"
	"embed"
	"io/fs"
	"net/http"

	"github.com/shoalnet/shoal/api"
)

// Source is what the page shows. An [api.Server] is one. Its methods are safe for
// concurrent use.
type Source interface {
	Snapshot(context.Context) api.Snapshot
	Past(note, point uint64) ([]api.Note, []api.Point)
}

//go:embed page
var files embed.FS

// policy lets the page load what comes from here and nothing else, run no code that
// stands in the document, and stand in no frame.
const policy = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// New returns a handler for GET of / and of what is under /page/. It is safe for
// concurrent use.
func New(source Source) http.Handler {
	page, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // the name is a good one
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, page, "page.html")
	})
	mux.Handle("GET /page/", http.StripPrefix("/page/", http.FileServerFS(page)))
	mux.Handle("GET /page/events", newStream(source))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache") // another version of the program has another page
		mux.ServeHTTP(w, r)
	})
}
