package store

import (
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// tornManifest reports whether the list of the index's tables ends in the middle of an
// entry. Pebble then goes on with the tables that it knows of. A table may be missing
// that is older than others, and with it the places of blocks which the count of blocks,
// being younger, includes. What cannot be read Pebble will complain about.
func tornManifest(fs vfs.FS, index string) bool {
	desc, err := pebble.Peek(index, fs)
	if err != nil || !desc.Exists {
		return false
	}
	f, err := fs.Open(desc.ManifestFilename)
	if err != nil {
		return false
	}
	defer f.Close()
	entries := record.NewReader(f, 0)
	for err == nil {
		var entry io.Reader
		if entry, err = entries.Next(); err == nil {
			_, err = io.Copy(io.Discard, entry)
		}
	}
	return record.IsInvalidRecord(err)
}

// recount counts what is held of the first kind of a family, and makes the result a part
// of the checkpoint. It reads all places: a million take a second.
func (s *Store) recount(f *family, cp *checkpoint) error {
	prefix := f.kinds[0].prefix()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: prefixEnd(prefix)})
	if err != nil {
		return fmt.Errorf("store: read index: %w", err)
	}
	n := uint64(0)
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("store: read index: %w", err)
	}
	if n == cp.held {
		return nil
	}
	s.log.Warn("store: the index has forgotten something after a crash; it is fetched again", "held", n, "before", cp.held)
	cp.held = n
	b := s.db.NewBatch()
	defer b.Close()
	if err := b.Set(metaKey(f.checkpoint), cp.encode(), nil); err != nil {
		return err
	}
	return s.commit(b, pebble.Sync)
}
