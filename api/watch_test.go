package api_test

import (
	"flag"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/link"
	"github.com/shoalnet/shoal/pool"
)

var update = flag.Bool("update", false, "write the golden file anew")

// get fetches a page.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// TestMetrics: the names, the kinds and the values of all metrics of ours; each is in
// the documentation.
func TestMetrics(t *testing.T) {
	f := newFilm(20)
	f.peers(map[string]pool.Why{"a": pool.WhyTransferring, "b": pool.WhyLate})
	f.g.Head.Number, f.g.Pool.Late, f.g.Pool.InFlightBytes, f.g.Pool.HeldBytes = 9, 3, 4000, 2000
	f.g.Pool.DuplicateBytes, f.g.Pool.UnrequestedBytes = 700, 70
	f.run(2*time.Second, 2, 1000)
	addr := serveHTTP(t, api.Config{
		Network: chain.Dev, Store: shelf{}, Node: crowd{{Name: "a"}, {Name: "b", Inbound: true, Key: link.ID{1}}, {Name: "c"}}, Tracker: f.tracker,
	}, api.HTTPConfig{})
	status, body := get(t, "http://"+addr+"/metrics")
	if status != http.StatusOK || !strings.Contains(body, "\ngo_goroutines ") || !strings.Contains(body, "\nprocess_open_fds ") {
		t.Errorf("%d, %d bytes", status, len(body))
	}
	var got []string
	for line := range strings.Lines(body) {
		if strings.Contains(line, "shoal_") {
			got = append(got, line)
		}
	}
	const golden = "testdata/metrics.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(strings.Join(got, "")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), strings.Join(got, "")); diff != "" {
		t.Errorf("(-want +got, rewrite it with -update)\n%s", diff)
	}
	doc, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	names := func(re, text string) []string {
		var list []string
		for _, m := range regexp.MustCompile(re).FindAllStringSubmatch(text, -1) {
			list = append(list, m[1])
		}
		slices.Sort(list)
		return list
	}
	if diff := cmp.Diff(names("# TYPE (shoal_[a-z_]+)", body), names("(?m)^\\| `(shoal_[a-z_]+)", string(doc))); diff != "" {
		t.Errorf("docs/metrics.md does not list what there is (-there +listed)\n%s", diff)
	}
}

// TestHealth: a node is healthy while it shows signs of life, and ready when it has
// what its peers have.
func TestHealth(t *testing.T) {
	tracker := api.NewTracker()
	addr := serveHTTP(t, api.Config{Network: chain.Dev, Store: shelf{}, Node: crowd{}, Tracker: tracker}, api.HTTPConfig{})
	want := func(page string, status int, text string) {
		t.Helper()
		if got, body := get(t, "http://"+addr+page); got != status || !strings.Contains(body, text) {
			t.Errorf("%s says %d %q, want %d %q", page, got, body, status, text)
		}
	}
	want("/healthz", 200, "ok") // it has just begun
	want("/readyz", 503, "just begun")
	p := downloader.Progress{At: time.Now()}
	tracker.Event(p)
	want("/readyz", 200, "ready") // with what it has, for nobody has more
	tracker.Event(downloader.Joined{Peer: "a"})
	p.Peers = []downloader.PeerProgress{{Name: "a"}}
	tracker.Event(p)
	want("/readyz", 503, "has not found out yet")
	p.Phase, p.Target = downloader.Fetching, 20
	tracker.Event(p)
	want("/readyz", 503, "fetching a chain")
	p.Phase, p.Target = downloader.Idle, 0
	tracker.Event(p)
	tracker.Event(downloader.Settled{})
	want("/readyz", 200, "ready")
	want("/healthz", 200, "ok")
	p.At = time.Now().Add(-time.Minute)
	tracker.Event(p)
	want("/healthz", 503, "sign of life")
	if status, _ := get(t, "http://"+addr+"/nowhere"); status != http.StatusNotFound {
		t.Errorf("a page that is not there: %d", status)
	}
}
