package pool

import (
	"math"
	"time"
)

// peer is what the pool knows of one peer: its open requests and what has been
// measured.
type peer[P, K comparable] struct {
	name   P
	seq    uint64           // order of joining
	queue  []*request[P, K] // open requests, oldest first; answers come in this order
	booked int64            // bytes expected from them
	weight int64            // what all their keys weigh, also those that it may not have
	keys   int              // keys in them
	open   int              // how many of them are not given up as late

	arriving int64 // bytes that are known to have come of the answer that is next

	rate     BytesPerSec   // moving average, 0 until measured
	rtt      time.Duration // least time from request to answer beyond the transfer, 0 if not known
	dev      time.Duration // mean deviation of answers from their expected time
	fastest  BytesPerSec   // the highest that rate has been
	growth   int64         // slow start: most bytes in flight, grows with each answer
	answered time.Time     // when the last answer came

	firstTook  time.Duration // the first answer's, and what it weighed: with a rate, they
	firstBytes int64         // give the round trip. 0: it was not alone in the pipe

	samples     int // taken so far
	sampleBytes int64
	sampleTime  time.Duration // what the next sample is gathered over

	services [MaxClasses]service
	single   bool // one request at a time: its answers do not keep order
	brief    bool // its pipe is short, see Brief

	aside   int64 // bytes that it is asked for besides, see Busy
	asideAt time.Time

	late      bool      // snubbed: no new work but a probe now and then
	lateCount int       // times in a row without a byte
	nextProbe time.Time // when a late peer is tried again

	lacks     map[K]time.Time // what it has shown it lacks, until when that counts
	lackOrder []K             // oldest first

	place   place // in which list of the pool
	left    bool  // the pool
	overdue bool  // while Expire works: among those that are late now

	limit Why // why it got no more work when last looked at
	doing Why // what its time counts as, since then
	since time.Time
	spent [NWhy]time.Duration
	stats PeerStats
}

// Join adds a peer that serves some classes of content: it is never asked for others.
// A peer that is in the pool already is left as it is.
func (p *Pool[P, K]) Join(now time.Time, name P, classes ...Class) {
	if p.peers[name] != nil {
		return
	}
	p.joins++
	pr := &peer[P, K]{name: name, seq: p.joins, since: now}
	for _, c := range classes {
		pr.services[c].offered = true
	}
	pr.unblock()
	p.peers[name] = pr
	p.order = append(p.order, pr)
	p.lookAt(pr)
}

// Leave removes a peer. What it was asked for is wanted again at once.
func (p *Pool[P, K]) Leave(name P) {
	pr := p.peers[name]
	if pr == nil {
		return
	}
	for _, r := range pr.queue {
		p.release(r)
		r.closed = true
		if !r.late {
			p.unbook(r)
		}
	}
	pr.left = true
	delete(p.peers, name)
	for i, x := range p.order {
		if x == pr {
			p.order = append(p.order[:i], p.order[i+1:]...)
			break
		}
	}
}

// Forgive lets every peer try again what it was found not to do: what it lacked is
// asked of it once more, and who rests or was late is asked at once. It is for
// when nothing comes forward although somebody is idle.
func (p *Pool[P, K]) Forgive(now time.Time) {
	for _, pr := range p.order {
		clear(pr.lacks)
		pr.lackOrder = pr.lackOrder[:0]
		pr.nextProbe = now
		for c := range pr.services {
			pr.services[c].restUntil = now
		}
		pr.unblock()
	}
}

// unblock has the pool look again for something that the peer does not lack.
func (pr *peer[P, K]) unblock() {
	for c := range pr.services {
		pr.services[c].blocked = math.MaxUint64
	}
}

// rests reports whether a peer does nothing in any class for now.
func (pr *peer[P, K]) rests(now time.Time) bool {
	for c := range pr.services {
		if s := &pr.services[c]; s.offered && !now.Before(s.restUntil) {
			return false
		}
	}
	return true
}

// Single restricts a peer to one request at a time: for servers whose answers
// do not come in the order of the requests.
func (p *Pool[P, K]) Single(name P) {
	if pr := p.peers[name]; pr != nil {
		pr.single = true
	}
}

// Brief keeps what a peer has in flight to a round trip, or lets its pipe be as long as
// that of others again. It is for somebody who asks the peer one question after the other
// besides: when the next one arrives there, all that was in flight before it has been
// sent, so it need not wait, and the link has not been idle either.
func (p *Pool[P, K]) Brief(name P, brief bool) {
	if pr := p.peers[name]; pr != nil && pr.brief != brief {
		pr.brief = brief
		if brief {
			pr.rtt = 0 // it decides now what is in flight, and is learnt anew; see tripped
		}
		p.lookAt(pr)
	}
}

// Busy says that a peer is asked for so many bytes of something that is not the pool's,
// once at a time. What is in flight may come behind that, and is due as much later.
func (p *Pool[P, K]) Busy(now time.Time, name P, bytes int64) {
	pr := p.peers[name]
	if pr == nil {
		return
	}
	pr.aside, pr.asideAt = bytes, now
	if pr.rate == 0 || pr.late {
		return
	}
	more := min(pr.rate.duration(bytes), busyTime)
	for _, r := range pr.queue {
		if !r.late {
			r.finish, r.deadline = r.finish.Add(more), r.deadline.Add(p.stretch(more))
			p.watch(r)
		}
	}
}

