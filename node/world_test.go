package node_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/memnet"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/store"
	"github.com/shoalnet/shoal/wire"
)

// The tests with a world run real nodes with real stores and real sessions over a
// network in memory, in virtual time. Who does harm is a rogue: a real session that
// serves a spoilt chain; or a script, which plays message by message.

const (
	ms   = time.Millisecond
	port = 30303 // where everybody listens

	// rogueRate is what a rogue sends: twice as much as an honest peer of these
	// tests, at a tenth of the distance, so that it is preferred.
	rogueRate  = 200_000 // bytes a second
	honestRate = 100_000
)

// world is the network and everybody in it.
type world struct {
	*testing.T
	ctx   context.Context // ends rogues and scripts
	net   *chain.Network
	sea   *memnet.Net
	hosts int
	nodes []*machine
	wg    sync.WaitGroup // rogues and scripts
}

// inBubble runs a test in a world of chain.Dev in virtual time.
func inBubble(t *testing.T, f func(t *testing.T, w *world)) { inBubbleOf(t, chain.Dev, f) }

// inBubbleOf is inBubble for another network.
func inBubbleOf(t *testing.T, net *chain.Network, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		// A bubble's clock begins in the year 2000, before any block.
		time.Sleep(time.Until(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)))
		ctx, cancel := context.WithCancel(t.Context())
		w := &world{T: t, ctx: ctx, net: net, sea: memnet.New()}
		defer func() {
			cancel()
			for _, m := range w.nodes {
				m.stop()
			}
			w.wg.Wait()
			for _, m := range w.nodes {
				testbed.Watchdog(t, m.happened(), w.serves)
			}
			for _, m := range w.nodes {
				if err := m.store.Close(); err != nil {
					t.Error(err)
				}
			}
		}()
		f(t, w)
	})
}

// serves reports whether a peer is a node, which is honest, that has a block.
func (w *world) serves(peer string, h common.Hash) bool {
	for _, m := range w.nodes {
		if m.ip != hostOf(peer) {
			continue
		}
		held, err := m.store.Has(h)
		if err != nil {
			w.Error(err)
		}
		return held
	}
	return false
}

// host returns a new host.
func (w *world) host() (*memnet.Host, string) {
	w.hosts++
	ip := fmt.Sprintf("10.0.%d.%d", w.hosts/250, 1+w.hosts%250)
	return w.sea.Host(ip), ip
}

// machine is a host with a real node.
type machine struct {
	w    *world
	name string
	host *memnet.Host
	ip   string
	addr string // where it listens

	store *store.Store
	node  *node.Node
	stop  func() // ends the node, not the store

	mu     sync.Mutex
	events []any
	times  []time.Time // of the events
}

// openStore opens a store of the network.
func openStore(t testing.TB, net *chain.Network, fs vfs.FS) *store.Store {
	t.Helper()
	g, err := net.GenesisBlock()
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open("chain", store.Options{
		FS: fs, Network: net.Name,
		Genesis: store.Genesis{Record: store.Record{Hash: g.Hash, Raw: g.Raw()}, TD: g.Difficulty},
	})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// fill puts a chain into a store and links it.
func fill(t testing.TB, st *store.Store, b *testbed.Branch) {
	t.Helper()
	td := b.Blocks[0].Difficulty
	var records []store.Record
	var links []store.Link
	for _, x := range b.Blocks[1:] {
		var err error
		if td, err = b.Network.TotalDifficulty(&td, x); err != nil {
			t.Fatal(err)
		}
		records = append(records, store.Record{Hash: x.Hash, Number: x.Number, Raw: x.Raw()})
		links = append(links, store.Link{Hash: x.Hash, Parent: x.Parent, Number: x.Number, TD: td})
	}
	if _, err := st.Put(records); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Link(links); err != nil {
		t.Fatal(err)
	}
}

// node starts a node that has a chain (nil: the genesis block) and dials the
// peers. The configuration may be tuned.
func (w *world) node(name string, has *testbed.Branch, tune func(*node.Config), peers ...string) *machine {
	w.Helper()
	return w.nodeOn(vfs.NewMem(), name, has, tune, peers...)
}

// nodeOn is node with a disk.
func (w *world) nodeOn(disk vfs.FS, name string, has *testbed.Branch, tune func(*node.Config), peers ...string) *machine {
	w.Helper()
	m := &machine{w: w, name: name}
	m.host, m.ip = w.host()
	m.addr = fmt.Sprintf("%s:%d", m.ip, port)
	m.store = openStore(w, w.net, disk)
	if has != nil && len(has.Blocks) > 1 {
		fill(w, m.store, has)
	}
	m.start(tune, peers...)
	w.nodes = append(w.nodes, m)
	return m
}

// start runs a node on the machine.
func (m *machine) start(tune func(*node.Config), peers ...string) {
	m.w.Helper()
	l, err := m.host.Listen(port)
	if err != nil {
		m.w.Fatal(err)
	}
	cfg := node.Config{
		Network: m.w.net, Store: m.store, Listener: l, Dial: m.host.Dial, Peers: peers, Client: m.name,
		Events: func(e any) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.events, m.times = append(m.events, e), append(m.times, time.Now())
		},
	}
	if tune != nil {
		tune(&cfg)
	}
	n, err := node.New(cfg)
	if err != nil {
		m.w.Fatal(err)
	}
	m.node = n
	ctx, cancel := context.WithCancel(context.WithoutCancel(m.w.ctx))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := n.Run(ctx); err != nil {
			m.w.Errorf("node %s ended with: %v", m.name, err)
		}
	})
	m.stop = func() {
		cancel()
		wg.Wait()
	}
}

