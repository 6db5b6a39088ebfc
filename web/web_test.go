package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-cmp/cmp"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/web"
)

var update = flag.Bool("update", false, "write the golden file anew")

// play is a source that counts how often it is asked.
type play struct {
	mu    sync.Mutex
	notes []api.Note
	shots atomic.Int64
	bytes int // of what a snapshot weighs besides
}

func (p *play) Snapshot(context.Context) api.Snapshot {
	p.shots.Add(1)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	head := common.Hash{20}
	shot := api.Snapshot{
		At: at, Summary: "Fetching blocks from 1 peer; their links are the limit.",
		Status: api.Status{
			Network: "dev", Genesis: common.Hash{1}, Head: api.Head{Number: 9, Hash: common.Hash{9}, TD: "900"}, Blocks: 12,
			Plan: &api.Plan{Number: 20, Hash: head, Hashes: 5},
			Node: &api.Node{Client: "Shoal/test", Since: at, Phase: "blocks", Peers: 1, Fetched: 3, Bytes: 3000, Received: 5000,
				Sync: &api.Sync{Here: 12, All: 20, BlocksPerSec: 10, BytesPerSec: 1e4, Efficiency: 1, ETA: &api.ETA{Least: 1, Most: 2}, Hashes: 5, Linked: 9}},
		},
		Peers: api.Peers{
			Connected: []api.Peer{{Name: "192.0.2.7:30303", Client: "<img src=x onerror=alert(1)>\n\ndata: x", Mark: "A", Head: &head, TD: "7", Blocks: 3}},
			Standings: []node.Standing{{Who: "192.0.2.9", Score: -30, At: at, Evidence: []string{"it lied"}}},
		},
		Traffic: api.Traffic{Sent: 1, Useful: 2, Duplicate: 3, Unrequested: 4, InFlight: 5, Held: 6},
		Chain: &api.Chain{Head: 9, To: 20, Known: 16, Width: 8, Brought: map[string][]uint32{"A": {8, 1, 0}}, InFlight: []uint32{0, 1, 2},
			Marks: []api.Marked{{Mark: "A", Name: "192.0.2.7:30303", Present: true}}, Window: api.Window{From: 9, Width: 1, Cells: "lAh+w "}},
	}
	shot.Why[api.Transferring] = time.Second
	if p.bytes > 0 {
		shot.Summary = strings.Repeat("x", p.bytes)
	}
	return shot
}

func (p *play) note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notes = append(p.notes, api.Note{Seq: uint64(len(p.notes) + 1), At: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Kind: api.NoteJoined, Text: text})
}

func (p *play) Past(note, point uint64) ([]api.Note, []api.Point) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var points []api.Point
	if point == 0 {
		points = []api.Point{{Seq: 7, At: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Seconds: 2, By: map[string]float64{"A": 500}}}
	}
	return p.notes[note:], points
}

// event is a server-sent event.
type event struct{ name, data string }

// next reads an event as a browser does.
func next(t *testing.T, r *bufio.Reader) (e event) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		line = strings.TrimSuffix(line, "\n")
		switch name, value, _ := strings.Cut(line, ": "); {
		case line == "":
			return e
		case name == "event":
			e.name = value
		case name == "data":
			e.data += value
		default:
			t.Fatalf("a line %q", line)
		}
	}
}

// serve serves a page, until all who look at it have left at the end of the test.
func serve(t *testing.T, p *play) *httptest.Server {
	s := httptest.NewServer(web.New(p))
	t.Cleanup(s.Close)
	return s
}

// look opens a stream; its body is closed at the end of the test.
func look(t *testing.T, url string, header ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/page/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

// TestStream: who looks gets what has happened and a snapshot, in the shape that the page
// expects, and from then on what is new; who connects again gets all of it again.
func TestStream(t *testing.T) {
	p := &play{}
	p.note("a")
	s := serve(t, p)
	body := bufio.NewReader(look(t, s.URL).Body)
	past, shot := next(t, body), next(t, body)
	got := past.name + "\n" + indent(t, past.data) + "\n" + shot.name + "\n" + indent(t, shot.data) + "\n"
	const golden = "testdata/stream.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got, rewrite it with -update)\n%s", diff)
	}
	if again := next(t, body); again != shot {
		t.Errorf("nothing has happened, and what comes is %v", again)
	}
	p.note("b")
	for e := next(t, body); e.name != "past"; e = next(t, body) {
	}
	again := bufio.NewReader(look(t, s.URL).Body)
	if e := next(t, again); e.name != "past" || strings.Count(e.data, `"seq":`) != 3 {
		t.Errorf("who comes again gets %v", e)
	}
}

