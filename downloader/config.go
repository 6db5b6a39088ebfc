package downloader

import (
	"log/slog"
	"runtime"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/pool"
	"github.com/shoalnet/shoal/store"
)

// Peer is a connected peer that can be asked. None of its methods may block. The
// answers come back through [Downloader.Hashes] and [Downloader.Blocks].
type Peer interface {
	// String names the peer for people.
	String() string
	// GetBlocks asks for blocks; the answer carries the id.
	GetBlocks(id uint64, hashes []common.Hash)
	// GetContent asks for other content; the answer carries the id. It is called only
	// if the claim says Content.
	GetContent(id uint64, kind store.Kind, addrs []common.Hash)
	// GetHashes asks for up to max ancestors of a block, its parent first.
	GetHashes(start common.Hash, max int)
	// Told returns our head as the peer has been told of it when it came.
	Told() common.Hash
	// Announce sends a block that was not asked for. It is called only if the claim does
	// not say Content.
	Announce(raw []byte)
	// TellHead says which chain we have now. It is called only if the claim says Content.
	TellHead(now Claim)
	// Received returns how many bytes have come from the peer so far.
	Received() uint64
	// Answered returns how many of them were answers, or may be: of a message that is
	// still arriving nobody knows. It falls when that turns out to be something else.
	Answered() uint64
	// Drop ends the connection because of what the peer did.
	Drop(o *Offence)
}

// Store is what the downloader keeps its state in; *store.Store is one.
type Store interface {
	Head() store.Head
	Blocks() uint64
	Has(common.Hash) (bool, error)
	AppendRaw(dst []byte, hash common.Hash) ([]byte, error)
	Each(hashes []common.Hash, visit func(raw []byte) error) error
	Canonical(number uint64) (common.Hash, error)
	Linked(common.Hash) (store.Link, bool, error)
	Put([]store.Record) (int, error)
	Replace([]store.Record) error
	LinkHeld([]store.Link) (store.Move, error)

	Plan() (store.Plan, bool)
	StartPlan(store.Plan) error
	AppendPlan(hashes []common.Hash, complete bool) error
	PlanHashes(dst []common.Hash, from, to uint64) ([]common.Hash, error)
	DropPlan() error
}

// Claim is what a peer says about its chain. It is only a hint.
type Claim struct {
	TD   uint256.Int // total difficulty of the head
	Head common.Hash
	// Content: it exchanges content other than blocks by address, and is told of a new
	// head by its hash.
	Content bool
}

// Block is a block as a peer sent it, under the hash of its header.
type Block struct {
	Hash common.Hash
	Raw  []byte
}

// Answer is what a peer sent for a GetBlocks.
type Answer struct {
	ID     uint64
	Blocks []Block
	Closed bool      // nothing more will come for this request
	At     time.Time // when it had arrived
	// Scattered: the peer spreads its answers over several messages.
	Scattered bool
	// Free, if not nil, is called when nobody looks into the blocks any more.
	Free func()
}

// Kind grades an offence.
type Kind uint8

const (
	// Useless: the peer does not do what it is there for.
	Useless Kind = iota
	// Lie: the peer sent what is provably not what it was asked for.
	Lie
)

// Offence is a reason to end the connection to a peer, with the evidence.
type Offence struct {
	Kind     Kind
	Evidence string
	Err      error // may be nil
}

func (o *Offence) Error() string {
	if o.Err != nil {
		return "downloader: " + o.Evidence + ": " + o.Err.Error()
	}
	return "downloader: " + o.Evidence
}

func (o *Offence) Unwrap() error { return o.Err }

// Config says what a downloader works on. It must not be changed after New.
type Config struct {
	Network *chain.Network
	Store   Store
	// Pool holds the limits of the work pool; the zero value has defaults.
	Pool pool.Config
	// Sealer checks seals; nil if the network has none. Seals says of which
	// blocks. Once a list of hashes contains one of the Checkpoints, everything
	// below is authenticated by it, and no seals are checked there.
	Sealer      Sealer
	Seals       Policy
	Checkpoints map[common.Hash]bool
	// Keepers take the kinds of content other than blocks that can be wanted.
	Keepers map[store.Kind]Keeper
	// ContentOnly: the chains that peers offer are not fetched, only what is wanted by
	// address.
	ContentOnly bool
	// Receipts is where the receipts of the canonical chain are brought; nil: they are
	// not fetched.
	Receipts ReceiptStore
	// AwaitRoom: what finds the disk full is tried again until there is room, and
	// what is here is served meanwhile. Else a full disk ends the downloader.
	AwaitRoom bool
	// Listener is called with each event, from the loop: it must return at
	// once and must not call the downloader. Nil: nobody listens.
	Listener func(Event)
	// Logger is silent if nil.
	Logger *slog.Logger
	// Checkers is how many blocks are checked at the same time; 0 means as
	// many as there are cores.
	Checkers int
	// Clock tells the time of day, which blocks carry too; nil: time.Now. All else
	// goes by durations, which setting a clock does not change.
	Clock func() time.Time
	// Window is how many keys wait in the pool at the most; 0 means 16384.
	Window int
}

func (c *Config) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}

func (c *Config) clock() time.Time {
	if c.Clock == nil {
		return time.Now()
	}
	return c.Clock()
}

func (c *Config) checkers() int {
	if c.Checkers > 0 {
		return c.Checkers
	}
	return runtime.GOMAXPROCS(0)
}

// window: the pool needs enough work for all pipes, which is bounded in bytes;
// at the 600 bytes of an empty block this is 10 MB of work, and more is put in
// whenever half of it is asked for. Each key costs about 250 bytes of memory, so ten
// times more would be 40 MB for nothing.
func (c *Config) window() int {
	if c.Window > 0 {
		return c.Window
	}
	return 16 << 10
}

