package downloader

import (
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/store"
)

// plan is the chain that is being fetched. Its hashes are on disk; here is only
// where we are in it.
type plan struct {
	store.Plan
	source *peerState // who claimed it; nil after a restart, or if it has left
	last   common.Hash
	givers []giver // who named which hashes, youngest first
	turn   turn
	solo   bool // only the source is asked: then it is clear who lies

	asked    *peerState    // who was last asked for the next hashes, nil if nobody is; see guide.go
	deadline time.Time     // until when nobody else is
	patience time.Duration // how long that is
	batch    int           // how many hashes are asked for
	pause    time.Time     // when to ask again, if nobody knew
	moved    time.Time     // when a block of it came or was found last: a hash proves nothing
	stalled  time.Time     // when a lack of it was reported last
	next     int           // who is asked first, of the peers in their order
	probing  bool          // the last block is being fetched to see its parent

	// The pool is fed from both ends: from the young one while the walk goes
	// on, from the old one once it is complete. Hashes with index young and up
	// to below old have not been fed.
	young, old uint64
	rank       int64
	admission  admission
	alarm      bool   // something was wrong: all seals are checked
	checkpoint bool   // there is a trusted hash in the list
	trusted    uint64 // at this index
	inherited  uint64 // so many hashes are to be searched for one, because an earlier process left them
	searched   uint64 // so many of them have been
	unproven   bool   // nothing has come of it, nor of what its source claimed before
	blank      bool   // but for the head, nothing of it was stored when it was taken up

	// What was wanted before its turn, and so may be stored when that comes although the
	// plan is blank. Each entry but those of probes costs a peer a block.
	early map[common.Hash]bool
}

// giver is who named the hashes of a plan from an index on.
type giver struct {
	from uint64
	peer *peerState
}

// mostGivers bounds the memory of who named what. Peers that take turns with full answers
// fill it in 33 million hashes, and with answers of one hash each soon; at ten times as
// many, blame would look through a long list.
const mostGivers = 4096

// gave notes who names the hashes from an index on. Of a list that is full, the young half
// is from then on by nobody in particular.
func (p *plan) gave(from uint64, who *peerState) {
	switch n := len(p.givers); {
	case n > 0 && p.givers[n-1].peer == who:
		return
	case n == mostGivers:
		p.givers = slices.Replace(p.givers, 0, n/2, giver{p.givers[0].from, nil})
	}
	p.givers = append(p.givers, giver{from, who})
}

// giverOf returns who named the hash at an index, nil if that is not known.
func (p *plan) giverOf(i uint64) *peerState {
	for n := len(p.givers) - 1; n >= 0; n-- {
		if p.givers[n].from <= i {
			return p.givers[n].peer
		}
	}
	return nil
}

// onlyGiver returns who named all hashes, nil if there are several.
func (p *plan) onlyGiver() *peerState {
	if len(p.givers) == 0 {
		return nil
	}
	for _, g := range p.givers[1:] {
		if g.peer != p.givers[0].peer {
			return nil
		}
	}
	return p.givers[0].peer
}

// forget is called when a peer has left: whatever it said, it cannot be asked.
func (p *plan) forget(gone *peerState) {
	if p.asked == gone {
		p.asked = nil
	}
	if p.source == gone {
		p.source, p.solo = nil, false
	}
	for i := range p.givers {
		if p.givers[i].peer == gone {
			p.givers[i].peer = nil
		}
	}
}

// openPlan takes up the plan that is in the store.
func (l *loop) openPlan(source *peerState) error {
	sp, ok := l.store.Plan()
	if !ok {
		return nil
	}
	l.plan = &plan{
		Plan: sp, source: source, old: sp.Len, moved: l.now, solo: source != nil && l.suspect[sp.Head],
		early: make(map[common.Hash]bool),
	}
	l.plan.alarm = l.suspect[sp.Head]
	l.plan.unproven = source != nil && source.unproven
	l.ledger.span(max(sp.Number, l.store.Head().Number))
	l.beginTurn()
	l.settle = false
	l.plan.patience, l.plan.batch = hashPatience, min(firstHashes, l.cfg.hashesPerRequest())
	l.plan.next = max(slices.Index(l.order, source), 0)
	l.vouch.Store(0)
	if len(l.cfg.Checkpoints) > 0 {
		l.plan.inherited = sp.Len
	}
	l.plan.admission.probes = make(map[common.Hash]bool)
	if sp.Len > 1 { // by an earlier process
		l.plan.givers = []giver{{1, nil}}
		l.plan.admission.unknown = true
	}
	// If nothing is held beyond the canonical chain and the head of the plan, there
	// is no need to look for each block. Not so if an earlier process has linked a
	// part of the plan already.
	head := l.store.Head().Number
	l.plan.blank = l.pool.Len() == 0 && l.store.Blocks() <= head+2 && l.plan.numberAt(sp.Len-1) > head
	last, err := planHash(l.store, sp.Len-1)
	if err != nil {
		return err
	}
	l.plan.last = last
	for _, p := range l.order {
		p.refused, p.slow = false, false
	}
	if sp.Complete { // what is linked need not be looked at, however much it is
		if l.plan.old, err = border(l.store, sp); err != nil {
			return err
		}
	}
	l.again.Store(!l.plan.blank)
	l.plans.Add(1)
	l.linkWake.ring()
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

// mislaid gives up the plan because a hash is missing or too many somewhere above
// where this showed, in what a peer has named last. If that peer has named them all, it has
// lied. Otherwise it is not known who did, and whoever came last may have gone on honestly
// from where somebody else had led: then the next walk of this chain asks only the peer
// that claims it. The chain itself may well be good.
func (l *loop) mislaid(last *peerState, why string) error {
	p := l.plan
	if len(p.givers) == 0 || p.onlyGiver() == last {
		return l.disown(last, why)
	}
	l.remember(l.suspect, p.Head)
	return l.closePlan(Abandoned{p.Head, why})
}

// disown gives up the plan because of what a peer said about it.
func (l *loop) disown(who *peerState, why string) error {
	p := l.plan
	if who != nil && l.peers[who.Peer] == who {
		l.drop(who, &Offence{Kind: Lie, Evidence: why})
	} else {
		l.remember(l.suspect, p.Head)
	}
	return l.closePlan(Abandoned{p.Head, why})
}

// invalid gives up the plan because its blocks are not a chain that we accept,
// whoever serves it. The one who claimed it is responsible.
func (l *loop) invalid(why string) error {
	l.remember(l.bad, l.plan.Head)
	return l.disown(l.plan.source, why)
}

// remember puts a hash into a bounded set. When that is full it begins anew: the
// worst is that something is tried once more.
func (l *loop) remember(set map[common.Hash]bool, h common.Hash) {
	if len(set) >= badHeads {
		clear(set)
	}
	set[h] = true
}

// closePlan forgets the plan and what the pool still wants for it.
func (l *loop) closePlan(e Event) error {
	l.log.Debug("plan closed", "event", e)
	if err := l.store.DropPlan(); err != nil {
		return err
	}
	for _, c := range l.order {
		if l.stands(c) {
			c.round = l.round + 1
		}
	}
	l.plan = nil
	l.prepared = 0
	l.plans.Add(1) // first: the linker may be in the middle of it
	l.later.Clear()
	l.pool.CancelWanted(blocks)
	clear(l.places)
	l.emit(e)
	return nil
}
