package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ethereum/go-ethereum/common"
)

// Elsewhere holds the bytes of content that the index knows of and the segments do not
// have: those of chain archives, for one. It is called by any number of goroutines, and
// may take as long as what it reads from does.
type Elsewhere interface {
	// AppendElsewhere appends the bytes of content to dst. The number is that which it
	// was registered with. It has checked that the bytes belong to the hash: if not, or
	// if they are gone for good, the error is or wraps [ErrGone], and they may be put
	// again. Other errors may pass.
	AppendElsewhere(dst []byte, k Kind, h common.Hash, number uint64) ([]byte, error)
}

// ErrGone: content is not where it was registered.
var ErrGone = errors.New("store: gone from where it was registered")

// ErrElsewhere: content is elsewhere, and [Options.Elsewhere] is not given.
var ErrElsewhere = errors.New("store: content of this directory is in archives, and it is not said where these are")

// elsewhere is the segment in the places of what is in no segment; those begin with 1.
const elsewhere = 0

// Register makes content known whose bytes [Options.Elsewhere] has: of each record, only
// hash, number and the length of the bytes are kept. From then on the content is held, like
// any that was put, and is read from there. What is held already is skipped; it returns how
// many were new. Of receipts, the number is that of a block that has them. Chunks, which
// may go again, are refused. Durable when it returns.
func (s *Store) Register(k Kind, recs []Record) (added int, err error) {
	if err := s.gate.enter(); err != nil {
		return 0, err
	}
	defer s.gate.leave()
	if k != Block && k != Receipts {
		return 0, fmt.Errorf("store: a %v cannot be elsewhere", k)
	}
	s.logs.Lock()
	defer s.logs.Unlock()
	look := &s.logs.lookup
	if err := look.find(s, k, len(recs), func(i int) *common.Hash { return &recs[i].Hash }); err != nil {
		return 0, err
	}
	b := s.db.NewBatchWithSize(len(recs)*(placeSize+len(hashKey{})+4) + 128)
	defer b.Close()
	for _, o := range look.order {
		r := &recs[o.index]
		if look.state[o.index] != absent {
			continue
		}
		if len(r.Raw) > maxRecord {
			return 0, fmt.Errorf("store: %v %x: %d bytes, the limit is %d", k, r.Hash, len(r.Raw), maxRecord)
		}
		s.filter.add(&r.Hash)
		key := k.key(r.Hash)
		var value [placeSize]byte
		place{segment: elsewhere, length: uint32(len(r.Raw)), number: r.Number}.put(value[:])
		if err := b.Set(key[:], value[:], nil); err != nil {
			return 0, fmt.Errorf("store: register: %w", err)
		}
		added++
	}
	if added == 0 {
		return 0, nil
	}
	f := s.chain
	count := f.held.Load()
	if k == Block {
		count += uint64(added)
	}
	if err := errors.Join(f.setCheckpoint(b, count), b.Set(metaKey(metaElsewhere), nil, nil)); err != nil {
		return 0, fmt.Errorf("store: register: %w", err)
	}
	if err := s.commitInTurn(b, pebble.Sync); err != nil {
		return 0, err
	}
	f.held.Store(count)
	return added, nil
}

// HasElsewhere reports whether anything was ever registered.
func (s *Store) HasElsewhere() (bool, error) {
	if err := s.gate.enter(); err != nil {
		return false, err
	}
	defer s.gate.leave()
	return has(s.db, metaKey(metaElsewhere))
}

// appendElsewhere appends the bytes of content that is in no segment.
func (s *Store) appendElsewhere(dst []byte, k Kind, h common.Hash, p place) ([]byte, error) {
	if s.elsewhere == nil {
		return dst, ErrElsewhere
	}
	start := len(dst)
	b, err := s.elsewhere.AppendElsewhere(dst, k, h, p.number)
	switch {
	case errors.Is(err, ErrGone):
		return dst[:start], &CorruptError{File: "what was registered", Kind: k, Hash: h, Reason: err.Error()}
	case err != nil:
		return dst[:start], fmt.Errorf("store: read %v %x: %w", k, h, err)
	case len(b)-start != int(p.length):
		return dst[:start], &CorruptError{
			File: "what was registered", Kind: k, Hash: h, Reason: fmt.Sprintf("%d bytes, registered were %d", len(b)-start, p.length),
		}
	}
	return b, nil
}
