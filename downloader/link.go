package downloader

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
)

// errStopped ends the linker's work on a plan that the loop has closed.
var errStopped = errors.New("downloader: plan closed")

// linker follows the plan from its oldest block upwards: it checks that each
// block follows its parent, adds up total difficulty, and has the store move the
// canonical chain. While it cannot, it looks ahead (ahead.go). It has its own goroutine and
// its own cursors.
type linker struct {
	d *Downloader

	plan   uint64        // which one the rest is about
	next   uint64        // index of the block that is linked next, plus one
	parent *chain.Header // of that block, unless it has been verified; nil: that is not known
	td     store.Link    // of the parent
	at     uint64        // index of the block that is being looked at
	behind bool          // the last run was as long as may be
	ahead  ahead         // what has been verified of the young end

	blocks []follower // scratch: what is linked next
	links  []store.Link
}

// linked reports a step of the linker to the loop.
type linked struct {
	linked int    // blocks
	plan   uint64 // which one
	move   store.Move
	// One of these ends the linker's work for now:
	done    bool        // the plan is linked up to its head
	missing common.Hash // a block that was stored cannot be read any more
	invalid error       // the chain breaks a rule
	index   uint64      // of the block that breaks it
	failed  error       // the store
}

// link is the linker's goroutine.
func link(ctx context.Context, d *Downloader, wake <-chan struct{}) {
	l := &linker{d: d}
	for {
		select {
		case <-wake:
			for ctx.Err() == nil && l.step(ctx) {
			}
		case <-ctx.Done():
			return
		}
	}
}

// step links one run of blocks, or looks ahead if there is none to be linked. It reports
// whether there may be more.
func (l *linker) step(ctx context.Context) bool {
	// The number first: if the plan changes in between, what is said of it goes
	// under the old number, and nobody listens.
	plan := l.d.plans.Load()
	p, ok := l.d.cfg.Store.Plan()
	if !ok {
		return false
	}
	if l.plan != plan {
		l.plan, l.parent, l.ahead = plan, nil, ahead{}
	}
	r := linked{plan: plan}
	more, err := l.run(p, &r)
	if !more && err == nil && !r.done && r.missing == (common.Hash{}) {
		more, err = l.lookAhead(p, &r)
	}
	if err != nil {
		l.parent = nil // whatever goes on, it begins anew
		switch {
		case errors.Is(err, errStopped):
			return false
		case isOfBlock(err):
			r.invalid, r.index = err, l.at
		default:
			r.failed = err
		}
	}
	if r.done || r.failed != nil || r.invalid != nil || r.missing != (common.Hash{}) || r.linked > 0 {
		l.d.send(ctx, r)
	}
	return more && err == nil
}

// run links the next blocks of the plan, as many as are stored.
func (l *linker) run(p store.Plan, r *linked) (more bool, err error) {
	if !p.Complete {
		return false, nil
	}
	if l.parent == nil {
		if ok, err := l.open(p, r); !ok || err != nil {
			return false, err
		}
	}
	if l.next > 0 {
		if more, err = l.advance(r); err != nil {
			return false, err
		}
	}
	if l.next == 0 {
		r.done = true
		l.parent, l.ahead, l.blocks, l.links = nil, ahead{}, nil, nil
		return false, nil
	}
	return more, nil
}

// advance links a run of blocks.
func (l *linker) advance(r *linked) (more bool, err error) {
	verified := l.next <= l.ahead.to
	most, end := uint64(linkRun), l.ahead.to
	if verified {
		most, end = addRun, 0
	}
	from := max(l.next-min(l.next, most), end)
	hashes, err := l.d.cfg.Store.PlanHashes(nil, from, l.next)
	if err != nil {
		return false, err
	}
	if uint64(len(hashes)) != l.next-from {
		return false, errStopped
	}
	slices.Reverse(hashes) // the oldest first
	l.links = l.links[:0]
	if verified {
		err = l.add(hashes)
	} else {
		err = l.follow(hashes, r)
	}
	n := len(l.links)
	if n == 0 || err != nil {
		return false, err
	}
	if l.d.plans.Load() != l.plan {
		return false, errStopped // and perhaps it was not said any more which seals wait
	}
	if r.move, err = l.d.cfg.Store.LinkHeld(l.links); err != nil {
		return false, err
	}
	r.linked = n
	l.behind = n == linkRun
	l.next -= uint64(n)
	l.td = l.links[n-1]
	return r.missing == (common.Hash{}) && n == len(hashes), nil
}

