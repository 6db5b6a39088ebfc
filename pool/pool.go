package pool

import (
	"math/rand/v2"
	"time"
)

// flight is what the pool knows of a key that is in flight or held.
type flight[P, K comparable] struct {
	rank    int64
	size    int64             // held: bytes that arrived
	holders [2]*request[P, K] // who is asked, or was when it came; at most two, and two only in the tail
	last    bool              // is not wanted again if nobody brings it who is asked now
}

// request is what one peer was asked for at once. It stays in the peer's queue
// until it is answered or the peer leaves, also when it is late: servers answer
// in order, and a late answer is still useful.
type request[P, K comparable] struct {
	id       uint64
	peer     *peer[P, K]
	class    Class
	keys     []K
	slots    []uint32    // of the keys, as they were when it was made
	weight   int64       // what the keys were expected to weigh
	bytes    int64       // what was expected to come of them, by the peer's yield
	got      int64       // what has arrived of them
	rate     BytesPerSec // of the peer when it was asked, 0 if not measured
	sent     time.Time
	finish   time.Time // when the answer was expected
	deadline time.Time
	late     bool // deadline passed, keys returned
	closed   bool
}

// deadline is an entry of the heap of deadlines. It is stale if its request needs
// no more watching, or has been given another time since.
type deadline[P, K comparable] struct {
	at      time.Time
	request *request[P, K]
}

func (d deadline[P, K]) stale() bool {
	return d.request.closed || d.request.late || !d.at.Equal(d.request.deadline)
}

// watch puts the present deadline of a request into the heap.
func (p *Pool[P, K]) watch(r *request[P, K]) {
	p.deadlines.push(deadline[P, K]{r.deadline, r})
}

// Pool is the work pool. The zero value is not ready: use [New].
type Pool[P, K comparable] struct {
	cfg  Config
	rand *rand.Rand

	keys    keySet[K]
	flights []flight[P, K]
	landed  []uint32 // free places in flights
	classes [MaxClasses]class

	peers map[P]*peer[P, K]
	order []*peer[P, K] // by time of joining; ties are never left to the map

	// Only these may have room for work: peers to which something has happened
	// since the last Reserve, and those that it left without work. See look.go.
	fresh, idle []*peer[P, K]
	idleLook    look
	lookedAtAll bool      // the last Reserve has looked at the idle ones
	dry         bool      // and they know that nothing is wanted
	wake        time.Time // when one of them is to be looked at again
	hedger      bool      // one of them could take over the work of others
	outlook     outlook
	outlookLook look

	looked, eager []*peer[P, K] // for Reserve to work in
	measured      []BytesPerSec // for rates to work in

	deadlines heap[deadline[P, K]] // of open requests; may hold stale ones

	bytesInFlight int64 // booked at peers, by expectation
	bytesHeld     int64
	budget        int64 // for both, as of the last Reserve

	arrived time.Time // when the first answer came of which the last Reserve did not know
	crowded time.Time // until when answers are taken to wait here rather than on links

	nextID     uint64
	joins      uint64
	linkFactor float64 // stretch of all deadlines; 1 is none
	linkAt     time.Time
	nextHedge  time.Time
	reserved   time.Time // when Reserve was last called
	tokens     float64   // bytes that may be spent on duplicates
	flow       meter     // useful bytes of all peers
	stats      Stats
}

// New returns an empty pool with the given limits.
func New[P, K comparable](cfg Config) *Pool[P, K] {
	p := &Pool[P, K]{
		cfg:        cfg,
		rand:       cfg.Rand,
		keys:       newKeySet[K](),
		peers:      make(map[P]*peer[P, K]),
		linkFactor: 1,
		tokens:     hedgeReserve,
	}
	if p.rand == nil {
		p.rand = rand.New(rand.NewPCG(1, 2))
	}
	if cfg.duplicates() == 0 {
		p.tokens = 0
	}
	less := func(a, b uint32) bool {
		if x, y := p.keys.slot(a).order, p.keys.slot(b).order; x != y {
			return x < y
		}
		return a < b
	}
	for c := range p.classes {
		p.classes[c].ready.less = less
		p.classes[c].meanSize = cfg.sizeHint()
	}
	p.deadlines.less = func(a, b deadline[P, K]) bool {
		if !a.at.Equal(b.at) {
			return a.at.Before(b.at)
		}
		return a.request.id < b.request.id
	}
	return p
}