// Free says that a peer has answered what [Pool.Busy] told of, with so many bytes. The time
// that this took is not held against what comes next, and tells the round trip like any other.
func (p *Pool[P, K]) Free(now time.Time, name P, bytes int64) {
	pr := p.peers[name]
	if pr == nil {
		return
	}
	if pr.aside > 0 {
		if pr.samples < tripSamples {
			bytes = 0 // its rate is not known well
		}
		pr.tripped(now.Sub(pr.asideAt), bytes)
		pr.aside = 0
	}
	pr.answered = later(pr.answered, now)
}

// release returns the keys of a request that are still in flight there.
func (p *Pool[P, K]) release(r *request[P, K]) (n int) {
	for k := range r.keys {
		if i := p.slotOf(r, k); i != 0 && p.drop(i, r) {
			n++
		}
	}
	return n
}

// lack notes that the peer does not have a key.
func (pr *peer[P, K]) lack(key K, now time.Time) {
	if pr.lacks == nil {
		pr.lacks = make(map[K]time.Time)
	}
	if _, ok := pr.lacks[key]; !ok {
		pr.lackOrder = append(pr.lackOrder, key)
		if len(pr.lackOrder) > lackKeys {
			delete(pr.lacks, pr.lackOrder[0])
			pr.lackOrder = pr.lackOrder[1:]
		}
	}
	pr.lacks[key] = now.Add(lackTime)
}

func (pr *peer[P, K]) isLacking(key K, now time.Time) bool {
	until, ok := pr.lacks[key]
	return ok && now.Before(until)
}

// forgetLack drops what is over from the memory of what the peer lacks, and
// returns when the next of it will be.
func (pr *peer[P, K]) forgetLack(now time.Time) {
	for len(pr.lackOrder) > 0 {
		until := pr.lacks[pr.lackOrder[0]]
		if now.Before(until) {
			return
		}
		delete(pr.lacks, pr.lackOrder[0])
		pr.lackOrder = pr.lackOrder[1:]
		pr.unblock()
	}
}

// rank is the rate by which peers are served; see optimism.
func (pr *peer[P, K]) ranking(median BytesPerSec) BytesPerSec {
	if pr.rate == 0 {
		return median * optimism
	}
	return pr.rate
}

// room returns how many bytes the peer may have in flight.
func (pr *peer[P, K]) room(c *Config) int64 {
	if pr.rate == 0 {
		return math.MaxInt64 // see requestSize
	}
	window := min(pr.growth, c.peerBytes())
	if pr.starting() {
		return window
	}
	pipe := pr.rtt + pipeTime
	if pr.brief {
		pipe = pr.briefPipe()
	}
	return min(pr.rate.bytes(pipe), window)
}

// starting reports whether the peer has answered too fast for its rate to be known.
func (pr *peer[P, K]) starting() bool { return pr.samples == 0 && pr.sampleBytes > 0 }

// briefPipe is how much work is in a brief pipe, which several requests fill, too.
func (pr *peer[P, K]) briefPipe() time.Duration { return max(pr.rtt, briefTime) }

// requestBytes is what one request weighs, if the server does not say otherwise.
func (pr *peer[P, K]) requestBytes(c *Config) int64 {
	window := min(pr.growth, c.peerBytes())
	if pr.starting() {
		return window
	}
	request := requestTime
	if pr.brief {
		request = min(request, pr.briefPipe()/4)
	}
	return min(pr.rate.bytes(request), window)
}

// requestSize returns the keys and bytes that one request of a class may have.
func (pr *peer[P, K]) requestSize(c *Config, class Class) (keys int, bytes int64) {
	s := &pr.services[class]
	keys = c.requestKeys()
	if s.capKeys > 0 {
		keys = min(keys, s.capKeys)
	}
	if pr.rate == 0 {
		// One key alone tells the round trip, some right behind it the rate.
		if pr.open == 0 {
			return 1, math.MaxInt64
		}
		return min(keys, firstKeys), math.MaxInt64
	}
	bytes = int64(float64(pr.requestBytes(c)) / s.share())
	if s.capBytes > 0 {
		bytes = min(bytes, s.capBytes)
	}
	return keys, bytes
}

// finishOf returns when the peer is expected to have brought n bytes more than
// what it has in flight. An overdue peer's finish recedes as it stays silent:
// with the naive prediction it would look as if it were about to finish.
func (pr *peer[P, K]) finishOf(now time.Time, n int64, fallback BytesPerSec) time.Time {
	rate := pr.rate
	if rate == 0 {
		rate = fallback
	}
	head := pr.head()
	if head == nil {
		return now.Add(pr.rtt + rate.duration(n))
	}
	// What is next comes when the request for it has gone there and back, and behind what
	// has come already; more of it is not here before a new request for that has.
	since := later(head.sent.Add(pr.rtt), pr.answered)
	expected := since.Add(rate.duration(n + pr.weight + pr.aside))
	if n > 0 {
		expected = later(expected, now.Add(pr.rtt+rate.duration(n)))
	}
	if over := now.Sub(head.finish); over > pr.slack() {
		silence := now.Sub(later(head.sent, pr.answered))
		return now.Add(2*silence + over + rate.duration(n+pr.weight+pr.aside))
	}
	return later(expected, now)
}

// head returns the oldest request that is not given up.
func (pr *peer[P, K]) head() *request[P, K] {
	for _, r := range pr.queue {
		if !r.late {
			return r
		}
	}
	return nil
}

// slack is how late an answer may be before its peer counts as silent.
func (pr *peer[P, K]) slack() time.Duration {
	return pr.rtt/2 + min(4*pr.dev, mostSlack) + 100*time.Millisecond
}