// hashesPerRequest returns how many hashes are asked for at once.
func (c *Config) hashesPerRequest() int {
	if c.Pool.Cap <= 0 {
		return mostHashes
	}
	return int(min(max(float64(c.Pool.Cap)*hashShare.Seconds()/hashBytes, leastHashes), mostHashes))
}

// The limits of the loop.
const (
	// mostHashes is how many hashes are asked for at once: as many as a server of
	// ours gives (A9). Servers of 2014 give less, which costs round trips and
	// nothing else.
	mostHashes = 8192

	// hashBytes is what a hash weighs in an answer.
	hashBytes = 33

	// hashShare is how long hashes may keep a cap of the pool busy at once: what
	// is in flight besides waits behind them, and is due in about a second.
	hashShare = 250 * time.Millisecond

	// hashTimeout is how long a peer has for an answer with hashes before it is
	// asked again (A16), and hashPatience how long we wait for it before somebody
	// else is asked too: half as long for each further one, so that a crowd that
	// does not answer costs four seconds. leastPatience ends the halving.
	hashTimeout   = 8 * time.Second
	hashPatience  = 2 * time.Second
	leastPatience = 50 * time.Millisecond

	// firstHashes is how many hashes are asked for first: blocks can be asked for as
	// soon as some are here, and whoever is asked may be the slowest of all. A link of 1
	// Mbit/s takes a quarter of a second for them, in which nobody else has anything to do;
	// ten times as many would take three. A tenth of them would be too few for the
	// first blocks of a crowd. Each answer is followed by a question for up to hashGrowth
	// times as many, so that one round trip later as much as possible is asked for.
	firstHashes = 1024
	hashGrowth  = 8

	// tryTime bounds the second question to a guide of which no blocks have come yet: when
	// it is answered the others are known. Ten times as long, and a slow peer has led the
	// walk for seconds; a tenth, and a fast one is asked for as little as a slow one.
	tryTime = 250 * time.Millisecond

	// smallBlock is what a block weighs that comes in a round trip, seen from the first
	// hashes: an eighth of them. Where blocks weigh ten times as much, hashes are not what
	// is waited for.
	smallBlock = firstHashes * hashBytes / 8

	// hashTime bounds the answers of slow peers: so long may hashes keep the link of one
	// busy at once. Its blocks wait behind them, and are due in a second.
	hashTime = 500 * time.Millisecond

	// leastHashes is how few hashes are asked for at once after answers that
	// did not come in time: over a slow link, fewer may.
	leastHashes = 256

	// headTimeout is how long the head block of a chain may take without a byte
	// from its peer, and headPatience how long the first peer is waited for
	// before another one is asked for the head of its chain.
	headTimeout  = 5 * time.Second
	headPatience = time.Second

	// A claim that came to nothing is tried again after claimRetry, and a peer
	// whose claim has come to nothing claimTries times is useless.
	claimRetry = 15 * time.Second
	claimTries = 2

	// walkRetry is how long a peer that did not know the end of the walk is not
	// asked again, when nobody else does either.
	walkRetry = 5 * time.Second

	// stallTimeout is how long a chain may make no progress while somebody is
	// idle before that is called a stall. It is longer than any wait that the
	// scheduler means: deadlines of a second, rests of up to ten.
	stallTimeout = 12 * time.Second

	// switchTimeout is how long a chain may make no progress while another one
	// could be fetched instead and nothing is expected for this one: who claims
	// most and serves nothing costs that much, and each time that it happens he
	// waits twice as long for the next, up to claimRetry << maxPassed.
	switchTimeout = 3 * time.Second
	maxPassed     = 8

	// stuckTimeout is how long a chain may make no progress in any case.
	stuckTimeout = 30 * time.Second

	// inboxSlots is how many messages may wait for the loop, and how many it takes
	// before it decides again. Each of them holds an answer of up to two megabytes, and
	// is a few dozen microseconds of work.
	inboxSlots = 16

	// checkChunk is how many blocks a checker takes at once: enough to hide
	// the handing over, few enough that all cores share one answer. A seal takes
	// a thousand times as long as the rest: sealChunk of them are enough.
	checkChunk = 32
	sealChunk  = 8

	// writeBytes bounds one write to the store. Each costs a sync, and a
	// bigger one lets the checked blocks wait longer.
	writeBytes = 8 << 20

	// linkRun is how many blocks are linked in one atomic step.
	linkRun = 4096

	// linkPart is how many of them are read and parsed by one goroutine: a hundredth of
	// that would be as many goroutines as pages, ten times as much is one for all.
	linkPart = 1024

	// walkAhead is how many blocks are waiting to be asked for, at the most, while
	// the walk goes on: enough for all pipes. Once it is over, the oldest come
	// first, and what is fetched is linked at once; a walk is mostly short.
	walkAhead = 4096

	// feedRun is how many hashes are taken from the plan at once.
	feedRun = 512

	// scanRun is how many hashes are read in one go to look for a checkpoint in a
	// plan that is taken up again: half a megabyte, or about a millisecond for which
	// the loop does nothing else.
	scanRun = 16 << 10

	// feedStep bounds how many hashes of the plan are looked up in the store in
	// one go, so that the loop stays awake while it passes over what is stored.
	feedStep = 1024

	// progressInterval is how often a Progress event is sent.
	progressInterval = 500 * time.Millisecond

	// badHeads bounds the memory of chains that were found to be bad.
	badHeads = 4096
)
