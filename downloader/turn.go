package downloader

import (
	"cmp"
	"time"
)

// Chains are fetched in turns. A turn ends only when somebody else could do
// something: a peer that claims another chain and has brought nothing of this one.
// Who claims a chain that he alone has, and lets it drip, gets his turn and no more.
//
//   - In each round every claim has one turn, the highest first. Who comes in the
//     middle of a round waits for the next, so a round ends whoever comes.
//   - The turns of a claim double up to a bound, so they are soon long against
//     what a change costs, which is asking for the hashes again: blocks stay. Among
//     k others a chain takes about k+1 times as long as alone.
//   - A claim whose last turn brought much less than somebody else's gets an eighth
//     of its time: eight that drip cost as much as one that does not.

const (
	// turnLength is how long the first turn of a claim is. Each chain that comes
	// to nothing costs that much. At a tenth of it, round trips would take most of
	// a turn on a slow link; at ten times as much, nine liars would cost an honest
	// sync six minutes.
	turnLength = 4 * time.Second

	// maxTurns bounds the doubling at nine minutes, which is how long somebody new
	// may have to wait for the end of a turn. At ten times that he would wait too
	// long; at a tenth, hashes of a chain of millions of blocks would be asked
	// for again too often.
	maxTurns = 7

	// slowTurn is how many times less than the best a turn may bring until it is
	// called slow, and slowShift by how many doublings the next is shorter then.
	// A fast liar must not starve an honest chain on a slow link: an eighth of
	// the time is a bound, nothing would be none.
	slowTurn  = 4
	slowShift = 3
)

// turn is the time for which a chain is fetched.
type turn struct {
	began, until time.Time
	bytes        uint64 // of blocks of the chain that came
}

// inTurn orders peers by round, and in a round by claim.
func inTurn(a, b *peerState) int {
	return cmp.Or(cmp.Compare(a.round, b.round), b.claim.TD.Cmp(&a.claim.TD))
}

// beginTurn gives the plan its time.
func (l *loop) beginTurn() {
	p := l.plan
	n := 0
	if s := p.source; s != nil {
		l.round = max(l.round, s.round)
		n = s.turns
		for _, c := range l.order {
			if n > 0 && s.yield*slowTurn < c.yield {
				n = max(s.turns-slowShift, 0)
				break
			}
		}
	}
	p.turn = turn{began: l.now, until: l.now.Add(turnLength << n)}
	for _, c := range l.order {
		c.brought = false
	}
}

// came notes a block of the plan, whose index this is.
func (l *loop) came(from Peer, index uint64, size int) {
	p := l.plan
	p.turn.bytes += uint64(size)
	if p.unproven {
		p.unproven = false
		for _, c := range l.order {
			c.unproven = c.unproven && !l.stands(c)
		}
	}
	mark := Others
	if c := l.peers[from]; c != nil {
		c.brought = true
		mark = l.ledger.markOf(c)
	}
	l.ledger.note(mark, p.numberAt(index))
}

// endTurn puts the plan behind the other claims when its time is over, if there is
// another one that could be followed.
func (l *loop) endTurn() error {
	p := l.plan
	if p == nil || l.now.Before(p.turn.until) || l.linking() {
		return nil
	}
	rival, err := l.rival(func(c *peerState) bool { return !c.brought })
	if err != nil {
		return err
	}
	if !rival {
		l.beginTurn()
		return nil
	}
	yield := float64(p.turn.bytes) / l.now.Sub(p.turn.began).Seconds()
	for _, c := range l.order {
		if l.stands(c) {
			c.turns, c.yield = min(c.turns+1, maxTurns), yield
		}
	}
	return l.closePlan(Abandoned{p.Head, "its turn is over, since others claim more than we have too; what is here of it stays"})
}

// stands reports whether a peer claims the plan. If its source alone is asked, the others
// have no part in what comes of it: their turn is another one, though the head is the same.
func (l *loop) stands(c *peerState) bool {
	return c == l.plan.source || !l.plan.solo && c.claim.Head == l.plan.Head
}

// rival reports whether one of such peers claims another chain, which could be
// fetched instead of the plan.
func (l *loop) rival(such func(*peerState) bool) (bool, error) {
	head := l.store.Head()
	for _, c := range l.order {
		if l.stands(c) || !such(c) || !l.offers(c, head) || l.bad[c.claim.Head] || l.now.Before(c.retryAt) {
			continue
		}
		if _, linked, err := l.store.Linked(c.claim.Head); err != nil || !linked {
			return err == nil, err
		}
	}
	return false, nil
}

// linking reports whether all blocks of the plan are here, and it is the linker's
// time.
func (l *loop) linking() bool {
	s := l.pool.Stats().Classes[blocks]
	return l.plan.Complete && s.Wanted+s.InFlight == 0
}
