package downloader

import (
	"errors"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
)

// While the walk goes on, blocks come youngest first, and none of them can be linked before
// the last gap below them is closed. All rules but one are about a block and a few of its
// ancestors, though: only total difficulty needs the whole chain. So the linker, when it
// has nothing to link, verifies the young end of the plan, from the head downwards. When
// linking arrives there, they are not read again: what each of them adds to the total
// difficulty is added up, and that they are stored is known, because no block is taken out
// of an open store.
//
// Each block that is verified is bound to the head by the hashes of those between them. So
// a rule that it breaks is broken in the head's chain, whatever will turn out to be below.

const (
	// aheadRun is how many blocks are verified in one step, for which linking would have
	// to wait: it takes half a millisecond. At a tenth of it, each step would read files
	// for a handful of blocks; at ten times as much, a gap would hold up thousands.
	aheadRun = 256

	// aheadMost bounds how many blocks are verified ahead, each of which takes eight bytes
	// until it is linked: 8 MiB. Only while hashes are walked do blocks come youngest
	// first, and by the time that a million have come, the hashes of many more are here.
	// What is beyond is read when it is linked, which takes two seconds for each million
	// of small blocks. Ten times as many would take most of the memory that a sync has; a
	// tenth would leave hundreds of thousands to the end.
	aheadMost = 1 << 20

	// addRun is how many blocks that have been verified are linked in one atomic step. Most of
	// the time of such a step is one sync of the disk, and nothing is left to be done
	// meanwhile: at a tenth, a sync of small blocks would end a quarter of a second later.
	// It takes three megabytes; ten times as many would be more than a table of the
	// store's index has room for.
	addRun = 16 << 10
)

// ahead is the young end of a plan, as far as it has been verified.
type ahead struct {
	to   uint64   // blocks with a smaller index in the plan are in order
	work []uint64 // what each of them adds to the total difficulty
	full bool     // there will not be more of them

	// The blocks that follow, oldest first: room for aheadRun of them, of which the first
	// ones have been read, and behind these the youngest of all, which served as ancestors
	// of those that are verified.
	next       []follower
	read, seam int
}

// lookAhead verifies one more run of blocks. It reports false if they are not all stored.
func (l *linker) lookAhead(p store.Plan, r *linked) (more bool, err error) {
	a := &l.ahead
	from := a.to + uint64(a.seam)
	if a.full || from+aheadRun > p.Len {
		return false, nil
	}
	hashes, err := l.d.cfg.Store.PlanHashes(nil, from, from+aheadRun-uint64(a.read))
	if err != nil {
		return false, err
	}
	if len(hashes) != aheadRun-a.read {
		return false, errStopped
	}
	slices.Reverse(hashes)
	if a.next == nil {
		a.next = make([]follower, aheadRun+chain.UncleDepth)
	}
	n, err := l.gatherPart(hashes, a.next[a.read:])
	a.read += n
	switch {
	case errors.Is(err, store.ErrNotFound): // next time it goes on from there
		return false, nil
	case isMissing(err):
		r.missing = hashes[n]
		return false, nil
	case isOfBlock(err):
		// Whether it belongs to the head's chain is not known yet. Linking comes to it.
		*a = ahead{to: a.to, work: a.work, full: true}
		return false, nil
	case err != nil:
		return false, err
	}
	return l.verify(r)
}

// verify checks the blocks that have been read, the youngest first, but for the last ones,
// some ancestors of which have not been.
func (l *linker) verify(r *linked) (ok bool, err error) {
	a := &l.ahead
	blocks := a.next[:aheadRun+a.seam]
	a.work = a.work[:a.to] // which are more if something was missing last time
	for i := len(blocks) - 1; i >= chain.UncleDepth; i-- {
		l.at = uint64(len(a.work))
		f := &blocks[i]
		if ok, err := l.follows(&blocks[i-1].header, &f.header, r); !ok || err != nil {
			return false, err
		}
		if !f.work.IsUint64() || len(a.work) == aheadMost {
			*a = ahead{to: l.at, work: a.work, full: true}
			return false, nil
		}
		a.work = append(a.work, f.work.Uint64())
	}
	a.to = uint64(len(a.work))
	a.read, a.seam = 0, copy(a.next[aheadRun:], blocks[:chain.UncleDepth])
	return true, nil
}

// add prepares the linking of blocks that have been verified.
func (l *linker) add(hashes []common.Hash) error {
	var header chain.Header // so much of it as an error names
	var work uint256.Int
	at := l.td
	for i, h := range hashes {
		l.at = l.next - 1 - uint64(i)
		header.Hash, header.Number = h, at.Number+1
		td, err := l.d.cfg.Network.AddWork(&at.TD, &header, work.SetUint64(l.ahead.work[l.at]))
		if err != nil {
			return err
		}
		at = store.Link{Hash: h, Parent: at.Hash, Number: at.Number + 1, TD: td}
		l.links = append(l.links, at)
	}
	return nil
}
