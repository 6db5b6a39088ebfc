package downloader

import (
	"context"

	"github.com/shoalnet/shoal/store"
)

// Claims tells that a peer claims another chain now than when it joined. What it claims
// of the exchange of content stays.
func (d *Downloader) Claims(ctx context.Context, p Peer, now Claim) { d.send(ctx, claims{p, now}) }

// HeadMoved tells that somebody else has moved the head of the store: who makes blocks,
// or imports them. The peers are told of it.
func (d *Downloader) HeadMoved(ctx context.Context, m store.Move) { d.send(ctx, headMoved{m}) }

type claims struct {
	peer Peer
	now  Claim
}

// apply replaces the claim of a peer. What it is worth is seen when it is fetched.
func (m claims) apply(l *loop) error {
	p := l.peers[m.peer]
	if p == nil || p.claim.Head == m.now.Head {
		return nil
	}
	p.claim.TD, p.claim.Head = m.now.TD, m.now.Head
	p.raw, p.spent = nil, false
	if m.now.Head != l.store.Head().Hash { // else nothing has changed for us
		l.settle = false
	}
	return nil
}

type headMoved struct{ move store.Move }

func (m headMoved) apply(l *loop) error {
	if m.move.Moved() {
		l.emit(HeadMoved{m.move})
		l.receipts.poke()
		l.settle = false
	}
	return nil
}
