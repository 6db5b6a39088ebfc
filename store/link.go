package store

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sort"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// Link joins a block to its parent: all blocks from genesis up to it are held,
// so its total difficulty is known.
type Link struct {
	Hash, Parent common.Hash
	Number       uint64
	TD           uint256.Int
}

// Move says what a call of Link did to the canonical chain.
type Move struct {
	Old, New Head
	// Ancestor is the number of the last block that both chains share. It is
	// Old.Number unless the move was a reorg.
	Ancestor uint64
	// Reorged: blocks of the old canonical chain have left it.
	Reorged bool
}

// Moved reports whether the head changed.
func (m Move) Moved() bool { return m.Old.Hash != m.New.Hash }

// Link records the TD of blocks whose whole ancestry is known. The run goes
// upwards: run[0].Parent is already linked, each next block is the child of
// the one before, TD grows, and all blocks are held. If the last TD is
// strictly above the head's, the branch becomes canonical in the same atomic
// step, whatever the depth of the reorg; with equal TD the first seen stays.
//
// Blocks that are linked already are skipped, so repeating a Link is harmless.
// Errors: ErrNotLinked, ErrNotFound for a block that is not held, ErrFailed,
// and plain ones for a run that is not a run. On an error nothing has changed.
// Durable when it returns.
func (s *Store) Link(run []Link) (Move, error) { return s.link(run, false) }

// LinkHeld is [Store.Link] for who knows that all blocks of the run are held under their
// numbers, because it has put or read each of them since the store was opened: no block is
// taken out before it is closed. To look for a small block in the index costs several times
// as much as all the rest of linking it. If the caller is mistaken, the canonical chain names
// blocks that are not there.
func (s *Store) LinkHeld(run []Link) (Move, error) { return s.link(run, true) }

func (s *Store) link(run []Link, known bool) (Move, error) {
	if err := s.gate.enter(); err != nil {
		return Move{}, err
	}
	defer s.gate.leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.Head()
	stay := Move{Old: old, New: old, Ancestor: old.Number}
	if err := s.writable(); err != nil {
		return stay, err
	}
	for i := 1; i < len(run); i++ {
		a, b := &run[i-1], &run[i]
		if b.Parent != a.Hash || b.Number != a.Number+1 || !b.TD.Gt(&a.TD) {
			return stay, fmt.Errorf("store: link: block %d %x does not follow block %d %x", b.Number, b.Hash, a.Number, a.Hash)
		}
	}
	run, err := unlinked(s.db, run)
	if err != nil {
		return stay, err
	}
	if len(run) == 0 {
		return stay, nil
	}
	parent, err := getLink(s.db, run[0].Parent)
	if errors.Is(err, ErrNotFound) {
		return stay, fmt.Errorf("%w: parent %x of block %d %x", ErrNotLinked, run[0].Parent, run[0].Number, run[0].Hash)
	}
	if err != nil {
		return stay, err
	}
	if run[0].Number != parent.Number+1 || !run[0].TD.Gt(&parent.TD) {
		return stay, fmt.Errorf("store: link: block %d %x does not follow block %d %x", run[0].Number, run[0].Hash, parent.Number, parent.Hash)
	}
	if !known {
		if err := s.lookFor(run); err != nil {
			return stay, err
		}
	}
	b := s.db.NewBatchWithSize((len(run) + canonRun) * (common.HashLength + 16)) // TDs are mostly shorter
	defer b.Close()
	move := stay
	tip := &run[len(run)-1]
	if tip.TD.Gt(&old.TD) {
		if move, err = adopt(s.db, b, old, run); err != nil {
			return stay, err
		}
	} else {
		for i := range run {
			if err := setSide(b, &run[i]); err != nil {
				return stay, err
			}
		}
	}
	if err := s.commit(b, pebble.Sync); err != nil {
		return stay, err
	}
	s.head.Store(&move.New)
	return move, nil
}

