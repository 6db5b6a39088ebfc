package pool

import (
	"math"
	"slices"
	"time"
)

// Request is what a peer is to be asked for, in this order, in one message.
type Request[P, K comparable] struct {
	Peer P
	ID   uint64 // unique; given back in Deliver
	Keys []K    // owned by the pool, not to be changed, valid until the request is answered
}

// Reserve hands out work: it fills the pipes of all peers that have room and
// returns the requests to send, to each peer in the order of the slice. Call it
// after anything has changed and when NextDeadline has come.
func (p *Pool[P, K]) Reserve(now time.Time) []Request[P, K] {
	p.reserved = now
	candidates := p.candidates(now)
	out := p.handOut(now, p.hungry(now, candidates))
	p.settle(candidates)
	return out
}

// handOut fills the pipes of the peers that can take work.
func (p *Pool[P, K]) handOut(now time.Time, idle []*peer[P, K]) (out []Request[P, K]) {
	if len(idle) == 0 {
		return nil
	}
	if p.bytesHeld >= p.cfg.heldBytes() {
		mark(idle, WhyChecking)
		return nil
	}
	if p.nWanted > 0 {
		t := p.tail(now)
		for _, pr := range idle {
			for p.nWanted > 0 && p.hasRoom(pr) {
				r, ok := p.lease(now, pr, t)
				if !ok {
					break
				}
				out = append(out, r)
			}
		}
		if p.nWanted > 0 && len(out) == 0 && t.near && p.lookedAtAll {
			// Everybody was told to leave the little that is left to faster
			// peers. Whoever would really bring it first takes it.
			if pr := p.earliest(now, idle); pr != nil {
				t.near = false
				t.keys = 1
				if r, ok := p.lease(now, pr, t); ok {
					out = append(out, r)
				}
			}
		}
	}
	if p.nWanted == 0 {
		mark(idle, WhyNothingWanted)
		out = p.hedge(now, idle, out)
	}
	return out
}

func mark[P, K comparable](peers []*peer[P, K], why Why) {
	for _, pr := range peers {
		pr.limit = why
	}
}

// hasRoom reports whether a peer's pipe has room for a request.
func (p *Pool[P, K]) hasRoom(pr *peer[P, K]) bool {
	if pr.open == 0 {
		return true
	}
	if pr.rate == 0 && pr.open == 1 && !pr.single && !pr.late {
		return true
	}
	if pr.single || pr.late || pr.rate == 0 {
		pr.limit = WhyTransferring
		return false
	}
	room := pr.room(&p.cfg) - pr.booked
	_, size := pr.requestSize(&p.cfg)
	if room <= 0 || room < size/2 {
		pr.limit = WhyTransferring
		return false
	}
	return true
}

// tail is the outlook on the end of the download.
type tail struct {
	near   bool          // so little is left that who gets it matters
	finish time.Duration // when all would be done if it were shared ideally
	median BytesPerSec
	keys   int // bound on the keys of the next request, 0 for none
}

// tailHorizon is how far before the end the last work is dealt out with care.
// Farther out there is time to correct any choice.
const tailHorizon = 5 * time.Second

func (p *Pool[P, K]) tail(now time.Time) (t tail) {
	o := p.rates(now)
	if o.sum == 0 {
		return t
	}
	t.median = o.median
	left := int64(float64(p.nWanted)*p.meanSize) + p.bytesInFlight
	t.finish = o.sum.duration(left)
	t.near = t.finish < tailHorizon
	return t
}

// allowance is how many bytes more a peer may be booked for, given the tail.
func (pr *peer[P, K]) allowance(now time.Time, t tail) int64 {
	if !t.near {
		return math.MaxInt64
	}
	rate := pr.rate
	if rate == 0 {
		rate = t.median * optimism
	}
	bound := time.Duration(tailSlack*float64(t.finish)) + 2*pr.rtt
	return rate.bytes(bound - pr.finishOf(now, 0, rate).Sub(now))
}

