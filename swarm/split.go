package swarm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ethereum/go-ethereum/common"
)

// batchChunks is how many chunks are handed over at once: a megabyte, so that a store
// that syncs for each batch writes as fast as its disk does. Ten times as many would
// be 10 MiB for each stream and no faster.
const batchChunks = 256

// ref is a chunk as the one above it sees it.
type ref struct {
	addr common.Hash
	span uint64
}

// splitter builds the tree of a stream.
type splitter struct {
	put func([]Chunk) error
	// levels are the chunks that none above refers to yet, those of bytes first.
	// Each has at most as many as fit into one above.
	levels  [][]ref
	batch   []Chunk
	buf     []byte // the payloads of the batch
	scratch []byte
	merger  *merger
}

// Split cuts a stream into chunks, and returns the reference of the tree and how many
// bytes there were. The chunks are handed to put in batches, each chunk after those
// below it, some of them perhaps more than once; the payloads are good until put
// returns. The memory that it takes does not depend on the length of the stream.
func Split(r io.Reader, put func([]Chunk) error) (root common.Hash, size uint64, err error) {
	return newSplitter(put).run(r)
}

func newSplitter(put func([]Chunk) error) *splitter {
	return &splitter{put: put, buf: make([]byte, 0, batchChunks*MaxPayload), merger: newMerger()}
}

func (s *splitter) run(r io.Reader) (root common.Hash, size uint64, err error) {
	piece := make([]byte, ChunkSize)
	for {
		n, err := io.ReadFull(r, piece)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return root, size, fmt.Errorf("swarm: reading what is to be split: %w", err)
		}
		if n > 0 || size == 0 {
			size += uint64(n)
			if err := s.add(0, uint64(n), piece[:n]); err != nil {
				return root, size, err
			}
		}
		if err != nil {
			break
		}
	}
	root, err = s.finish()
	return root, size, err
}

// add makes a chunk and lets the level refer to it.
func (s *splitter) add(level int, span uint64, data []byte) error {
	if len(s.batch) == batchChunks {
		if err := s.flush(); err != nil {
			return err
		}
	}
	at := len(s.buf)
	s.buf = binary.LittleEndian.AppendUint64(s.buf, span)
	s.buf = append(s.buf, data...)
	payload := s.buf[at:len(s.buf):len(s.buf)]
	addr := s.merger.address(payload)
	s.batch = append(s.batch, Chunk{addr, payload})
	return s.refer(level, ref{addr, span})
}

// refer adds a chunk to a level. A full level first becomes a chunk of the next.
func (s *splitter) refer(level int, r ref) error {
	if level == len(s.levels) {
		s.levels = append(s.levels, nil)
	}
	if len(s.levels[level]) == Branches {
		if err := s.wrap(level); err != nil {
			return err
		}
	}
	s.levels[level] = append(s.levels[level], r)
	return nil
}

// wrap makes a chunk of the addresses of a level.
func (s *splitter) wrap(level int) error {
	data, span := s.scratch[:0], uint64(0)
	for _, r := range s.levels[level] {
		data = append(data, r.addr[:]...)
		span += r.span
	}
	s.scratch = data
	err := s.add(level+1, span, data)
	s.levels[level] = s.levels[level][:0] // only now: see roots
	return err
}

// finish wraps what is left, from the lowest level upwards. A single chunk moves up
// as it is.
func (s *splitter) finish() (common.Hash, error) {
	for level := 0; ; level++ {
		refs := s.levels[level]
		switch {
		case len(refs) == 1 && level == len(s.levels)-1:
			return refs[0].addr, s.flush()
		case len(refs) == 1:
			if err := s.refer(level+1, refs[0]); err != nil {
				return common.Hash{}, err
			}
			s.levels[level] = refs[:0]
		case len(refs) > 1:
			if err := s.wrap(level); err != nil {
				return common.Hash{}, err
			}
		}
	}
}

func (s *splitter) flush() error {
	err := s.put(s.batch)
	s.batch, s.buf = s.batch[:0], s.buf[:0]
	return err
}

// roots appends the addresses of the trees that are done so far to dst: all chunks
// that were made are in them, at any time.
func (s *splitter) roots(dst []common.Hash) []common.Hash {
	for _, refs := range s.levels {
		for _, r := range refs {
			dst = append(dst, r.addr)
		}
	}
	return dst
}
