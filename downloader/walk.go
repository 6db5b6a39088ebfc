package downloader

import (
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/store"
)

// plan is the chain that is being fetched. Its hashes are on disk; here is only
// where we are in it.
type plan struct {
	store.Plan
	source *peerState // who claimed it; nil after a restart
	last   common.Hash

	asked    *peerState // who is asked for the next hashes, nil if nobody
	deadline time.Time  // of the answer
	pause    time.Time  // when to ask again, if nobody knew
	moved    time.Time  // when there was progress last
	turn     int        // whose turn it is
	probing  bool       // the last block is being fetched to see its parent

	// The pool is fed from both ends: from the young one while the walk goes
	// on, from the old one once it is complete. Hashes with index young and up
	// to below old have not been fed.
	young, old uint64
	rank       int64
}

// openPlan takes up the plan that is in the store.
func (l *loop) openPlan(source *peerState) error {
	sp, ok := l.store.Plan()
	if !ok {
		return nil
	}
	l.plan = &plan{Plan: sp, source: source, old: sp.Len, moved: l.now}
	last, err := l.store.PlanHashes(nil, sp.Len-1, sp.Len)
	if err != nil {
		return err
	}
	l.plan.last = last[0]
	for _, p := range l.order {
		p.refused, p.slow = false, false
	}
	l.poke()
	if sp.Complete {
		return nil
	}
	// Perhaps nothing is to be walked at all: the common case at the head.
	return l.probe()
}

// resume goes on with a plan that an earlier process has left.
func (l *loop) resume() error {
	sp, ok := l.store.Plan()
	if !ok {
		return nil
	}
	if _, linked, err := l.store.Linked(sp.Head); err != nil {
		return err
	} else if linked {
		return l.store.DropPlan()
	}
	l.emit(Started{Head: sp.Head, Number: sp.Number, TD: sp.TD, Resumed: true})
	return l.openPlan(nil)
}

// numberAt is the number that the block at an index of the plan must have.
func (p *plan) numberAt(i uint64) uint64 { return p.Number - i }

// walk asks somebody for the next hashes. Any peer that knows the last one may
// answer, so the batches go round: no single peer can lead the walk, and losing
// one costs nothing.
func (l *loop) walk() {
	p := l.plan
	if p == nil || p.Complete {
		return
	}
	if p.asked != nil && !l.now.Before(p.deadline) {
		p.asked.slow = true
		p.asked = nil
	}
	if p.asked != nil || l.now.Before(p.pause) || len(l.order) == 0 {
		return
	}
	c := l.guide()
	if c == nil {
		// Nobody knows it now; somebody may later.
		for _, c := range l.order {
			c.refused = false
		}
		p.pause = l.now.Add(walkRetry)
		return
	}
	p.asked = c
	p.deadline = l.now.Add(hashTimeout)
	c.GetHashes(p.last, hashesPerRequest)
}

// guide picks the peer that is asked for the next hashes: one that has not let
// us wait if there is one, each in turn.
func (l *loop) guide() *peerState {
	p := l.plan
	for _, patient := range []bool{false, true} {
		for i := range l.order {
			c := l.order[(p.turn+i)%len(l.order)]
			if !c.refused && (patient || !c.slow) {
				p.turn = (p.turn + i + 1) % len(l.order)
				return c
			}
		}
	}
	return nil
}

// unstick gives up a plan that makes no progress while another chain could be
// fetched. Nothing is held against it: its peers may only be away.
func (l *loop) unstick() error {
	p := l.plan
	if p == nil || l.now.Sub(p.moved) < stuckTimeout {
		return nil
	}
	head := l.store.Head()
	for _, c := range l.order {
		if l.offers(c, head) && c.claim.Head != p.Head && !l.bad[c.claim.Head] {
			return l.closePlan(Abandoned{p.Head, "nobody has brought anything of it for some time"})
		}
	}
	return nil
}

type hashesCame struct {
	peer   Peer
	start  common.Hash
	hashes []common.Hash
}

// apply adds hashes to the plan, up to the first block that is linked here.
func (m hashesCame) apply(l *loop) error {
	p, from := l.plan, l.peers[m.peer]
	if p == nil || from == nil || p.Complete || m.start != p.last {
		return nil // late, and no longer of use
	}
	if p.asked == from {
		p.asked = nil
	}
	from.slow = false
	if len(m.hashes) == 0 {
		// It does not know the block, or it is a server that leaves out the
		// genesis block at the end (A5, A6). The block itself tells.
		from.refused = true
		return l.probe()
	}
	return l.extend(from, m.hashes)
}