func indent(t *testing.T, text string) string {
	t.Helper()
	var v any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestViewersAreBounded: so many may look, the next is told to come later, and gets the
// place of one that leaves. All of them together cost one snapshot each time.
func TestViewersAreBounded(t *testing.T) {
	p := &play{}
	s := serve(t, p)
	var open []*http.Response
	for range web.MaxViewers {
		open = append(open, look(t, s.URL))
		next(t, bufio.NewReader(open[len(open)-1].Body))
	}
	if n := p.shots.Load(); n > 6 {
		t.Errorf("%d snapshots were made for %d viewers who came at once", n, web.MaxViewers)
	}
	answer := look(t, s.URL)
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("one too many gets %v", answer.Status)
	}
	open[0].Body.Close()
	for deadline := time.Now().Add(time.Minute); look(t, s.URL).StatusCode != http.StatusOK; {
		if time.Now().After(deadline) {
			t.Fatal("the place of one that has left is not given away")
		}
	}
}

// TestASlowViewerIsDropped: who does not read is disconnected, in virtual time over a
// connection that holds nothing.
func TestASlowViewerIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		l := &oneConn{conn: far, closed: make(chan struct{})}
		s := &http.Server{Handler: web.New(&play{bytes: 1 << 20})}
		var wg sync.WaitGroup
		wg.Go(func() { s.Serve(l) })
		fmt.Fprint(near, "GET /page/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		near.Read(make([]byte, 100))
		began := time.Now()
		time.Sleep(time.Minute)
		near.SetReadDeadline(time.Now())
		rest, err := io.Copy(io.Discard, near) // what was written before, and then the end
		if err != nil || rest > 1<<20 {
			t.Errorf("after %v, %d bytes more and %v", time.Since(began), rest, err)
		}
		s.Close()
		wg.Wait()
		near.Close()
	})
}

// oneConn is a listener that accepts one connection.
type oneConn struct {
	mu     sync.Mutex
	conn   net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	l.mu.Lock()
	c := l.conn
	l.conn = nil
	l.mu.Unlock()
	if c != nil {
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { close(l.closed); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// TestOtherPagesMayNotAsk: a page of somebody else in the operator's browser gets no
// stream, whatever it would do with it.
func TestOtherPagesMayNotAsk(t *testing.T) {
	s := serve(t, &play{})
	for site, want := range map[string]int{"same-origin": 200, "none": 200, "cross-site": 403, "same-site": 403} {
		if got := look(t, s.URL, "Sec-Fetch-Site", site); got.StatusCode != want {
			t.Errorf("%s: %v", site, got.Status)
		}
	}
}

// TestThePage: every file has the headers that keep it to itself, no file names another
// server, and the document has nothing inline that the policy would refuse.
func TestThePage(t *testing.T) {
	s := serve(t, &play{})
	names := []string{"/"}
	err := fs.WalkDir(os.DirFS("page"), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, "/page/"+path)
		}
		return err
	})
	if err != nil || len(names) < 5 {
		t.Fatal(names, err)
	}
	foreign := regexp.MustCompile(`(?i)https?://[a-z0-9.]+`)
	for _, name := range names {
		answer, err := http.Get(s.URL + name)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || len(body) == 0 {
			t.Errorf("%s: %v, %d bytes, %v", name, answer.Status, len(body), err)
		}
		for header, want := range map[string]string{
			"Content-Security-Policy": "default-src 'self'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := answer.Header.Get(header); !strings.HasPrefix(got, want) || strings.Contains(got, "unsafe") {
				t.Errorf("%s has %s: %q", name, header, got)
			}
		}
		for _, url := range foreign.FindAllString(string(body), -1) {
			if url != "http://www.w3.org" { // the name of a format
				t.Errorf("%s names %s", name, url)
			}
		}
		for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=", " onclick=", "<script>"} {
			if strings.Contains(string(body), bad) {
				t.Errorf("%s has %q", name, bad)
			}
		}
	}
	if answer, err := http.Get(s.URL + "/page/nothing"); err != nil || answer.StatusCode != http.StatusNotFound {
		t.Errorf("a file that is not there: %v", err)
	}
}
