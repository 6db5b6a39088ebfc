package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/link"
	"github.com/shoalnet/shoal/peer"
	"github.com/shoalnet/shoal/pool"
	"github.com/shoalnet/shoal/store"
	"github.com/shoalnet/shoal/swarm"
	"github.com/shoalnet/shoal/wire"
)

// Config says what a node works on. It must not be changed after New.
type Config struct {
	Network *chain.Network
	Store   *store.Store
	// Listener accepts connections; nil: nobody can connect. Run closes it.
	Listener net.Listener
	// Peers are the addresses that are dialled, and dialled again whenever the
	// connection is lost, as link.ParseAddr reads them. Those with a key are dialled
	// over an encrypted link only.
	Peers []string
	// Links says how nodes are met over encrypted links.
	Links Links
	// Discover: peers tell each other of peers. Addresses that are heard of are kept in
	// the store, and dialled while there are places; of those that are good others are
	// told.
	Discover bool
	// Client names the program and its version to the other side.
	Client string
	// Memory is how many bytes the node may use; 0 means DefaultMemory. It
	// decides how many peers there may be. Less than MinMemory is an error.
	Memory int64
	// MaxPeers is how many peers there may be, of those that we dial and those
	// that dial us together; 0: as many as Memory has room for, up to 64. More
	// than there is room for ([RoomFor]) is an error.
	MaxPeers int
	// Download and Upload are how many bytes a second all sessions together may
	// receive and send; 0: any number. The least is [MinRate].
	Download, Upload int64
	// Pool holds the limits of the downloader's work pool. Those of its bytes
	// follow from Memory if they are zero.
	Pool pool.Config
	// Sealer, Seals and Checkpoints are those of the downloader: how, of which
	// blocks, and below which no seals are checked.
	Sealer      downloader.Sealer
	Seals       downloader.Policy
	Checkpoints map[common.Hash]bool
	// Receipts: those of the canonical chain are fetched too. What is held is served in
	// any case.
	Receipts bool
	// FilesOnly: the chains that peers offer are not fetched, only what Files wants.
	FilesOnly bool
	// FileQuota is how many bytes of files may be kept; 0: as many as there is room for.
	// See swarm.Options.
	FileQuota int64
	// AwaitRoom: a full disk does not end the node. It goes on serving, and downloads
	// again when there is room; see downloader.Full. If the index of the store has met
	// the full disk, the node ends all the same.
	AwaitRoom bool
	// Events is called with each event of the node and of its downloader, which
	// are the types of this package and of package downloader. It must return
	// at once. Calls come from several goroutines. Nil: nobody listens.
	Events func(any)
	// Logger is silent if nil.
	Logger *slog.Logger
	// Clock tells the time of day, by which bans end and blocks are from the
	// future; nil: time.Now.
	Clock func() time.Time
	// Dial opens a connection; nil: TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
}

// Banned: a peer is not spoken to for some time, for what it did.
type Banned struct{ Standing }

// NoChain: a peer that is connected does not serve a chain.
type NoChain struct{ Addr string }

// FilesFull: chunks have come for which there is no room, on the disk or in the quota.
// They are not kept; those who fetch files have been told.
type FilesFull struct{ Err error }

// MinRate is the least that Config.Download and Config.Upload can be.
const MinRate = peer.MinThrottle

// Node is a node of the network. Make one with [New] and call [Node.Run].
type Node struct {
	cfg     Config
	log     *slog.Logger
	down    *downloader.Downloader
	files   *swarm.Files
	session peer.Config
	ctx     context.Context // of Run
	memory  *standings
	relay   *relay
	budget  budget
	links   *links

	mu struct {
		sync.Mutex
		ids   map[wire.NodeID]*peer.Session // of the peers that are connected
		keys  map[*peer.Session]link.ID     // of the sessions over encrypted links
		known map[link.ID]wire.NodeID       // who was met over them
		sent  uint64                        // bytes, in sessions that are over
		crowd crowd
		book  *book
		// meeting are the addresses of the book that are being dialled or that there is a
		// session with, and whether that has joined.
		meeting map[netip.AddrPort]bool
	}
}

