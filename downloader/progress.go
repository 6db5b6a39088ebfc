package downloader

import "github.com/shoalnet/shoal/store"

// progress sends a Progress event if it is time for one.
func (l *loop) progress() {
	if l.cfg.Listener == nil || l.now.Sub(l.lastProgress) < progressInterval {
		return
	}
	l.lastProgress = l.now
	l.emit(l.picture())
}

// picture is the present state.
func (l *loop) picture() Progress {
	g := Progress{Head: l.store.Head(), Pool: l.pool.Stats(), Stored: l.stored, Bytes: l.storedBytes, At: l.now, Unwritten: len(l.keeping[store.Block].queue)}
	switch p := l.plan; {
	case p != nil:
		g.Phase = Hashes
		if p.Complete {
			g.Phase = Fetching
		}
		g.Target, g.TD, g.Hashes = p.Number, p.TD, p.Len
		if !p.Complete {
			g.Missing = p.Number - p.Len
		}
		g.Fed = p.young
		if p.Complete {
			g.Fed += p.Len - p.old
		}
	case l.target != nil:
		g.Phase, g.TD = Head, l.target.claim.TD
	case l.aiming != nil:
		g.Phase, g.TD = Head, l.aiming.claim.TD
	}
	for _, p := range l.order {
		g.Peers = append(g.Peers, l.peerPicture(p))
	}
	g.Waiting = l.waiting()
	return g
}

func (l *loop) peerPicture(p *peerState) PeerProgress {
	s, _ := l.pool.PeerStats(l.now, p.Peer)
	s.Useful += p.heads
	s.UsefulBytes += p.headBytes
	return PeerProgress{Name: p.String(), Claim: p.claim, Received: p.Received(), Mark: p.mark, PeerStats: s}
}

// waiting says what everything waits for, if it does.
func (l *loop) waiting() string {
	switch {
	case len(l.order) == 0 && l.plan != nil:
		return "no peer is connected; the download goes on when one is"
	case len(l.order) == 0:
		return "no peer is connected"
	case l.plan == nil && l.aiming != nil:
		return "the head block that " + l.aiming.String() + " claims has not come"
	case l.plan == nil:
		return ""
	case l.plan != nil && !l.plan.Complete && l.plan.asked == nil:
		return "no connected peer knows how the chain of hashes goes on"
	}
	if s := l.pool.Stats().Classes[blocks]; l.plan != nil && s.Wanted > 0 && s.InFlight == 0 && s.Held == 0 {
		return "no connected peer has the blocks that are missing"
	}
	return ""
}
