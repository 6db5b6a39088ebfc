package simnet

import (
	"slices"
	"time"
)

// bitcoin is a re-implementation of the block download of Bitcoin Core: up to
// sixteen blocks in flight at each peer, each asked for once, in a window ahead of
// the oldest missing block. If a peer could fetch only beyond the window, the holder
// of that block is stalling, and is disconnected after a while that doubles with
// each such case and shrinks with each block.
type bitcoin struct {
	Setup
	todo
	peers    roster[bitcoinPeer]
	holder   map[int]int // who is asked for a block
	patience time.Duration
	now      time.Duration
	id       uint64
}

type bitcoinPeer struct {
	flying []bitcoinFlight // oldest first
	stalls time.Duration   // since when it holds up the window, 0 if it does not
}

type bitcoinFlight struct {
	block int
	since time.Duration // when it came to be the first of its peer
}

// The constants of Bitcoin Core.
const (
	bitcoinFlying      = 16
	bitcoinWindow      = 1024
	bitcoinStall       = 2 * time.Second
	bitcoinMostStall   = 64 * time.Second
	bitcoinDecay       = 0.85
	bitcoinTimeout     = 10 * time.Minute
	bitcoinTimeoutPeer = 5 * time.Minute // more for each other peer that downloads
)

func newBitcoin(s Setup) Policy {
	return &bitcoin{Setup: s, todo: newTodo(s.Blocks), holder: make(map[int]int), patience: bitcoinStall}
}

func (b *bitcoin) Join(_ time.Duration, peer int) { b.peers.join(peer, &bitcoinPeer{}) }

func (b *bitcoin) Leave(_ time.Duration, peer int) {
	if p := b.peers.leave(peer); p != nil {
		for _, f := range p.flying {
			delete(b.holder, f.block)
			b.giveBack([]int{f.block})
		}
	}
}

func (b *bitcoin) Deliver(now time.Duration, a Answer) []bool {
	useful := make([]bool, len(a.Blocks))
	p := b.peers.byID[a.Peer]
	if p == nil {
		return useful
	}
	for i, block := range a.Blocks {
		useful[i] = b.come(block)
		if holder, ok := b.holder[block]; ok && holder == a.Peer {
			delete(b.holder, block)
		}
		at := slices.IndexFunc(p.flying, func(f bitcoinFlight) bool { return f.block == block })
		if at >= 0 {
			p.flying = slices.Delete(p.flying, at, at+1)
		}
		if len(p.flying) > 0 {
			p.flying[0].since = max(p.flying[0].since, now)
		}
		p.stalls = 0
		b.patience = max(bitcoinStall, time.Duration(bitcoinDecay*float64(b.patience)))
	}
	return useful
}

// timeout is how long the first block of a peer may take.
func (b *bitcoin) timeout() time.Duration {
	return bitcoinTimeout + bitcoinTimeoutPeer*time.Duration(len(b.peers.order)-1)
}

func (b *bitcoin) Step(now time.Duration) {
	b.now = now
	for _, peer := range slices.Clone(b.peers.order) {
		p := b.peers.byID[peer]
		switch {
		case p.stalls > 0 && now >= p.stalls+b.patience:
			b.patience = min(2*b.patience, bitcoinMostStall)
			b.Network.Drop(peer)
		case len(p.flying) > 0 && now >= p.flying[0].since+b.timeout():
			b.Network.Drop(peer)
		}
	}
	for _, peer := range b.peers.order {
		p := b.peers.byID[peer]
		for len(p.flying) < bitcoinFlying {
			block, ok := b.take(b.first + bitcoinWindow)
			if !ok {
				b.blameStaller(now, p)
				break
			}
			b.id++
			b.holder[block] = peer
			p.flying = append(p.flying, bitcoinFlight{block, now})
			b.Network.Send(peer, b.id, []int{block})
		}
	}
}

// blameStaller marks the peer that holds the oldest missing block, if there are
// blocks beyond the window and this peer has nothing to do.
func (b *bitcoin) blameStaller(now time.Duration, idle *bitcoinPeer) {
	if len(idle.flying) > 0 || b.first+bitcoinWindow >= len(b.state) {
		return
	}
	if holder, ok := b.holder[b.first]; ok {
		if p := b.peers.byID[holder]; p != nil && p.stalls == 0 {
			p.stalls = max(now, 1)
		}
	}
}

func (b *bitcoin) Next() (at time.Duration, ok bool) {
	sooner := func(t time.Duration) {
		if !ok || t < at {
			at, ok = t, true
		}
	}
	for _, id := range b.peers.order {
		p := b.peers.byID[id]
		if p.stalls > 0 {
			sooner(p.stalls + b.patience)
		}
		if len(p.flying) > 0 {
			sooner(p.flying[0].since + b.timeout())
		}
	}
	return max(at, b.now+1), ok
}

func (b *bitcoin) Why(int) Reason {
	switch {
	case b.next >= len(b.state):
		return Tail
	case b.next >= b.first+bitcoinWindow:
		return Window
	}
	return Pacing
}
