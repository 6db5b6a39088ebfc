package pool

import (
	"slices"
	"time"
)

// Item is content that has arrived, or the word of a peer that it does not have it.
type Item[K comparable] struct {
	Key    K
	Size   int // bytes; 0 if Absent
	Absent bool
}

// Verdict is what the pool makes of an item.
type Verdict uint8

const (
	// Useful: the item was wanted and is now held; check it, then call Done
	// or Reject.
	Useful Verdict = iota
	// Duplicate: it was asked of this peer, but has arrived already.
	Duplicate
	// Unrequested: this peer was never asked for it, and nobody wants it.
	Unrequested
	// Lacking: the item is absent.
	Lacking
)

// Deliver takes what a peer has sent, and when that had arrived. The id is that of
// the request that the content answers, or 0 if it answers none. If closed, nothing
// more will come for that request, and what is missing of it is wanted again at once.
// The result has a verdict for each item.
//
// A short answer is not a lie. A peer is taken to lack a key only if its answer
// is empty, or says that the key is absent, or passes over it and has a later one.
func (p *Pool[P, K]) Deliver(now time.Time, name P, id uint64, items []Item[K], closed bool) []Verdict {
	if p.arrived.IsZero() {
		p.arrived = now
	}
	pr := p.peers[name]
	var r *request[P, K]
	if pr != nil {
		r = pr.find(id)
	}
	verdicts, a := p.take(pr, r, items)
	if r == nil {
		p.flow.add(now, a.useful)
		return verdicts
	}
	r.got += a.bytes
	if a.useful > 0 {
		p.tokens += float64(a.useful) * p.cfg.duplicates()
		p.flow.add(now, a.useful)
		p.linkFactor = max(1, p.linkFactor*linkDecay)
	}
	if closed {
		p.conclude(now, r, a)
	}
	return verdicts
}

// answer sums up the items that came at once, and what they say of a request.
type answer struct {
	useful   int64 // bytes
	bytes    int64 // of all of them
	last     int   // position in the request of the last item, -1 if none is of it
	answered int   // items of the request
	had      int   // of them, those that are not absent
}

// take takes items one after the other. There may be no request that they answer, and
// the peer may have left.
func (p *Pool[P, K]) take(pr *peer[P, K], r *request[P, K], items []Item[K]) ([]Verdict, answer) {
	verdicts := make([]Verdict, len(items))
	a := answer{last: -1}
	pos := 0 // where in r the next item is expected
	for n, it := range items {
		a.bytes += int64(it.Size)
		asked := -1
		if r != nil {
			asked = r.position(it.Key, pos)
		}
		if asked >= 0 {
			pos = asked + 1
			a.last = max(a.last, asked)
			a.answered++
		}
		if it.Absent {
			verdicts[n] = Lacking
			continue
		}
		var i uint32
		if asked >= 0 {
			a.had++
			i = p.slotOf(r, asked)
		} else {
			i = p.keys.find(it.Key)
		}
		verdicts[n] = p.accept(pr, it, i, asked >= 0)
		if verdicts[n] == Useful {
			a.useful += int64(it.Size)
		}
		p.count(pr, it, verdicts[n])
	}
	return verdicts, a
}

// conclude ends a request with the last that came for it. From the whole of its answer the
// peer's rate and limits are learnt and what it lacks, and what is missing is wanted again.
func (p *Pool[P, K]) conclude(now time.Time, r *request[P, K], a answer) {
	pr := r.peer
	if r.got > 0 {
		pr.measure(now, r, r.got)
	} else {
		pr.answered = now
	}
	s := &pr.services[r.class]
	if !pr.single {
		s.learnCap(r.id, len(r.keys), a.answered, a.last, a.bytes)
	}
	shown := a.last + 1 // keys that it has or lacks
	if a.answered == 0 {
		shown = len(r.keys)
	}
	s.learnYield(a.had, shown-a.had)
	pr.arriving = 0
	p.closeRequest(pr, r)
	p.lookAt(pr)
	for k, key := range r.keys {
		i := p.slotOf(r, k)
		if i == 0 {
			continue
		}
		missing := p.drop(i, r) || (r.late && p.keys.slot(i).state != held)
		if missing && (a.answered == 0 || k <= a.last) {
			pr.lack(key, now)
		}
	}
	if r.got > 0 {
		pr.late, pr.lateCount, s.empty, s.luck = false, 0, 0, 0
	} else {
		s.miss(len(r.keys))
		if over := s.empty - restAfter; over >= 0 && s.luck < unlikely || pr.rate == 0 {
			s.restUntil = now.Add(min(restMin<<min(max(over, 0), 10), restMax))
		}
	}
}

