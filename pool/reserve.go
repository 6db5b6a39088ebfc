package pool

import (
	"math"
	"slices"
	"time"
)

// Request is what a peer is to be asked for, in this order, in one message.
type Request[P, K comparable] struct {
	Peer  P
	ID    uint64 // unique; given back in Deliver
	Class Class  // of all keys
	Keys  []K    // owned by the pool, not to be changed, valid until the request is answered
}

func (r *request[P, K]) request() Request[P, K] {
	return Request[P, K]{Peer: r.peer.name, ID: r.id, Class: r.class, Keys: r.keys}
}

// Reserve hands out work: it fills the pipes of all peers that have room and
// returns the requests to send, to each peer in the order of the slice. Call it
// after anything has changed and when NextDeadline has come.
func (p *Pool[P, K]) Reserve(now time.Time) []Request[P, K] {
	p.reserved = now
	p.budget = min(max(p.pace(now), leastBudget), p.cfg.totalBytes())
	candidates := p.candidates(now)
	out := p.handOut(now, p.hungry(now, candidates))
	p.settle(candidates)
	return out
}

// pace is how much may be in flight and wait by what peers bring in a moment: nothing of
// that if it is not they who are waited for.
func (p *Pool[P, K]) pace(now time.Time) int64 {
	if !p.arrived.IsZero() && now.Sub(p.arrived) > busyLag {
		p.crowded = now.Add(crowdedTime)
	}
	p.arrived = time.Time{}
	if now.Before(p.crowded) {
		return 0
	}
	return p.flow.rate(now).bytes(pipeTime + holdTime)
}

// handOut fills the pipes of the peers that can take work.
func (p *Pool[P, K]) handOut(now time.Time, idle []*peer[P, K]) (out []Request[P, K]) {
	if len(idle) == 0 {
		return nil
	}
	if p.bytesHeld >= p.cfg.heldBytes() || p.waiting() >= p.budget {
		mark(idle, WhyChecking)
		return nil
	}
	if p.wanted() == 0 {
		mark(idle, WhyNothingWanted)
		return p.hedge(now, idle, nil)
	}
	t := p.tail(now)
	for _, pr := range idle {
		for p.hasRoom(pr) {
			r, ok := p.lease(now, pr, t)
			if !ok {
				break
			}
			out = append(out, r)
		}
	}
	if len(out) == 0 && t.near && p.lookedAtAll {
		// Everybody was told to leave the little that is left to faster
		// peers. Whoever would really bring it first takes it.
		t.near, t.keys = false, 1
		for _, b := range p.soonest(now) {
			if !p.hasRoom(b.peer) {
				break // it brings it sooner than anybody else, also if it has to wait
			}
			r, ok := p.lease(now, b.peer, t)
			if ok {
				out = append(out, r)
			}
			if ok || b.peer.limit != WhyLacking {
				break
			}
		}
	}
	return p.hedge(now, idle, out)
}

// memory is what everything in flight and held takes, or may when it comes.
func (p *Pool[P, K]) memory() int64 {
	return p.bytesInFlight + p.bytesHeld + keyBytes*int64(len(p.flights)-len(p.landed))
}

// waiting is how much of it is held. A peer may always have one request in flight, so that
// memory alone would bound nothing while nothing is stored.
func (p *Pool[P, K]) waiting() int64 {
	n := 0
	for c := range p.classes {
		n += p.classes[c].stats.Held
	}
	return p.bytesHeld + keyBytes*int64(n)
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
		pr.limit = p.busyWhy()
		return false
	}
	if room := pr.room(&p.cfg) - pr.booked; room <= 0 || room < pr.requestBytes(&p.cfg)/2 {
		pr.limit = p.busyWhy()
		return false
	}
	return true
}

// choose picks the class of the next request for a peer: of those that it serves, the
// one in which something has the lowest rank. If there is none, it says why.
func (p *Pool[P, K]) choose(now time.Time, pr *peer[P, K]) (best Class, why Why) {
	why = WhyNothingWanted
	var lowest int64
	for n := range p.classes {
		c, s := &p.classes[n], &pr.services[n]
		if !s.offered || c.stats.Wanted == 0 {
			continue
		}
		if s.blocked == c.added || now.Before(s.restUntil) {
			if why == WhyNothingWanted {
				why = WhyLacking
			}
			continue
		}
		if rank := p.keys.slot(p.peekReady(c)).order; why != WhyUnknown || rank < lowest {
			best, why, lowest = Class(n), WhyUnknown, rank
		}
	}
	return best, why
}

// tail is the outlook on the end of the download.
type tail struct {
	near   bool          // so little is left that who gets it matters
	finish time.Duration // when all would be done if it were shared ideally
	median BytesPerSec
	trips  time.Duration // mean round trip
	keys   int           // bound on the keys of the next request, 0 for none
}

// tailHorizon is how far before the end the last work is dealt out with care.
// Farther out there is time to correct any choice.
const tailHorizon = 5 * time.Second

func (p *Pool[P, K]) tail(now time.Time) (t tail) {
	o := p.rates(now)
	if o.sum == 0 {
		return t
	}
	t.median, t.trips = o.median, o.trips
	// All peers do all that is left, and those of each class what is left of it.
	var all int64
	for n := range p.classes {
		c := &p.classes[n]
		left := int64(float64(c.stats.Wanted+c.expected)*c.meanSize) + c.booked
		all += left
		if o.sums[n] > 0 {
			t.finish = max(t.finish, o.sums[n].duration(left))
		}
	}
	t.finish = max(t.finish, o.sum.duration(all))
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
	bound := time.Duration(tailSlack*float64(t.finish)) + t.trips
	return rate.bytes(bound - pr.finishOf(now, 0, rate).Sub(now))
}

