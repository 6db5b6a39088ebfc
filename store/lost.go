package store

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ethereum/go-ethereum/common"
)

// repairLost finds segments of a family that are shorter than the index says and
// takes back, in one atomic step, whatever rested on the lost bytes: the places of
// what is lost, and the links of lost blocks and of all their descendants, whose
// ancestry is not held any more. It returns the checkpoint as it is then.
func (s *Store) repairLost(f *family, cp checkpoint, present []uint32) (checkpoint, error) {
	expected, err := s.segmentEnds(f, cp)
	if err != nil {
		return cp, err
	}
	short := make(map[uint32]int64) // segment → bytes that are left
	for segment, end := range expected {
		var size int64
		if slices.Contains(present, segment) {
			if size, err = f.files.size(segment); err != nil {
				return cp, err
			}
		}
		if size < end {
			short[segment] = size
			s.log.Error("store: segment is shorter than it was, its content is lost",
				"file", f.files.path(segment), "size", size, "expected", end)
		}
	}
	if len(short) == 0 {
		return cp, nil
	}
	// An indexed batch, because the second half builds on the first.
	b := s.db.NewIndexedBatch()
	defer b.Close()
	ends := make(map[uint32]int64) // valid ends of the short segments
	lost := make(map[hashKey]bool)
	for i, k := range f.kinds {
		if err := dropLostPlaces(s.db, b, k, short, ends, lost); err != nil {
			return cp, err
		}
		if i == 0 {
			cp.held -= uint64(len(lost))
		}
	}
	for segment := range short {
		if segment != cp.segment {
			if err := setSealed(b, f.files.ends, segment, ends[segment]); err != nil {
				return cp, err
			}
		}
	}
	if _, ok := short[cp.segment]; ok {
		cp.offset = uint32(ends[cp.segment])
	}
	if err := b.Set(metaKey(f.checkpoint), cp.encode(), nil); err != nil {
		return cp, err
	}
	lostBlock := func(h common.Hash) bool { return lost[Block.key(h)] }
	before, after, err := unlinkLost(b, lostBlock)
	if err != nil {
		return cp, err
	}
	if err := s.commit(b, pebble.Sync); err != nil {
		return cp, err
	}
	s.log.Error("store: what is lost has been taken out; it will be fetched again",
		"records", len(lost), "head_before", before.Number, "head_now", after.Number)
	return cp, nil
}

// segmentEnds returns how long each segment of a family must at least be.
func (s *Store) segmentEnds(f *family, cp checkpoint) (map[uint32]int64, error) {
	ends := make(map[uint32]int64)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{f.files.ends}, UpperBound: prefixEnd(f.files.ends)})
	if err != nil {
		return nil, fmt.Errorf("store: read index: %w", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		k, v := it.Key(), it.Value()
		if len(k) != 5 || len(v) != 4 {
			return nil, errors.Join(badValue(f.files.ends, v), it.Close())
		}
		ends[binary.BigEndian.Uint32(k[1:])] = int64(binary.BigEndian.Uint32(v))
	}
	if err := it.Close(); err != nil {
		return nil, fmt.Errorf("store: read index: %w", err)
	}
	if cp.segment != 0 {
		ends[cp.segment] = int64(cp.offset)
	}
	return ends, nil
}

// dropLostPlaces deletes the places of a kind whose record is not whole any more, adds
// their keys to lost, and fills ends. It reads all places: this is rare, and a million
// take a second.
func dropLostPlaces(db *pebble.DB, b *pebble.Batch, k Kind, short, ends map[uint32]int64, lost map[hashKey]bool) error {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{k.prefix()}, UpperBound: prefixEnd(k.prefix())})
	if err != nil {
		return fmt.Errorf("store: read index: %w", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		p, err := decodePlace(it.Value())
		if err != nil {
			return errors.Join(err, it.Close())
		}
		size, ok := short[p.segment]
		switch {
		case !ok:
		case p.end() <= size:
			ends[p.segment] = max(ends[p.segment], p.end())
		default:
			lost[hashKey(it.Key())] = true
			if err := b.Delete(it.Key(), nil); err != nil {
				return errors.Join(err, it.Close())
			}
		}
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("store: read index: %w", err)
	}
	return nil
}

// unlinkLost takes out of b, an indexed batch, the links of the lost blocks and
// of all that descends from them, and then adopts the best branch that is left.
func unlinkLost(b *pebble.Batch, lost func(common.Hash) bool) (before, after Head, err error) {
	before, err = getLast(b)
	if errors.Is(err, ErrNotFound) { // not even a genesis block was linked
		return Head{}, Head{}, nil
	}
	if err != nil {
		return before, after, err
	}
	lowest := uint64(math.MaxUint64) // lost canonical number
search:
	for c, err := range canonUp(b, 0, math.MaxUint64) {
		if err != nil {
			return before, after, err
		}
		for i := range c.len() {
			if lost(c.hash(i)) {
				lowest = c.number + uint64(i)
				break search
			}
		}
	}
	if lowest != math.MaxUint64 {
		if err := setCanon(b, b, lowest, nil, before.Number); err != nil {
			return before, after, err
		}
	}
	// Side blocks from low to high: a block stays if it is held and its parent
	// stays. Their number is that of forks, not of blocks.
	sides, err := sideBlocks(b)
	if err != nil {
		return before, after, err
	}
	stays := make(map[common.Hash]bool)
	best := -1
	for i := range sides {
		l := &sides[i]
		parent, err := getCanon(b, l.Number-1)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return before, after, err
		}
		if !lost(l.Hash) && (stays[l.Parent] || err == nil && parent.Hash == l.Parent) {
			stays[l.Hash] = true
			if best < 0 || l.TD.Gt(&sides[best].TD) {
				best = i
			}
			continue
		}
		key := sideKey(l.Hash)
		if err := b.Delete(key[:], nil); err != nil {
			return before, after, err
		}
	}
	after, err = getLast(b)
	if errors.Is(err, ErrNotFound) {
		return before, Head{}, nil // the genesis block itself is lost
	}
	if err != nil || best < 0 || !sides[best].TD.Gt(&after.TD) {
		return before, after, err
	}
	move, err := adopt(b, b, after, sides[best:best+1])
	if err != nil {
		return before, after, err
	}
	key := sideKey(sides[best].Hash)
	return before, move.New, b.Delete(key[:], nil)
}

// sideBlocks returns all linked blocks that are not canonical, lowest first.
func sideBlocks(r pebble.Reader) ([]Link, error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixSide}, UpperBound: prefixEnd(prefixSide)})
	if err != nil {
		return nil, fmt.Errorf("store: read index: %w", err)
	}
	var sides []Link
	for ok := it.First(); ok; ok = it.Next() {
		l, err := decodeSide(common.Hash(it.Key()[1:]), it.Value())
		if err != nil {
			return nil, errors.Join(err, it.Close())
		}
		sides = append(sides, l)
	}
	if err := it.Close(); err != nil {
		return nil, fmt.Errorf("store: read index: %w", err)
	}
	slices.SortFunc(sides, func(a, b Link) int { return cmp.Compare(a.Number, b.Number) })
	return sides, nil
}
