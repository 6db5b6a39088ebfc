package archive

import (
	"errors"
	"fmt"
	"os"

	"github.com/ethereum/go-ethereum/rlp"
	"github.com/klauspost/compress/gzip"
)

// Writer writes an RLP stream, gzipped if its name says so. The file appears
// under its name with [Writer.Commit], whole, or not at all. The same blocks
// always make the same bytes. A Writer is not safe for concurrent use.
//
// The usual form is
//
//	w, err := archive.Create(path)
//	if err != nil {
//		return err
//	}
//	defer w.Abort() // does nothing after Commit
//	for … {
//		if err := w.Append(block.Raw()); err != nil {
//			return err
//		}
//	}
//	return w.Commit()
type Writer struct {
	path   string // the name to be
	out    *Draft
	zip    *gzip.Writer // into out; nil if plain
	blocks uint64
	bytes  int64
	err    error // sticky: what broke the writer, or errDone
}

// errDone is what calls after Commit or Abort return.
var errDone = errors.New("already committed or aborted")

// Create starts a file that will be called path and replaces a file of that
// name only on Commit. The extension, one of [WriteExtensions], tells the
// format.
func Create(path string) (*Writer, error) {
	zipped, err := gzipByName(path)
	if err != nil {
		return nil, err
	}
	// Better now than after hours of writing.
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("archive: %s exists and is not a file that can be replaced", path)
	}
	out, err := NewDraft(path)
	if err != nil {
		return nil, fmt.Errorf("archive: creating %s: %w", path, err)
	}
	w := &Writer{path: path, out: out}
	if zipped {
		// The zero gzip header has neither name nor time in it.
		w.zip = gzip.NewWriter(out)
	}
	return w, nil
}

// Append writes one block, given by its RLP, which is not kept. Only that it
// is one RLP list of at most [MaxBlock] bytes is checked.
func (w *Writer) Append(raw []byte) error {
	if w.err != nil {
		return w.fail("writing", w.err)
	}
	_, rest, err := rlp.SplitList(raw)
	switch {
	case err != nil || len(rest) > 0:
		w.err = fmt.Errorf("block %d of the file is not one RLP list", w.blocks)
	case len(raw) > MaxBlock:
		w.err = fmt.Errorf("block %d of the file has %d bytes: at most %d are accepted", w.blocks, len(raw), MaxBlock)
	case w.zip != nil:
		_, w.err = w.zip.Write(raw)
	default:
		_, w.err = w.out.Write(raw)
	}
	if w.err != nil {
		return w.fail("writing", w.err)
	}
	w.blocks++
	w.bytes += int64(len(raw))
	return nil
}

// Written returns how many blocks have been appended, and their size in bytes
// before compression.
func (w *Writer) Written() (blocks uint64, bytes int64) { return w.blocks, w.bytes }

// Commit makes the file durable and gives it its name. If it fails, also
// because of an earlier error of Append, nothing is left behind and what had
// the name before still has it.
func (w *Writer) Commit() error {
	if w.err == nil && w.zip != nil {
		w.err = w.zip.Close()
	}
	if w.err != nil {
		err := w.fail("writing", w.err)
		w.Abort()
		return err
	}
	w.err = errDone
	if err := w.out.Commit(w.path); err != nil {
		return w.fail("writing", err)
	}
	return nil
}

// Abort gives up and removes what has been written. After Commit or Abort it
// does nothing.
func (w *Writer) Abort() error {
	err := w.out.Abort()
	w.err = errDone
	if err != nil {
		return w.fail("removing the unfinished", err)
	}
	return nil
}

func (w *Writer) fail(doing string, err error) error {
	return fmt.Errorf("archive: %s %s: %w", doing, w.path, err)
}
