package simnet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// world is one run: a network, a policy, and the account of what happens.
type world struct {
	*Scenario
	policy Policy
	sizes  *sizes
	rand   *rand.Rand
	clock  func() time.Time // of the real world, to see what the policy costs; may be nil

	now     time.Duration
	stepped time.Duration // when the policy was last asked to act
	agenda  agenda
	seq     uint64
	peers   []*peer
	blame   error // what the policy did that it must not

	link      link
	checkFree time.Duration // when what is queued for checking is checked

	state []blockState
	done  int // blocks checked
	walk  walk
	account
}

type blockState uint8

const (
	missing blockState = iota
	taken              // of use, not yet checked
	checked
)

// Options says how to run a scenario.
type Options struct {
	Policy string
	Seed   uint64
	// Clock, if set, is read around each call of the policy, for what it costs.
	Clock func() time.Time
}

// A run that takes longer than this is given up: so many times the ideal, and some
// time more, because it may wait for timeouts of minutes.
const (
	patienceFactor = 50
	patienceExtra  = 15 * time.Minute
)

// Run runs a scenario to its end. The error says what the policy did wrong, such as
// taking a block twice; that it does not get to the end is a result.
func Run(ctx context.Context, s *Scenario, o Options) (Result, error) {
	w, err := newWorld(s, o)
	if err != nil {
		return Result{}, err
	}
	if err := w.run(ctx, patienceFactor*w.faultless+patienceExtra); err != nil {
		return Result{}, fmt.Errorf("simnet: scenario %s, policy %s, seed %d: at %v, %w", s.Name, o.Policy, o.Seed, w.now, err)
	}
	return w.result(o), nil
}

// run goes from event to event until all blocks are here, the time is over, or
// nothing can happen any more.
func (w *world) run(ctx context.Context, limit time.Duration) error {
	w.begin()
	w.step()
	for n := 0; w.done < w.Blocks && w.now < limit && w.blame == nil; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		at, ok := w.next()
		if ok && at <= w.stepped {
			return fmt.Errorf("it asks to be called at %v again", at)
		}
		if ok && (len(w.agenda) == 0 || at < w.agenda[0].at) {
			w.advance(max(at, w.now))
			w.step()
			continue
		}
		if len(w.agenda) == 0 {
			break
		}
		e := w.agenda.pop()
		w.advance(e.at)
		if w.happens(e) {
			w.step()
		}
	}
	return w.blame
}

func (w *world) plan(at time.Duration, kind eventKind, p *peer, gen uint32, m *message) {
	w.seq++
	e := event{at: at, seq: w.seq, kind: kind, peer: -1, gen: gen, msg: m}
	if p != nil {
		e.peer = p.id
	}
	w.agenda.push(e)
}

// timed calls the policy and takes the time.
func (w *world) timed(call func()) {
	if w.clock == nil {
		call()
		return
	}
	start := w.clock()
	call()
	w.spent += w.clock().Sub(start)
}

func (w *world) step() {
	w.stepped = w.now
	w.timed(func() { w.policy.Step(w.now) })
}

func (w *world) next() (at time.Duration, ok bool) {
	w.timed(func() { at, ok = w.policy.Next() })
	return at, ok
}

// happens lets an event happen, and reports whether the policy has seen any of it.
func (w *world) happens(e event) bool {
	var p *peer
	if e.peer >= 0 {
		p = w.peers[e.peer]
	}
	switch e.kind {
	case requestComes:
		if p.conn == e.gen && p.on {
			p.answer(e.msg, w.sizes)
			p.queue = append(p.queue, e.msg)
			if p.serving == nil {
				w.serve(p)
			}
		}
	case answerSent:
		if p.gen == e.gen {
			w.sent(p)
		}
	case answerComes:
		if p.conn == e.gen && p.on {
			if w.link.rate == 0 {
				return w.here(p, e.msg)
			}
			w.enter(p, e.msg)
		}
	case answerPassed:
		if w.link.gen == e.gen {
			if t := w.passed(); t.peer.conn == t.conn && t.peer.on {
				return w.here(t.peer, t.msg)
			}
		}
	case blocksChecked:
		w.checked(p, e.gen, e.msg)
		return true
	case walkLate:
		if w.walk.asked == e.gen && w.walk.waiting {
			w.askHashes(true)
			return true
		}
	case peerJoins:
		w.joins(p)
		return true
	case peerLeaves:
		if p.on && p.conn == e.gen {
			w.leaves(p)
			return true
		}
	case peerStalls:
		w.capacityChanges(p, func() { p.stalled = true; p.gen++ })
	case peerSlows:
		w.capacityChanges(p, func() { w.setRate(p, p.full*p.SlowTo) })
	case linkChanges:
		rate := w.LinkMbit * mbit
		if e.gen == 1 {
			rate *= w.Throttle.Factor
		}
		w.setLink(rate)
	case sampleDue:
		w.sample()
		w.plan(w.nextSample(), sampleDue, nil, 0, nil)
	}
	return false
}

