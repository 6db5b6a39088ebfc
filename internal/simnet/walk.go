package simnet

import "time"

// walk is the walk from the head down: one peer after the other is asked for the
// hashes that come next, as the downloader does it.
type walk struct {
	known   int // the hashes of all blocks from this one up are known
	waiting bool
	asked   uint32 // counts requests
	peer    *peer
	turn    int
}

// hashPatience is how long the downloader waits for hashes before it asks somebody
// else.
const hashPatience = 2 * time.Second

// askHashes asks the next peer for the next hashes.
func (w *world) askHashes() {
	k := &w.walk
	k.waiting = k.known > 0
	if !k.waiting {
		return
	}
	k.asked++
	w.plan(w.now+hashPatience, walkLate, nil, k.asked, nil)
	for range w.peers {
		k.turn = (k.turn + 1) % len(w.peers)
		p := w.peers[k.turn]
		if p.on {
			k.peer = p
			p.open++
			m := &message{hashes: min(w.Walk, k.known), from: k.known}
			w.plan(w.now+p.delay, requestComes, p, p.conn, m)
			return
		}
	}
}

// hashesCome takes an answer with hashes; those that have come already, from
// somebody else, are no news.
func (w *world) hashesCome(m *message) {
	k := &w.walk
	if m.from != k.known {
		return
	}
	k.known -= m.hashes
	w.timed(func() { w.policy.Known(w.now, k.known) })
	w.askHashes()
}
