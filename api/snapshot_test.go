package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/pool"
	"github.com/shoalnet/shoal/store"
)

func newServer(t *testing.T, tracker *api.Tracker, c crowd) *api.Server {
	t.Helper()
	s, err := api.NewServer(api.Config{Network: chain.Dev, Store: shelf{}, Node: c, Tracker: tracker, Client: "Shoal/test"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSnapshot: what the page is given is what the node and the tracker know.
func TestSnapshot(t *testing.T) {
	f := newFilm(20)
	f.peers(map[string]pool.Why{"a": pool.WhyTransferring})
	f.g.Pool.DuplicateBytes, f.g.Pool.InFlightBytes = 70, 4000
	f.run(2*time.Second, 2, 1000)
	got := newServer(t, f.tracker, crowd{{Name: "a", Who: "192.0.2.9"}, {Name: "c", Inbound: true}}).Snapshot(t.Context())
	want := &api.Chain{
		Head: 9, To: 20, Known: 15, Width: 8, InFlight: []uint32{0, 1, 2},
		Brought: map[string][]uint32{"A": {8, 1, 0}, "=": {0, 3, 0}},
		Marks:   []api.Marked{{Mark: "A", Name: "a", Present: true}},
		Window:  api.Window{From: 9, Width: 1, Cells: "lAh+w "},
	}
	if diff := cmp.Diff(want, got.Chain); diff != "" {
		t.Errorf("chain (-want +got)\n%s", diff)
	}
	if want := (api.Traffic{Sent: 1234, Useful: 4000, Duplicate: 70, InFlight: 4000}); got.Traffic != want {
		t.Errorf("traffic %+v, want %+v", got.Traffic, want)
	}
	if got.Summary != "Fetching blocks from 1 peer; their links are the limit." || got.Why[api.Transferring] != 2*time.Second {
		t.Errorf("%q, %v", got.Summary, got.Why)
	}
	if c := got.Peers.Connected; len(c) != 2 || c[0].Mark != "A" || c[0].Score > -29 || c[1].Mark != "" || c[1].Score != 0 {
		t.Errorf("peers %+v", c)
	}
}

// TestSummary: the sentence says what the node does, without a sync and with one.
func TestSummary(t *testing.T) {
	for _, tt := range []struct {
		want string
		g    downloader.Progress
		crowd
	}{
		{"No peer is connected.", downloader.Progress{}, nil},
		{"Serving the chain up to block 9; no peer offers one.", downloader.Progress{}, crowd{{Name: "c"}}},
		{"Asking 1 peer what they have.", downloader.Progress{Peers: make([]downloader.PeerProgress, 1)}, crowd{{Name: "c"}}},
		{"Looking for the head of a chain among 2 peers.", downloader.Progress{Phase: downloader.Head, Peers: make([]downloader.PeerProgress, 2)}, nil},
		{"Waiting: the head block has not come.", downloader.Progress{Phase: downloader.Head, Waiting: "the head block has not come", Peers: make([]downloader.PeerProgress, 2)}, nil},
		{"Finding out the chain and fetching its blocks from 2 peers.", downloader.Progress{Phase: downloader.Hashes, Target: 9, Peers: make([]downloader.PeerProgress, 2)}, nil},
		{"The sync waits: no peer is connected.", downloader.Progress{Phase: downloader.Fetching, Target: 9, Waiting: "no peer is connected"}, nil},
	} {
		tracker := api.NewTracker()
		tt.g.At = time.Now()
		for i := range tt.g.Peers {
			tt.g.Peers[i].Name = fmt.Sprint(i)
			tracker.Event(downloader.Joined{Peer: fmt.Sprint(i)})
		}
		tracker.Event(tt.g)
		if got := newServer(t, tracker, tt.crowd).Snapshot(t.Context()).Summary; got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	tracker := api.NewTracker()
	tracker.Event(downloader.Progress{At: time.Now(), Peers: make([]downloader.PeerProgress, 2)})
	tracker.Event(downloader.Settled{})
	if got := newServer(t, tracker, nil).Snapshot(t.Context()).Summary; got != "In sync with 2 peers at block 9." {
		t.Errorf("%q", got)
	}
}

// TestNotes: each event that an operator wants to know of makes a note; a crowd at the
// door does not push the others out, and what a peer may have written is short.
func TestNotes(t *testing.T) {
	tracker := api.NewTracker()
	s := newServer(t, tracker, nil)
	until := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, e := range []any{
		downloader.Joined{Peer: "a"},
		downloader.Started{Number: 20}, // too little
		downloader.Finished{Moved: true},
		downloader.Started{Number: 2000},
		downloader.Finished{Moved: true},
		downloader.Started{Number: 7, Resumed: true},
		downloader.Abandoned{Why: "it rains"},
		downloader.HeadMoved{Move: store.Move{Old: store.Head{Number: 5}, New: store.Head{Number: 6}, Ancestor: 5}},
		downloader.HeadMoved{Move: store.Move{Old: store.Head{Number: 9}, New: store.Head{Number: 10}, Ancestor: 7, Reorged: true}},
		downloader.Stalled{For: 12 * time.Second, Idle: []string{"a"}},
		downloader.Dropped{Peer: "b", Offence: &downloader.Offence{Evidence: "it lied"}},
		node.Banned{Standing: node.Standing{Who: "b", Until: until, Evidence: []string{"early", "late"}}},
		downloader.Full{},
		downloader.Left{PeerProgress: downloader.PeerProgress{Name: "a"}},
		downloader.Settled{},
	} {
		tracker.Event(e)
	}
	notes, points := s.Past(0, 0)
	var got []string
	for i, n := range notes {
		if n.Seq != uint64(i+1) || n.At.IsZero() {
			t.Errorf("%+v", n)
		}
		got = append(got, string(n.Kind)+": "+n.Text)
	}
	want := []string{
		"joined: a",
		"started: a chain up to block 2000 is fetched",
		"finished: the chain is here and linked",
		"started: going on with a chain up to block 7 that was begun before",
		"given up: it rains",
		"reorg: the chain moved to another branch: 2 blocks after block 7 were replaced, the head is block 10",
		"stall: nothing useful has come for 12s, and idle peers: 1; all are asked again",
		"dropped: b: it lied",
		"banned: b until 2026-01-01 00:00:00 UTC",
		"disk full: what is here is served, and the download goes on when there is room",
		"left: a, after bringing 0 blocks",
	}
	if diff := cmp.Diff(want, got); diff != "" || len(points) != 0 {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for i := range 1000 {
		tracker.Event(downloader.Joined{Peer: fmt.Sprint("p", i)})
	}
	tracker.Event(downloader.Dropped{Peer: "c", Offence: &downloader.Offence{Evidence: strings.Repeat("é", 10_000)}})
	notes, _ = s.Past(11, 0)
	if len(notes) > 100 || notes[len(notes)-1].Kind != api.NoteDropped {
		t.Fatalf("%d notes, the last is %v", len(notes), notes[len(notes)-1].Kind)
	}
	if text := notes[len(notes)-1].Text; len(text) > 500 || !utf8.ValidString(text) || !strings.HasSuffix(text, "…") {
		t.Errorf("%d bytes: %q", len(text), text)
	}
	if all, _ := s.Past(0, 0); all[0].Kind != api.NoteStarted {
		t.Errorf("the first that is remembered is %v", all[0])
	}
}

// TestPoints: what each peer has brought is in the history, and of an hour ten minutes.
func TestPoints(t *testing.T) {
	f := newFilm(1_000_000)
	f.peers(map[string]pool.Why{"a": pool.WhyTransferring, "b": pool.WhyTransferring})
	f.g.Peers[1].Mark = 1
	s := newServer(t, f.tracker, nil)
	bring := func(d time.Duration, a, b uint64) {
		for range int(d / (500 * time.Millisecond)) {
			f.g.Peers[0].UsefulBytes += a / 2
			f.g.Peers[1].UsefulBytes += b / 2
			f.run(500*time.Millisecond, 10, 1000)
		}
	}
	bring(10*time.Second, 3000, 1000)
	_, points := s.Past(0, 0)
	if last := points[len(points)-1]; len(points) < 4 || last.By["A"] != 3000 || last.By["B"] != 1000 || last.Seconds != 2 || last.Seq != uint64(len(points)) {
		t.Errorf("%d points, the last is %+v", len(points), last)
	}
	seen := points[len(points)-1].Seq
	f.tracker.Event(downloader.Left{PeerProgress: f.g.Peers[1]}) // what is left of it counts
	f.g.Peers = f.g.Peers[:1]
	f.run(4*time.Second, 10, 1000)
	if _, points = s.Past(0, seen); len(points) != 2 || points[1].By["B"] != 0 {
		t.Errorf("%+v", points)
	}
	f.at = f.at.Add(time.Hour) // the machine sleeps
	f.run(time.Hour, 10, 1000)
	if _, points = s.Past(0, 0); len(points) != 300 || points[299].At.Sub(points[0].At) != 299*2*time.Second {
		t.Errorf("%d points", len(points))
	}
}

// TestPageIsBesideJSONRPC: a page is served at / to who gets it, calls go on to work there,
// and it ends with the server; the rules of hosts hold for it.
func TestPageIsBesideJSONRPC(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/page/long" {
			w.WriteHeader(http.StatusOK)
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		fmt.Fprint(w, "the page at ", r.URL.Path)
	})
	addr := serveHTTP(t, api.Config{Network: chain.Dev, Store: shelf{}, Node: crowd{}, Tracker: api.NewTracker()}, api.HTTPConfig{Page: page})
	for _, path := range []string{"/", "/page/x"} {
		if status, body := get(t, "http://"+addr+path); status != http.StatusOK || body != "the page at "+path {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
	answer, err := http.Post("http://"+addr, "application/json", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}`))
	if err != nil || answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "application/json" {
		t.Errorf("a call: %v, %v", answer, err)
	}
	answer.Body.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "evil.example"
	if answer, err = http.DefaultClient.Do(r); err != nil || answer.StatusCode != http.StatusForbidden {
		t.Errorf("under another name: %v, %v", answer, err)
	}
	answer.Body.Close()
	// The server ends at the end of the test, although this goes on.
	if answer, err = http.Get("http://" + addr + "/page/long"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	bare := serveHTTP(t, api.Config{Network: chain.Dev, Store: shelf{}, Node: crowd{}, Tracker: api.NewTracker()}, api.HTTPConfig{})
	if status, body := get(t, "http://"+bare+"/"); status != http.StatusOK || body != "" {
		t.Errorf("without a page: %d %q", status, body)
	}
	if status, _ := get(t, "http://"+bare+"/page/x"); status != http.StatusNotFound {
		t.Errorf("a file of no page: %d", status)
	}
}
