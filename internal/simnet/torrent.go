package simnet

import (
	"math"
	"slices"
	"time"
)

// torrent is a re-implementation of how libtorrent queues requests: as many blocks
// as a peer brings in three seconds, after a slow start. A peer that is late by the
// mean and four deviations of its answers is snubbed, gives back one block, and has
// one at a time. At the end, an idle peer may ask for one block that somebody else
// is busy with.
type torrent struct {
	Setup
	todo
	peers  roster[torrentPeer]
	copies map[int]int // how often a block is in flight
	busy   []int       // blocks in flight, in the order in which they were asked for
	mean   float64     // bytes of a block
	now    time.Duration
	id     uint64
}

type torrentPeer struct {
	queue   []int // blocks in flight, oldest first
	depth   float64
	slow    bool // still in slow start
	rate    float64
	bytes   int64 // since mark, to measure the rate
	mark    time.Duration
	heard   time.Duration // the last answer, or the first request of a queue
	mean    float64       // seconds between request and answer, moving
	dev     float64
	snubbed bool
}

// The constants of libtorrent.
const (
	torrentQueueTime = 3 * time.Second
	torrentLeast     = 2
	torrentMost      = 500
	torrentTimeout   = 2 * time.Second // bounds of the timeout
	torrentPatience  = time.Minute
	torrentPeriod    = time.Second // rates are measured over this
	torrentFirst     = 10 * time.Second
)

func newTorrent(s Setup) Policy {
	return &torrent{Setup: s, todo: newTodo(s.Blocks), copies: make(map[int]int)}
}

func (t *torrent) Join(now time.Duration, peer int) {
	t.peers.join(peer, &torrentPeer{depth: torrentLeast, slow: true, mark: now, heard: now})
}

func (t *torrent) Leave(_ time.Duration, peer int) {
	if p := t.peers.leave(peer); p != nil {
		for _, b := range p.queue {
			t.release(b)
		}
	}
}

// release ends one flight of a block.
func (t *torrent) release(block int) {
	if t.copies[block]--; t.copies[block] <= 0 {
		delete(t.copies, block)
		t.giveBack([]int{block})
	}
}

func (t *torrent) Deliver(now time.Duration, a Answer) []bool {
	useful := make([]bool, len(a.Blocks))
	p := t.peers.byID[a.Peer]
	if p == nil {
		return useful
	}
	for i, b := range a.Blocks {
		useful[i] = t.come(b)
		if at := slices.Index(p.queue, b); at >= 0 {
			p.queue = slices.Delete(p.queue, at, at+1)
			t.release(b)
		}
		p.bytes += int64(a.Sizes[i])
		t.mean += 0.02 * (float64(a.Sizes[i]) - t.mean)
		if t.mean < 1 || math.IsNaN(t.mean) {
			t.mean = float64(a.Sizes[i])
		}
		gap := (now - p.heard).Seconds()
		if p.mean == 0 {
			p.mean = gap
		}
		p.dev += (math.Abs(gap-p.mean) - p.dev) / 8
		p.mean += (gap - p.mean) / 8
		p.heard = now
		p.snubbed = false
		if p.slow {
			p.depth = min(p.depth+1, torrentMost)
		}
	}
	if since := now - p.mark; since >= torrentPeriod {
		rate := float64(p.bytes) / since.Seconds()
		if p.slow && rate < p.rate*1.1 {
			p.slow = false
		}
		p.rate, p.bytes, p.mark = rate, 0, now
		if !p.slow {
			p.depth = min(max(p.rate*torrentQueueTime.Seconds()/t.mean, torrentLeast), torrentMost)
		}
	}
	return useful
}

// deadline is when a peer with a queue is late.
func (p *torrentPeer) deadline() time.Duration {
	if p.mean == 0 {
		return p.heard + torrentFirst
	}
	wait := time.Duration((p.mean + 4*p.dev) * float64(time.Second))
	return p.heard + min(max(wait, torrentTimeout), torrentPatience)
}

func (t *torrent) Step(now time.Duration) {
	t.now = now
	for _, peer := range t.peers.order {
		if p := t.peers.byID[peer]; len(p.queue) > 0 && now >= p.deadline() {
			p.snubbed, p.slow, p.heard = true, false, now
			last := len(p.queue) - 1
			if len(p.queue) > 1 || t.copies[p.queue[last]] == 1 {
				t.release(p.queue[last])
				p.queue = p.queue[:last]
			}
		}
	}
	for _, peer := range t.peers.order {
		p := t.peers.byID[peer]
		depth := int(p.depth)
		if p.snubbed {
			depth = 1
		}
		for len(p.queue) < depth {
			b, ok := t.take(len(t.state))
			if !ok {
				break
			}
			t.ask(now, peer, p, b)
		}
		if len(p.queue) == 0 && !p.snubbed && t.known && t.next == len(t.state) {
			t.endgame(now, peer, p)
		}
	}
}

func (t *torrent) ask(now time.Duration, peer int, p *torrentPeer, block int) {
	if len(p.queue) == 0 {
		p.heard = now
	}
	p.queue = append(p.queue, block)
	t.copies[block]++
	t.busy = append(t.busy, block)
	t.id++
	t.Network.Send(peer, t.id, []int{block})
}

// endgame asks an idle peer for one random block that another is busy with.
func (t *torrent) endgame(now time.Duration, peer int, p *torrentPeer) {
	t.busy = slices.DeleteFunc(t.busy, func(b int) bool { return t.state[b] == todoHere || t.copies[b] == 0 })
	if len(t.busy) > 0 {
		t.ask(now, peer, p, t.busy[t.Rand.IntN(len(t.busy))])
	}
}

func (t *torrent) Next() (at time.Duration, ok bool) {
	for _, id := range t.peers.order {
		p := t.peers.byID[id]
		if d := p.deadline(); len(p.queue) > 0 && (!ok || d < at) {
			at, ok = d, true
		}
	}
	return max(at, t.now+1), ok
}

func (t *torrent) Why(peer int) Reason {
	if p := t.peers.byID[peer]; p != nil && p.snubbed {
		return Snubbed
	}
	if t.next >= len(t.state) {
		return Tail
	}
	return Pacing
}
