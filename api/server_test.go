package api_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/google/go-cmp/cmp"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/link"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/pool"
	"github.com/shoalnet/shoal/store"
)

// shelf stands for a store.
type shelf struct{}

func (shelf) Network() string      { return "dev" }
func (shelf) Genesis() common.Hash { return common.Hash{1} }
func (shelf) Blocks() uint64       { return 12 }
func (shelf) Head() store.Head {
	return store.Head{Number: 9, Hash: common.Hash{9}, TD: *uint256.NewInt(900)}
}
func (shelf) Canonical(uint64) (common.Hash, error)               { return common.Hash{}, store.ErrNotFound }
func (shelf) Linked(common.Hash) (store.Link, bool, error)        { return store.Link{}, false, nil }
func (shelf) AppendRaw(dst []byte, _ common.Hash) ([]byte, error) { return dst, store.ErrNotFound }
func (shelf) AppendAncestors(dst []common.Hash, _ common.Hash, _ int) ([]common.Hash, error) {
	return dst, store.ErrNotFound
}
func (shelf) AppendContent(dst []byte, _ store.Kind, _ common.Hash) ([]byte, error) {
	return dst, store.ErrNotFound
}
func (shelf) CanonicalHashes(uint64, uint64) iter.Seq2[common.Hash, error] {
	return func(func(common.Hash, error) bool) {}
}
func (shelf) Plan() (store.Plan, bool) {
	return store.Plan{Head: common.Hash{20}, Number: 20, Len: 5}, true
}

// crowd stands for a node.
type crowd []node.PeerInfo

func (c crowd) Peers() []node.PeerInfo { return c }
func (c crowd) Sent() uint64           { return 1234 }
func (c crowd) Survey(context.Context) (downloader.Survey, bool) {
	s := downloader.Survey{Head: 9, To: 20, Known: 15, Width: 8, InFlight: []uint32{0, 1, 2}}
	s.Brought[0], s.Names[0], s.Present[0] = []uint32{8, 1, 0}, "a", true
	s.Brought[downloader.Before] = []uint32{0, 3, 0}
	s.Window = downloader.Window{From: 9, Width: 1, Cells: []downloader.Cell{{State: downloader.StateLinked, Mark: 0}, {State: downloader.StateHeld, Mark: downloader.Others}, {State: downloader.StateWanted, Mark: downloader.Unmarked}}}
	return s, true
}
func (c crowd) SendTransaction([]byte) (common.Hash, error) {
	return common.Hash{}, errors.ErrUnsupported
}
func (c crowd) Standings() []node.Standing {
	return []node.Standing{{Who: "192.0.2.9", Score: -30, At: time.Now(), Evidence: []string{"it lied"}}}
}

