package main

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/shoalnet/shoal/internal/simnet"
)

// spec is a network of the lab and what is fetched over it: a scenario of the
// simulator with everything drawn, so that both meet the same.
type spec struct {
	Name   string `json:"scenario"`
	Seed   uint64 `json:"seed"`
	Sizes  sizes  `json:"sizes"`
	Blocks uint64 `json:"blocks"`
	Peers  []peer `json:"-"`
}

// peer is one peer of it. Times of faults are shares of the time that an ideal
// download takes without faults.
type peer struct {
	mbit  float64
	rtt   float64 // milliseconds
	items int     // most blocks in an answer
	think float64 // milliseconds before each answer with blocks
	stall float64 // 0: never
	slow  float64 // 0: never
	to    float64 // the share of its rate that it slows down to
	liar  bool
	// hashes is the most that it answers with, 0 for what a server does.
	hashes int
}

// netShare is what a link carries of its rate as payload of TCP, about: what is
// left of an Ethernet frame without its headers. It only decides how long a chain
// is; the ideal time comes from the calibrated links.
const netShare = 1448.0 / 1514

// draw makes the network of a scenario, with a chain that takes so many seconds to
// fetch if all goes well.
func draw(name string, seed uint64, seconds float64) (*spec, error) {
	s, err := simnet.Load(name)
	if err != nil {
		return nil, err
	}
	sp := &spec{Name: name, Seed: seed}
	if sp.Sizes, err = sizesOf(s.Bytes); err != nil {
		return nil, fmt.Errorf("scenario %s: %w", name, err)
	}
	for gi, g := range s.Peers {
		for i := range g.Count {
			rnd := rand.New(rand.NewPCG(seed, uint64(gi)<<32|uint64(i)))
			p := peer{
				mbit: g.Mbit.Low * math.Pow(g.Mbit.High/g.Mbit.Low, rnd.Float64()),
				rtt:  between(g.RTT, rnd), items: g.Items, think: between(g.Think, rnd),
			}
			if g.Stall != nil {
				p.stall = max(between(*g.Stall, rnd), leastShare)
			}
			if g.Slow != nil {
				p.slow, p.to = max(between(*g.Slow, rnd), leastShare), g.SlowTo
			}
			sp.Peers = append(sp.Peers, p)
		}
	}
	sp.size(seconds)
	return sp, nil
}

// rates are those of the links, in bits a second.
func (sp *spec) rates() (rates []float64) {
	for _, p := range sp.Peers {
		rates = append(rates, p.mbit*1e6)
	}
	return rates
}

// leastShare is a fault at the very beginning: 0 means that there is none.
const leastShare = 1e-6

func between(r simnet.Range, rnd *rand.Rand) float64 { return r.Low + (r.High-r.Low)*rnd.Float64() }

// size makes the chain as long as the peers bring in so many seconds.
func (sp *spec) size(seconds float64) {
	sum := 0.0
	for _, p := range sp.Peers {
		sum += p.mbit * 1e6 / 8 * netShare
	}
	sp.Blocks = max(uint64(seconds*sum/(sp.Sizes.mean()+hashItem)), 1)
}

// hashItem is what a hash weighs in a message, and so the least that a block costs
// besides itself in each direction.
const hashItem = 33

// alike returns a network of n equal peers, without faults.
func alike(name string, n int, mbit, rtt float64, z sizes) *spec {
	sp := &spec{Name: name, Sizes: z}
	for range n {
		sp.Peers = append(sp.Peers, peer{mbit: mbit, rtt: rtt})
	}
	return sp
}

// simulated returns the scenario for the simulator, with the links as they were
// calibrated, in bytes a second, and blocks that weigh as much as the real ones.
func (sp *spec) simulated(goodput []float64) *simnet.Scenario {
	low, high := sp.Sizes.bounds()
	s := &simnet.Scenario{
		Name: sp.Name, About: "drawn by the lab", Blocks: int(sp.Blocks), Walk: hashesAtOnce,
		Bytes: simnet.Range{Low: low, High: high},
	}
	same := func(x float64) simnet.Range { return simnet.Range{Low: x, High: x} }
	for i, p := range sp.Peers {
		g := simnet.Group{
			Count: 1, Mbit: same(goodput[i] * 8 / 1e6), RTT: same(p.rtt), Items: p.items, Think: same(p.think),
		}
		if p.stall > 0 {
			r := same(p.stall)
			g.Stall = &r
		}
		if p.slow > 0 {
			r := same(p.slow)
			g.Slow, g.SlowTo = &r, p.to
		}
		s.Peers = append(s.Peers, g)
	}
	return s
}

// hashesAtOnce is the most hashes that a server of ours sends at once.
const hashesAtOnce = 8192