// accept makes an item's key held if it is wanted. The slot is that of the key, 0 if it
// is not known.
func (p *Pool[P, K]) accept(pr *peer[P, K], it Item[K], i uint32, asked bool) Verdict {
	switch {
	case i == 0 && !asked && (pr == nil || !pr.asked(it.Key)):
		return Unrequested
	case i == 0 || p.keys.slot(i).state == held:
		return Duplicate
	}
	var f *flight[P, K]
	if s := p.keys.slot(i); s.state == wanted {
		// Nobody is asked for it, or not any more. Its slot stays in the heap
		// until its turn comes, so the key gets another one.
		known := *s
		p.forget(i)
		i = p.keys.add(it.Key)
		s = p.keys.slot(i)
		s.order, s.size, s.class = known.order, known.size, known.class
		f = p.takeOff(i)
	} else {
		p.leaveState(s)
		f = &p.flights[s.order]
	}
	s := p.keys.slot(i)
	s.state = held
	f.size = int64(it.Size)
	for n, r := range f.holders {
		if r != nil && r.peer == pr {
			f.holders[n] = nil
		}
	}
	c := &p.classes[s.class]
	c.stats.Held++
	p.bytesHeld += f.size
	c.learn(it.Size)
	return Useful
}

func (p *Pool[P, K]) count(pr *peer[P, K], it Item[K], v Verdict) {
	add := func(n, bytes *uint64) { *n++; *bytes += uint64(it.Size) }
	switch v {
	case Useful:
		add(&p.stats.Useful, &p.stats.UsefulBytes)
		if pr != nil {
			add(&pr.stats.Useful, &pr.stats.UsefulBytes)
		}
	case Duplicate:
		add(&p.stats.Duplicates, &p.stats.DuplicateBytes)
		if pr != nil {
			add(&pr.stats.Duplicates, &pr.stats.DuplicateBytes)
		}
	case Unrequested:
		add(&p.stats.Unrequested, &p.stats.UnrequestedBytes)
		if pr != nil {
			add(&pr.stats.Unrequested, &pr.stats.UnrequestedBytes)
		}
	}
}

// find returns the open request of the given id.
func (pr *peer[P, K]) find(id uint64) *request[P, K] {
	for _, r := range pr.queue {
		if r.id == id {
			return r
		}
	}
	return nil
}

// asked reports whether a key is in any open request of the peer.
func (pr *peer[P, K]) asked(key K) bool {
	for _, r := range pr.queue {
		if r.position(key, 0) >= 0 {
			return true
		}
	}
	return false
}

// position finds a key in the request, looking first where it is expected.
func (r *request[P, K]) position(key K, expected int) int {
	for i := expected; i < len(r.keys); i++ {
		if r.keys[i] == key {
			return i
		}
	}
	for i := 0; i < min(expected, len(r.keys)); i++ {
		if r.keys[i] == key {
			return i
		}
	}
	return -1
}

// learnCap reads a server's limit from an answer that is the beginning of what
// was asked: unlike a peer that lacks blocks, one with a limit stops.
func (s *service) learnCap(id uint64, asked, answered, last int, bytes int64) {
	switch {
	case answered == 0 || last+1 != answered:
		return
	case answered < asked && s.yield > 0 && s.chance(asked-answered) > unlikely:
		// It may just have none of the others.
	case answered == asked:
		// At its limit and still whole: try a little more next time, for
		// the limit may have been another.
		if s.capKeys == answered && id%16 == 0 {
			s.capKeys++
		}
		if s.capBytes > 0 && bytes >= s.capBytes {
			s.capBytes += s.capBytes / 16
		}
	case bytes >= byteCapHint:
		s.capBytes = bytes
	default:
		s.capKeys = answered
	}
}

// closeRequest takes a request out of its peer's queue.
func (p *Pool[P, K]) closeRequest(pr *peer[P, K], r *request[P, K]) {
	r.closed = true
	// Answers come in order: what was given up before this request will not
	// be answered any more.
	at := slices.Index(pr.queue, r)
	ahead := slices.DeleteFunc(pr.queue[:at], func(x *request[P, K]) bool { return x.late })
	if len(ahead) == 0 {
		pr.queue[at] = nil
		pr.queue = pr.queue[at+1:]
	} else {
		pr.queue = append(ahead, pr.queue[at+1:]...)
	}
	if !r.late {
		pr.open--
		pr.booked -= r.bytes
		pr.weight -= r.weight
		pr.keys -= len(r.keys)
		p.unbook(r)
	}
}
