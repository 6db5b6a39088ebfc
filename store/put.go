package store

import (
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"
)

// Put stores blocks, in any order, linked or not, and returns how many were
// new. Blocks already held, or repeated inside recs, are skipped. When Put
// returns without error, all of recs are on disk. On an error none of the new
// ones counts as held; the blocks held before are untouched.
//
// Each Put costs a sync of the disk, so many blocks at once are much cheaper.
// After a failed write (a full disk) the next Put may succeed. After a failed
// sync it returns ErrFailed.
func (s *Store) Put(recs []Record) (added int, err error) {
	return s.PutContent(Block, recs)
}

// Replace stores blocks again that AppendRaw has found corrupt: the new copy
// takes the place of the old one, which is not touched. Links stay as they
// are. Blocks not held are put.
func (s *Store) Replace(recs []Record) error {
	return s.ReplaceContent(Block, recs)
}

// put stores what is not held, or everything if again is set. Needs logs.
func (s *Store) put(k Kind, recs []Record, again bool) (added int, err error) {
	if err := s.usable(); err != nil {
		return 0, err
	}
	// What is refused is refused before anything is written.
	for i := range recs {
		if len(recs[i].Raw) > maxRecord {
			return 0, fmt.Errorf("store: %v %x: %d bytes, the limit is %d", k, recs[i].Hash, len(recs[i].Raw), maxRecord)
		}
	}
	look := &s.logs.lookup
	if err := look.find(s, k, len(recs), func(i int) *common.Hash { return &recs[i].Hash }); err != nil {
		return 0, err
	}
	wanted := func(i int) bool { return look.state[i] == absent || look.state[i] == held && again }
	f := s.familyOf(k)
	w := &f.writer
	batch := s.db.NewBatchWithSize(len(recs)*(placeSize+len(hashKey{})+4) + 128)
	defer batch.Close()
	if !again { // who moves records frees more room than that takes
		need := int64(0)
		for i := range recs {
			if wanted(i) {
				need += recordSize(len(recs[i].Raw))
			}
		}
		if err := f.files.roomFor(need); err != nil {
			return 0, s.writeFailed(w, err)
		}
	}
	before, changed := w.segment, false
	for i := range recs {
		if !wanted(i) {
			continue
		}
		if look.places[i], err = w.append(k, &recs[i], batch); err != nil {
			return 0, s.writeFailed(w, err)
		}
		changed = true
		if look.state[i] == absent {
			added++
		}
	}
	if !changed {
		return 0, nil
	}
	// In the order of the hashes, which the index likes better.
	for _, o := range look.order {
		i := int(o.index)
		if !wanted(i) {
			continue
		}
		s.filter.add(&recs[i].Hash)
		key := k.key(recs[i].Hash)
		op := batch.SetDeferred(len(key), placeSize)
		copy(op.Key, key[:])
		look.places[i].put(op.Value)
		if err := op.Finish(); err != nil {
			w.rollback()
			return 0, fmt.Errorf("store: put: %w", err)
		}
	}
	if err := w.sync(); err != nil {
		return 0, s.writeFailed(w, err)
	}
	count := f.held.Load()
	if k == f.kinds[0] {
		count += uint64(added)
	}
	if err := f.setCheckpoint(batch, count); err != nil {
		w.rollback()
		return 0, fmt.Errorf("store: put: %w", err)
	}
	// From here on the records are safe: if the index forgets this batch, Open
	// finds the records again. A full segment is the moment to bound how much
	// there would be to find.
	opts := pebble.NoSync
	if w.segment != before || again {
		opts = pebble.Sync // a scan does not prefer the newer of two copies
	}
	if err := s.commitInTurn(batch, opts); err != nil {
		return 0, err
	}
	f.commit()
	f.held.Store(count)
	return added, nil
}

// writeFailed takes back an unfinished append. Needs logs.
func (s *Store) writeFailed(w *segmentWriter, err error) error {
	w.rollback()
	if w.syncFailed {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.fail(err)
	}
	return fmt.Errorf("store: put: nothing was stored; %s: %w", remedy(err), err)
}

// segmentWriter appends records to the newest segment. Its owner calls append
// any number of times, then sync, then commit once the index knows; or
// rollback at any point.
//
// Nothing is ever written twice at one offset. After a rollback that may have
// left bytes in the file, the file is sealed at its last good end and the next
// record opens a fresh one: so what lies behind a good end is at worst whole
// records nobody was promised, never a new record cut into an old one.
type segmentWriter struct {
	files   *segmentFiles
	limit   int64 // size at which a segment is full
	genesis common.Hash

	file    vfs.File // nil: none open
	segment uint32   // 0: none yet
	end     int64    // offset of the next record, buffered bytes included
	next    uint32   // number of the next file; above all that exist
	sealed  bool     // segment must not be appended to

	buf     []byte // not yet written; belongs at end-len(buf)
	written bool   // bytes have reached the file since the last commit
	good    struct {
		segment uint32
		end     int64
		next    uint32
	} // as of the last commit
	syncFailed bool
}

