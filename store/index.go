package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"
)

// memTableSize times two is what the index holds in memory before it goes to a
// table. Smaller means more tables and compactions during a sync; the segments
// are the log, so larger would cost memory but no safety.
const memTableSize = 8 << 20

// A commit waits while more than queuedTables, of full size, are in memory, the one
// being filled included, or a read might have to look into more than overlaps tables of the
// youngest level. These are Pebble's own measures. It would wait inside of the commit,
// though, where nobody can tell it that the disk is full and will stay so: its own
// limits are therefore put out of reach.
const (
	queuedTables = 2
	overlaps     = 20
	outOfReach   = 1000
)

// merged is twice how many tables of the youngest level a read may have to look into before
// they are merged into the next one. Each merge writes the next level anew, as far as it
// overlaps, and keys are hashes, so that is all of it: the more tables go there at once,
// the less is written. At a tenth each table is merged on its own, ten times as much is
// beyond overlaps.
const merged = 16

// indexFormat is the newest Pebble format that this program writes. It is
// named here, not taken as "newest", so that a Pebble upgrade alone never
// makes a directory unreadable for the program before it. A newer one is a [step].
const indexFormat = pebble.FormatWALSyncChunks

func openIndex(fs vfs.FS, dir string, o *Options, log *indexLogger) (*pebble.DB, error) {
	log.tables = make(chan struct{}, 1)
	disk := &indexFS{FS: fs, log: log}
	opts := &pebble.Options{
		ReadOnly:                    o.peek,
		FS:                          disk,
		FormatMajorVersion:          indexFormat,
		CacheSize:                   o.cacheSize(), // Pebble takes the memtables out of it
		MemTableSize:                o.memTableSize(),
		MemTableStopWritesThreshold: outOfReach,
		L0CompactionThreshold:       merged,
		L0StopWritesThreshold:       outOfReach,
		LBaseMaxBytes:               64 << 20,
		MaxOpenFiles:                256,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		Logger:                      log,
		EventListener: &pebble.EventListener{
			WALCreated:      func(pebble.WALCreateInfo) { log.rotated.Store(true) },
			FlushEnd:        func(pebble.FlushInfo) { log.wake() },
			CompactionEnd:   func(pebble.CompactionInfo) { log.wake() },
			BackgroundError: log.background,
		},
	}
	// Hashes do not compress.
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	for i := range opts.Levels {
		// Ten bits per key: one lookup in a hundred for a hash that is not held
		// reads a table for nothing.
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	db, err := openPebble(dir, opts)
	if cause := log.fatal(); cause != nil {
		if err == nil {
			db.Close()
		}
		return nil, fmt.Errorf("store: open index: %w", cause)
	}
	if err != nil && strings.Contains(err.Error(), "unknown format major version") {
		return nil, fmt.Errorf("%w: its index cannot be read; use the version of the program that wrote it: %w", ErrFormat, err)
	}
	if err != nil {
		return nil, fmt.Errorf("store: open index: %w", err)
	}
	disk.opened.Store(true)
	return db, nil
}

// openPebble turns panics into errors: Pebble panics when a directory cannot be
// synced.
func openPebble(dir string, opts *pebble.Options) (db *pebble.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, panicError(r)
		}
	}()
	return pebble.Open(dir, opts)
}

func panicError(r any) error {
	if err, ok := r.(error); ok {
		return err
	}
	return fmt.Errorf("%v", r)
}

// indexLogger keeps Pebble quiet, and from ending the process: Pebble calls
// Fatalf for a write that failed and counts on not coming back. The store
// looks at fatal before and after every commit and stops writing.
type indexLogger struct {
	log     *slog.Logger
	cause   atomic.Pointer[indexError]
	rotated atomic.Bool   // a table in memory is full
	tables  chan struct{} // one slot: a table is on disk, or could not be written
}

func (l *indexLogger) Infof(string, ...any) {}

func (l *indexLogger) Errorf(format string, args ...any) {
	l.log.Warn("store: index", "err", fmt.Sprintf(format, args...))
}

func (l *indexLogger) Fatalf(format string, args ...any) {
	fatal := &indexError{text: fmt.Sprintf(format, args...)}
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			fatal.cause = err
		}
	}
	l.cause.CompareAndSwap(nil, fatal)
}