// Want adds a key of a class, which must be below [MaxClasses]. Lower ranks are asked
// for first, whatever their class; consecutive ranks travel together. The size in
// bytes is a hint, 0 if nothing is known. A key that the pool knows already keeps its
// state and takes the lower of the two ranks. Want reports whether the key is new.
//
// A key is of one class, the lowest that it is wanted in. Content of two kinds does not
// have the same key by chance: whoever names a block as a part of a file must not keep
// the block from being fetched.
func (p *Pool[P, K]) Want(class Class, key K, rank int64, size int) bool {
	i := p.keys.find(key)
	if i != 0 && class < p.keys.slot(i).class {
		p.forget(i)
		i = 0
	}
	if i == 0 {
		p.queue(class, key, rank, hint(size))
		return true
	}
	switch s := p.keys.slot(i); s.state {
	case wanted:
		if rank < s.order {
			known := *s
			p.forget(i)
			p.queue(known.class, key, rank, known.size)
		}
	default:
		f := &p.flights[s.order]
		f.rank, f.last = min(f.rank, rank), false
	}
	return false
}

// queue adds a key, which must not be known, as wanted.
func (p *Pool[P, K]) queue(class Class, key K, rank int64, size uint16) {
	i := p.keys.add(key)
	s := p.keys.slot(i)
	s.size, s.class = size, class
	p.makeWanted(i, rank)
}

// makeWanted puts a key into the heap of its class.
func (p *Pool[P, K]) makeWanted(i uint32, rank int64) {
	s := p.keys.slot(i)
	s.state, s.order = wanted, rank
	c := &p.classes[s.class]
	c.stats.Wanted++
	c.added++
	if c.ready.len() >= staleKeys+2*c.stats.Wanted {
		p.compact(c)
	}
	c.ready.push(i)
}

// staleKeys is how many slots of keys that are wanted no more may stand in a heap,
// beyond as many as are wanted. Less, and a heap that is almost empty is made anew all
// the time.
const staleKeys = 1024

// compact takes the stale slots out of the heap of a class.
func (p *Pool[P, K]) compact(c *class) {
	keep := c.ready.items[:0]
	for _, i := range c.ready.items {
		if p.keys.slot(i).state == stale {
			p.keys.release(i)
		} else {
			keep = append(keep, i)
		}
	}
	c.ready.items = keep
	c.ready.init()
}

// Cancel forgets a key in whatever state it is. If it is in flight, its answer
// will be counted as a duplicate. It reports whether the key was known.
func (p *Pool[P, K]) Cancel(key K) bool {
	i := p.keys.find(key)
	if i != 0 {
		p.forget(i)
	}
	return i != 0
}

// CancelWanted forgets all keys of a class that are wanted. What is in flight is paid
// for: it is taken when it comes, and forgotten if it does not. What is held stays until
// Done or Reject. Whoever rests because he had nothing of it rests no more.
func (p *Pool[P, K]) CancelWanted(class Class) {
	for i := uint32(1); i < p.keys.used; i++ {
		switch s := p.keys.slot(i); {
		case s.class != class:
		case s.state == wanted:
			p.forget(i)
		case s.state == inFlight || s.state == held:
			p.flights[s.order].last = true
		}
	}
	p.compact(&p.classes[class])
	for _, pr := range p.order {
		s := &pr.services[class]
		s.empty, s.luck, s.restUntil = 0, 0, time.Time{}
	}
}

// Done says that a held key has been checked and stored: the pool forgets it.
func (p *Pool[P, K]) Done(key K) {
	if i := p.keys.find(key); i != 0 && p.keys.slot(i).state == held {
		p.forget(i)
	}
}

// Reject says that the content that arrived for a held key from the given peer
// was not what the key promises. The key is wanted again, and not from there, unless
// it is still in flight elsewhere.
func (p *Pool[P, K]) Reject(now time.Time, name P, key K) {
	i := p.keys.find(key)
	if i == 0 || p.keys.slot(i).state != held {
		return
	}
	if pr := p.peers[name]; pr != nil {
		pr.lack(key, now)
	}
	s := p.keys.slot(i)
	p.leaveState(s)
	f := &p.flights[s.order]
	var others [2]*request[P, K]
	n := 0
	for _, r := range f.holders {
		if r != nil && !r.closed && !r.late && r.peer.name != name {
			others[n] = r
			n++
		}
	}
	if n == 0 {
		p.land(i)
		return
	}
	// Somebody else was asked as well, and may still bring it.
	s.state, f.holders = inFlight, others
	p.classes[s.class].stats.InFlight++
}

