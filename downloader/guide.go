package downloader

import "time"

// A walk is a chain of questions, each of which needs the last hash of the answer before:
// it is as fast as single answers are. So one peer, the guide, is asked as long as it
// answers well, and what else it has in flight is kept to a round trip, or each question
// would wait behind half a second of blocks. Everybody else's pipe stays full.
//
// Who is the first guide nobody can know. So the first question is short, and the second
// is for what the first answer has shown: then the blocks that the others bring tell who
// is fast, and their pipes are not full yet.
//
// No trust is needed for that: a guide that falls silent is passed over (see walk), one
// that lets hashes drip is outpaced, and one that lies is found by the blocks.

const (
	// outpace is how many times faster another peer must be to become the guide. Its
	// pipe is full at first, so a change costs half a second.
	outpace = 2

	// guideInterval is how often somebody faster is looked for: often enough that a drip
	// of hashes costs little, rare enough that a look at thousands of peers does.
	guideInterval = 100 * time.Millisecond

	// paceGain is the weight of a new answer in the pace of a guide: one that waited for a
	// hiccup of either side is no reason for a change.
	paceGain = 0.5
)

// follow makes a peer the guide of the walk; nil: nobody.
func (l *loop) follow(c *peerState) {
	if l.guide == c {
		return
	}
	if l.guide != nil {
		l.pool.Brief(l.guide.Peer, false)
	}
	if c != nil {
		l.pool.Brief(c.Peer, true)
	}
	l.guide, l.guidance, l.guideDue = c, 0, l.now
}

// guided picks the peer that is asked for the next hashes: the guide, or if there is none
// or a much faster one, the fastest of those that have not let us wait. Of those that
// nobody knows it is each in turn. It returns nil if there is none to ask.
func (l *loop) guided() *peerState {
	p := l.plan
	g := l.guide
	stays := g != nil && !g.slow && l.mayGuide(g)
	if stays && (l.guidance < 2 || l.now.Before(l.guideDue)) {
		return g
	}
	l.guideDue = l.now.Add(guideInterval)
	for _, patient := range []bool{false, true} {
		var best *peerState
		var pace float64
		next := 0
		for i := range l.order {
			n := (p.next + i) % len(l.order)
			c := l.order[n]
			if c == g && stays || c.slow && !patient || !l.mayGuide(c) {
				continue
			}
			if x := l.paceOf(c); best == nil || x > pace {
				best, pace, next = c, x, n+1
			}
		}
		if stays && pace < outpace*g.pace {
			return g
		}
		if best != nil {
			p.next = next
			return best
		}
	}
	return nil
}

// mayGuide reports whether a peer can be asked for the next hashes.
func (l *loop) mayGuide(c *peerState) bool {
	p := l.plan
	waits := c.walk.start == p.last && l.now.Sub(c.walk.at) < hashTimeout // its answer may still come
	return !waits && !c.refused && (!p.solo || c == p.source)
}

// paced notes how fast hashes have come, if they were asked for. The first answer of a guide
// had to wait for what was in its pipe, and the last one of a walk is as short as the chain
// is. If nothing else is known of the guide, the first one bounds the next question.
func (l *loop) paced(c *peerState, hashes int, took time.Duration) {
	if took == unasked || l.plan.Complete || c != l.guide {
		return
	}
	if l.guidance++; l.guidance < 2 {
		if s, _ := l.pool.PeerStats(l.now, c.Peer); s.Rate == 0 {
			transfer := max(took-c.trip, took/hashGrowth, time.Microsecond)
			n := float64(hashes) * float64(tryTime) / float64(transfer)
			l.plan.batch = min(l.plan.batch, max(int(n), leastHashes))
		}
		return
	}
	pace := float64(hashes) / max(took, time.Microsecond).Seconds()
	if c.pace == 0 {
		c.pace = pace
	}
	c.pace += paceGain * (pace - c.pace)
}

// paceOf is how many hashes a peer is expected to bring in a second: as it did, or else as
// its blocks come. It is 0 for one that nobody knows.
func (l *loop) paceOf(c *peerState) float64 {
	if c.pace > 0 {
		return c.pace
	}
	s, _ := l.pool.PeerStats(l.now, c.Peer)
	if s.Rate == 0 {
		return 0
	}
	n := float64(l.cfg.hashesPerRequest())
	return n / (s.RoundTrip.Seconds() + n*hashBytes/float64(s.Rate))
}

// hashesFor is how many hashes the guide is asked for. Its blocks tell how fast it is, and
// its hashes where it is slower with blocks for another reason than its link.
func (l *loop) hashesFor(c *peerState) int {
	n := l.plan.batch
	if s, _ := l.pool.PeerStats(l.now, c.Peer); s.Rate > 0 {
		pace := max(float64(s.Rate)/hashBytes, c.pace)
		n = min(n, max(int(pace*hashTime.Seconds()), leastHashes))
	}
	return n
}