// serve runs a server on the socket of a new directory, which ends with the test.
func serve(t *testing.T, tracker *api.Tracker, c crowd) (dir string, stop func()) {
	t.Helper()
	dir = t.TempDir()
	s, err := api.NewServer(api.Config{Network: chain.Dev, Store: shelf{}, Node: c, Tracker: tracker, Client: "Shoal/test"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := api.ListenSocket(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.ServeSocket(ctx, l) })
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return dir, stop
}

func ask[A any](t *testing.T, dir, method string) (answer A) {
	t.Helper()
	c, err := api.Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.CallContext(t.Context(), &answer, method); err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestShoalNamespace: what the socket answers is what the node and the store know.
func TestShoalNamespace(t *testing.T) {
	f := newFilm(20)
	since := time.Now().Add(-time.Minute)
	q := downloader.PeerProgress{Name: "192.0.2.7:30303", Claim: downloader.Claim{TD: *uint256.NewInt(7), Head: common.Hash{20}}, Received: 5000}
	q.Why = pool.WhyTransferring
	q.Useful, q.UsefulBytes, q.Rate, q.RoundTrip, q.InFlight = 3, 3000, 1e6, 20*time.Millisecond, 4
	f.g.Peers = []downloader.PeerProgress{q}
	f.run(1500*time.Millisecond, 1, 1000)
	f.tracker.Event(downloader.Joined{Peer: q.Name, Claim: q.Claim})
	dir, stop := serve(t, f.tracker, crowd{
		{Name: q.Name, Client: "other", Since: since, Received: 6000, Sent: 100},
		{Name: "192.0.2.8:1", Inbound: true, Since: since, Key: link.ID{0xab}},
	})

	s := ask[api.Status](t, dir, "shoal_status")
	want := api.Status{
		Network: "dev", Genesis: common.Hash{1}, Head: api.Head{Number: 9, Hash: common.Hash{9}, TD: "900"}, Blocks: 12,
		Plan: &api.Plan{Number: 20, Hash: common.Hash{20}, Hashes: 5}, Node: s.Node,
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("status (-want +got)\n%s", diff)
	}
	if n := s.Node; n == nil || n.Client != "Shoal/test" || n.Peers != 1 || n.Sync == nil || n.Sync.All != 20 || n.Phase != "blocks" || n.Links != 1 {
		t.Errorf("node %+v", n)
	}

	p := ask[api.Peers](t, dir, "shoal_peers")
	if len(p.Connected) != 2 || len(p.Standings) != 1 || p.Standings[0].Evidence[0] != "it lied" {
		t.Fatalf("%+v", p)
	}
	if c := p.Connected[0]; c.Client != "other" || c.Key != "" || c.Blocks != 3 || c.Received != 6000 || c.InFlight != 4 || *c.Head != (common.Hash{20}) ||
		c.Why != api.Transferring || c.Spent[api.Transferring] != 1500*time.Millisecond || c.Seconds < 60 {
		t.Errorf("%+v", c)
	}
	if c := p.Connected[1]; !c.Inbound || c.Key != (link.ID{0xab}).String() || c.Head != nil || c.Why != api.NothingToFetch {
		t.Errorf("%+v", c)
	}

	if v := ask[api.View](t, dir, "shoal_view"); len(v.Peers.Connected) != 2 || len(v.Notes) == 0 || v.Chain == nil || v.Summary == "" {
		t.Errorf("%+v", v)
	}
	if w := ask[api.Why](t, dir, "shoal_why"); len(w.Peers) != 1 || w.Total[api.Transferring] != 1500*time.Millisecond {
		t.Errorf("%+v", w)
	}

	stop()
	if _, err := api.Dial(t.Context(), dir); !errors.Is(err, api.ErrNotRunning) {
		t.Errorf("after the end: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

// TestSocket: it is our user's alone, takes the place of one that was left behind, and
// too many callers are turned away.
func TestSocket(t *testing.T) {
	dir, _ := serve(t, api.NewTracker(), nil)
	path := filepath.Join(dir, api.SocketName)
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", fi.Mode(), err)
	}
	var open []net.Conn
	for range 100 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	closed := 0
	for _, c := range open[32:] {
		c.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := c.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			closed++
		}
	}
	if closed != len(open)-32 {
		t.Errorf("%d of %d callers were turned away", closed, len(open))
	}
	for _, c := range open {
		c.Close()
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) { // places are free again
		c, err := api.Dial(t.Context(), dir)
		if err == nil {
			var s api.Status
			err = c.CallContext(t.Context(), &s, "shoal_status")
			c.Close()
		}
		if err == nil {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal(err)
		}
	}

	stale := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(stale, api.SocketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := api.Dial(t.Context(), stale); !errors.Is(err, api.ErrNotRunning) {
		t.Errorf("a socket that nobody listens on: %v", err)
	}
	s, err := api.ListenSocket(stale)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()

	long := filepath.Join(t.TempDir(), strings.Repeat("x", 120))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := api.ListenSocket(long); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("a path that is too long: %v", err)
	}
}

// TestEveryNetwork: there is a server for each network, also for that of 2014, whose
// blocks have no shape in the namespace eth, but are there as bytes.
func TestEveryNetwork(t *testing.T) {
	for _, n := range chain.Networks() {
		t.Run(n.Name, func(t *testing.T) {
			g, err := n.GenesisBlock()
			if err != nil {
				t.Fatal(err)
			}
			l := &library{blocks: []*chain.Block{g}, at: map[common.Hash]int{g.Hash: 0}}
			addr := serveHTTP(t, api.Config{Network: n, Store: l, Node: crowd{}, Tracker: api.NewTracker()}, api.HTTPConfig{})
			c, err := rpc.DialContext(t.Context(), "http://"+addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			var b struct{ Hash common.Hash }
			err = c.Call(&b, "eth_getBlockByNumber", "earliest", true)
			if old := n.Format == chain.FormatPoC6; old != (err != nil) || !old && b.Hash != g.Hash {
				t.Errorf("the genesis block is %x, %v", b.Hash, err)
			}
			var raw hexutil.Bytes
			if err := c.Call(&raw, "debug_getRawBlock", "0x0"); err != nil || !bytes.Equal(raw, g.Raw()) {
				t.Errorf("its bytes: %x, %v", raw, err)
			}
		})
	}
}
