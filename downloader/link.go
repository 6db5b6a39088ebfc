package downloader

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
)

// errStopped ends the linker's work on a plan that the loop has closed.
var errStopped = errors.New("downloader: plan closed")

// linker follows the plan from its oldest block upwards: it checks that each
// block follows its parent, adds up total difficulty, and has the store move the
// canonical chain. It has its own goroutine and its own cursor.
type linker struct {
	d *Downloader

	plan   uint64        // which one the rest is about
	next   uint64        // index of the block that is linked next, plus one
	parent *chain.Header // of that block
	td     store.Link    // of the parent
	at     uint64        // index of the block that is being looked at
	behind bool          // the last run was as long as may be

	blocks []follower // scratch: what is linked next
	links  []store.Link
}

// follower is what is needed of a block to link it.
type follower struct {
	header chain.Header // without what aliases the block's bytes
	work   uint256.Int  // what the block adds to the total difficulty
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

// step links one run of blocks. It reports whether there may be more.
func (l *linker) step(ctx context.Context) bool {
	// The number first: if the plan changes in between, what is said of it goes
	// under the old number, and nobody listens.
	plan := l.d.plans.Load()
	p, ok := l.d.cfg.Store.Plan()
	if !ok || !p.Complete {
		return false
	}
	if l.plan != plan {
		l.plan, l.parent = plan, nil
	}
	r := linked{plan: plan}
	more, err := l.run(p, &r)
	if err != nil {
		l.parent = nil // whatever goes on, it begins anew
		_, isRule := errors.AsType[*chain.RuleError](err)
		_, isFormat := errors.AsType[*chain.FormatError](err)
		switch {
		case errors.Is(err, errStopped):
			return false
		case isRule || isFormat:
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
	if l.parent == nil {
		if ok, err := l.open(p, r); !ok || err != nil {
			return false, err
		}
	}
	if l.next == 0 {
		r.done = true
		l.parent = nil
		return false, nil
	}
	from := l.next - min(l.next, linkRun)
	hashes, err := l.d.cfg.Store.PlanHashes(nil, from, l.next)
	if err != nil {
		return false, err
	}
	if uint64(len(hashes)) != l.next-from {
		return false, errStopped
	}
	slices.Reverse(hashes) // the oldest first
	if err := l.gather(hashes, r); err != nil {
		return false, err
	}
	parent, td := l.parent, l.td
	run := l.links[:0]
	for i := range l.blocks {
		l.at = l.next - 1 - uint64(i)
		f := &l.blocks[i]
		header := &f.header
		if err := l.d.cfg.Network.CheckLink(parent, header); err != nil {
			return false, err
		}
		if ok, err := l.checkDeferred(header, r); err != nil {
			return false, err
		} else if !ok {
			break
		}
		if header.HasUncles() {
			if err := l.checkUncles(hashes[i], r); err != nil {
				return false, err
			}
			if r.missing != (common.Hash{}) {
				break
			}
		}
		sum, err := l.d.cfg.Network.AddWork(&td.TD, header, &f.work)
		if err != nil {
			return false, err
		}
		td = store.Link{Hash: header.Hash, Parent: header.Parent, Number: header.Number, TD: sum}
		run = append(run, td)
		parent = header
	}
	l.links = run
	l.behind = len(run) == linkRun
	if len(run) == 0 {
		return false, nil
	}
	if l.d.plans.Load() != l.plan {
		return false, errStopped // and perhaps it was not said any more which seals wait
	}
	move, err := l.d.cfg.Store.Link(run)
	if err != nil {
		return false, err
	}
	r.move = move
	r.linked = len(run)
	l.next -= uint64(len(run))
	l.parent, l.td = new(chain.Header), td
	*l.parent = *parent // which is in memory that is used again
	if l.next == 0 {
		r.done = true
		l.parent = nil
		return false, nil
	}
	return r.missing == (common.Hash{}) && len(run) == len(hashes), nil
}

// gather reads the blocks of hashes that follow on each other, as many as are stored. If
// the last run was whole, this one probably is too, and is read in parts at the same time:
// after a quick walk most of a chain is here before its oldest block, and then the rest of
// the cores would wait for one.
func (l *linker) gather(hashes []common.Hash, r *linked) error {
	size := max(1, len(hashes))
	if l.behind {
		size = linkPart
	}
	l.blocks = slices.Grow(l.blocks[:0], len(hashes))[:len(hashes)]
	type part struct {
		read int // blocks
		err  error
	}
	parts := make([]part, (len(hashes)+size-1)/size)
	var done sync.WaitGroup
	for i := range parts {
		p, from := &parts[i], i*size
		done.Go(func() {
			p.read, p.err = l.gatherPart(hashes[from:min(from+size, len(hashes))], l.blocks[from:])
		})
	}
	done.Wait()
	n := 0
	for _, p := range parts {
		n += p.read
		if p.err == nil {
			continue
		}
		l.blocks = l.blocks[:n]
		l.at = l.next - 1 - uint64(n)
		switch {
		case errors.Is(p.err, store.ErrNotFound):
			return nil
		case isMissing(p.err):
			r.missing = hashes[n]
			return nil
		}
		return p.err
	}
	return nil
}

// gatherPart reads blocks until one is not there or not good, and says how many were.
func (l *linker) gatherPart(hashes []common.Hash, into []follower) (read int, err error) {
	net := l.d.cfg.Network
	var b chain.Block
	err = l.d.cfg.Store.Each(hashes, func(raw []byte) error {
		if err := b.ReparseAs(net.Format, hashes[read], raw); err != nil {
			return err
		}
		f := &into[read]
		if f.work, err = net.Work(&b); err != nil {
			return err
		}
		f.header = b.Header
		f.header.Detach()
		read++
		return nil
	})
	return read, err
}

// checkDeferred checks the seal of a stored block if that was put off until now. Which
// these were is forgotten when a plan is closed or the process ends: of blocks that may
// be from before then as many are chosen anew, which is as good, since nobody knew them.
// It reports false if the block is not there any more.
func (l *linker) checkDeferred(header *chain.Header, r *linked) (bool, error) {
	h := header.Hash
	_, put := l.d.later.Load(h)
	if !put && !(l.d.again.Load() && l.wantsSeals(header.Number) && rand.IntN(probeStretch) == 0) {
		return true, nil
	}
	b, err := l.read(h, r) // with what the header lost when it was kept
	if err != nil || b == nil {
		return false, err
	}
	if err := l.d.cfg.Sealer.CheckSeal(&b.Header); err != nil {
		return false, err
	}
	l.d.later.Delete(h)
	return true, nil
}

// checkUncles checks the uncles of a stored block against its ancestors, all of which
// are stored too, and, as the policy says, their seals.
func (l *linker) checkUncles(h common.Hash, r *linked) error {
	b, err := l.read(h, r)
	if err != nil || b == nil {
		return err
	}
	var ancestors []*chain.Block
	for at := b; at.Number > 0 && len(ancestors) < chain.UncleDepth; {
		a, err := l.read(at.Parent, r)
		if err != nil || a == nil {
			return err
		}
		ancestors = append(ancestors, a)
		at = a
	}
	if err := l.d.cfg.Network.CheckUncles(b, ancestors); err != nil {
		return err
	}
	cfg := &l.d.cfg
	if !l.wantsSeals(b.Number) || cfg.Seals == SealSample && rand.IntN(sealOneIn) != 0 {
		return nil
	}
	for u, err := range b.Uncles() {
		if err == nil {
			err = cfg.Sealer.CheckSeal(u)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// wantsSeals reports whether seals are checked at a height at all.
func (l *linker) wantsSeals(number uint64) bool {
	cfg := &l.d.cfg
	return cfg.Sealer != nil && cfg.Seals != SealNone && number > l.d.vouch.Load()
}

// read returns a stored block, nil if it is not there. Each block has memory of
// its own, because its header outlives the next read.
func (l *linker) read(h common.Hash, r *linked) (*chain.Block, error) {
	raw, err := l.d.cfg.Store.AppendRaw(nil, h)
	if err != nil {
		if !isMissing(err) {
			return nil, err
		}
		if !errors.Is(err, store.ErrNotFound) {
			r.missing = h
		}
		return nil, nil
	}
	return l.d.cfg.Network.ParseBlockAs(h, raw)
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
