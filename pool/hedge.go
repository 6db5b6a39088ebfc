package pool

import (
	"slices"
	"time"
)

// canHedge reports whether the tail of a class has come.
func (p *Pool[P, K]) canHedge() bool {
	if p.cfg.duplicates() == 0 {
		return false
	}
	for c := range p.classes {
		if p.classes[c].inTail() {
			return true
		}
	}
	return false
}

// hedgeDue reports whether the time has come to look at the tail again.
func (p *Pool[P, K]) hedgeDue(now time.Time) bool {
	return p.canHedge() && !now.Before(p.nextHedge)
}

// hedgeLooks is how many busy peers an idle one is compared with, if it lacks what the
// first of them are asked for. With ten thousand idle and as many busy ones, comparing
// all would take seconds.
const hedgeLooks = 16

// hedge moves the last keys: a peer for which nothing is left to hand out is asked for
// what another will bring clearly later. Only here is anything asked of two peers at
// once, within the budget.
func (p *Pool[P, K]) hedge(now time.Time, idle []*peer[P, K], out []Request[P, K]) []Request[P, K] {
	if !p.hedgeDue(now) {
		return out
	}
	p.nextHedge = now.Add(hedgeInterval)
	busy := p.busy(now)
	for _, pr := range idle {
		if pr.late || pr.open > 0 || pr.rate == 0 || pr.limit != WhyNothingWanted {
			continue
		}
		for n := 0; n < min(len(busy), hedgeLooks); {
			m := p.movable(now, pr, busy[n].peer, busy[n].finish)
			if len(m.keys) > 0 {
				out = append(out, p.move(now, pr, m))
				break
			}
			if m.all {
				busy = slices.Delete(busy, n, n+1)
				continue
			}
			if !m.unfit {
				break // others will be done even sooner
			}
			n++
		}
	}
	return out
}

// booking is a peer with open requests, and when it will have answered them.
type booking[P, K comparable] struct {
	peer   *peer[P, K]
	finish time.Time
}

// busy lists the peers that have work, the one that will be done last first.
func (p *Pool[P, K]) busy(now time.Time) (list []booking[P, K]) {
	median := p.rates(now).median
	for _, pr := range p.order {
		if pr.open == 0 {
			continue
		}
		finish := pr.finishOf(now, pr.booked-pr.weight, median) // for what it may not have it takes no time
		if pr.late {
			finish = now.Add(probeInterval) // nothing speaks for its probe
		}
		list = append(list, booking[P, K]{pr, finish})
	}
	slices.SortStableFunc(list, func(a, b booking[P, K]) int { return b.finish.Compare(a.finish) })
	return list
}

// moving is what one peer could take over from another.
type moving[K comparable] struct {
	class Class
	keys  []K
	slots []uint32
	bytes int64
	all   bool // what the other has is asked of somebody else too
	unfit bool // there is more, which the peer does not have or serve
}

// movable picks, from the end of a slow peer's queue, keys that to would bring
// clearly sooner. What comes about when it was expected stays: a pipe that is full is no
// fault.
func (p *Pool[P, K]) movable(now time.Time, to, from *peer[P, K], finish time.Time) (m moving[K]) {
	left := finish.Sub(now)
	for _, r := range slices.Backward(from.queue) {
		due := min(r.finish.Sub(now), pipeTime)
		if !to.services[r.class].offered || p.classes[r.class].expected > 0 || len(m.keys) > 0 && r.class != m.class {
			m.unfit = true
			continue
		}
		maxKeys, maxBytes := to.requestSize(&p.cfg, r.class)
		maxKeys = min(maxKeys, (from.keys+1)/2)
		for k, key := range slices.Backward(r.keys) {
			i := p.slotOf(r, k)
			if i == 0 || p.keys.slot(i).state != inFlight {
				continue
			}
			if f := &p.flights[p.keys.slot(i).order]; f.last || f.holders[1] != nil || f.holders[0] != r {
				continue
			}
			if to.isLacking(key, now) {
				m.unfit = true
				continue
			}
			size := p.sizeOf(p.keys.slot(i))
			sooner := max(to.finishOf(now, m.bytes+size, 0).Sub(now), p.capTime(m.bytes+size))
			if len(m.keys) == maxKeys || m.bytes+size > int64(p.tokens) || len(m.keys) > 0 && m.bytes+size > maxBytes ||
				float64(sooner) > hedgeGain*float64(left) || left-max(sooner, due) < hedgeMin {
				m.unfit = false
				return m
			}
			m.class = r.class
			m.keys = append(m.keys, key)
			m.slots = append(m.slots, i)
			m.bytes += size
		}
	}
	m.all = !m.unfit
	return m
}

// move asks a peer for what another is asked for too.
func (p *Pool[P, K]) move(now time.Time, to *peer[P, K], m moving[K]) Request[P, K] {
	r := p.open(now, to, m.class, m.keys, m.slots, m.bytes)
	for _, i := range m.slots {
		p.flights[p.keys.slot(i).order].holders[1] = r
	}
	p.tokens -= float64(m.bytes)
	p.stats.Hedged += uint64(len(m.keys))
	return r.request()
}