// lease makes one request for a peer.
func (p *Pool[P, K]) lease(now time.Time, pr *peer[P, K], t tail) (Request[P, K], bool) {
	if pr.late {
		pr.nextProbe = now.Add(probeInterval)
	}
	if pr.blockedSeq == p.wantedSeq {
		pr.limit = WhyLacking
		return Request[P, K]{}, false
	}
	if p.bytesInFlight >= p.cfg.totalBytes() && pr.open > 0 {
		pr.limit = WhyBudget
		return Request[P, K]{}, false
	}
	maxKeys, maxBytes := pr.requestSize(&p.cfg)
	if pr.rate == 0 && t.median > 0 {
		// Where everybody is slow, a few keys are seconds of work.
		maxBytes = (t.median * optimism).bytes(pipeTime)
	}
	if t.keys > 0 {
		maxKeys = min(maxKeys, t.keys)
	}
	if pr.late {
		maxKeys = 1
	} else if allowed := pr.allowance(now, t); allowed < maxBytes {
		if allowed < int64(p.meanSize) {
			pr.limit = WhyTail
			return Request[P, K]{}, false
		}
		maxBytes = allowed
	}
	var (
		keys    []K
		slots   []uint32
		skipped []uint32
		bytes   int64
	)
	for len(keys) < maxKeys {
		i, ok := p.popReady()
		if !ok {
			break
		}
		e := &p.entries[i]
		if pr.isLacking(e.key, now) {
			skipped = append(skipped, i)
			continue
		}
		size := p.sizeOf(e)
		if len(keys) > 0 && bytes+size > maxBytes {
			p.pushReady(i)
			break
		}
		keys = append(keys, e.key)
		slots = append(slots, i)
		bytes += size
	}
	for _, i := range skipped {
		p.pushReady(i)
	}
	if len(keys) == 0 {
		pr.blockedSeq = p.wantedSeq
		pr.limit = WhyLacking
		return Request[P, K]{}, false
	}
	r := p.open(now, pr, keys, bytes)
	for _, i := range slots {
		e := &p.entries[i]
		e.state = inFlight
		e.holders[0] = r
		p.nWanted--
		p.nInFlight++
	}
	return Request[P, K]{Peer: pr.name, ID: r.id, Keys: keys}, true
}

// open books a request for a peer and sets its deadline.
func (p *Pool[P, K]) open(now time.Time, pr *peer[P, K], keys []K, bytes int64) *request[P, K] {
	p.nextID++
	r := &request[P, K]{id: p.nextID, peer: pr, keys: keys, bytes: bytes, sent: now}
	if pr.rate > 0 && !pr.late {
		r.finish = pr.finishOf(now, bytes, 0)
		wait := time.Duration(deadlineFactor*float64(r.finish.Sub(now))) + 4*pr.dev
		r.deadline = now.Add(p.stretch(max(p.cfg.minDeadline(), wait)))
	} else {
		r.finish = now.Add(firstDeadline / 2)
		r.deadline = now.Add(p.stretch(max(p.cfg.minDeadline(), firstDeadline)))
	}
	if n := len(pr.queue); n > 0 {
		// Answers come in order: nobody is late before the one ahead of it.
		if last := pr.queue[n-1]; !last.late && r.deadline.Before(last.deadline) {
			r.deadline = last.deadline
		}
	}
	pr.queue = append(pr.queue, r)
	pr.open++
	pr.booked += bytes
	pr.keys += len(keys)
	pr.limit = WhyTransferring
	pr.stats.Requests++
	p.bytesInFlight += bytes
	p.stats.Requests++
	p.stats.Asked += uint64(len(keys))
	p.watch(r)
	return r
}

func (p *Pool[P, K]) stretch(d time.Duration) time.Duration {
	return time.Duration(float64(d) * p.linkFactor)
}

