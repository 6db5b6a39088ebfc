package downloader

import (
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/pool"
	"github.com/shoalnet/shoal/store"
)

// peerState is what the loop knows of a peer.
type peerState struct {
	Peer
	claim     Claim
	trip      time.Duration // in which it brought a head block that is small, 0 if it did not
	raw       []byte        // head block of the claim, if it is here
	ask       headAsk       // for it
	spent     bool          // the claim has been followed or was not good
	failures  int           // times that the claim has come to nothing
	passed    int           // times that it was put behind another one, because nothing came
	unproven  bool          // nothing came of the claim when it was last followed
	round     int           // when its claim has its next turn
	turns     int           // that its claim has had, up to maxTurns
	yield     float64       // of the last one, in bytes of blocks a second
	brought   bool          // a block in the present turn
	retryAt   time.Time     // when it is tried again
	heads     uint64        // head blocks of chains that were taken up, which it brought and no pool knows of
	headBytes uint64
	sent      common.Hash // head of ours that it was told of last
	refused   bool        // does not know the end of the present walk
	slow      bool        // has let us wait in the present walk
	walk      hashAsk     // what it was asked for last in a walk
	pace      float64     // hashes that it has brought in a second, 0 if that is not known
	lateBytes uint64      // received when it was last late
	seen      uint64      // answered when a deadline was last looked at: the most so far
	mark      Mark        // in the ledger
}

// drop ends the connection to a peer; Leave will follow.
func (l *loop) drop(p *peerState, o *Offence) {
	l.log.Info("dropping peer", "peer", p.String(), "why", o)
	l.emit(Dropped{p.String(), o})
	p.spent = true
	p.Drop(o)
}

type joined struct {
	peer  Peer
	claim Claim
}

func (m joined) apply(l *loop) error {
	p := &peerState{Peer: m.peer, claim: m.claim, sent: m.peer.Told(), round: l.round + 1, mark: Unmarked}
	l.peers[m.peer] = p
	l.order = append(l.order, p)
	var classes []pool.Class
	for kind := range l.keeping {
		if kind == store.Block || m.claim.Content {
			classes = append(classes, classOf(kind))
		}
	}
	l.pool.Join(l.now, m.peer, classes...)
	if l.plan != nil {
		l.plan.pause = time.Time{} // somebody new to ask
		if len(l.order) == 1 {
			l.plan.moved = l.now // nothing could come before
		}
	}
	l.settle = false
	l.emit(Joined{p.String(), m.claim})
	return nil
}

type left struct{ peer Peer }

func (m left) apply(l *loop) error {
	p := l.peers[m.peer]
	if p == nil {
		return nil
	}
	delete(l.peers, m.peer)
	for i, x := range l.order {
		if x == p {
			l.order = append(l.order[:i], l.order[i+1:]...)
			break
		}
	}
	picture := l.peerPicture(p)
	l.pool.Leave(m.peer)
	if l.target != nil && l.target.peer == p {
		l.target = nil
	}
	if l.aiming == p {
		l.aiming = nil
	}
	if l.plan != nil {
		l.plan.forget(p)
	}
	l.ledger.leave(p)
	if l.guide == p {
		l.guide = nil
	}
	l.settle = false
	l.emit(Left{picture})
	return nil
}

// expire takes the work from peers that are late.
func (l *loop) expire() {
	// What has arrived, or is just arriving, is not late.
	if len(l.inbox) > 0 || l.now.Before(l.awake) {
		return
	}
	if at, ok := l.pool.NextDeadline(); ok && !at.After(l.now) {
		for _, p := range l.order {
			answered := p.Answered()
			if l.pool.Alive(l.now, p.Peer, int64(answered-p.seen)) {
				p.seen = answered
			}
		}
	}
	for _, late := range l.pool.Expire(l.now) {
		p := l.peers[late.Peer]
		l.emit(Late{Peer: p.String(), Keys: late.Keys})
		// A slow link is no offence: as long as anything arrives from it,
		// the peer may stay.
		received := p.Received()
		if late.Hopeless && received == p.lateBytes {
			l.drop(p, &Offence{Kind: Useless, Evidence: "it does not answer"})
		}
		p.lateBytes = received
	}
}