// lookFor fails unless all blocks of a run are held under their numbers. Needs mu.
func (s *Store) lookFor(run []Link) error {
	look := &s.mu.lookup
	if err := look.find(s, Block, len(run), func(i int) *common.Hash { return &run[i].Hash }); err != nil {
		return err
	}
	for i := range run {
		l := &run[i]
		if look.state[i] != held {
			return fmt.Errorf("store: link block %d %x: %w", l.Number, l.Hash, ErrNotFound)
		}
		if n := look.places[i].number; n != l.Number {
			return fmt.Errorf("store: link: block %x was put as number %d, not %d", l.Hash, n, l.Number)
		}
	}
	return nil
}

// unlinked returns what of a run is not linked yet. A linked block's parent is linked, so
// those that are linked come first, and a few looks tell how many they are.
func unlinked(r pebble.Reader, run []Link) ([]Link, error) {
	var last Link // the highest one that is known to be linked
	var failed error
	n := sort.Search(len(run), func(i int) bool {
		l, err := getLink(r, run[i].Hash)
		switch {
		case err == nil:
			last = l
		case !errors.Is(err, ErrNotFound):
			failed = err
		}
		return err != nil
	})
	if failed != nil {
		return nil, failed
	}
	if n > 0 && last != run[n-1] {
		l := &run[n-1]
		return nil, fmt.Errorf("store: link: block %x is linked as number %d, parent %x, TD %s; now number %d, parent %x, TD %s",
			last.Hash, last.Number, last.Parent, &last.TD, l.Number, l.Parent, &l.TD)
	}
	return run[n:], nil
}

// adopt writes into b what makes the branch ending in run canonical instead of
// the chain ending in old. The run's blocks need not be linked yet, its parent
// must be. It reads the state before b.
func adopt(r pebble.Reader, b *pebble.Batch, old Head, run []Link) (Move, error) {
	tip := run[len(run)-1]
	move := Move{Old: old, New: Head{Number: tip.Number, Hash: tip.Hash, TD: tip.TD}}
	// Down the side chain, if there is one, to the canonical chain.
	var below []Link
	first := &run[0]
	for {
		l, err := getSide(r, first.Parent)
		if errors.Is(err, ErrNotFound) {
			break
		}
		if err != nil {
			return Move{}, err
		}
		below = append(below, l)
		first = &below[len(below)-1]
	}
	move.Ancestor = first.Number - 1
	move.Reorged = move.Ancestor < old.Number
	// The blocks that leave.
	parent := first.Parent
	for c, err := range canonUp(r, move.Ancestor+1, old.Number+1) {
		if err != nil {
			return Move{}, err
		}
		for i := range c.len() {
			h := c.head(i)
			if err := setSide(b, &Link{Hash: h.Hash, Parent: parent, Number: h.Number, TD: h.TD}); err != nil {
				return Move{}, err
			}
			parent = h.Hash
		}
	}
	if move.Reorged && parent != old.Hash {
		return Move{}, fmt.Errorf("store: index is corrupt: the canonical chain does not end at %d %x", old.Number, old.Hash)
	}
	// The blocks that come.
	for i := range below {
		key := sideKey(below[i].Hash)
		if err := b.Delete(key[:], nil); err != nil {
			return Move{}, fmt.Errorf("store: link: %w", err)
		}
	}
	if len(below) > 0 {
		slices.Reverse(below)
		run = slices.Concat(below, run)
	}
	return move, setCanon(r, b, move.Ancestor+1, run, old.Number)
}

func setSide(b *pebble.Batch, l *Link) error {
	key := sideKey(l.Hash)
	var value [72]byte
	if err := b.Set(key[:], appendSide(value[:0], l), nil); err != nil {
		return fmt.Errorf("store: link: %w", err)
	}
	return nil
}