// honest starts a node that serves a chain over a link like a home's: so many bytes
// a second (0: any) and 10 ms away.
func (w *world) honest(name string, has *testbed.Branch, rate memnet.BytesPerSec) *machine {
	w.Helper()
	m := w.node(name, has, nil)
	m.host.SetUpload(rate)
	m.host.SetDelay(10 * ms)
	return m
}

// happened returns the events so far.
func (m *machine) happened() []any {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.events)
}

// eventsOf returns the events of one type so far.
func eventsOf[E any](m *machine) (list []E) {
	for _, e := range m.happened() {
		if x, ok := e.(E); ok {
			list = append(list, x)
		}
	}
	return list
}

// until waits for an event that the function accepts, up to an hour of virtual
// time.
func (m *machine) until(what string, ok func(any) bool) {
	m.w.Helper()
	seen := 0
	for began := time.Now(); time.Since(began) < time.Hour; time.Sleep(50 * ms) {
		all := m.happened()
		if slices.ContainsFunc(all[seen:], ok) {
			return
		}
		seen = len(all)
	}
	m.w.Fatalf("%s waited for: %s\n%s", m.name, what, m.story())
}

// settled waits until the head is that of the chain and nothing is left to do, and
// compares all that is stored with what was served.
func (m *machine) settled(b *testbed.Branch) {
	m.w.Helper()
	m.until(fmt.Sprintf("a settled head %d", b.Head().Number), func(e any) bool {
		s, ok := e.(downloader.Settled)
		return ok && s.Head.Hash == b.Head().Hash
	})
	m.has(b)
}

// has fails if the canonical chain is not this one, to the byte.
func (m *machine) has(b *testbed.Branch) {
	m.w.Helper()
	h := m.store.Head()
	if h.Hash != b.Head().Hash || h.TD != b.TD || h.Number != b.Head().Number {
		m.w.Fatalf("%s: the head is %+v, want block %d with %v", m.name, h, b.Head().Number, &b.TD)
	}
	for _, want := range b.Blocks {
		hash, err := m.store.Canonical(want.Number)
		if err != nil || hash != want.Hash {
			m.w.Fatalf("%s: block %d is %x, want %x: %v", m.name, want.Number, hash, want.Hash, err)
		}
		raw, err := m.store.AppendRaw(nil, want.Hash)
		if err != nil || string(raw) != string(want.Raw()) {
			m.w.Fatalf("%s: block %d is not what was served: %v", m.name, want.Number, err)
		}
	}
}

// reached returns when a block first was the head.
func (m *machine) reached(head common.Hash) time.Time {
	m.w.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, e := range m.events {
		if h, ok := e.(downloader.HeadMoved); ok && h.New.Hash == head {
			return m.times[i]
		}
	}
	m.w.Fatalf("%s: block %x was never the head", m.name, head)
	return time.Time{}
}

// last returns the last picture of the downloader.
func (m *machine) last() downloader.Progress {
	m.w.Helper()
	all := eventsOf[downloader.Progress](m)
	if len(all) == 0 {
		m.w.Fatalf("%s: no progress was reported", m.name)
	}
	return all[len(all)-1]
}

// story is what has happened, for a test that fails.
func (m *machine) story() string { return testbed.Story(m.happened()) }

// hostOf returns the address without the port.
func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}

// drops returns what the downloader has dropped the host at an address for.
func (m *machine) drops(ip string) (list []*downloader.Offence) {
	for _, d := range eventsOf[downloader.Dropped](m) {
		if hostOf(d.Peer) == ip {
			list = append(list, d.Offence)
		}
	}
	return list
}