// extend adds hashes that follow the last one of the plan.
func (l *loop) extend(from *peerState, hashes []common.Hash) error {
	p := l.plan
	head := l.store.Head()
	n := 0
	complete := false
	for _, h := range hashes {
		i := p.Len + uint64(n)
		if i > p.Number {
			return l.disown(from, "its chain of hashes goes on below the genesis block")
		}
		number := p.numberAt(i)
		// Above our head nothing of the canonical chain can be met. A side
		// chain may be; then the walk goes on to where it left the trunk, and
		// fetches nothing for it.
		if number <= head.Number {
			link, linked, err := l.store.Linked(h)
			if err != nil {
				return err
			}
			if linked {
				if link.Number != number {
					return l.disown(from, fmt.Sprintf("its chain of hashes meets block %d where block %d must be", link.Number, number))
				}
				complete = true
				break
			}
			if number == 0 {
				return l.disown(from, "its chain of hashes ends at another genesis block")
			}
		}
		if h == p.Head || h == p.last {
			return l.disown(from, "its chain of hashes runs in a circle")
		}
		n++
	}
	// Block 1 must stand on the genesis block; there is nothing to ask for.
	if p.Len+uint64(n) == p.Number {
		complete = true
	}
	if err := l.store.AppendPlan(hashes[:n], complete); err != nil {
		return err
	}
	if n > 0 {
		p.last = hashes[n-1]
		p.Len += uint64(n)
		p.moved = l.now
		p.probing = false
		for _, q := range l.order {
			q.refused = false
		}
	}
	p.Complete = complete
	if complete {
		p.old = p.Len
		l.poke()
	}
	return nil
}

// probe looks at the last block of the plan: its parent is the next hash, or
// linked here, which ends the walk. If the block is not here it is wanted before
// all others.
func (l *loop) probe() error {
	p := l.plan
	if p == nil || p.Complete {
		return nil
	}
	raw, err := l.store.AppendRaw(nil, p.last)
	if err != nil {
		if !isMissing(err) {
			return err
		}
		p.probing = true
		l.pool.Want(p.last, -1, 0)
		return nil
	}
	b, err := l.cfg.Network.ParseBlock(raw)
	if err != nil {
		return l.disown(p.source, "its chain has a block that is none: "+err.Error())
	}
	if b.Number != p.numberAt(p.Len-1) {
		return l.disown(p.source, fmt.Sprintf("its chain has block %d where block %d must be", b.Number, p.numberAt(p.Len-1)))
	}
	_, linked, err := l.store.Linked(b.Parent)
	if err != nil {
		return err
	}
	if linked {
		return l.extend(p.source, []common.Hash{b.Parent})
	}
	if p.probing {
		// Nobody would tell, but the block did.
		return l.extend(p.source, []common.Hash{b.Parent})
	}
	return nil
}

// disown gives up the plan because its hashes cannot be a chain.
func (l *loop) disown(who *peerState, why string) error {
	if who != nil {
		l.drop(who, &Offence{Kind: Lie, Evidence: why})
	}
	return l.abandon(why)
}

// abandon gives up the plan. The blocks that have been fetched stay.
func (l *loop) abandon(why string) error {
	p := l.plan
	l.log.Warn("giving up a chain", "head", p.Head, "number", p.Number, "why", why)
	if len(l.bad) >= badHeads {
		clear(l.bad) // bounded; the worst is that a bad chain is tried once more
	}
	l.bad[p.Head] = true
	return l.closePlan(Abandoned{p.Head, why})
}

// closePlan forgets the plan and what the pool still wants for it.
func (l *loop) closePlan(e Event) error {
	if err := l.store.DropPlan(); err != nil {
		return err
	}
	l.plan = nil
	l.pool.CancelWanted()
	l.emit(e)
	return nil
}

// feed gives the pool hashes of the plan that are not stored.
func (l *loop) feed() (again bool, err error) {
	p := l.plan
	if p == nil || l.pool.Len() > l.cfg.window()/2 {
		return false, nil
	}
	for looked := 0; l.pool.Len() < l.cfg.window(); {
		var from, to uint64
		if p.Complete {
			to = p.old
			from = max(p.young, to-min(to, 512))
		} else {
			from = p.young
			to = min(p.Len, from+512)
		}
		if from >= to {
			return false, nil
		}
		if looked >= feedStep {
			return true, nil
		}
		hashes, err := l.store.PlanHashes(nil, from, to)
		if err != nil {
			return false, err
		}
		for i := range hashes {
			h := hashes[i]
			if p.Complete { // oldest first
				h = hashes[len(hashes)-1-i]
			}
			held, err := l.store.Has(h)
			if err != nil {
				return false, err
			}
			if !held {
				p.rank++
				l.pool.Want(h, p.rank, 0)
			}
		}
		looked += len(hashes)
		if p.Complete {
			p.old = from
		} else {
			p.young = to
		}
	}
	return false, nil
}
