package store

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// Record is one block, or other content, as the store sees it.
type Record struct {
	Hash   common.Hash
	Number uint64 // of a block; of registered receipts, that of a block that has them
	// Raw is its bytes. Put copies them; the caller may reuse the slice.
	Raw []byte
}

// Genesis is the block every chain of the network starts from. Its number
// must be 0; its TD is its own difficulty.
type Genesis struct {
	Record
	TD uint256.Int
}

// Options say what a data directory holds and how it is opened. They must not
// be changed after Open.
type Options struct {
	// FS holds everything, payload and index. Default: vfs.Default, the disk.
	FS vfs.FS
	// Network is the name of the network, for people. Empty means: whatever the
	// directory holds.
	Network string
	// Genesis identifies the network. A zero hash means: whatever the directory
	// holds, which must then exist.
	Genesis Genesis
	// SegmentSize is when a segment file counts as full, in bytes. Default
	// 256 MiB, at most 2 GiB. A block that is larger gets a file of its own.
	SegmentSize int64
	// CacheSize bounds the memory of the index, in bytes: what it has read and
	// what it has not yet written to tables (16 MiB). Default 32 MiB, at least
	// 24 MiB.
	CacheSize int64
	// Elsewhere has the content that was registered, see [Store.Register]. Without it,
	// reading that is an error.
	Elsewhere Elsewhere
	// Logger hears of repairs and of trouble. Default: silent.
	Logger *slog.Logger
	// MustExist makes Open fail with ErrNotExist instead of creating a store.
	MustExist bool
	// KeepFormat makes Open fail with ErrOldFormat instead of upgrading a directory of an
	// older format: for whoever only reads, so that nobody is surprised that an older
	// program cannot use the directory any more.
	KeepFormat bool

	peek     bool   // for NetworkOf: only identify, and write nothing
	memTable uint64 // for tests that want many small tables; 0 means memTableSize
	steps    []step // for tests of other steps than ours
}

func (o *Options) fs() vfs.FS {
	if o.FS == nil {
		return vfs.Default
	}
	return o.FS
}

func (o *Options) segmentSize() int64 {
	if o.SegmentSize <= 0 {
		return defaultSegmentSize
	}
	return min(o.SegmentSize, maxSegmentSize)
}

func (o *Options) cacheSize() int64 {
	if o.CacheSize <= 0 {
		return 32 << 20
	}
	return max(o.CacheSize, 2*memTableSize+8<<20)
}

func (o *Options) memTableSize() uint64 {
	if o.memTable > 0 {
		return o.memTable
	}
	return memTableSize
}

func (o *Options) upgrades() []step {
	if o.steps == nil {
		return steps[:]
	}
	return o.steps
}

func (o *Options) logger() *slog.Logger {
	if o.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Logger
}

// Head is a block at the end of a chain.
type Head struct {
	Number uint64
	Hash   common.Hash
	TD     uint256.Int
}

// Store is a block chain on disk. All methods are safe for concurrent use.
// There is one writer at a time; readers never wait for it.
type Store struct {
	dir     string
	network string
	genesis common.Hash
	log     *slog.Logger
	lock    io.Closer
	db      *pebble.DB
	dbLog   *indexLogger
	// memTable is the size of a table of the index in memory.
	memTable uint64
	chain    *family // blocks and receipts
	chunks   *family
	// elsewhere is nil if nothing is read from there.
	elsewhere Elsewhere

	head atomic.Pointer[Head]
	plan atomic.Pointer[Plan] // nil: no plan
	gate gate
	// filter is made by Open.
	filter filter

	// logs makes those who append to segments take turns. It is held across the I/O of a
	// write: there is nothing else that they could do. It is taken before mu.
	logs struct {
		sync.Mutex
		lookup lookup // scratch of Put
	}

	// mu makes those who write to the index take turns. A plan grows and blocks are
	// linked while a segment is written.
	mu struct {
		sync.Mutex
		lookup   lookup // scratch of Link
		unsynced uint64 // plan hashes appended since the index was last synced
		failed   error  // sticky: why writing has stopped
		wedged   bool   // the index panicked and cannot even be closed
	}
}

// Head returns the last block of the canonical chain. At the least that is
// the genesis block.
func (s *Store) Head() Head { return *s.head.Load() }