// blames returns what the node remembers of a host, the zero value if it is
// nothing.
func (m *machine) blames(ip string) node.Standing {
	m.w.Helper()
	all, err := node.Standings(m.store)
	if err != nil {
		m.w.Fatal(err)
	}
	for _, s := range all {
		if s.Who == ip {
			return s
		}
	}
	return node.Standing{}
}

// fair fails if anybody but the guilty was dropped, blamed, or lost.
func (m *machine) fair(guilty ...string) {
	m.w.Helper()
	for _, e := range m.happened() {
		who, what := "", ""
		switch e := e.(type) {
		case downloader.Dropped:
			who, what = hostOf(e.Peer), e.Error()
		case node.DialFailed:
			who, what = hostOf(e.Addr), fmt.Sprint(e.Err)
		case node.Banned:
			who, what = hostOf(e.Who), strings.Join(e.Evidence, "; ")
		}
		if who != "" && !slices.Contains(guilty, who) {
			m.w.Errorf("%s: %T of the honest %s: %s", m.name, e, who, what)
		}
	}
	all, err := node.Standings(m.store)
	if err != nil {
		m.w.Fatal(err)
	}
	for _, s := range all {
		if !slices.Contains(guilty, s.Who) {
			m.w.Errorf("%s blames the honest %s: %v", m.name, s.Who, s.Evidence)
		}
	}
}

// convicted waits until a host is dropped, and fails if that is for another kind of
// offence.
func (m *machine) convicted(kind downloader.Kind, ip string) {
	m.w.Helper()
	all := m.drops(ip)
	for began := time.Now(); len(all) == 0 && time.Since(began) < time.Hour; all = m.drops(ip) {
		time.Sleep(time.Second)
	}
	switch {
	case len(all) == 0:
		m.w.Errorf("%s was not dropped", ip)
	case all[0].Kind != kind:
		m.w.Errorf("%s was dropped for the wrong kind of offence: %v", ip, all[0])
	}
}

// frugal fails if more than one byte in a hundred came twice, not counting what
// the pool may always spend on getting past a stalled peer.
func (m *machine) frugal() {
	m.w.Helper()
	const hedgeReserve = 64 << 10 // of package pool
	s := m.last().Pool
	if most := s.UsefulBytes/100 + hedgeReserve; s.DuplicateBytes > most {
		m.w.Errorf("%d bytes came twice, of %d useful ones", s.DuplicateBytes, s.UsefulBytes)
	}
}

// bounded fails if the downloader ever went over its limits, as far as its events
// show.
func (m *machine) bounded() {
	m.w.Helper()
	const ( // the defaults of packages pool and downloader
		window  = 16 << 10 // keys
		transit = 96 << 20 // bytes in flight and held
		lead    = 64 << 10 // hashes before the first probe
		request = 8192     // hashes
	)
	for _, p := range eventsOf[downloader.Progress](m) {
		switch s := p.Pool; {
		case s.Wanted > window+request:
			m.w.Errorf("%d keys wait in the pool", s.Wanted)
		case s.InFlightBytes+s.HeldBytes > transit:
			m.w.Errorf("%d bytes are in flight and %d are held", s.InFlightBytes, s.HeldBytes)
		case p.Hashes > lead+request && s.Useful == 0:
			m.w.Errorf("%d hashes are planned, and no block of them is here", p.Hashes)
		default:
			continue
		}
		return
	}
}

// rogue is a host with somebody who does harm.
type rogue struct {
	*testbed.Rogue
	w     *world
	name  string
	host  *memnet.Host
	ip    string
	addr  string
	id    byte         // of its node
	again atomic.Int32 // makes another node of it
}

// rogue makes an attacker that claims what the chain has, and nothing more yet.
func (w *world) rogue(name string, c *testbed.Branch) *rogue {
	r := &rogue{Rogue: testbed.NewRogue(w.ctx, c), w: w, name: name, id: byte(w.hosts)}
	r.host, r.ip = w.host()
	r.host.SetDelay(ms)
	r.host.SetUpload(rogueRate)
	r.addr = fmt.Sprintf("%s:%d", r.ip, port)
	return r
}

// node is who it says it is.
func (r *rogue) node() wire.NodeID { return wire.NodeID{0: 1, 62: byte(r.again.Load()), 63: r.id} }

// listen lets the rogue serve all who dial it.
func (r *rogue) listen() *rogue {
	l, err := r.host.Listen(port)
	if err != nil {
		r.w.Fatal(err)
	}
	context.AfterFunc(r.w.ctx, func() { l.Close() })
	r.w.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.w.wg.Go(func() { r.run(conn, true) })
		}
	})
	return r
}

