package store

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"
)

// recoverBatch is how many records recovery indexes in one step. Any crash in
// between resumes behind the last step.
const recoverBatch = 32 << 10

// reconcile brings index and segments of a family together and positions its writer. torn
// says that the index may have forgotten something.
// Everything it does can be cut off anywhere and done again. Needs mu.
func (s *Store) reconcile(f *family, torn bool) error {
	cp, err := get(s.db, metaKey(f.checkpoint), decodeCheckpoint)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	present, err := f.files.list()
	if err != nil {
		return err
	}
	if torn {
		if err := s.recount(f, &cp); err != nil {
			return err
		}
	}
	if cp, err = s.repairLost(f, cp, present); err != nil {
		return err
	}
	f.held.Store(cp.held)
	w := &f.writer
	w.segment, w.end = cp.segment, int64(cp.offset)
	w.sealed = w.end < segmentHeader // the file is gone, or all in it is lost
	w.next = cp.segment + 1
	if len(present) > 0 {
		w.next = max(w.next, present[len(present)-1]+1)
	}
	for _, segment := range present {
		if segment < cp.segment {
			continue
		}
		if err := s.reindex(f, segment); err != nil {
			return err
		}
	}
	f.commit()
	return nil
}

// reindex scans one segment, not older than the writer's, and leaves the
// writer behind its last intact record. Needs mu.
func (s *Store) reindex(f *family, segment uint32) error {
	w, path := &f.writer, f.files.path(segment)
	size, err := f.files.size(segment)
	if err != nil {
		return err
	}
	start := w.end
	if segment != w.segment {
		start = segmentHeader
		intact, err := f.files.intact(segment, s.genesis)
		if err != nil {
			return err
		}
		if !intact { // created, but its first sync never came: nothing in it counts
			s.log.Warn("store: segment without an intact header is left aside", "file", path, "size", size)
			return nil
		}
	} else if size <= start {
		return nil
	}
	// What is found may have been written but never synced; the index must
	// not be first.
	if err := f.files.sync(segment); err != nil {
		return err
	}
	r := finding{s: s, f: f, b: s.db.NewBatch(), fresh: make(map[hashKey]struct{})}
	defer func() { r.b.Close() }()
	if segment != w.segment && w.segment != 0 {
		if err := setSealed(r.b, f.files.ends, w.segment, w.end); err != nil {
			return err
		}
	}
	w.segment, w.end = segment, start
	end, err := f.files.scan(segment, start, size, r.record)
	if err != nil {
		return err
	}
	w.end = end
	w.sealed = size > end || end < segmentHeader
	if size > end {
		s.log.Warn("store: torn tail cut", "file", path, "end", end, "bytes", size-end)
	}
	if r.found > 0 {
		s.log.Info("store: records indexed again", "file", path, "records", r.found)
	}
	return r.step(pebble.Sync)
}

// finding indexes the records that a scan finds, in steps. The writer's end moves with it.
type finding struct {
	s *Store
	f *family

	b       *pebble.Batch        // the step that is being made
	pending int                  // records since the last step
	fresh   map[hashKey]struct{} // what b adds, not yet to be seen in the index
	held    uint64               // how many of fresh family.held counts
	found   int                  // records that were not indexed, in all steps
}

// record takes the next record of the writer's segment.
func (r *finding) record(offset int64, record []byte) error {
	if r.pending >= recoverBatch { // the writer's end is behind the record before
		if err := r.step(pebble.NoSync); err != nil {
			return err
		}
	}
	r.pending++
	r.f.writer.end = offset + int64(len(record))
	k := recordKind(record)
	if !slices.Contains(r.f.kinds, k) {
		return nil
	}
	key := k.key(recordHash(record))
	if _, ok := r.fresh[key]; ok {
		return nil
	}
	if held, err := has(r.s.db, key[:]); err != nil || held {
		return err
	}
	r.fresh[key] = struct{}{}
	r.found++
	if k == r.f.kinds[0] {
		r.held++
	}
	p := place{segment: r.f.writer.segment, offset: uint32(offset), length: recordLength(record), number: recordNumber(record)}
	var value [placeSize]byte
	p.put(value[:])
	return r.b.Set(key[:], value[:], nil)
}

// step makes what was found last, and the checkpoint behind it, part of the index.
func (r *finding) step(sync *pebble.WriteOptions) error {
	held := r.f.held.Load() + r.held
	if err := r.f.setCheckpoint(r.b, held); err != nil {
		return err
	}
	if err := r.s.commit(r.b, sync); err != nil {
		return err
	}
	r.f.held.Store(held)
	r.b.Close()
	r.b, r.pending, r.held = r.s.db.NewBatch(), 0, 0
	clear(r.fresh)
	return nil
}

// intact reports whether a segment has the whole header that it was made with. One that is of
// another network or of a newer format is an error.
func (f *segmentFiles) intact(segment uint32, genesis common.Hash) (bool, error) {
	path := f.path(segment)
	file, err := f.fs.Open(path)
	if err != nil {
		return false, fmt.Errorf("store: open segment: %w", err)
	}
	header := make([]byte, segmentHeader)
	_, err = file.ReadAt(header, 0)
	if errors.Is(err, io.EOF) {
		err = nil // what is missing of the header stays zero
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return false, fmt.Errorf("store: read %s: %w", path, err)
	}
	return checkSegmentHeader(header, path, segment, genesis)
}

func (f *segmentFiles) sync(segment uint32) error {
	file, err := f.fs.OpenReadWrite(f.path(segment), vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("store: open segment: %w", err)
	}
	err = file.Sync()
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("store: sync %s: %w", f.path(segment), err)
	}
	return nil
}
