package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ethereum/go-ethereum/common"
)

// A full segment of chunks is given up when less than reclaimShare/8 of it is still
// held: what is, is put again, and the file goes. So chunks take a third more than
// their own room at the most, and a byte is written again once for three that are
// freed. With more than that, a disk that is nearly full of what is held would be
// rewritten all the time.
const reclaimShare = 6

// leastReclaim is how long the newest segment must be to be given up like a full one. Less
// is not worth a new file; ten times as much, and a small quota is full of what nobody
// wants.
const leastReclaim = 1 << 20

// EachChunk calls yield with the hash of each chunk that is held, in the order of the
// hashes, until it returns false. Those that come or go meanwhile may be among them
// or not. yield may call the store.
func (s *Store) EachChunk(yield func(common.Hash) bool) error {
	return s.places(func(h common.Hash, _ place) (bool, error) { return yield(h), nil })
}

// places calls visit with the places of all chunks, until it returns false.
func (s *Store) places(visit func(common.Hash, place) (bool, error)) error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixChunk}, UpperBound: prefixEnd(prefixChunk)})
	if err != nil {
		return fmt.Errorf("store: read index: %w", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		p, err := decodePlace(it.Value())
		more := false
		if err == nil {
			more, err = visit(common.Hash(it.Key()[1:]), p)
		}
		if err != nil || !more {
			return errors.Join(err, it.Close())
		}
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("store: read index: %w", err)
	}
	return nil
}

// ChunkBytes returns how much room the chunks take on disk, with those that were
// dropped and whose room has not been reclaimed.
func (s *Store) ChunkBytes() (bytes int64, err error) {
	if err := s.gate.enter(); err != nil {
		return 0, err
	}
	defer s.gate.leave()
	s.logs.Lock()
	defer s.logs.Unlock()
	ends, err := s.chunkEnds()
	for _, end := range ends {
		bytes += end
	}
	return bytes, err
}

// chunkEnds returns the lengths of all segments of chunks. Needs logs.
func (s *Store) chunkEnds() (map[uint32]int64, error) {
	w := &s.chunks.writer
	return s.segmentEnds(s.chunks, checkpoint{segment: w.segment, offset: uint32(w.end)})
}

// DropChunks forgets chunks; those that are not held are passed over. A loss of power
// may bring some of them back. Their room is there for others after [Store.Reclaim].
func (s *Store) DropChunks(hashes []common.Hash) error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	s.logs.Lock()
	defer s.logs.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	f, look := s.chunks, &s.logs.lookup
	if err := look.find(s, Chunk, len(hashes), func(i int) *common.Hash { return &hashes[i] }); err != nil {
		return err
	}
	b := s.db.NewBatch()
	defer b.Close()
	count := f.held.Load()
	for i, h := range hashes {
		if look.state[i] != held {
			continue
		}
		count--
		key := Chunk.key(h)
		if err := b.Delete(key[:], nil); err != nil {
			return fmt.Errorf("store: drop chunks: %w", err)
		}
	}
	if err := f.setCheckpoint(b, count); err != nil {
		return fmt.Errorf("store: drop chunks: %w", err)
	}
	if err := s.commitInTurn(b, pebble.NoSync); err != nil {
		return err
	}
	f.held.Store(count)
	return nil
}

