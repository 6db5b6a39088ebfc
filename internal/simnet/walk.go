package simnet

import "time"

// walk is the walk from the head down, as the downloader does it: a peer is asked for the
// hashes that come next as long as it answers in time.
type walk struct {
	known   int // the hashes of all blocks from this one up are known
	batch   int // how many are asked for
	waiting bool
	asked   uint32 // counts requests
	peer    *peer  // who is asked; nil: nobody yet
	turn    int
}

// What the downloader does: how long it waits for hashes before it asks somebody else,
// how many it asks for first, and how much more each time.
const (
	hashPatience = 2 * time.Second
	firstHashes  = 1024
	hashGrowth   = 8
)

// askHashes asks for the next hashes, of somebody else if the last one was no good.
func (w *world) askHashes(other bool) {
	k := &w.walk
	if k.waiting = k.known > 0; !k.waiting {
		w.timed(func() { w.policy.Walks(w.now, -1, 0) })
		return
	}
	if other || k.peer == nil || !k.peer.on {
		if k.peer = w.nextGuide(); k.peer == nil {
			return
		}
	}
	k.asked++
	w.plan(w.now+hashPatience, walkLate, nil, k.asked, nil)
	k.batch = min(max(firstHashes, hashGrowth*k.batch), w.Walk)
	k.peer.open++
	m := &message{hashes: min(k.batch, k.known), from: k.known}
	w.timed(func() { w.policy.Walks(w.now, int(k.peer.id), int64(m.hashes*hashBytes)) })
	w.plan(w.now+k.peer.delay, requestComes, k.peer, k.peer.conn, m)
}

// nextGuide returns the next peer that is connected, nil if there is none.
func (w *world) nextGuide() *peer {
	k := &w.walk
	for range w.peers {
		k.turn = (k.turn + 1) % len(w.peers)
		if p := w.peers[k.turn]; p.on {
			return p
		}
	}
	return nil
}

// hashesCome takes an answer with hashes; those that have come already, from
// somebody else, are no news.
func (w *world) hashesCome(p *peer, m *message) {
	k := &w.walk
	w.timed(func() { w.policy.Walked(w.now, int(p.id), m.bytes) })
	if m.from != k.known {
		return
	}
	k.known -= m.hashes
	w.timed(func() { w.policy.Known(w.now, k.known) })
	w.askHashes(false)
}
