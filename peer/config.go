package peer

import (
	"context"
	"log/slog"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/wire"
)

// Config is what all sessions of a node have in common. It must not be changed
// while sessions use it.
type Config struct {
	Network uint64        // network id
	Genesis common.Hash   // hash of the genesis block
	Client  string        // name and version for people
	Node    wire.NodeID   // our identity, new for each process
	Port    uint16        // where we listen, 0 if we do not
	Status  func() Status // our head, asked for once at the start of a session
	// Hashes appends the hashes of blocks as they travel to dst. An error means
	// that one of them is no block at all.
	Hashes func(dst []common.Hash, blocks ...[]byte) ([]common.Hash, error)
	// Chain is what is served. It must be safe for concurrent use.
	Chain Chain
	// Handler is told what comes in.
	Handler Handler
	// Directory knows the addresses of other nodes; nil: nobody is told of any.
	Directory Directory
	// Relay takes and gives pending transactions; nil: there are none, and what comes is
	// passed over.
	Relay Relay
	// Exchange switches the content exchange on; nil: it is off, as it was in 2014.
	Exchange *Exchange
	// Admit decides whether the session may go on; nil admits everybody. It
	// returns a *Violation or a *Disconnected that says why not. It is asked
	// where the specification (8.1) looks for duplicates: when the other side's
	// node id is known to be one, and not ours, but genesis, version and network
	// are still to be checked. A session that it admits may therefore end
	// without Joined.
	Admit func(*Session) error
	// Upload and Download bound what all sessions with them send and receive
	// together; nil: nothing does. What waits for them is nobody's silence.
	Upload, Download *Throttle
	// Logger is silent if nil.
	Logger *slog.Logger

	HandshakeTimeout time.Duration // for the other side's Hello
	PingInterval     time.Duration // of silence until a ping
	IdleTimeout      time.Duration // of silence until the end
}

// Status is what Hello says about a node's chain.
type Status struct {
	TD   uint256.Int // total difficulty of the head
	Head common.Hash
}

// handshakeTimeout: pyethereum takes seconds until it answers (A25).
func (c *Config) handshakeTimeout() time.Duration { return def(c.HandshakeTimeout, 10*time.Second) }

// pingInterval and idleTimeout: A30. Four pings go unanswered before the end.
func (c *Config) pingInterval() time.Duration { return def(c.PingInterval, 15*time.Second) }
func (c *Config) idleTimeout() time.Duration  { return def(c.IdleTimeout, 60*time.Second) }

func (c *Config) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}