// planHash returns the hash at an index of the plan, errStopped if the plan has been
// dropped meanwhile.
func planHash(s Store, i uint64) (common.Hash, error) {
	h, err := s.PlanHashes(nil, i, i+1)
	if err != nil {
		return common.Hash{}, err
	}
	if len(h) == 0 {
		return common.Hash{}, errStopped
	}
	return h[0], nil
}

// border returns the first index of a plan whose block is linked, its length if none is.
// Linked blocks are at its old end, so it is found by halving. The error is errStopped if
// the plan is dropped meanwhile.
func border(s Store, p store.Plan) (uint64, error) {
	lo, hi := uint64(0), p.Len
	for lo < hi {
		mid := (lo + hi) / 2
		h, err := planHash(s, mid)
		if err != nil {
			return 0, err
		}
		_, linked, err := s.Linked(h)
		if err != nil {
			return 0, err
		}
		if linked {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo, nil
}

// open finds where in the plan to go on. It reports false if that needs a block that is
// not stored yet.
func (l *linker) open(p store.Plan, r *linked) (bool, error) {
	s := l.d.cfg.Store
	lo, err := border(s, p)
	if err != nil {
		return false, err
	}
	parent, err := planHash(s, min(lo, p.Len-1))
	if err != nil {
		return false, err
	}
	if lo == p.Len { // nothing of it is linked: the ancestor is named by the oldest block
		b, err := l.read(parent, r)
		if err != nil || b == nil {
			return false, err
		}
		parent = b.Parent
	}
	td, ok, err := s.Linked(parent)
	if err != nil {
		return false, err
	}
	if !ok {
		l.at = p.Len - 1
		return false, &chain.RuleError{Rule: chain.RuleParent, Number: p.Number - p.Len + 1, Have: parent.Hex(), Want: "a block that is linked here"}
	}
	b, err := l.read(parent, r)
	if err != nil {
		return false, err
	}
	if b == nil {
		return false, fmt.Errorf("downloader: linked block %x cannot be read", parent)
	}
	l.next, l.parent, l.td = lo, &b.Header, td
	return true, nil
}

// apply follows up on what the linker did.
func (m linked) apply(l *loop) error {
	if m.failed != nil {
		return m.failed
	}
	if m.move.Moved() {
		l.emit(HeadMoved{m.move})
		l.receipts.poke()
	}
	if l.plan == nil || l.plans.Load() != m.plan {
		return nil
	}
	if m.linked > 0 {
		l.plan.moved = l.now
	}
	switch {
	case m.invalid != nil:
		if e, ok := errors.AsType[*chain.RuleError](m.invalid); ok && e.Rule == chain.RuleParent {
			// The block is what its hash says, and has another parent than
			// the hash that was named next.
			return l.disown(l.plan.giverOf(m.index+1), "it named a hash that is not the parent's: "+m.invalid.Error())
		}
		return l.invalid("its chain breaks a rule: " + m.invalid.Error())
	case m.missing != (common.Hash{}):
		l.log.Error("a stored block cannot be read and is fetched again", "hash", m.missing)
		l.corrupt[m.missing] = true
		l.pool.Want(blocks, m.missing, -1, 0)
	case m.done:
		head := l.store.Head()
		for _, c := range l.order {
			if c.claim.Head == l.plan.Head {
				c.failures, c.passed, c.unproven = 0, 0, false
			}
		}
		return l.closePlan(Finished{Head: l.plan.Head, Moved: head.Hash == l.plan.Head})
	}
	return nil
}