// Blocks returns how many blocks are held, the genesis block and all that are
// not linked included.
func (s *Store) Blocks() uint64 { return s.chain.held.Load() }

// Chunks returns how many chunks are held.
func (s *Store) Chunks() uint64 { return s.chunks.held.Load() }

// Network returns the name of the network the directory was made for.
func (s *Store) Network() string { return s.network }

// Genesis returns the hash of the block at number 0.
func (s *Store) Genesis() common.Hash { return s.genesis }

// Close waits for running calls, ends with everything on disk and gives the
// directory free. Calls after it return ErrClosed, also a second Close.
func (s *Store) Close() error {
	if !s.gate.close() {
		return ErrClosed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closeAll()
}

// closeAll needs mu and that nobody reads.
func (s *Store) closeAll() error {
	var err error
	for _, f := range s.families() {
		err = errors.Join(err, f.writer.close(), f.files.close())
	}
	if s.mu.wedged {
		// Closing the index would wait forever for a lock that died with the
		// panic. The directory stays locked until the process ends, because the
		// index may still have goroutines that write.
		return errors.Join(err, s.mu.failed)
	}
	if s.db != nil {
		err = errors.Join(err, s.db.Close()) // syncs what it has
	}
	err = errors.Join(err, s.lock.Close())
	if err != nil {
		return fmt.Errorf("store: close %s: %w", s.dir, err)
	}
	return nil
}

// writable returns why writing is not possible, if so. Needs mu.
func (s *Store) writable() error {
	if s.mu.failed != nil {
		return s.mu.failed
	}
	if err := s.dbLog.fatal(); err != nil {
		return s.fail(err)
	}
	return nil
}

// usable is writable for those who do not have mu.
func (s *Store) usable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writable()
}

// commitInTurn is commit for those who do not have mu.
func (s *Store) commitInTurn(b *pebble.Batch, opts *pebble.WriteOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.writable(); err != nil {
		return err
	}
	return s.commit(b, opts)
}

// fail stops all writing until the store is opened again. After a failed sync
// nobody can say what is on disk: the kernel may have thrown the pages away
// and report the next sync as good. Opening again looks at what is there.
// Needs mu.
func (s *Store) fail(cause error) error {
	if s.mu.failed == nil {
		s.mu.failed = fmt.Errorf("%w in %s; %s: %w", ErrFailed, s.dir, remedy(cause), cause)
		s.log.Error("store: writing has stopped", "dir", s.dir, "err", cause)
	}
	return s.mu.failed
}

// commit applies the batch and turns every way in which Pebble may report
// trouble (an error, its fatal logger, a panic) into the failed state.
// Needs mu.
func (s *Store) commit(b *pebble.Batch, opts *pebble.WriteOptions) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.mu.wedged = true
			err = s.fail(fmt.Errorf("write index: %w", panicError(r)))
		}
	}()
	if err = s.dbLog.await(s.db, s.memTable); err != nil {
		return s.fail(fmt.Errorf("write index: %w", err))
	}
	if err = b.Commit(opts); err == nil {
		err = s.dbLog.fatal()
	}
	if err != nil {
		// Readers of the index already see the batch, though it may not be on
		// disk. What memory says must agree with them until the end.
		s.load()
		return s.fail(fmt.Errorf("write index: %w", err))
	}
	if opts.GetSync() {
		s.mu.unsynced = 0
	}
	return nil
}

// gate counts running calls, so that Close can wait for them. Unlike a
// RWMutex it may be entered again by a caller that is already inside.
type gate struct {
	mu struct {
		sync.Mutex
		inside int
		closed bool
		empty  chan struct{} // made by close; closed by the last one to leave
	}
}

func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.closed {
		return ErrClosed
	}
	g.mu.inside++
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.inside--
	if g.mu.closed && g.mu.inside == 0 {
		close(g.mu.empty)
	}
}

// close reports false if the gate was closed before.
func (g *gate) close() bool {
	g.mu.Lock()
	if g.mu.closed {
		g.mu.Unlock()
		return false
	}
	g.mu.closed = true
	g.mu.empty = make(chan struct{})
	if g.mu.inside == 0 {
		close(g.mu.empty)
	}
	empty := g.mu.empty
	g.mu.Unlock()
	<-empty
	return true
}