// dial lets it connect once and returns when the session is over.
func (r *rogue) dial(to *machine) error {
	conn, err := r.host.Dial(r.w.ctx, to.addr)
	if err != nil {
		return err
	}
	return r.run(conn, false)
}

func (r *rogue) run(conn net.Conn, inbound bool) error {
	return r.Run(conn, inbound, r.name, r.node(), port)
}

// script is a peer that the test plays message by message.
type script struct {
	w    *world
	ip   string
	conn net.Conn
	in   *wire.Reader
	out  *wire.Writer
	node wire.NodeID // of the node
}

// script connects to a node from a new host and shakes hands, claiming nothing.
func (w *world) script(to *machine) *script {
	w.Helper()
	host, _ := w.host()
	return w.scriptFrom(host, wire.NodeID{0: 2, 63: byte(w.hosts)}, to)
}

// scriptWith is script with other capabilities than serving a chain.
func (w *world) scriptWith(caps wire.Caps, to *machine) *script {
	w.Helper()
	host, _ := w.host()
	return w.scriptAs(host, wire.Hello{Node: wire.NodeID{0: 2, 63: byte(w.hosts)}, Caps: caps}, to)
}

// scriptFrom is script from a host that is there already, as a node of that id.
func (w *world) scriptFrom(host *memnet.Host, id wire.NodeID, to *machine) *script {
	w.Helper()
	return w.scriptAs(host, wire.Hello{Node: id, Caps: wire.CapChain}, to)
}

// scriptAs is scriptFrom with a Hello that the rest is filled in of.
func (w *world) scriptAs(host *memnet.Host, hello wire.Hello, to *machine) *script {
	w.Helper()
	conn, err := host.Dial(w.ctx, to.addr)
	if err != nil {
		w.Fatal(err)
	}
	return w.scriptOn(conn, hello)
}

// scriptOn is scriptAs on a connection that is there already.
func (w *world) scriptOn(conn net.Conn, hello wire.Hello) *script {
	w.Helper()
	context.AfterFunc(w.ctx, func() { conn.Close() })
	s := &script{w: w, ip: hostOf(conn.LocalAddr().String()), conn: conn, in: wire.NewReader(conn), out: wire.NewWriter(conn)}
	g, err := w.net.GenesisBlock()
	if err != nil {
		w.Fatal(err)
	}
	hello.Version, hello.Network, hello.Client = wire.Version, *uint256.NewInt(w.net.ID), "script"
	hello.TD, hello.Best, hello.Genesis = g.Difficulty, g.Hash, g.Hash
	s.send(hello)
	its, ok := s.next().(wire.Hello)
	if !ok {
		w.Fatal("the first message is no Hello")
	}
	s.node = its.Node
	return s
}

func (s *script) send(m wire.Message) {
	s.w.Helper()
	if err := s.out.Write(m); err != nil {
		s.w.Fatal(err)
	}
}

// next returns the next message that is no ping, which it answers.
func (s *script) next() wire.Message {
	s.w.Helper()
	for {
		m, err := s.in.Next()
		if err != nil {
			s.w.Fatal(err)
		}
		if _, ok := m.(wire.Ping); !ok {
			return m
		}
		s.send(wire.Pong{})
	}
}

// end reads until the node ends the session and returns the reason that it gives,
// false if none.
func (s *script) end() (wire.Reason, bool) {
	for {
		m, err := s.in.Next()
		if err != nil {
			return 0, false
		}
		if d, ok := m.(wire.Disconnect); ok {
			return d.Reason, true
		}
	}
}

// TestWorld: without anybody who does harm all is quiet.
func TestWorld(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 1200)
	inBubble(t, func(t *testing.T, w *world) {
		var addrs []string
		for _, name := range []string{"a", "b", "c"} {
			addrs = append(addrs, w.honest(name, c, honestRate).addr)
		}
		r := w.rogue("a rogue that is honest", c).listen()
		addrs = append(addrs, r.addr)
		v := w.node("victim", nil, nil, addrs...)
		began := time.Now()
		v.settled(c)
		v.fair()
		v.frugal()
		v.bounded()
		if served, _ := r.Count(); served == 0 {
			t.Error("the session that is not a node's served nothing")
		}
		if s := v.last().Pool; s.Unrequested > 0 {
			t.Errorf("%d blocks came that nobody had asked for", s.Unrequested)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%d bytes took %v", c.Size(), took)
		}
		// The victim serves on: another one syncs from it alone.
		second := w.node("second", nil, nil, v.addr)
		second.settled(c)
		second.fair()
	})
}