// earliest returns the peer that would bring one more key first, if that is
// one of the idle ones and not a busy one that is about to be free.
func (p *Pool[P, K]) earliest(now time.Time, idle []*peer[P, K]) *peer[P, K] {
	median := p.rates(now).median
	size := int64(p.meanSize)
	var best *peer[P, K]
	var at time.Time
	for _, pr := range p.order {
		if pr.late || pr.blockedSeq == p.wantedSeq || now.Before(pr.restUntil) {
			continue
		}
		if f := pr.finishOf(now, size, median*optimism); best == nil || f.Before(at) {
			best, at = pr, f
		}
	}
	if best != nil && slices.Contains(idle, best) {
		return best
	}
	return nil
}

// hedgeDue reports whether the time has come to look at the tail again.
func (p *Pool[P, K]) hedgeDue(now time.Time) bool {
	return p.nWanted == 0 && p.nInFlight > 0 && p.cfg.duplicates() > 0 && !now.Before(p.nextHedge)
}

// hedge moves the last keys: while nothing is left to hand out, an idle peer is
// asked for what another will bring clearly later. Only here is anything asked
// of two peers at once, within the budget.
func (p *Pool[P, K]) hedge(now time.Time, idle []*peer[P, K], out []Request[P, K]) []Request[P, K] {
	if !p.hedgeDue(now) {
		return out
	}
	p.nextHedge = now.Add(hedgeInterval)
	busy := p.busy(now)
	for _, pr := range idle {
		if pr.late || pr.open > 0 || pr.rate == 0 {
			continue
		}
		var keys []K
		var bytes int64
		for len(busy) > 0 {
			var more bool
			keys, bytes, more = p.movable(now, pr, busy[0].peer, busy[0].finish)
			if len(keys) > 0 || more {
				break
			}
			busy = busy[1:] // all of its keys are asked of somebody else too
		}
		if len(keys) == 0 {
			continue
		}
		r := p.open(now, pr, keys, bytes)
		for _, k := range keys {
			p.entries[p.index[k]].holders[1] = r
		}
		p.tokens -= float64(bytes)
		p.stats.Hedged += uint64(len(keys))
		out = append(out, Request[P, K]{Peer: pr.name, ID: r.id, Keys: keys})
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
		finish := pr.finishOf(now, 0, median)
		if pr.late {
			finish = pr.head().deadline // nothing speaks for less
		}
		list = append(list, booking[P, K]{pr, finish})
	}
	slices.SortStableFunc(list, func(a, b booking[P, K]) int { return b.finish.Compare(a.finish) })
	return list
}

// movable picks, from the end of a slow peer's queue, keys that to would bring
// clearly sooner. It reports whether there are more that somebody could take over.
func (p *Pool[P, K]) movable(now time.Time, to, from *peer[P, K], finish time.Time) (keys []K, bytes int64, more bool) {
	maxKeys, maxBytes := to.requestSize(&p.cfg)
	maxBytes = min(maxBytes, int64(p.tokens))
	maxKeys = min(maxKeys, (from.keys+1)/2)
	left := finish.Sub(now)
	for q := len(from.queue) - 1; q >= 0; q-- {
		r := from.queue[q]
		for k := len(r.keys) - 1; k >= 0; k-- {
			i, ok := p.index[r.keys[k]]
			if !ok {
				continue
			}
			e := &p.entries[i]
			if e.state != inFlight || e.holders[1] != nil || e.holders[0] != r {
				continue
			}
			if to.isLacking(e.key, now) {
				more = true
				continue
			}
			size := p.sizeOf(e)
			sooner := to.finishOf(now, bytes+size, 0).Sub(now)
			if len(keys) == maxKeys || bytes+size > maxBytes ||
				float64(sooner) > hedgeGain*float64(left) || left-sooner < hedgeMin {
				return keys, bytes, true
			}
			keys = append(keys, e.key)
			bytes += size
		}
	}
	return keys, bytes, more
}
