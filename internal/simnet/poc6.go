package simnet

import "time"

// poc6 is a re-implementation of the block pool of Ethereum PoC-6 (Go, September
// 2014). Every tick it goes over all hashes; each that was never asked for, or not
// since a while, goes to the first peer with less than a batch in this tick. It
// measures nobody, bounds nothing that is in flight, and forgets nothing.
type poc6 struct {
	Setup
	todo
	peers roster[struct{}]
	asked []time.Duration // when a block was last asked for, -1 for never
	tick  time.Duration
	now   time.Duration
	id    uint64
}

// The constants of PoC-6.
const (
	poc6Tick  = 100 * time.Millisecond
	poc6Batch = 256 // blocks to a peer in a tick
	poc6Retry = 5 * time.Second
)

func newPoC6(s Setup) Policy {
	p := &poc6{Setup: s, todo: newTodo(s.Blocks), asked: make([]time.Duration, s.Blocks)}
	for i := range p.asked {
		p.asked[i] = -1
	}
	return p
}

func (p *poc6) Join(_ time.Duration, peer int) { p.peers.join(peer, nil) }

func (p *poc6) Leave(_ time.Duration, peer int) { p.peers.leave(peer) }

func (p *poc6) Deliver(_ time.Duration, a Answer) []bool {
	useful := make([]bool, len(a.Blocks))
	for i, b := range a.Blocks {
		useful[i] = p.come(b)
	}
	return useful
}

func (p *poc6) Step(now time.Duration) {
	p.now = now
	if !p.known || now < p.tick {
		return
	}
	p.tick = now + poc6Tick
	block := p.first
	for _, peer := range p.peers.order {
		var batch []int
		for ; block < len(p.state) && len(batch) < poc6Batch; block++ {
			if at := p.asked[block]; p.state[block] != todoHere && (at < 0 || now-at >= poc6Retry) {
				p.asked[block] = now
				batch = append(batch, block)
			}
		}
		if len(batch) > 0 {
			p.id++
			p.Network.Send(peer, p.id, batch)
		}
	}
}

func (p *poc6) Next() (time.Duration, bool) { return max(p.tick, p.now+1), p.known && p.left > 0 }

func (p *poc6) Why(int) Reason {
	if p.left == 0 {
		return Tail
	}
	return Pacing
}
