package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/store"
)

// Config says what a server answers from. It must not be changed after NewServer.
type Config struct {
	Network *chain.Network
	Store   Store
	// Transactions is nil if they are not found by their hash.
	Transactions Transactions
	Node         Peering
	Listening    bool     // the node takes connections
	Tracker      *Tracker // of the node
	Client       string   // name and version of the program
	// Logger is silent if nil.
	Logger *slog.Logger
}

// Store is what is read of a store. All methods are safe for concurrent use.
type Store interface {
	Network() string
	Genesis() common.Hash
	Head() store.Head
	Blocks() uint64
	Plan() (store.Plan, bool)
	Canonical(n uint64) (common.Hash, error)
	Linked(h common.Hash) (store.Link, bool, error)
	CanonicalHashes(from, to uint64) iter.Seq2[common.Hash, error]
	AppendRaw(dst []byte, h common.Hash) ([]byte, error)
	AppendContent(dst []byte, kind store.Kind, h common.Hash) ([]byte, error)
	AppendAncestors(dst []common.Hash, h common.Hash, max int) ([]common.Hash, error)
}

// Peering is what is read of a node, and SendTransaction what it is given: see
// [node.Node.SendTransaction]. All methods are safe for concurrent use.
type Peering interface {
	Peers() []node.PeerInfo
	Standings() []node.Standing
	Sent() uint64
	Survey(context.Context) (downloader.Survey, bool)
	SendTransaction(raw []byte) (common.Hash, error)
}

// StatusOf returns the status of a store that no node uses.
func StatusOf(st Store) Status {
	s := Status{Network: st.Network(), Genesis: st.Genesis(), Head: HeadOf(st.Head()), Blocks: st.Blocks()}
	if p, ok := st.Plan(); ok {
		s.Plan = &Plan{Number: p.Number, Hash: p.Head, Hashes: p.Len, AllHashes: p.Complete}
	}
	return s
}

// The limits of a server.
const (
	// maxBatch and maxBatchBytes bound one batch of calls and its answers. Ten times
	// as many would let one caller have seconds of the node for himself.
	maxBatch      = 100
	maxBatchBytes = 25 << 20

	// maxCallers bounds the connections to the socket: whoever may open it is our
	// own user, but his scripts may run wild.
	maxCallers = 32
)

// SocketName is the name of the socket in a data directory.
const SocketName = "shoal.ipc"

// Server answers questions. Make one with [NewServer].
type Server struct {
	cfg    Config
	began  time.Time
	own    *rpc.Server // for our own user: all namespaces
	public *rpc.Server // for everybody else

	subscribers chan struct{} // one slot for each
	searches    chan struct{} // one slot for each search for logs
}

// NewServer returns a server that does not listen yet.
func NewServer(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, began: time.Now(), own: rpc.NewServer(), public: rpc.NewServer(), subscribers: make(chan struct{}, maxSubscriptions), searches: make(chan struct{}, maxLogSearches)}
	if s.cfg.Logger == nil {
		s.cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s.public.SetHTTPBodyLimit(maxBody)
	s.public.SetWebsocketReadLimit(maxBody)
	for _, to := range []*rpc.Server{s.own, s.public} {
		to.SetBatchLimits(maxBatch, maxBatchBytes)
		for _, n := range []struct {
			name     string
			receiver any
		}{
			{"shoal", shoalAPI{s}}, {"eth", newEth(s)}, {"eth", ethSubscriptions{s}}, {"net", netAPI{s}}, {"web3", web3API{s}}, {"debug", debugAPI{s}},
		} {
			if n.name == "shoal" && to == s.public {
				continue // who our peers are is nobody's business
			}
			if err := to.RegisterName(n.name, n.receiver); err != nil {
				return nil, fmt.Errorf("api: namespace %s: %w", n.name, err)
			}
		}
	}
	return s, nil
}

// ListenSocket listens on the Unix socket of a data directory, which belongs to this
// process: a socket that an earlier one left there is replaced. Only our own user
// may connect.
func ListenSocket(dir string) (net.Listener, error) {
	path := filepath.Join(dir, SocketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("api: the socket that is there cannot be removed: %w", err)
	}
	// It gets its rights before it gets its name.
	hidden, err := os.MkdirTemp(dir, ".ipc")
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	defer os.RemoveAll(hidden)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(hidden, "s"), Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("api: no socket, perhaps because the path of the data directory is too long: %w", err)
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(filepath.Join(hidden, "s"), 0o600), os.Rename(filepath.Join(hidden, "s"), path)); err != nil {
		return nil, errors.Join(fmt.Errorf("api: %w", err), l.Close())
	}
	return &socket{l, path}, nil
}

// socket is a listener that removes its name at the end.
type socket struct {
	net.Listener
	path string
}

func (s *socket) Close() error { return errors.Join(os.Remove(s.path), s.Listener.Close()) }

// ServeSocket answers whoever connects, until the context is done. It closes the
// listener and returns when all calls are over.
func (s *Server) ServeSocket(ctx context.Context, l net.Listener) {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer s.own.Stop()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer func() {
		if stop() {
			l.Close()
		}
	}()
	slots := make(chan struct{}, maxCallers)
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() == nil {
				s.cfg.Logger.Warn("nobody can ask this node any more", "err", err)
			}
			return
		}
		select {
		case slots <- struct{}{}:
			wg.Go(func() {
				defer func() { <-slots }()
				s.own.ServeCodec(rpc.NewCodec(conn), 0)
			})
		default:
			conn.Close()
		}
	}
}

// Dial connects to the node that uses a data directory. The error is
// [ErrNotRunning] if none does.
func Dial(ctx context.Context, dir string) (*rpc.Client, error) {
	c, err := rpc.DialIPC(ctx, filepath.Join(dir, SocketName))
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return nil, ErrNotRunning
	}
	return nil, fmt.Errorf("api: asking the node that runs: %w", err)
}

// ErrNotRunning: no node uses the data directory.
var ErrNotRunning = errors.New("api: no node runs")