// New returns a node. It fails if the configuration says what cannot be, such as a limit
// below the least, or if what the store remembers of peers cannot be read.
func New(cfg Config) (*Node, error) {
	genesis, err := cfg.Network.GenesisBlock()
	if err != nil {
		return nil, err
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	n := &Node{cfg: cfg, log: cfg.Logger}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.links, err = newLinks(&n.cfg); err != nil {
		return nil, err
	}
	n.mu.ids = make(map[wire.NodeID]*peer.Session)
	n.mu.keys = make(map[*peer.Session]link.ID)
	n.mu.known = make(map[link.ID]wire.NodeID)
	n.mu.crowd = make(crowd)
	n.mu.meeting = make(map[netip.AddrPort]bool)
	if n.mu.book, err = loadBook(cfg.Store, mrand.New(mrand.NewPCG(mrand.Uint64(), mrand.Uint64()))); n.anew(err) != nil {
		return nil, err
	}
	if n.budget, err = divide(cfg.Memory, cfg.MaxPeers, cfg.Pool); err != nil {
		return nil, err
	}
	down, err := throttle("download", cfg.Download)
	if err != nil {
		return nil, err
	}
	up, err := throttle("upload", cfg.Upload)
	if err != nil {
		return nil, err
	}
	n.budget.pool.Cap = pool.BytesPerSec(cfg.Download)
	if n.memory, err = loadStandings(cfg.Store); n.anew(err) != nil {
		return nil, err
	}
	n.relay = newRelay(&n.cfg)
	n.files = swarm.New(swarm.OnDisk(cfg.Store), swarm.Options{Source: (*chunks)(n), Quota: cfg.FileQuota})
	n.down = downloader.New(n.downloaderConfig())
	n.session = n.sessionConfig(genesis.Hash)
	n.session.Download, n.session.Upload = down, up
	return n, nil
}

// anew passes over what a node can do without: records in the store that cannot be read
// would else keep it from starting for ever.
func (n *Node) anew(err error) error {
	if !errors.Is(err, errUnreadable) {
		return err
	}
	n.log.Warn("beginning anew", "err", err)
	return nil
}

// downloaderConfig is what the downloader works on: the node's limits, its files, and a
// relay that hears of each head.
func (n *Node) downloaderConfig() downloader.Config {
	cfg := &n.cfg
	d := downloader.Config{
		Network: cfg.Network, Store: cfg.Store, Pool: n.budget.pool, Logger: n.log,
		Sealer: cfg.Sealer, Seals: cfg.Seals, Checkpoints: cfg.Checkpoints, Clock: cfg.Clock,
		Listener: func(e downloader.Event) {
			if m, ok := e.(downloader.HeadMoved); ok {
				n.relay.moved(m)
			}
			cfg.emit(e)
		},
		Keepers: map[store.Kind]downloader.Keeper{store.Chunk: (*chunks)(n)}, ContentOnly: cfg.FilesOnly,
		AwaitRoom: cfg.AwaitRoom,
	}
	if cfg.Receipts {
		d.Receipts = cfg.Store
	}
	return d
}

// sessionConfig is what all sessions have in common: what the node says of itself, what it
// serves, and who hears of what comes.
func (n *Node) sessionConfig(genesis common.Hash) peer.Config {
	cfg := &n.cfg
	s := peer.Config{
		Network: cfg.Network.ID, Genesis: genesis, Client: cfg.Client,
		Status: func() peer.Status {
			h := cfg.Store.Head()
			return peer.Status{TD: h.TD, Head: h.Hash}
		},
		Hashes: chain.HashesOf, Chain: served{cfg.Store}, Handler: (*handler)(n), Admit: n.admit, Logger: n.log,
		Exchange: n.exchange(), Relay: n.relay,
	}
	if cfg.Discover {
		s.Directory = (*directory)(n)
	}
	// Nobody checks who a node is: the id only tells one from another.
	rand.Read(s.Node[:])
	if cfg.Listener != nil {
		if a, ok := cfg.Listener.Addr().(*net.TCPAddr); ok {
			s.Port = uint16(a.Port)
		}
	}
	return s
}

// throttle returns the throttle of one direction, nil if there is none.
func throttle(direction string, perSec int64) (*peer.Throttle, error) {
	switch {
	case perSec == 0:
		return nil, nil
	case perSec < MinRate:
		return nil, fmt.Errorf("node: %d bytes a second are too little for the %s: it takes %d", perSec, direction, MinRate)
	}
	return peer.NewThrottle(perSec), nil
}

func (c *Config) emit(e any) {
	if c.Events != nil {
		c.Events(e)
	}
}

// Run runs the node until the context is cancelled, when it returns nil, or until
// it cannot go on. It is called once.
func (n *Node) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	n.ctx = ctx
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := n.down.Run(ctx); err != nil {
			cancel(err)
		}
	})
	listen := func(l net.Listener, meet func(context.Context, net.Conn)) {
		if l != nil {
			context.AfterFunc(ctx, func() { l.Close() })
			wg.Go(func() { cancel(n.accept(ctx, l, meet)) })
		}
	}
	listen(n.cfg.Listener, func(ctx context.Context, conn net.Conn) { n.run(ctx, conn, true) })
	listen(n.cfg.Links.Listener, n.letIn)
	for _, addr := range n.links.peers {
		wg.Go(func() { n.keepDialling(ctx, addr) })
	}
	wg.Go(func() { n.relay.run(ctx) })
	if n.cfg.Discover {
		wg.Go(func() { n.discover(ctx) })
	}
	<-ctx.Done()
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// HeadMoved tells the node that somebody else has moved the head of its store. Its peers
// are told. It may be called while Run runs.
func (n *Node) HeadMoved(ctx context.Context, m store.Move) { n.down.HeadMoved(ctx, m) }

// run runs one session, and forgets its id at the end, which may be another one's if
// it was not admitted.
func (n *Node) run(ctx context.Context, conn net.Conn, inbound bool) error {
	s := peer.New(conn, inbound, &n.session)
	var key link.ID // zero in plain
	if c, ok := conn.(*link.Conn); ok {
		key = c.Peer()
		n.mu.Lock()
		n.mu.keys[s] = key
		n.mu.Unlock()
	}
	err := s.Run(ctx)
	n.mu.Lock()
	n.mu.sent += s.Sent()
	if id := s.Hello().Node; n.mu.ids[id] == s {
		delete(n.mu.ids, id)
	}
	delete(n.mu.keys, s)
	n.mu.Unlock()
	n.remember(s, key, err)
	return err
}

// remember notes why a session ended, if that was the other side's fault.
func (n *Node) remember(s *peer.Session, key link.ID, cause error) {
	who := whoIs(s, key)
	if who == "" || s.Hello().Node.IsZero() {
		return // a stranger
	}
	st, banned, err := n.memory.blame(who, cause, n.cfg.Clock())
	if err != nil {
		n.log.Error("the memory of peers cannot be saved", "err", err)
	}
	if banned {
		n.log.Warn("peer banned", "peer", st.Who, "until", st.Until.UTC().Format(time.DateTime), "why", cause)
		n.cfg.emit(Banned{st})
	}
}
