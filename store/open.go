package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"
)

// errDamaged marks that Pebble cannot make sense of its files.
var errDamaged = errors.New("files that do not fit together")

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// Open opens the store in dir, or creates it. It repairs what a crash or a
// loss of bytes has left behind, as the package doc describes.
//
// Errors that a person can do something about: ErrLocked, ErrNetwork,
// ErrFormat, ErrOldFormat, ErrNotExist. Their text says what.
func Open(dir string, opts Options) (*Store, error) {
	s := &Store{dir: dir, log: opts.logger(), elsewhere: opts.Elsewhere}
	s.dbLog = &indexLogger{log: s.log}
	if err := s.open(&opts); err != nil {
		// Nobody else has seen s; what is open is closed, and the cause told.
		if s.lock != nil {
			s.gate.close()
			s.closeAll()
		}
		switch {
		case errors.Is(err, ErrFailed):
		case errors.Is(err, syscall.ENOTDIR):
			err = fmt.Errorf("store: %s is a file, or lies below one; name a directory: %w", dir, err)
		case vfs.IsNoSpaceError(err):
			err = fmt.Errorf("store: open %s: %s: %w", dir, remedy(err), err)
		case errors.Is(err, errDamaged), pebble.IsCorruptionError(err):
			err = fmt.Errorf("store: the index of %s is damaged; remove the directory %s and start again, which makes it anew of the blocks in segments: %w",
				dir, opts.fs().PathJoin(dir, "index"), err)
		}
		return nil, err
	}
	return s, nil
}