// indexReserve is the room on the disk that segments leave to the index, in bytes. A
// write to a segment that finds the disk full can be tried again; one to the index ends
// all writing until the store is opened anew. It is enough for the tables that are in
// memory and their log, twice. A tenth would not hold those; ten times as much would lie
// idle on a small disk.
const indexReserve = 4 * memTableSize

// roomFor fails if so many bytes would leave less than the reserve. It is silent where
// the system does not tell how much room there is: then the write will show it.
func (f *segmentFiles) roomFor(bytes int64) error {
	if bytes == 0 {
		return nil
	}
	u, err := f.fs.GetDiskUsage(f.dir)
	if err == nil && u.AvailBytes < uint64(bytes)+indexReserve {
		return &fs.PathError{Op: "write", Path: f.dir, Err: syscall.ENOSPC}
	}
	return nil
}

// append adds one record. Into batch goes the end of a segment that it fills.
func (w *segmentWriter) append(k Kind, r *Record, batch *pebble.Batch) (place, error) {
	size := recordSize(len(r.Raw))
	full := w.end+size > w.limit && w.end > segmentHeader
	if w.segment == 0 || w.sealed || full {
		if err := w.roll(batch); err != nil {
			return place{}, err
		}
	}
	if w.file == nil {
		f, err := w.files.fs.OpenReadWrite(w.files.path(w.segment), vfs.WriteCategoryUnspecified)
		if err != nil {
			return place{}, err
		}
		w.file = f
	}
	p := place{segment: w.segment, offset: uint32(w.end), length: uint32(len(r.Raw)), number: r.Number}
	w.buf = appendRecord(w.buf, k, r)
	w.end += size
	if len(w.buf) >= writeChunk {
		return p, w.flush()
	}
	return p, nil
}

// flush writes what is buffered.
func (w *segmentWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	w.written = true
	n, err := w.file.WriteAt(w.buf, w.end-int64(len(w.buf)))
	if err == nil && n < len(w.buf) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return naming("write", w.files.path(w.segment), err)
	}
	w.buf = w.buf[:0]
	if cap(w.buf) > 4*writeChunk { // a giant block must not cost memory forever
		w.buf = nil
	}
	return nil
}

// sync brings everything appended to the disk.
func (w *segmentWriter) sync() error {
	if err := w.flush(); err != nil {
		return err
	}
	return w.synced(w.files.path(w.segment), w.file.Sync())
}

func (w *segmentWriter) synced(path string, err error) error {
	if err == nil {
		return nil
	}
	w.syncFailed = true
	return naming("sync", path, err)
}

// roll ends the current segment and starts the next one.
func (w *segmentWriter) roll(batch *pebble.Batch) error {
	if w.file != nil {
		if !w.sealed { // what is sealed was synced as far as it counts
			if err := w.sync(); err != nil {
				return err
			}
		}
		err := w.file.Close()
		w.file = nil
		if err != nil {
			w.syncFailed = true // some file systems report lost writes only here
			return fmt.Errorf("close %s: %w", w.files.path(w.segment), err)
		}
	}
	if w.segment != 0 {
		if err := setSealed(batch, w.files.ends, w.segment, w.end); err != nil {
			return err
		}
	}
	path := w.files.path(w.next)
	f, err := w.files.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("create segment: %w", err)
	}
	// Pebble promises WriteAt only for files opened like this.
	if err = f.Close(); err == nil {
		f, err = w.files.fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	}
	if err != nil {
		return fmt.Errorf("create segment: %w", err)
	}
	if err := syncDir(w.files.fs, w.files.dir); err != nil {
		f.Close()
		return w.synced(w.files.dir, err)
	}
	w.file, w.segment, w.sealed = f, w.next, false
	w.next++
	w.buf = appendSegmentHeader(w.buf[:0], w.segment, w.genesis)
	w.end = segmentHeader
	return nil
}

// commit marks all that was appended as good.
func (w *segmentWriter) commit() {
	w.good.segment, w.good.end, w.good.next = w.segment, w.end, w.next
	w.written = false
}

// rollback forgets what was appended since the last commit.
func (w *segmentWriter) rollback() {
	w.buf = w.buf[:0]
	if w.segment != w.good.segment {
		// The file we were in holds nothing that counts, and so do those
		// between it and the good one. A full disk wants the space back; if
		// removing fails they stay as files without any indexed record.
		if w.file != nil {
			w.file.Close()
			w.file = nil
		}
		for n := w.good.next; n < w.next; n++ {
			w.files.fs.Remove(w.files.path(n))
		}
		w.good.next = w.next // numbers are not used twice
		w.sealed = true
	} else if w.written {
		w.sealed = true
	}
	w.segment, w.end = w.good.segment, w.good.end
	w.written = false
}

func (w *segmentWriter) close() error {
	if w.file == nil {
		return nil
	}
	err := w.file.Close()
	w.file = nil
	return err
}

// syncDir makes the directory's entries durable.
func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}