// background hears of tables that could not be written. Pebble tries that again, at
// once and for ever; here the first error is the last one. A file system that cannot
// tell how much room it has is no trouble.
func (l *indexLogger) background(err error) {
	if !errors.Is(err, errors.ErrUnsupported) {
		l.cause.CompareAndSwap(nil, &indexError{text: "write table: " + err.Error(), cause: err})
	}
	l.wake()
}

// wake is called when tables have been written, or could not be.
func (l *indexLogger) wake() {
	select {
	case l.tables <- struct{}{}:
	default:
	}
}

func (l *indexLogger) fatal() error {
	if err := l.cause.Load(); err != nil {
		return err
	}
	return nil
}

// await waits until the index has written so much of what it has in memory that it
// takes more. It returns what keeps it from doing so.
func (l *indexLogger) await(db *pebble.DB, memTable uint64) error {
	if !l.rotated.Swap(false) {
		return l.fatal()
	}
	for {
		if err := l.fatal(); err != nil {
			return err
		}
		m := db.Metrics()
		if m.MemTable.Size <= queuedTables*memTable && m.Levels[0].Sublevels <= overlaps {
			return nil
		}
		<-l.tables
	}
}

// indexError is what Pebble said last, with the cause it printed.
type indexError struct {
	text  string
	cause error // may be nil
}

func (e *indexError) Error() string { return e.text }
func (e *indexError) Unwrap() error { return e.cause }

// has and get are the two forms of a point lookup.
func has(r pebble.Reader, key []byte) (bool, error) {
	_, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("store: read index: %w", err)
	}
	return true, closer.Close()
}

// get decodes the value of key while it is valid. It returns ErrNotFound as it
// is, for the caller to say what was not found.
func get[T any](r pebble.Reader, key []byte, decode func([]byte) (T, error)) (v T, err error) {
	b, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return v, ErrNotFound
	}
	if err != nil {
		return v, fmt.Errorf("store: read index: %w", err)
	}
	defer closer.Close()
	return decode(b)
}

func getPlace(r pebble.Reader, h common.Hash) (place, error) {
	key := Block.key(h)
	return get(r, key[:], decodePlace)
}

func getSide(r pebble.Reader, h common.Hash) (Link, error) {
	key := sideKey(h)
	return get(r, key[:], func(b []byte) (Link, error) { return decodeSide(h, b) })
}

func copied(b []byte) ([]byte, error) { return slices.Clone(b), nil }

func sealedKey(prefix byte, segment uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{prefix}, segment)
}

// getSealed returns what setSealed wrote.
func getSealed(r pebble.Reader, prefix byte, segment uint32) (int64, error) {
	return get(r, sealedKey(prefix, segment), func(b []byte) (int64, error) {
		if len(b) != 4 {
			return 0, badValue(prefix, b)
		}
		return int64(binary.BigEndian.Uint32(b)), nil
	})
}

// setSealed writes where a full segment ends; prefix is that of its family.
func setSealed(b *pebble.Batch, prefix byte, segment uint32, end int64) error {
	return b.Set(sealedKey(prefix, segment), binary.BigEndian.AppendUint32(nil, uint32(end)), nil)
}

// Has reports whether the block is held, linked or not.
func (s *Store) Has(h common.Hash) (bool, error) {
	return s.HasContent(Block, h)
}

// AppendRaw appends the block's raw bytes to dst. It returns ErrNotFound for a
// block that is not held, and a *CorruptError if the bytes on disk are not
// those that were put; then dst comes back as it was.
func (s *Store) AppendRaw(dst []byte, h common.Hash) ([]byte, error) {
	return s.AppendContent(dst, Block, h)
}

// Meta returns the value that SetMeta stored under key, ErrNotFound if none.
func (s *Store) Meta(key string) ([]byte, error) {
	if err := s.gate.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	return get(s.db, foreignKey(key), copied)
}

// SetMeta stores a small value for another room; nil removes it. Keys are the
// caller's own: prefix them with the room's name. Durable when it returns.
func (s *Store) SetMeta(key string, value []byte) error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.writable(); err != nil {
		return err
	}
	b := s.db.NewBatch()
	defer b.Close()
	var err error
	if value == nil {
		err = b.Delete(foreignKey(key), nil)
	} else {
		err = b.Set(foreignKey(key), value, nil)
	}
	if err != nil {
		return fmt.Errorf("store: set %q: %w", key, err)
	}
	return s.commit(b, pebble.Sync)
}