// Reclaim gives the room of dropped chunks back to the disk, as far as it is worth its
// cost, and returns how much that was. It may be cut off anywhere and done again.
func (s *Store) Reclaim() (freed int64, err error) {
	live := make(map[uint32]int64)
	if err := s.places(func(_ common.Hash, p place) (bool, error) {
		live[p.segment] += recordSize(int(p.length))
		return true, nil
	}); err != nil {
		return 0, err
	}
	if err := s.gate.enter(); err != nil {
		return 0, err
	}
	defer s.gate.leave()
	s.logs.Lock()
	defer s.logs.Unlock()
	w := &s.chunks.writer
	if w.segment == 0 {
		return 0, nil
	}
	ends, err := s.chunkEnds()
	if err != nil {
		return 0, err
	}
	if worth(live[w.segment], w.end) && w.end > min(w.limit/8, leastReclaim) {
		if err := s.freshSegment(); err != nil && !NoRoom(err) { // others may still be given up
			return 0, err
		}
	}
	present, err := s.chunks.files.list()
	if err != nil {
		return 0, err
	}
	before := w.segment
	for _, segment := range present {
		end, known := ends[segment]
		if segment >= before || known && !worth(live[segment], end) {
			continue
		}
		s.logs.Unlock() // others have waited for as long as a segment takes
		s.logs.Lock()
		if err := s.usable(); err != nil {
			return freed, err
		}
		if known { // else it was given up, but a crash has left the file
			if whole, err := s.moveChunks(segment, end); err != nil {
				return freed, err
			} else if !whole {
				continue
			}
		}
		if err := s.giveUp(segment); err != nil {
			return freed, err
		}
		freed += end
	}
	return freed, nil
}

// freshSegment ends the newest segment of chunks, so that it can be given up. Needs logs.
func (s *Store) freshSegment() error {
	if err := s.usable(); err != nil {
		return err
	}
	f := s.chunks
	w := &f.writer
	b := s.db.NewBatch()
	defer b.Close()
	err := w.roll(b)
	if err == nil {
		err = w.sync()
	}
	if err != nil {
		return s.writeFailed(w, err)
	}
	if err := f.setCheckpoint(b, f.held.Load()); err != nil {
		w.rollback()
		return fmt.Errorf("store: reclaim: %w", err)
	}
	if err := s.commitInTurn(b, pebble.Sync); err != nil {
		return err
	}
	f.commit()
	return nil
}

// worth reports whether a segment of end bytes is to be given up for what is held in it.
func worth(live, end int64) bool { return live*8 < (end-segmentHeader)*reclaimShare }

// moveChunks puts the chunks that are held in a segment into another one. It reports
// false if some of them could not be read: then the segment has to stay. Needs logs.
func (s *Store) moveChunks(segment uint32, end int64) (whole bool, err error) {
	var recs []Record
	size := 0
	flush := func() error {
		_, err := s.put(Chunk, recs, true)
		recs, size = recs[:0], 0
		return err
	}
	read, err := s.chunks.files.scan(segment, segmentHeader, end, func(offset int64, record []byte) error {
		h := recordHash(record)
		p, err := s.place(Chunk, h)
		if errors.Is(err, ErrNotFound) || err == nil && (p.segment != segment || int64(p.offset) != offset) {
			return nil
		}
		if err != nil {
			return err
		}
		recs = append(recs, Record{Hash: h, Raw: append([]byte(nil), record[recordHeader:]...)})
		if size += len(record); size >= writeChunk {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err == nil && read < end {
		s.log.Error("store: segment is damaged, its room is not reclaimed",
			"file", s.chunks.files.path(segment), "offset", read)
	}
	return read >= end, err
}

// giveUp removes a segment in which nothing is held: first from the index, then from the
// disk. Needs logs.
func (s *Store) giveUp(segment uint32) error {
	files := s.chunks.files
	b := s.db.NewBatch()
	defer b.Close()
	if err := b.Delete(binary.BigEndian.AppendUint32([]byte{files.ends}, segment), nil); err != nil {
		return fmt.Errorf("store: give up a segment: %w", err)
	}
	if err := s.commitInTurn(b, pebble.Sync); err != nil { // and with it all that was dropped before
		return err
	}
	if err := files.remove(segment); err != nil {
		return fmt.Errorf("store: remove %s: %w", files.path(segment), err)
	}
	return nil
}

// remove closes and removes the file of a segment. A read that is under way fails; who
// reads looks where the content is now.
func (f *segmentFiles) remove(segment uint32) error {
	f.mu.Lock()
	file := f.mu.open[segment]
	delete(f.mu.open, segment)
	f.mu.Unlock()
	if file != nil {
		file.Close()
	}
	return f.fs.Remove(f.path(segment))
}