// getLink looks a linked block up, ErrNotFound if it is not linked. r should
// not change in between: a snapshot, or mu is held.
func getLink(r pebble.Reader, h common.Hash) (Link, error) {
	p, err := getPlace(r, h)
	if err != nil {
		return Link{}, err
	}
	c, err := getCanon(r, p.number)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Link{}, err
	}
	if err != nil || c.Hash != h {
		return getSide(r, h)
	}
	l := Link{Hash: h, Number: c.Number, TD: c.TD}
	if c.Number > 0 {
		below, err := getCanon(r, c.Number-1)
		if err != nil {
			return Link{}, fmt.Errorf("store: canonical block %d: %w", c.Number-1, err)
		}
		l.Parent = below.Hash
	}
	return l, nil
}

// Linked returns what Link recorded about the block; false if it is not linked.
// The parent of the genesis block is given as zero.
func (s *Store) Linked(h common.Hash) (Link, bool, error) {
	if err := s.gate.enter(); err != nil {
		return Link{}, false, err
	}
	defer s.gate.leave()
	snap := s.db.NewSnapshot()
	defer snap.Close()
	l, err := getLink(snap, h)
	if errors.Is(err, ErrNotFound) {
		return Link{}, false, nil
	}
	return l, err == nil, err
}

// Canonical returns the hash of block n of the canonical chain, ErrNotFound
// above the head.
func (s *Store) Canonical(n uint64) (common.Hash, error) {
	if err := s.gate.enter(); err != nil {
		return common.Hash{}, err
	}
	defer s.gate.leave()
	c, err := getCanon(s.db, n)
	return c.Hash, err
}

// CanonicalHashes yields the canonical chain upwards from number from to
// number to, both included, ending early at the head. All of it belongs to one
// chain even if the head moves meanwhile. After an error it ends.
func (s *Store) CanonicalHashes(from, to uint64) iter.Seq2[common.Hash, error] {
	return func(yield func(common.Hash, error) bool) {
		if err := s.gate.enter(); err != nil {
			yield(common.Hash{}, err)
			return
		}
		defer s.gate.leave()
		for c, err := range canonUp(s.db, from, min(to, math.MaxUint64-1)+1) {
			if err != nil {
				yield(common.Hash{}, err)
				return
			}
			for i := range c.len() {
				if !yield(c.hash(i), nil) {
					return
				}
			}
		}
	}
}

// AppendAncestors appends up to max hashes of the ancestors of h to dst: its
// parent first, the genesis block last. h may be on a side chain; ErrNotFound
// if it is not linked. This is the answer to a GetBlockHashes request.
func (s *Store) AppendAncestors(dst []common.Hash, h common.Hash, max int) ([]common.Hash, error) {
	if err := s.gate.enter(); err != nil {
		return dst, err
	}
	defer s.gate.leave()
	snap := s.db.NewSnapshot()
	defer snap.Close()
	p, err := getPlace(snap, h)
	if err != nil {
		return dst, err
	}
	c, err := getCanon(snap, p.number)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return dst, err
	}
	below := p.number // canonical ancestors have smaller numbers
	if err != nil || c.Hash != h {
		side, err := getSide(snap, h)
		for ; err == nil && max > 0; side, err = getSide(snap, side.Parent) {
			dst = append(dst, side.Parent)
			max--
			below = side.Number - 1
		}
		switch {
		case errors.Is(err, ErrNotFound) && below == p.number:
			return dst, ErrNotFound // neither canonical nor on a side chain
		case err != nil && !errors.Is(err, ErrNotFound):
			return dst, err
		}
	}
	if max <= 0 || below == 0 {
		return dst, nil
	}
	// Upwards, and so from the end of the list, because tables are read ahead that way.
	start, from := len(dst), below-min(below, uint64(max))
	at := start + int(below-from)
	dst = slices.Grow(dst, at-start)[:at]
	for c, err := range canonUp(snap, from, below) {
		if err != nil {
			return dst[:start], err
		}
		for i := range c.len() {
			at--
			dst[at] = c.hash(i)
		}
	}
	if at != start {
		return dst[:start], errBroken(below - uint64(at-start))
	}
	return dst, nil
}
