package downloader

import (
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// hashAsk is a request for hashes that has not been answered.
type hashAsk struct {
	start common.Hash
	at    time.Time
}

// walk asks somebody for the next hashes. Any peer that knows the last one may answer,
// so losing one costs nothing.
func (l *loop) walk() {
	p := l.plan
	if p == nil || p.Complete {
		l.follow(nil)
		return
	}
	if p.asked != nil && !l.now.Before(p.deadline) {
		p.asked.slow = true
		p.asked = nil
		p.patience = max(p.patience/2, leastPatience)
		p.batch = max(p.batch/2, leastHashes)
	}
	if p.asked != nil || l.now.Before(p.pause) || len(l.order) == 0 || p.Len > p.admission.lead() {
		return
	}
	c := l.guided()
	if c == nil {
		// Nobody knows it now; somebody may later.
		for _, c := range l.order {
			c.refused = false
		}
		p.pause = l.now.Add(walkRetry)
		return
	}
	l.follow(c)
	p.asked = c
	p.deadline = l.now.Add(p.patience)
	now := time.Now() // the store may have kept us since l.now, and the answer is timed
	c.walk = hashAsk{p.last, now}
	n := l.hashesFor(c)
	l.pool.Busy(now, c.Peer, int64(n*hashBytes))
	c.GetHashes(p.last, n)
}

type hashesCame struct {
	peer   Peer
	start  common.Hash
	hashes []common.Hash
	at     time.Time
}

// apply adds hashes to the plan, up to the first block that is linked here.
func (m hashesCame) apply(l *loop) error {
	p, from := l.plan, l.peers[m.peer]
	if from != nil {
		l.pool.Free(m.at, m.peer, int64(len(m.hashes)*hashBytes))
	}
	if p == nil || from == nil || p.Complete || m.start != p.last {
		return nil // late, and no longer of use
	}
	if p.asked == from {
		p.asked = nil
	}
	took := m.at.Sub(from.walk.at)
	from.slow, from.walk = false, hashAsk{}
	if len(m.hashes) == 0 {
		// It does not know the block, or it is a server that leaves out the
		// genesis block at the end (A5, A6). The block itself tells.
		from.refused = true
		return l.probe()
	}
	return l.extend(from, m.hashes, took)
}

// unasked is how long hashes took that nobody was asked for.
const unasked time.Duration = -1

// extend adds hashes that follow the last one of the plan, and took so long to come, or are
// unasked. It asks for those that follow before it writes these, since all that a question
// takes is the last one, and the answer is made and sent meanwhile. A plan that cannot be
// written ends the loop.
func (l *loop) extend(from *peerState, hashes []common.Hash, took time.Duration) error {
	p := l.plan
	head := l.store.Head()
	n := 0
	complete := false
	for _, h := range hashes {
		i := p.Len + uint64(n)
		if i > p.Number {
			return l.mislaid(from, "the chain of hashes goes on below the genesis block")
		}
		number := p.numberAt(i)
		// Above our head nothing of the canonical chain can be met, unless the
		// list is wrong: that shows at the genesis block. A side chain may be
		// met; then the walk goes on to where it left the trunk, and nothing
		// is fetched for it.
		if number <= head.Number || h == l.genesis {
			link, linked, err := l.store.Linked(h)
			if err != nil {
				return err
			}
			if linked {
				if link.Number != number {
					return l.mislaid(from, fmt.Sprintf("the chain of hashes meets block %d where block %d must be", link.Number, number))
				}
				complete = true
				break
			}
			if number == 0 {
				return l.mislaid(from, "the chain of hashes ends at another genesis block")
			}
		}
		if h == p.Head || h == p.last {
			return l.mislaid(from, "the chain of hashes runs in a circle")
		}
		n++
	}
	// Block 1 must stand on the genesis block; there is nothing to ask for.
	if p.Len+uint64(n) == p.Number {
		complete = true
	}
	at := p.Len
	p.Complete = complete
	if n > 0 {
		p.gave(at, from)
		p.last = hashes[n-1]
		p.Len += uint64(n)
		p.patience, p.batch = hashPatience, min(hashGrowth*p.batch, l.cfg.hashesPerRequest())
		p.probing = false
		for _, q := range l.order {
			q.refused = false
		}
	}
	l.paced(from, len(hashes), took)
	l.walk()
	if err := l.store.AppendPlan(hashes[:n], complete); err != nil {
		return err
	}
	if n > 0 {
		l.findCheckpoint(at, hashes[:n])
		l.probeBatch(at, hashes[:n])
	}
	if complete {
		p.old = p.Len
		l.linkWake.ring()
		return l.judge()
	}
	return nil
}

// probe looks at the last block of the plan: its parent is the next hash, or
// linked here, which ends the walk. If the block is not here it is wanted before
// all others.
func (l *loop) probe() error {
	p := l.plan
	if p == nil || p.Complete {
		return nil
	}
	raw, err := l.store.AppendRaw(nil, p.last)
	if err != nil {
		if !isMissing(err) {
			return err
		}
		p.probing = true
		l.hurry(p.last, place{index: p.Len - 1})
		return nil
	}
	b, err := l.cfg.Network.ParseBlockAs(p.last, raw)
	if err != nil {
		return l.invalid("its chain has a block that is none: " + err.Error())
	}
	if b.Number != p.numberAt(p.Len-1) {
		return l.mislaid(p.giverOf(p.Len-1), fmt.Sprintf("the chain of hashes has block %d where block %d must be", b.Number, p.numberAt(p.Len-1)))
	}
	link, linked, err := l.store.Linked(b.Parent)
	if err != nil {
		return err
	}
	if linked && link.Number+1 != b.Number && p.last == p.Head {
		return l.invalid(fmt.Sprintf("its head block has number %d, and the parent of that has number %d", b.Number, link.Number))
	}
	if linked {
		return l.extend(p.source, []common.Hash{b.Parent}, unasked)
	}
	if p.probing {
		// Nobody would tell, but the block did.
		return l.extend(p.source, []common.Hash{b.Parent}, unasked)
	}
	return nil
}