// lease makes one request for a peer.
func (p *Pool[P, K]) lease(now time.Time, pr *peer[P, K], t tail) (Request[P, K], bool) {
	if pr.late {
		pr.nextProbe = now.Add(probeInterval)
	}
	for {
		n, why := p.choose(now, pr)
		if why == WhyUnknown {
			why = p.full(pr)
		}
		if why != WhyUnknown {
			pr.limit = why
			return Request[P, K]{}, false
		}
		maxKeys, maxBytes, ok := p.bounds(now, pr, n, t)
		if !ok {
			pr.limit = WhyTail
			return Request[P, K]{}, false
		}
		if r, ok := p.fill(now, pr, n, maxKeys, maxBytes); ok {
			return r, true
		}
		// It lacks all that is wanted of this class, perhaps not of another.
		pr.services[n].blocked = p.classes[n].added
	}
}

// bounds returns how much of a class a peer may be asked for now; it reports false if
// that is nothing, because others bring it sooner.
func (p *Pool[P, K]) bounds(now time.Time, pr *peer[P, K], class Class, t tail) (keys int, bytes int64, ok bool) {
	keys, bytes = pr.requestSize(&p.cfg, class)
	if pr.rate == 0 && t.median > 0 {
		// Where everybody is slow, a few keys are seconds of work.
		bytes = (t.median * optimism).bytes(pipeTime)
	}
	if t.keys > 0 {
		keys = min(keys, t.keys)
	}
	if pr.late {
		return 1, bytes, true
	}
	bytes = min(bytes, p.capRoom())
	if allowed := pr.allowance(now, t); allowed < bytes {
		return keys, allowed, allowed >= int64(p.classes[class].meanSize)
	}
	return keys, bytes, true
}

// fill makes a request of what a class has in front and the peer does not lack.
func (p *Pool[P, K]) fill(now time.Time, pr *peer[P, K], class Class, maxKeys int, maxBytes int64) (Request[P, K], bool) {
	c := &p.classes[class]
	var (
		room    = int(min(float64(maxKeys), float64(maxBytes)/c.meanSize+1, float64(c.stats.Wanted)))
		keys    = make([]K, 0, room)
		slots   = make([]uint32, 0, room)
		skipped []uint32
		bytes   int64
	)
	for len(keys) < maxKeys {
		i := p.peekReady(c)
		if i == 0 {
			break
		}
		key := p.keys.slot(i).key
		if pr.isLacking(key, now) {
			skipped = append(skipped, c.ready.pop())
			continue
		}
		size := p.sizeOf(p.keys.slot(i))
		if len(keys) > 0 && bytes+size > maxBytes {
			break
		}
		keys = append(keys, key)
		slots = append(slots, c.ready.pop())
		bytes += size
	}
	for _, i := range skipped {
		c.ready.push(i)
	}
	if len(keys) == 0 {
		return Request[P, K]{}, false
	}
	r := p.open(now, pr, class, keys, slots, bytes)
	for _, i := range slots {
		p.takeOff(i).holders[0] = r
		p.keys.slot(i).state = inFlight
	}
	c.stats.InFlight += len(keys)
	return r.request(), true
}

// open books a request for a peer and sets its deadline.
func (p *Pool[P, K]) open(now time.Time, pr *peer[P, K], class Class, keys []K, slots []uint32, weight int64) *request[P, K] {
	p.nextID++
	bytes := int64(float64(weight) * pr.services[class].share())
	r := &request[P, K]{id: p.nextID, peer: pr, class: class, keys: keys, slots: slots, weight: weight, bytes: bytes, rate: pr.rate, sent: now}
	if pr.rate > 0 && !pr.late {
		r.finish = pr.finishOf(now, weight, 0)
		wait := time.Duration(deadlineFactor*float64(r.finish.Sub(now))) + 4*pr.dev
		r.deadline = now.Add(p.stretch(max(p.cfg.minDeadline(), wait, p.capWait(bytes))))
	} else {
		r.finish = now.Add(firstDeadline / 2)
		r.deadline = now.Add(p.stretch(max(p.cfg.minDeadline(), firstDeadline, p.capWait(bytes))))
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
	pr.weight += weight
	pr.keys += len(keys)
	pr.stats.Requests++
	p.bytesInFlight += bytes
	pr.limit = p.busyWhy()
	p.classes[class].booked += weight
	p.stats.Requests++
	p.stats.Asked += uint64(len(keys))
	p.watch(r)
	return r
}

// unbook takes back what open has booked for the pool.
func (p *Pool[P, K]) unbook(r *request[P, K]) {
	p.bytesInFlight -= r.bytes
	p.classes[r.class].booked -= r.weight
}

func (p *Pool[P, K]) stretch(d time.Duration) time.Duration {
	return time.Duration(float64(d) * p.linkFactor)
}

// soonest lists the peers that may have something of what is wanted, the one that would
// bring one more key first before the others.
func (p *Pool[P, K]) soonest(now time.Time) (list []booking[P, K]) {
	median := p.rates(now).median
	for _, pr := range p.order {
		class, why := p.choose(now, pr)
		if pr.late || why != WhyUnknown {
			continue
		}
		list = append(list, booking[P, K]{pr, pr.finishOf(now, int64(p.classes[class].meanSize), median*optimism)})
	}
	slices.SortStableFunc(list, func(a, b booking[P, K]) int { return a.finish.Compare(b.finish) })
	return list
}
