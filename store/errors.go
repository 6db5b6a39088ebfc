package store

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"
)

// Errors that callers act on; compare with errors.Is. Those that Open returns
// carry a sentence that tells a person what to do.
var (
	// ErrNotFound: the content is not held, or not linked where a linked block is
	// asked for, or the number is above the head.
	ErrNotFound = errors.New("store: not found")
	// ErrNotLinked: the run given to Link does not start at a linked block.
	ErrNotLinked = errors.New("store: parent is not linked")
	// ErrNoPlan: there is no plan to append to or to mark.
	ErrNoPlan = errors.New("store: no plan")
	// ErrClosed: the store has been closed.
	ErrClosed = errors.New("store: closed")
	// ErrFailed: an earlier write could not be made durable; writes are refused
	// until the store is opened again, reads go on.
	ErrFailed = errors.New("store: writing has stopped")
	// ErrLocked: another Store, here or in another process, has the directory.
	ErrLocked = errors.New("store: data directory is in use")
	// ErrNetwork: the directory holds the chain of another network.
	ErrNetwork = errors.New("store: data directory belongs to another network")
	// ErrFormat: the directory was written by a newer version of this program.
	ErrFormat = errors.New("store: data directory has a newer format")
	// ErrOldFormat: Options.KeepFormat is set and the directory has to be upgraded.
	ErrOldFormat = errors.New("store: data directory has an older format")
	// ErrNotExist: there is no store, or only the beginning of one, and the options do not
	// say what to make: Options.MustExist is set, or Options.Genesis is not.
	ErrNotExist = errors.New("store: no store in this directory")
)

// NoRoom reports whether an error is of a disk that is full, and the store is none the
// worse for it: what was refused may be tried again when there is room. After trouble
// with the index it is not so; then the error is [ErrFailed].
func NoRoom(err error) bool { return vfs.IsNoSpaceError(err) && !errors.Is(err, ErrFailed) }

// remedy tells a person what to do about a disk that does not take what is written.
func remedy(err error) string {
	if vfs.IsNoSpaceError(err) {
		return "the disk is full, free space and start again"
	}
	return "free space or repair the disk, then start again"
}

// naming says which file an error is about, unless it says so itself.
func naming(op, path string, err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return err
	}
	return fmt.Errorf("%s %s: %w", op, path, err)
}

// CorruptError says that bytes on disk are not what was written. The cause is
// ours or the disk's, never a peer's. The content should be fetched again; the
// file should be looked at.
type CorruptError struct {
	File   string // path of the segment file
	Offset int64  // where in the file the record starts
	Kind   Kind
	Hash   common.Hash
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("store: %v %x corrupt in %s at offset %d: %s", e.Kind, e.Hash, e.File, e.Offset, e.Reason)
}
