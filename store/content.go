package store

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ethereum/go-ethereum/common"
)

// Kind says what content is, and what the hash is that names it. The store takes
// the caller's word for both. The numbers are part of the disk format, and those of
// the wire where that has them.
type Kind uint8

const (
	// Block: named by the hash of its header.
	Block Kind = iota
	// Chunk: a piece of a file, named by its Swarm address.
	Chunk
	// Receipts: the list of receipts of a block, named by the receipts root. Blocks
	// with equal receipts share it.
	Receipts

	kinds
)

// String returns the name of the kind, or its number if there is none.
func (k Kind) String() string {
	if k < kinds {
		return [kinds]string{"block", "chunk", "receipts"}[k]
	}
	return fmt.Sprintf("content of kind %d", uint8(k))
}

// prefix is the first byte of the index keys of the kind.
func (k Kind) prefix() byte { return [kinds]byte{prefixBlock, prefixChunk, prefixReceipts}[k] }

func (k Kind) key(h common.Hash) hashKey { return prefixedHash(k.prefix(), h) }

// family is a log of segments in a directory of its own, with a checkpoint of its own.
// What a chain is made of is in one of them and stays for ever. Chunks are in another,
// because they may go again: then a segment with little left in it can be given up when
// that little has been put again, and no block has to move for it.
type family struct {
	kinds []Kind // of what is in it; kinds[0] is what is counted
	files *segmentFiles
	// writer belongs to the holder of Store.logs.
	writer segmentWriter
	// good is segment<<32 | end of the last Put that is over: what is behind it may be
	// whole records, but nobody has been told that they are held.
	good atomic.Uint64
	held atomic.Uint64 // how many of kinds[0]
	// checkpoint is its name in the index.
	checkpoint string
}

// commit marks all that was appended as good.
func (f *family) commit() {
	f.writer.commit()
	f.good.Store(uint64(f.writer.segment)<<32 | uint64(f.writer.end))
}

// setCheckpoint puts into a batch how far the family is written, and how many are held once
// the batch is committed.
func (f *family) setCheckpoint(b *pebble.Batch, held uint64) error {
	cp := checkpoint{segment: f.writer.segment, offset: uint32(f.writer.end), held: held}
	return b.Set(metaKey(f.checkpoint), cp.encode(), nil)
}

// validEnd returns where the good records of a segment end.
func (f *family) validEnd(r pebble.Reader, segment uint32) (int64, error) {
	if good := f.good.Load(); uint32(good>>32) == segment {
		return int64(uint32(good)), nil
	}
	return getSealed(r, f.files.ends, segment)
}

func (s *Store) families() [2]*family { return [2]*family{s.chain, s.chunks} }

// familyOf returns where content of a kind is, nil for a kind that is none.
func (s *Store) familyOf(k Kind) *family {
	switch k {
	case Block, Receipts:
		return s.chain
	case Chunk:
		return s.chunks
	}
	return nil
}

func unknownKind(k Kind) error { return fmt.Errorf("store: there is no %v", k) }

// PutContent is [Store.Put] for content of any kind, and makes the same promises.
func (s *Store) PutContent(k Kind, recs []Record) (added int, err error) {
	return s.putContent(k, recs, false)
}

// ReplaceContent is [Store.Replace] for content of any kind.
func (s *Store) ReplaceContent(k Kind, recs []Record) error {
	_, err := s.putContent(k, recs, true)
	return err
}

func (s *Store) putContent(k Kind, recs []Record, again bool) (added int, err error) {
	if err := s.gate.enter(); err != nil {
		return 0, err
	}
	defer s.gate.leave()
	if k >= kinds {
		return 0, unknownKind(k)
	}
	s.logs.Lock()
	defer s.logs.Unlock()
	return s.put(k, recs, again)
}

// HasContent reports whether content is held.
func (s *Store) HasContent(k Kind, h common.Hash) (bool, error) {
	if err := s.gate.enter(); err != nil {
		return false, err
	}
	defer s.gate.leave()
	if k >= kinds {
		return false, unknownKind(k)
	}
	key := k.key(h)
	return has(s.db, key[:])
}

// AppendContent appends the bytes of content to dst. It returns ErrNotFound for what is
// not held, and a *CorruptError if the bytes on disk are not those that were put; then
// dst comes back as it was.
func (s *Store) AppendContent(dst []byte, k Kind, h common.Hash) ([]byte, error) {
	if err := s.gate.enter(); err != nil {
		return dst, err
	}
	defer s.gate.leave()
	for p := (place{}); ; {
		now, err := s.place(k, h)
		if err != nil {
			return dst, err
		}
		if now.segment == elsewhere {
			return s.appendElsewhere(dst, k, h, now)
		}
		b, err := s.familyOf(k).files.appendRaw(dst, k, h, now)
		if err == nil || now == p || k != Chunk {
			return b, err
		}
		p = now // its segment may just have been given up, and it be elsewhere
	}
}

func (s *Store) place(k Kind, h common.Hash) (place, error) {
	if k >= kinds {
		return place{}, errors.Join(ErrNotFound, unknownKind(k))
	}
	key := k.key(h)
	return get(s.db, key[:], decodePlace)
}
