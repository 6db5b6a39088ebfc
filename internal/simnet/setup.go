package simnet

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"
)

// newWorld makes the world of a run, at its first instant.
func newWorld(s *Scenario, o Options) (*world, error) {
	w := &world{
		Scenario: s,
		sizes:    newSizes(s, o.Seed),
		rand:     rand.New(rand.NewPCG(o.Seed, 0)),
		clock:    o.Clock,
		state:    make([]blockState, s.Blocks),
		link:     link{transfer: transfer{rate: s.LinkMbit * mbit}},
		account:  account{trace: fnv.New64a()},
	}
	var err error
	w.policy, err = newPolicy(o.Policy, Setup{
		Network: w, Rand: rand.New(rand.NewPCG(o.Seed, 1)), Blocks: s.Blocks, Window: s.window(),
	})
	if err != nil {
		return nil, err
	}
	w.settle(o.Seed)
	return w, nil
}

const mbit = 1e6 / 8

// settle makes the peers and plans what happens to them.
func (w *world) settle(seed uint64) {
	sum := 0.0
	for i := range w.Peers {
		g := &w.Peers[i]
		for range g.Count {
			id := uint64(len(w.peers))
			p := &peer{
				Group: g, id: int32(id),
				rand:  rand.New(rand.NewPCG(seed, 2*id+2)),
				noise: rand.New(rand.NewPCG(seed, 2*id+3)),
			}
			ratio := g.Mbit.High / g.Mbit.Low
			p.full = g.Mbit.Low * math.Pow(ratio, p.rand.Float64()) * mbit
			p.rate = p.full
			p.delay = g.RTT.millis(p.rand) / 2
			p.think = g.Think.millis(p.rand)
			w.peers = append(w.peers, p)
			sum += p.full
		}
	}
	sum = w.bounded(sum)
	for _, p := range w.peers {
		p.crowd = len(w.peers)
	}
	w.target = float64(w.sizes.total)
	if w.Walk > 0 {
		w.target += hashBytes * float64(w.Blocks)
	}
	w.faultless = time.Duration(w.target / sum * float64(time.Second))
	at := func(share float64) time.Duration { return time.Duration(share * float64(w.faultless)) }
	for _, p := range w.peers {
		w.plan(at(p.Join.draw(p.rand)), peerJoins, p, 0, nil)
		if p.Stall != nil {
			w.plan(at(p.Stall.draw(p.rand)), peerStalls, p, 0, nil)
		}
		if p.Slow != nil {
			w.plan(at(p.Slow.draw(p.rand)), peerSlows, p, 0, nil)
		}
	}
	if t := w.Throttle; t != nil {
		w.plan(at(t.From), linkChanges, nil, 1, nil)
		w.plan(at(t.To), linkChanges, nil, 0, nil)
	}
	// About a thousand samples in an ideal run.
	w.interval = max(w.faultless/1000, time.Millisecond)
	w.plan(w.nextSample(), sampleDue, nil, 0, nil)
}

// begin tells the policy what is known from the start.
func (w *world) begin() {
	for len(w.agenda) > 0 && w.agenda[0].at == 0 {
		w.happens(w.agenda.pop())
	}
	w.walk.known = w.Blocks
	if w.Walk == 0 {
		w.walk.known = 0
		w.timed(func() { w.policy.Known(0, 0) })
		return
	}
	w.askHashes(true)
}
