package simnet

import (
	"math"
	"slices"
	"time"
)

// msgrate is a re-implementation of the block download of today's geth: one request
// at a time to each peer, as many blocks as it is measured to bring within a common
// target time, in a window of blocks ahead of the import. Its package p2p/msgrate
// gives the policy its name.
type msgrate struct {
	Setup
	todo
	peers      roster[msgratePeer]
	roundTrip  time.Duration // estimate for all peers
	confidence float64
	tuned      time.Duration
	meanSize   float64
	started    bool // the window has its full size from the first answers on
	now        time.Duration
	id         uint64
}

type msgratePeer struct {
	rate      float64 // blocks a second
	roundTrip time.Duration
	id        uint64 // of the open request, 0 for none
	blocks    []int
	sent      time.Duration
	deadline  time.Duration
	stale     bool // late; gets nothing before it has answered
	empty     bool // brought nothing: not asked any more
}

// The constants of p2p/msgrate and eth/downloader.
const (
	msgrateImpact    = 0.1
	msgrateOver      = 1.01
	msgrateTuning    = 0.25
	msgratePushdown  = 0.9
	msgrateLeastTrip = 2 * time.Second
	msgrateMostTrip  = 20 * time.Second
	msgrateTTLScale  = 3
	msgrateMostTTL   = time.Minute
	msgrateGrace     = 2 * time.Minute // for a stale peer
	msgrateMost      = 128             // blocks in a request
	msgrateFirst     = 2048            // blocks in the window at first, and then
	msgrateWindow    = 8192
	msgrateMemory    = 256 << 20
)

func newMsgrate(s Setup) Policy {
	return &msgrate{Setup: s, todo: newTodo(s.Blocks), roundTrip: msgrateMostTrip, confidence: 1}
}

func (m *msgrate) Join(_ time.Duration, peer int) {
	// A new peer is taken for an average one, and makes the estimate less sure.
	rate := 0.0
	for _, id := range m.peers.order {
		rate += m.peers.byID[id].rate / float64(len(m.peers.order))
	}
	m.peers.join(peer, &msgratePeer{rate: rate, roundTrip: m.roundTrip})
	if n := float64(len(m.peers.order)); n > 1 {
		m.confidence = max(m.confidence*(n-1)/n, 0.1)
	}
}

func (m *msgrate) Leave(_ time.Duration, peer int) {
	if p := m.peers.leave(peer); p != nil && !p.stale {
		m.giveBack(p.blocks)
	}
}

func (m *msgrate) Deliver(now time.Duration, a Answer) []bool {
	useful := make([]bool, len(a.Blocks))
	p := m.peers.byID[a.Peer]
	if p == nil || p.id != a.ID {
		return useful
	}
	if !p.stale {
		for i, b := range a.Blocks {
			useful[i] = m.come(b)
			m.meanSize += 0.1 * (float64(a.Sizes[i]) - m.meanSize)
		}
		m.giveBack(p.blocks)
		m.started = true
	}
	took := max(now-p.sent, time.Microsecond)
	switch {
	case len(a.Blocks) == 0:
		p.rate, p.empty = 0, true
	case !p.stale:
		p.rate = (1-msgrateImpact)*p.rate + msgrateImpact*float64(len(a.Blocks))/took.Seconds()
		p.roundTrip = time.Duration((1-msgrateImpact)*float64(p.roundTrip) + msgrateImpact*float64(took))
	}
	p.id, p.blocks, p.stale = 0, nil, false
	return useful
}

// tune moves the common estimate towards the round trip of the better peers.
func (m *msgrate) tune(now time.Duration) {
	if now-m.tuned < m.roundTrip || len(m.peers.order) == 0 {
		return
	}
	var trips []time.Duration
	for _, id := range m.peers.order {
		trips = append(trips, m.peers.byID[id].roundTrip)
	}
	slices.Sort(trips)
	typical := trips[int(math.Sqrt(float64(len(trips))))%len(trips)]
	typical = min(max(typical, msgrateLeastTrip), msgrateMostTrip)
	m.roundTrip = time.Duration((1-msgrateTuning)*float64(m.roundTrip) + msgrateTuning*float64(typical))
	m.confidence += (1 - m.confidence) / 2
	m.tuned = now
}

// limit is the end of the window.
func (m *msgrate) limit() int {
	window := msgrateFirst
	if m.started && m.meanSize > 0 {
		window = min(msgrateWindow, int(msgrateMemory/m.meanSize))
	}
	return m.first + window
}

func (m *msgrate) Step(now time.Duration) {
	m.now = now
	m.tune(now)
	target := time.Duration(msgratePushdown * float64(m.roundTrip))
	patience := min(time.Duration(msgrateTTLScale*float64(m.roundTrip)/m.confidence), msgrateMostTTL)
	for _, peer := range slices.Clone(m.peers.order) {
		p := m.peers.byID[peer]
		if p.id != 0 {
			switch {
			case !p.stale && now >= p.deadline:
				m.giveBack(p.blocks)
				p.blocks, p.stale, p.rate = nil, true, 0
			case p.stale && now-p.deadline >= msgrateGrace:
				m.Network.Drop(peer)
			}
			continue
		}
		if p.empty {
			continue
		}
		most := min(msgrateMost, int(math.Ceil(1+msgrateOver*p.rate*target.Seconds())))
		for len(p.blocks) < most {
			b, ok := m.take(m.limit())
			if !ok {
				break
			}
			p.blocks = append(p.blocks, b)
		}
		if len(p.blocks) > 0 {
			m.id++
			p.id, p.sent, p.deadline = m.id, now, now+patience
			m.Network.Send(peer, p.id, slices.Clone(p.blocks))
		}
	}
}

func (m *msgrate) Next() (at time.Duration, ok bool) {
	for _, id := range m.peers.order {
		p := m.peers.byID[id]
		due := p.deadline
		if p.stale {
			due += msgrateGrace
		}
		if p.id != 0 && (!ok || due < at) {
			at, ok = max(due, m.now+1), true
		}
	}
	return at, ok
}

func (m *msgrate) Why(peer int) Reason {
	p := m.peers.byID[peer]
	switch {
	case p != nil && p.stale:
		return Snubbed
	case p != nil && p.empty:
		return Ineligible
	case m.next >= len(m.state):
		return Tail
	case m.next >= m.limit():
		return Window
	}
	return Pacing
}