func def(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// Chain is what a session serves.
type Chain interface {
	// AppendAncestors appends at most max hashes to dst: the parent of the block
	// with the given hash, its parent, and so on to the genesis block. Of a block
	// that is not held it appends nothing.
	AppendAncestors(dst []common.Hash, hash common.Hash, max int) ([]common.Hash, error)
	// AppendBlocks appends the RLP of blocks to dst: of those of the hashes that
	// are held, in their order, until there are most of them, or the next one
	// would exceed limit bytes together with those before; the first one always
	// fits.
	AppendBlocks(dst []byte, hashes []common.Hash, most, limit int) ([]byte, error)
}

// Handler is told what a session receives. All methods but Left are called by the
// session's reader: while they do not return, nothing more is read from this
// peer, which is how a busy node slows its peers down. They should return soon
// after the context is cancelled.
type Handler interface {
	// Joined is called once, when the handshake is over. Only after it come the
	// other calls.
	Joined(ctx context.Context, s *Session)
	// Hashes is called with the answer to a GetHashes: the request and, youngest
	// first, the hashes, which the handler owns.
	Hashes(ctx context.Context, s *Session, start common.Hash, hashes []common.Hash)
	// Blocks is called with blocks that were asked for. The handler owns them.
	Blocks(ctx context.Context, s *Session, a Answer)
	// Announced is called with blocks that were not asked for. The handler owns
	// them.
	Announced(ctx context.Context, s *Session, blocks []Block)
	// Left is called once, after the last other call, if Joined was called.
	Left(s *Session, cause error)
}

// Directory is where addresses of other nodes come from and go to. It must be safe for
// concurrent use.
type Directory interface {
	// Peers returns what the other side of a session is told when it asks, at most
	// [wire.MaxPeers].
	Peers(to *Session) []wire.PeerAddr
	// Heard is called with the answer to a [Session.GetPeers], of which nothing is true
	// yet. It is called by the session's reader and should return soon.
	Heard(from *Session, list []wire.PeerAddr)
}

// Relay is where transactions come from and go to that are in no block yet. It must be
// safe for concurrent use.
type Relay interface {
	// Pending returns what the other side of a session is told when it asks.
	Pending(to *Session) wire.RawList
	// Received is called with transactions that the other side has sent, asked or not. They
	// are a view that is good until it returns. It is called by the session's reader and
	// should return soon.
	Received(from *Session, list wire.RawList)
}

// Block is a block as it came, under the hash of its header. Whether the rest is
// what the header says is not known yet.
type Block struct {
	Hash common.Hash
	Raw  []byte
}

// Answer is what came for a GetBlocks.
type Answer struct {
	ID     uint64 // as given to GetBlocks
	Blocks []Block
	At     time.Time // when it had arrived
	// Free says that nobody looks into the blocks any more: their memory is used again.
	// It may be called from any goroutine, once. Nil if the memory has other uses; not
	// to call it costs time, but no memory.
	Free func()
	// Closed is set when the request is done with, exactly once for each. What
	// comes nevertheless is Scattered.
	Closed bool
	// Scattered is set when the peer was found to answer one request with
	// several messages: it should be asked for one thing at a time.
	Scattered bool
}

// The limits of a session.
const (
	// serveHashes is the most hashes of one answer (A9): 270 kB.
	serveHashes = wire.MaxHashes
	// leastHashes is the least that a throttle makes of it: fewer would be a round
	// trip for each few kilobytes of a walk.
	leastHashes = 256
	// serveBlocks and serveBytes bound one answer with blocks (A9). It may go
	// over the bytes by its first block: at least one is always sent.
	serveBlocks = 1024
	serveBytes  = 2 << 20

	// maxPending bounds the requests of the other side that wait to be served,
	// maxPendingBytes the memory that they take. An honest client has a few
	// requests in its pipe; ten times these numbers would be memory held for
	// nobody's use.
	maxPending      = 1024
	maxPendingBytes = 4 << 20

	// maxPongs bounds the pongs that wait to be sent. More pings than that
	// are a flood, and what is over is not answered.
	maxPongs = 16

	// announceBlocks is the most unrequested blocks that are taken from one
	// message (A13). Real clients send a handful after a sync.
	announceBlocks = 64

	// maxUnsolicited is how many answers to no request are ignored before the
	// peer is called useless (A8).
	maxUnsolicited = 64

	// writeTimeout is how long writePart bytes may take to be written: who
	// reads less than a kilobyte a second is not served.
	writeTimeout = 60 * time.Second
	writePart    = 64 << 10

	// slowWrite is how long a write must have waited to show that the other
	// side reads. A shorter one only shows that there was a free buffer.
	slowWrite = time.Second

	// maxAnnounced is how many announcements wait for a slow peer. It is told
	// the youngest, from which it can ask for the others; ten times as many
	// would be memory held for one that does not keep up anyhow.
	maxAnnounced = 16

	// maxOutgoing bounds the bytes of transactions that wait for a slow peer. It can do
	// without the others: blocks bring them.
	maxOutgoing = 256 << 10

	// closeTimeout is how long the end of a session takes at most: the rest of a
	// frame, our Disconnect, and for the other side to read it (A28).
	closeTimeout = 2 * time.Second
)
