package web_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/web"
)

// still is a node that does nothing. A server of package api is a source of its own node.
type still struct{}

func (still) Snapshot(context.Context) api.Snapshot             { return api.Snapshot{Summary: "Nothing to do."} }
func (still) Past(note, point uint64) ([]api.Note, []api.Point) { return nil, nil }

// The page is a handler, to be served with whatever else there is.
func Example() {
	s := httptest.NewServer(web.New(still{}))
	defer s.Close()
	r, err := http.Get(s.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Body.Close()
	page, err := io.ReadAll(r.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Status, r.Header.Get("Content-Type"), strings.Contains(string(page), "</html>"))
	// Output: 200 OK text/html; charset=utf-8 true
}