func (w *world) joins(p *peer) {
	w.capacityChanges(p, func() { p.on = true })
	p.conn++
	p.comes = w.now
	w.timed(func() { w.policy.Join(w.now, int(p.id)) })
	if p.Up.High > 0 {
		w.plan(w.now+lifetime(p.Up, p.rand), peerLeaves, p, p.conn, nil)
	}
}

// leaves ends a connection, and plans the next one if the peer comes back.
func (w *world) leaves(p *peer) {
	w.capacityChanges(p, func() { p.on = false })
	p.gen++
	p.queue, p.serving, p.open = nil, nil, 0
	w.timed(func() { w.policy.Leave(w.now, int(p.id)) })
	if w.walk.waiting && w.walk.peer == p {
		w.askHashes(true)
	}
	if p.Down.High > 0 {
		w.plan(w.now+lifetime(p.Down, p.rand), peerJoins, p, 0, nil)
	}
}

func lifetime(r Range, rnd *rand.Rand) time.Duration {
	return time.Duration(r.draw(rnd) * float64(time.Second))
}

// Drop disconnects a peer at the wish of the policy.
func (w *world) Drop(peer int) {
	if p := w.peers[peer]; p.on {
		w.dropped++
		w.leaves(p)
	}
}

// Received returns how many bytes have come from a peer.
func (w *world) Received(peer int) int64 { return w.peers[peer].arrived(w.now) }

// Send puts a request on its way.
func (w *world) Send(peer int, id uint64, blocks []int) {
	p := w.peers[peer]
	if !p.on || len(blocks) == 0 {
		w.blame = fmt.Errorf("it asks peer %d for %d blocks, who is connected: %t", peer, len(blocks), p.on)
		return
	}
	w.requests++
	w.record(uint64(w.now), uint64(peer), id)
	for _, b := range blocks {
		w.record(uint64(b))
		if b < w.walk.known {
			w.blame = fmt.Errorf("it asks peer %d for block %d, whose hash is not known", peer, b)
		}
	}
	p.open++
	w.plan(w.now+p.delay, requestComes, p, p.conn, &message{id: id, blocks: blocks})
}

// serve starts the transfer of the peer's next answer.
func (w *world) serve(p *peer) {
	if len(p.queue) == 0 {
		p.serving = nil
		return
	}
	p.serving, p.queue = p.queue[0], p.queue[1:]
	at := w.now
	if p.serving.hashes == 0 {
		at += p.think
	}
	p.begin(at, p.serving.bytes)
	w.planSent(p)
}

func (w *world) planSent(p *peer) {
	p.gen++
	if !p.stalled {
		w.plan(p.end(), answerSent, p, p.gen, nil)
	}
}

// setRate changes the rate of a peer, in the middle of a transfer too.
func (w *world) setRate(p *peer, rate float64) {
	if p.setRate(w.now, rate); p.serving != nil {
		w.planSent(p)
	}
}

// sent puts an answer on its way to the client. Jitter delays it, but what is sent
// later comes later.
func (w *world) sent(p *peer) {
	m := p.serving
	jitter := time.Duration(p.noise.Float64() * p.Jitter * 2 * float64(p.delay))
	p.comes = max(p.comes, w.now+p.delay+jitter)
	w.plan(p.comes, answerComes, p, p.conn, m)
	w.serve(p)
}

// here hands an answer to whom it concerns.
func (w *world) here(p *peer, m *message) bool {
	p.received += m.bytes
	p.open--
	if m.hashes > 0 {
		w.hashesCome(p, m)
		return true
	}
	var useful []bool
	w.timed(func() {
		useful = w.policy.Deliver(w.now, Answer{Peer: int(p.id), ID: m.id, Blocks: m.blocks, Sizes: m.sizes})
	})
	if len(useful) != len(m.blocks) {
		w.blame = fmt.Errorf("it gives %d verdicts on %d blocks", len(useful), len(m.blocks))
		return false
	}
	n := 0
	var bytes int64
	for i, b := range m.blocks {
		size := int64(m.sizes[i])
		if !useful[i] {
			w.duplicate += size
			continue
		}
		if w.state[b] != missing {
			w.blame = fmt.Errorf("it takes block %d twice", b)
			return false
		}
		w.state[b] = taken
		m.blocks[n] = b
		n++
		bytes += size
	}
	if m.blocks = m.blocks[:n]; n == 0 {
		return true
	}
	m.bytes = bytes
	at := w.now
	if w.CheckMB > 0 {
		w.checkFree = max(w.checkFree, w.now) + time.Duration(float64(bytes)/(w.CheckMB*1e6)*float64(time.Second))
		at = w.checkFree
	}
	w.plan(at, blocksChecked, p, p.conn, m)
	return true
}

// checked tells the policy what the checks have found. A peer that sent junk is
// disconnected, as the downloader does it.
func (w *world) checked(p *peer, conn uint32, m *message) {
	for _, b := range m.blocks {
		w.state[b] = checked
		if m.junk {
			w.state[b] = missing
		}
	}
	if m.junk {
		w.junk += m.bytes
	} else {
		w.done += len(m.blocks)
		w.progress(m.bytes)
	}
	w.timed(func() { w.policy.Checked(w.now, int(p.id), m.blocks, !m.junk) })
	if m.junk && p.on && p.conn == conn {
		w.leaves(p)
	}
}