func (s *Store) open(opts *Options) error {
	disk := opts.fs()
	notExist := fmt.Errorf("%w: %s; check the path, or create the store by syncing or importing first", ErrNotExist, s.dir)
	if opts.MustExist {
		if _, err := disk.Stat(disk.PathJoin(s.dir, "index")); isNotExist(err) {
			return notExist
		} else if err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	if !opts.peek {
		if err := makeDirs(disk, s.dir); err != nil {
			return fmt.Errorf("store: create %s: %w", s.dir, err)
		}
	}
	dir, err := resolveDir(disk, s.dir)
	if err != nil {
		return err
	}
	index := disk.PathJoin(dir, "index")
	s.chain = &family{
		kinds: []Kind{Block, Receipts}, checkpoint: metaCheckpoint,
		files: &segmentFiles{fs: disk, dir: disk.PathJoin(dir, "segments"), ends: prefixSealed},
	}
	s.chunks = &family{
		kinds: []Kind{Chunk}, checkpoint: metaChunks,
		files: &segmentFiles{fs: disk, dir: disk.PathJoin(dir, "chunks"), ends: prefixSealedChunks},
	}
	if s.lock, err = lockDir(disk, dir, s.dir); err != nil {
		return err
	}
	s.memTable = opts.memTableSize()
	torn := tornManifest(disk, index)
	if s.db, err = openIndex(disk, index, opts, s.dbLog); err != nil {
		if errors.Is(err, pebble.ErrDBDoesNotExist) { // and was only to be looked at
			return notExist
		}
		if _, ok := errors.AsType[syscall.Errno](err); (!ok || isNotExist(err)) && !errors.Is(err, ErrFormat) {
			return fmt.Errorf("%w: %w", errDamaged, err) // the disk is well, what is on it is not
		}
		return err
	}
	// Nobody else has s yet, so that no lock is needed.
	format, err := s.identify(opts)
	switch {
	case err != nil:
		return err
	case format == 0 && opts.MustExist:
		return notExist
	case opts.peek:
		return nil
	case format == 0:
		err = s.inscribe(opts)
	default:
		err = s.upgrade(format, opts.upgrades(), opts.KeepFormat)
	}
	if err != nil {
		return err
	}
	for _, f := range s.families() {
		f.writer.files, f.writer.genesis, f.writer.limit = f.files, s.genesis, opts.segmentSize()
	}
	for _, f := range s.families() {
		if err := s.reconcile(f, torn); err != nil {
			return err
		}
	}
	if err := s.ensureGenesis(&opts.Genesis); err != nil {
		return err
	}
	if err := s.filter.learn(s.db, filterLearns); err != nil {
		return err
	}
	return s.load()
}

// resolveDir makes one name of the many that a directory on disk can have,
// since the lock within a process goes by name.
func resolveDir(disk vfs.FS, dir string) (string, error) {
	if vfs.Root(disk) != vfs.Default {
		return dir, nil
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("store: %w", err)
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return "", fmt.Errorf("store: %w", err)
	}
	return abs, nil
}

// makeDirs creates the directories, durably.
func makeDirs(disk vfs.FS, dir string) error {
	missing := false
	dirs := []string{dir}
	for _, name := range []string{"segments", "chunks", "index"} {
		dirs = append(dirs, disk.PathJoin(dir, name))
		if _, err := disk.Stat(dirs[len(dirs)-1]); err != nil {
			missing = true
		}
	}
	if !missing {
		return nil
	}
	for _, d := range dirs {
		if err := disk.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if err := syncDir(disk, dir); err != nil {
		return err
	}
	// The entry of dir itself. Where the parent may not be read, so be it.
	if err := syncDir(disk, disk.PathDir(dir)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

func lockDir(disk vfs.FS, dir, shown string) (interface{ Close() error }, error) {
	lock, err := disk.Lock(disk.PathJoin(dir, "LOCK"))
	var path *fs.PathError
	switch {
	case err == nil:
		return lock, nil
	case errors.As(err, &path):
		return nil, fmt.Errorf("store: lock %s: %w", shown, err)
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EACCES),
		strings.Contains(err.Error(), "held by current process"): // vfs has no name for it
		return nil, fmt.Errorf("%w: another process works in %s; stop it first, or choose another data directory", ErrLocked, shown)
	}
	return nil, fmt.Errorf("store: lock %s: %w", shown, err)
}

// NetworkOf returns the name of the network that a data directory was made for, and
// changes nothing there. The errors are those of [Open] for a directory that must exist.
func NetworkOf(dir string) (string, error) {
	s, err := Open(dir, Options{MustExist: true, peek: true})
	if err != nil {
		return "", err
	}
	return s.network, s.Close()
}

// identify compares what the directory says it is with what is wanted, and returns the
// format that it has, 0 if it says nothing yet. Where to look for that is the same in all
// formats.
func (s *Store) identify(opts *Options) (format uint32, err error) {
	format, err = get(s.db, metaKey(metaFormat), func(b []byte) (uint32, error) {
		if len(b) != 4 {
			return 0, badValue(prefixMeta, b)
		}
		return binary.BigEndian.Uint32(b), nil
	})
	if errors.Is(err, ErrNotFound) {
		s.network, s.genesis = opts.Network, opts.Genesis.Hash
		if s.genesis == (common.Hash{}) && !opts.MustExist {
			return 0, fmt.Errorf("%w: %s; to make it, its genesis block is needed", ErrNotExist, s.dir)
		}
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if newest := 1 + len(opts.upgrades()); format < 1 || int64(format) > int64(newest) {
		return 0, fmt.Errorf("%w: %s has format %d, this program knows up to %d; use a newer version of the program, or choose another data directory",
			ErrFormat, s.dir, format, newest)
	}
	network, err := get(s.db, metaKey(metaNetwork), copied)
	if err != nil {
		return 0, fmt.Errorf("store: network name: %w", err)
	}
	genesis, err := get(s.db, metaKey(metaGenesis), copied)
	if err != nil || len(genesis) != common.HashLength {
		return 0, fmt.Errorf("store: genesis hash: %w", errors.Join(err, badValue(prefixMeta, genesis)))
	}
	s.network, s.genesis = string(network), common.Hash(genesis)
	want := opts.Genesis.Hash
	if (opts.Network != "" && opts.Network != s.network) || (want != (common.Hash{}) && want != s.genesis) {
		asked := fmt.Sprintf("%q", opts.Network)
		if want != (common.Hash{}) {
			asked += fmt.Sprintf(" (genesis %x)", want[:4])
		}
		return 0, fmt.Errorf("%w: %s holds %q (genesis %x), asked for %s; choose that network, or another data directory",
			ErrNetwork, s.dir, s.network, s.genesis[:4], asked)
	}
	return format, nil
}

// inscribe writes what the directory is.
func (s *Store) inscribe(opts *Options) error {
	return s.note(func(b *pebble.Batch) error {
		return errors.Join(
			setFormat(b, uint32(1+len(opts.upgrades()))),
			b.Set(metaKey(metaNetwork), []byte(s.network), nil),
			b.Set(metaKey(metaGenesis), s.genesis[:], nil),
		)
	})
}

// ensureGenesis puts and links the genesis block if it is not there: in a new
// store, after a crash while it was created, or when its record was lost.
func (s *Store) ensureGenesis(g *Genesis) error {
	if _, err := getCanon(s.db, 0); !errors.Is(err, ErrNotFound) {
		return err
	}
	if g.Hash == (common.Hash{}) {
		return fmt.Errorf("%w: %s was cut off while it was made, or has lost its genesis block; open it once with the network named", ErrNotExist, s.dir)
	}
	if g.Number != 0 {
		return fmt.Errorf("store: genesis block has number %d", g.Number)
	}
	if _, err := s.put(Block, []Record{g.Record}, false); err != nil {
		return err
	}
	return s.note(func(b *pebble.Batch) error { return setCanon(s.db, b, 0, []Link{{Hash: g.Hash, TD: g.TD}}, 0) })
}

// load reads into memory what is kept there.
func (s *Store) load() error {
	head, err := getLast(s.db)
	if err != nil {
		return err
	}
	s.head.Store(&head)
	for _, f := range s.families() {
		cp, err := get(s.db, metaKey(f.checkpoint), decodeCheckpoint)
		if err != nil && !errors.Is(err, ErrNotFound) { // nothing has been put there
			return err
		}
		f.held.Store(cp.held)
	}
	plan, err := get(s.db, metaKey(metaPlan), decodePlan)
	switch {
	case err == nil:
		s.plan.Store(&plan)
	case errors.Is(err, ErrNotFound):
		s.plan.Store(nil)
	default:
		return err
	}
	return nil
}
