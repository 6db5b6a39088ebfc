package simnet

import "time"

// geth1 is a re-implementation of the block download of geth 1.0 (eth/60, July
// 2015). A peer has one request at a time, given out on a tick. Its capacity doubles
// when the answer comes within the soft limit and is halved when not; at the hard
// limit its blocks go to others, and it gets nothing before it has answered. At the
// most a cache full of blocks is fetched ahead of the import.
type geth1 struct {
	Setup
	todo
	peers roster[geth1Peer]
	tick  time.Duration
	now   time.Duration
	id    uint64
}

type geth1Peer struct {
	capacity int
	id       uint64 // of the open request, 0 for none
	blocks   []int
	sent     time.Duration
	expired  bool
}

// The constants of geth 1.0.
const (
	geth1Tick  = 100 * time.Millisecond
	geth1Soft  = 3 * time.Second
	geth1Hard  = 9 * time.Second
	geth1Most  = 128 // blocks in a request
	geth1Cache = 1024
)

func newGeth1(s Setup) Policy { return &geth1{Setup: s, todo: newTodo(s.Blocks)} }

func (g *geth1) Join(_ time.Duration, peer int) { g.peers.join(peer, &geth1Peer{capacity: 1}) }

func (g *geth1) Leave(_ time.Duration, peer int) {
	if p := g.peers.leave(peer); p != nil {
		g.giveBack(p.blocks)
	}
}

func (g *geth1) Deliver(now time.Duration, a Answer) []bool {
	useful := make([]bool, len(a.Blocks))
	p := g.peers.byID[a.Peer]
	if p == nil || p.id != a.ID {
		return useful
	}
	if !p.expired {
		for i, b := range a.Blocks {
			useful[i] = g.come(b)
		}
		g.giveBack(p.blocks)
	}
	if now-p.sent <= geth1Soft && !p.expired {
		p.capacity = min(2*p.capacity, geth1Most)
	} else {
		p.capacity = max(p.capacity/2, 1)
	}
	p.id, p.blocks, p.expired = 0, nil, false
	return useful
}

func (g *geth1) Step(now time.Duration) {
	g.now = now
	if now < g.tick {
		return
	}
	g.tick = now + geth1Tick
	for _, peer := range g.peers.order {
		p := g.peers.byID[peer]
		if p.id != 0 {
			if now-p.sent > geth1Hard && !p.expired {
				g.giveBack(p.blocks)
				p.blocks, p.expired = nil, true
			}
			continue
		}
		for len(p.blocks) < p.capacity {
			b, ok := g.take(g.first + geth1Cache)
			if !ok {
				break
			}
			p.blocks = append(p.blocks, b)
		}
		if len(p.blocks) > 0 {
			g.id++
			p.id, p.sent = g.id, now
			g.Network.Send(peer, p.id, append([]int(nil), p.blocks...))
		}
	}
}

func (g *geth1) Next() (time.Duration, bool) { return max(g.tick, g.now+1), g.left > 0 }

func (g *geth1) Why(peer int) Reason {
	p := g.peers.byID[peer]
	switch {
	case p != nil && p.expired:
		return Snubbed
	case g.next >= len(g.state):
		return Tail
	case g.next >= g.first+geth1Cache:
		return Window
	}
	return Pacing
}