// Wanted returns how many keys of a class wait to be asked for.
func (p *Pool[P, K]) Wanted(class Class) int { return p.classes[class].stats.Wanted }

// wanted returns how many keys wait to be asked for.
func (p *Pool[P, K]) wanted() (n int) {
	for c := range p.classes {
		n += p.classes[c].stats.Wanted
	}
	return n
}

// Len returns how many keys the pool knows.
func (p *Pool[P, K]) Len() int { return p.keys.n }

// forget drops a key.
func (p *Pool[P, K]) forget(i uint32) {
	s := p.keys.slot(i)
	p.leaveState(s)
	p.keys.remove(i)
	if s.state == wanted {
		s.state = stale
		return
	}
	p.endFlight(s)
	p.keys.release(i)
}

// takeOff begins the flight of a key that has left the heap of its class, or waits
// there no more.
func (p *Pool[P, K]) takeOff(i uint32) *flight[P, K] {
	s := p.keys.slot(i)
	p.leaveState(s)
	f := flight[P, K]{rank: s.order}
	if n := len(p.landed); n > 0 {
		s.order = int64(p.landed[n-1])
		p.landed = p.landed[:n-1]
		p.flights[s.order] = f
	} else {
		s.order = int64(len(p.flights))
		p.flights = append(p.flights, f)
	}
	return &p.flights[s.order]
}

// endFlight gives the place of a flight back.
func (p *Pool[P, K]) endFlight(s *slot[K]) {
	p.flights[s.order] = flight[P, K]{}
	p.landed = append(p.landed, uint32(s.order))
}

// land makes a key that nobody is asked for any more, and that is counted nowhere,
// wanted again; or forgets it, if it was not to be.
func (p *Pool[P, K]) land(i uint32) {
	s := p.keys.slot(i)
	f := p.flights[s.order]
	p.endFlight(s)
	if f.last {
		p.keys.remove(i)
		p.keys.release(i)
		return
	}
	p.makeWanted(i, f.rank)
}

// leaveState takes a slot out of the counts of its present state.
func (p *Pool[P, K]) leaveState(s *slot[K]) {
	stats := &p.classes[s.class].stats
	switch s.state {
	case wanted:
		stats.Wanted--
	case inFlight:
		stats.InFlight--
	case held:
		stats.Held--
		p.bytesHeld -= p.flights[s.order].size
	}
}

// peekReady returns the wanted slot of a class that has the lowest rank, 0 if there is
// none.
func (p *Pool[P, K]) peekReady(c *class) uint32 {
	for c.ready.len() > 0 {
		i := c.ready.peek()
		if p.keys.slot(i).state == wanted {
			return i
		}
		p.keys.release(c.ready.pop())
	}
	return 0
}

// sizeOf is what a key is expected to weigh.
func (p *Pool[P, K]) sizeOf(s *slot[K]) int64 {
	if s.size > 0 {
		return int64(s.size) * sizeUnit
	}
	return int64(p.classes[s.class].meanSize) + 1
}

// slotOf returns the slot of a key of a request, 0 if it is not known any more.
func (p *Pool[P, K]) slotOf(r *request[P, K], k int) uint32 {
	if i := r.slots[k]; p.keys.has(i, r.keys[k]) {
		return i
	}
	return p.keys.find(r.keys[k])
}

// drop takes a request off a key and reports whether it was on it. A key that nobody is
// asked for any more is wanted again.
func (p *Pool[P, K]) drop(i uint32, r *request[P, K]) bool {
	s := p.keys.slot(i)
	if s.state != inFlight {
		return false
	}
	f := &p.flights[s.order]
	switch r {
	case f.holders[0]:
		f.holders[0], f.holders[1] = f.holders[1], nil
	case f.holders[1]:
		f.holders[1] = nil
	default:
		return false
	}
	if f.holders[0] == nil {
		p.leaveState(s)
		p.land(i)
	}
	return true
}
