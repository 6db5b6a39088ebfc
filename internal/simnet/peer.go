package simnet

import (
	"math/rand/v2"
	"time"
)

// peer is a virtual peer: a link, and a queue of requests that it answers in order.
type peer struct {
	*Group
	id    int32
	crowd int        // how many peers there are
	rand  *rand.Rand // for what happens to it
	noise *rand.Rand // for what it answers; policies draw differently from it

	full  float64       // bytes a second, before any fault
	delay time.Duration // one way
	think time.Duration

	on      bool // connected
	stalled bool
	conn    uint32 // counts connections; events of an earlier one are void

	queue    []*message
	serving  *message      // nil if the link is idle
	transfer               // of serving
	comes    time.Duration // when the last answer is at the client; none overtakes it
	received int64         // bytes of answers that are there
	open     int           // requests under way, and answers
}

// capacity is what the peer can bring at present, in bytes a second.
func (p *peer) capacity(blockSize float64) float64 {
	if !p.on || p.stalled {
		return 0
	}
	if p.Items == 0 || p.think == 0 {
		return p.rate
	}
	answer := float64(p.Items) * blockSize
	return answer / (p.think.Seconds() + answer/p.rate)
}

// holds reports whether the peer has a block. Each block has one peer at the least
// that has it for sure.
func (p *peer) holds(block int) bool {
	return p.Holds == 0 || block%p.crowd == int(p.id) || share(uint64(p.id)+1, uint64(block)) < p.Holds
}

// arrived returns how many bytes have reached the client.
func (p *peer) arrived(now time.Duration) int64 {
	n := p.received
	if p.serving != nil && !p.stalled {
		sent := float64(p.serving.bytes) - p.left + p.gone(now-p.delay)
		n += int64(min(max(sent, 0), float64(p.serving.bytes)))
	}
	return n
}

// answer turns a request into its answer.
func (p *peer) answer(m *message, z *sizes) {
	if m.hashes > 0 {
		m.bytes = int64(m.hashes) * hashBytes
		return
	}
	n := 0
	for _, b := range m.blocks {
		if p.Items > 0 && n == p.Items {
			break
		}
		if p.holds(b) {
			m.blocks[n] = b
			n++
		}
	}
	m.blocks = m.blocks[:n]
	m.sizes = make([]int, n)
	for i, b := range m.blocks {
		m.sizes[i] = z.of(b)
		m.bytes += int64(m.sizes[i])
	}
	m.junk = p.Junk > 0 && p.noise.Float64() < p.Junk
}

// hashBytes is what a hash in a BlockHashes weighs on the wire.
const hashBytes = 33
