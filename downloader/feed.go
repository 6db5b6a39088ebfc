package downloader

import (
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
)

// place is where in the plan a block that is being fetched belongs: what the
// list says its parent is, and who said so. Once the block is here, it tells.
type place struct {
	index  uint64
	parent common.Hash
}

// feed gives the pool hashes of the plan that are not stored, and says how many are to
// follow.
func (l *loop) feed() (again bool, err error) {
	defer func() { l.pool.Expect(blocks, l.plan.unfed()) }()
	p := l.plan
	if p == nil {
		return false, nil
	}
	most := l.cfg.window()
	if !p.Complete {
		most = min(most, walkAhead)
	}
	if l.pool.Wanted(blocks) > most/2 {
		return false, nil
	}
	for looked := 0; l.pool.Wanted(blocks) < most; {
		// While the walk goes on, from the young end; the last hash waits
		// until the next one is known. Then from the old end.
		from, to := p.young, min(p.Len-1, p.young+feedRun)
		if p.Complete {
			from, to = max(p.young, p.old-min(p.old, feedRun)), p.old
		}
		if from >= to {
			return false, nil
		}
		if looked >= feedStep {
			return true, nil
		}
		ok, err := l.feedRun(from, to)
		if err != nil || !ok {
			return false, err
		}
		if !p.blank {
			looked += int(to - from)
		}
		if p.Complete {
			p.old = from
		} else {
			p.young = to
		}
	}
	return false, nil
}

// unfed is how many hashes the pool has not been given yet: those that are known, and
// those that somebody is asked for.
func (p *plan) unfed() int {
	switch {
	case p == nil:
		return 0
	case p.Complete:
		return int(p.old - p.young)
	case p.asked == nil:
		return int(p.Len - 1 - p.young)
	}
	return int(p.Number - p.young)
}

// feedRun gives the pool what is not stored of the hashes with index from up to
// below to. It reports false if that has shown that the plan is no chain.
func (l *loop) feedRun(from, to uint64) (bool, error) {
	p := l.plan
	// With a neighbour at each end: who lists a block says who its parent is.
	lo := from - min(from, 1)
	hashes, err := l.store.PlanHashes(nil, lo, to+1)
	if err != nil {
		return false, err
	}
	at := func(i uint64) common.Hash {
		if n := i - lo; n < uint64(len(hashes)) {
			return hashes[n]
		}
		return common.Hash{} // the end of the plan: no word about its parent
	}
	held := make([]bool, to-lo)
	for i := lo; i < to; i++ {
		if p.blank && i > 0 && !p.early[at(i)] {
			continue
		}
		if held[i-lo], err = l.store.Has(at(i)); err != nil {
			return false, err
		}
	}
	if slices.Contains(held[from-lo:], true) {
		p.moved = l.now
	}
	for n := range to - from {
		// Oldest first, so that they lie on disk in the order in which they will be
		// linked and served.
		i := to - 1 - n
		if held[i-lo] {
			l.ledger.found(p.numberAt(i))
			continue
		}
		if i > lo && held[i-1-lo] {
			// Its child is here already and knows better than any list.
			ok, err := l.confirm(i-1, at(i-1), at(i))
			if err != nil || !ok {
				return false, err
			}
		}
		l.foresee(i)
		p.rank++
		l.places[at(i)] = place{i, at(i + 1)}
		l.pool.Want(blocks, at(i), p.rank, 0)
	}
	return true, nil
}

// hurry has a block of the plan fetched before all others.
func (l *loop) hurry(h common.Hash, at place) {
	l.plan.early[h] = true
	l.places[h] = at
	l.pool.Want(blocks, h, -1, 0)
}

// confirm checks that a stored block of the plan has the parent that the plan
// says. It reports false if not; then the plan is closed.
func (l *loop) confirm(index uint64, hash, parent common.Hash) (bool, error) {
	raw, err := l.store.AppendRaw(nil, hash)
	if err != nil {
		if isMissing(err) {
			return true, nil // the linker will see to it
		}
		return false, err
	}
	b, err := l.cfg.Network.ParseBlockAs(hash, raw)
	if err != nil {
		return false, l.invalid("its chain has a block that is none: " + err.Error())
	}
	s := summarise(&b.Header)
	return l.located(&s, place{index, parent})
}

// located checks a block of the plan against what the plan says of it. It reports
// false if it does not fit; then the plan is closed. The block is what its hash
// says, so whoever named the next hash has lied.
func (l *loop) located(b *summary, at place) (bool, error) {
	if at.parent == (common.Hash{}) || b.parent == at.parent {
		if want := l.plan.numberAt(at.index); b.number != want {
			return false, l.mislaid(l.plan.giverOf(at.index), fmt.Sprintf("the chain of hashes has block %d where block %d must be", b.number, want))
		}
		err := l.passed(b)
		return err == nil && l.plan != nil, err
	}
	return false, l.disown(l.plan.giverOf(at.index+1), fmt.Sprintf("it named %x… as the parent of block %d, which is %x…", at.parent[:4], b.number, b.parent[:4]))
}
