package store

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"
)

// Blocks that follow on each other in the chain are mostly neighbours in a segment,
// because they are asked for, and so arrive, in runs. Who asks for a run gets it with
// one look into the index and a few reads.
const (
	// aheadMin and aheadMax bound how much is read behind a block in case the next
	// ones are wanted too. It doubles each time that they are, so a single block
	// costs little more than itself.
	aheadMin = 16 << 10
	aheadMax = 512 << 10

	// keepRun is the biggest buffer that is kept: a giant block must not cost
	// memory forever.
	keepRun = 4 * aheadMax
)

// runs reuses the buffers.
var runs = sync.Pool{New: func() any { return new(run) }}

// run reads records of one segment, one behind the other.
type run struct {
	files   *segmentFiles
	segment uint32
	end     int64  // of its good records
	start   int64  // offset of buf in the segment
	buf     []byte // bytes of the segment
	at      int    // in buf: where the next record begins
	ahead   int    // how much is read beyond what is needed
	other   []byte // what is in no segment
}

// AppendBlocks appends the raw bytes of blocks to dst: of those of the hashes that
// are held, in their order, until there are most of them, or the next one would
// exceed limit bytes together with those before; the first one always fits. A block
// that cannot be read any more is logged and left out.
func (s *Store) AppendBlocks(dst []byte, hashes []common.Hash, most, limit int) ([]byte, error) {
	if err := s.gate.enter(); err != nil {
		return dst, err
	}
	defer s.gate.leave()
	r := s.openRun()
	defer r.close()
	start, n := len(dst), 0
	for _, h := range hashes {
		if n == most {
			break
		}
		raw, err := s.read(r, h)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if _, corrupt := errors.AsType[*CorruptError](err); corrupt {
			s.log.Error("store: a block cannot be read", "err", err)
			continue
		}
		if err != nil {
			return dst, err
		}
		if n > 0 && len(dst)-start+len(raw) > limit {
			break
		}
		dst = append(dst, raw...)
		n++
	}
	return dst, nil
}

// Each calls visit with the raw bytes of blocks, in the order of the hashes. It ends at
// the first error, which is that of visit, ErrNotFound for a block that is not held, or
// a *CorruptError for one that cannot be read any more. The bytes are valid during the
// call of visit.
func (s *Store) Each(hashes []common.Hash, visit func(raw []byte) error) error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	r := s.openRun()
	defer r.close()
	for i := range hashes {
		raw, err := s.read(r, hashes[i])
		if err != nil {
			return err
		}
		if err := visit(raw); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) openRun() *run {
	r := runs.Get().(*run)
	*r = run{files: s.chain.files, buf: r.buf[:0], other: r.other[:0]}
	return r
}

func (r *run) close() {
	if cap(r.buf) <= keepRun && cap(r.other) <= keepRun {
		runs.Put(r)
	}
}

// read returns the bytes of a block, which are valid until the next call.
func (s *Store) read(r *run, h common.Hash) ([]byte, error) {
	record, err := r.next(h)
	if err == nil && record == nil {
		p, err := getPlace(s.db, h)
		if err != nil {
			return nil, err
		}
		if p.segment == elsewhere {
			r.other, err = s.appendElsewhere(r.other[:0], Block, h, p)
			return r.other, err
		}
		if record, err = s.seek(r, h, p); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	return record[recordHeader:], nil
}

// seek goes to the record of a block.
func (s *Store) seek(r *run, h common.Hash, p place) ([]byte, error) {
	corrupt := func(reason string) error {
		return &CorruptError{File: s.chain.files.path(p.segment), Offset: int64(p.offset), Hash: h, Reason: reason}
	}
	if p.length > maxRecord {
		return nil, corrupt("the index gives an impossible length")
	}
	end, err := s.chain.validEnd(s.db, p.segment)
	if errors.Is(err, ErrNotFound) { // at the very moment in which the segment gets full
		end = p.end()
	} else if err != nil {
		return nil, err
	}
	r.segment, r.end = p.segment, max(end, p.end())
	r.start, r.buf, r.at, r.ahead = int64(p.offset), r.buf[:0], 0, aheadMin
	switch ok, err := r.fill(int(recordSize(int(p.length)))); {
	case isNotExist(err):
		return nil, corrupt("the file is missing")
	case err != nil:
		return nil, fmt.Errorf("store: read block %x: %w", h, err)
	case !ok:
		return nil, corrupt("the file ends before it does")
	}
	record, err := r.next(h)
	if err == nil && record == nil {
		err = corrupt("the record there is another one, or its checksum does not match")
	}
	return record, err
}

// next returns the record at hand if it is an intact one of the block, nil if not.
// It is valid until the next call.
func (r *run) next(h common.Hash) ([]byte, error) {
	if r.segment == 0 {
		return nil, nil
	}
	if ok, err := r.fill(recordHeader); !ok || err != nil {
		return nil, err
	}
	head := r.buf[r.at:]
	if recordHash(head) != h || recordKind(head) != Block || recordLength(head) > maxRecord {
		return nil, nil
	}
	size := int(recordSize(int(recordLength(head))))
	if ok, err := r.fill(size); !ok || err != nil {
		return nil, err
	}
	record := r.buf[r.at:][:size]
	if !recordIntact(record) {
		return nil, nil
	}
	r.at += size
	return record, nil
}

// fill sees to it that so many bytes are at hand. It reports false if the good records
// of the segment end before.
func (r *run) fill(n int) (bool, error) {
	have := len(r.buf) - r.at
	if have >= n {
		return true, nil
	}
	file, err := r.files.file(r.segment)
	if err != nil {
		return false, err
	}
	r.buf = append(r.buf[:0], r.buf[r.at:]...) // what is left moves to the front
	r.start, r.at = r.start+int64(r.at), 0
	want := int(min(int64(n+r.ahead), r.end-r.start))
	if want < n {
		return false, nil
	}
	r.ahead = min(2*r.ahead, aheadMax)
	r.buf = slices.Grow(r.buf, want-have)[:want]
	got, err := file.ReadAt(r.buf[have:], r.start+int64(have))
	r.buf = r.buf[:have+got]
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return len(r.buf) >= n, nil
}
