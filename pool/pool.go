package pool

import (
	"math/rand/v2"
	"time"
)

// state of an entry; see the package comment for the transitions.
type state uint8

const (
	free state = iota // the slot is on the free list
	wanted
	inFlight
	held
)

// entry is one key that the pool knows.
type entry[P, K comparable] struct {
	key     K
	rank    int64
	size    int64             // held: bytes that arrived; else the caller's hint, 0 if none
	holders [2]*request[P, K] // who is asked, or was when it came; at most two, and two only in the tail
	state   state
	class   Class
	last    bool // is not wanted again if nobody brings it who is asked now
	queued  bool // stands in the heap of its class, perhaps no longer as wanted
}

// request is what one peer was asked for at once. It stays in the peer's queue
// until it is answered or the peer leaves, also when it is late: servers answer
// in order, and a late answer is still useful.
type request[P, K comparable] struct {
	id       uint64
	peer     *peer[P, K]
	class    Class
	keys     []K
	bytes    int64 // what the keys were expected to weigh
	got      int64 // what has arrived of them
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

	entries []entry[P, K]
	unused  []uint32     // free slots
	index   map[K]uint32 // key to slot
	classes [MaxClasses]class

	peers map[P]*peer[P, K]
	order []*peer[P, K] // by time of joining; ties are never left to the map

	// Only these may have room for work: peers to which something has happened
	// since the last Reserve, and those that it left without work. See look.go.
	fresh, idle []*peer[P, K]
	idleLook    look
	lookedAtAll bool      // the last Reserve has looked at the idle ones
	wake        time.Time // when one of them is to be looked at again
	hedger      bool      // one of them could take over the work of others
	outlook     outlook
	outlookLook look

	looked, eager []*peer[P, K] // for Reserve to work in
	measured      []BytesPerSec // for rates to work in

	deadlines heap[deadline[P, K]] // of open requests; may hold stale ones

	bytesInFlight int64 // booked at peers, by expectation
	bytesHeld     int64

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
		index:      make(map[K]uint32),
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
		if x, y := p.entries[a].rank, p.entries[b].rank; x != y {
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
// class and state and takes the lower of the two ranks. Want reports whether the key
// is new.
func (p *Pool[P, K]) Want(class Class, key K, rank int64, size int) bool {
	if i, ok := p.index[key]; ok {
		e := &p.entries[i]
		e.last = false
		if rank < e.rank {
			e.rank = rank
			if e.state == wanted {
				// The heap is out of order at this slot now. Rare (a
				// probe of a key already wanted), so rebuild.
				p.rebuild(&p.classes[e.class])
			}
		}
		return false
	}
	var i uint32
	if n := len(p.unused); n > 0 {
		i, p.unused = p.unused[n-1], p.unused[:n-1]
	} else {
		p.entries = append(p.entries, entry[P, K]{})
		i = uint32(len(p.entries) - 1)
	}
	p.entries[i] = entry[P, K]{key: key, rank: rank, size: int64(size), class: class, state: wanted}
	p.index[key] = i
	p.nowWanted(i)
	return true
}

// rebuild makes the heap of a class anew, without its stale slots.
func (p *Pool[P, K]) rebuild(c *class) {
	old := c.ready.items
	c.ready.items = make([]uint32, 0, c.stats.Wanted)
	for _, i := range old {
		if p.entries[i].state == wanted {
			c.ready.push(i)
		} else {
			p.unqueue(i)
		}
	}
}

// Cancel forgets a key in whatever state it is. If it is in flight, its answer
// will be counted as a duplicate. It reports whether the key was known.
func (p *Pool[P, K]) Cancel(key K) bool {
	i, ok := p.index[key]
	if ok {
		p.forget(i)
	}
	return ok
}

// Done says that a held key has been checked and stored: the pool forgets it.
func (p *Pool[P, K]) Done(key K) {
	if i, ok := p.index[key]; ok && p.entries[i].state == held {
		p.forget(i)
	}
}

// Reject says that the content that arrived for a held key from the given peer
// was not what the key promises. The key is wanted again, and not from there, unless
// it is still in flight elsewhere.
func (p *Pool[P, K]) Reject(now time.Time, name P, key K) {
	i, ok := p.index[key]
	if !ok || p.entries[i].state != held {
		return
	}
	if pr := p.peers[name]; pr != nil {
		pr.lack(key, now)
	}
	e := &p.entries[i]
	p.leaveState(e)
	e.size = 0
	var others [2]*request[P, K]
	n := 0
	for _, r := range e.holders {
		if r != nil && !r.closed && !r.late && r.peer.name != name {
			others[n] = r
			n++
		}
	}
	if n == 0 {
		p.makeWanted(i)
		return
	}
	// Somebody else was asked as well, and may still bring it.
	e.state, e.holders = inFlight, others
	p.classes[e.class].stats.InFlight++
}

// Knows reports whether the key is wanted, in flight or held.
func (p *Pool[P, K]) Knows(key K) bool { _, ok := p.index[key]; return ok }

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
func (p *Pool[P, K]) Len() int { return len(p.index) }

// makeWanted puts the entry, which is counted nowhere, back in the queue.
func (p *Pool[P, K]) makeWanted(i uint32) {
	e := &p.entries[i]
	if e.last {
		e.state = free
		p.forget(i)
		return
	}
	e.state = wanted
	e.holders = [2]*request[P, K]{}
	p.nowWanted(i)
}

// nowWanted counts an entry that has become wanted, and queues it.
func (p *Pool[P, K]) nowWanted(i uint32) {
	e := &p.entries[i]
	c := &p.classes[e.class]
	c.stats.Wanted++
	c.added++
	if !e.queued {
		e.queued = true
		c.ready.push(i)
	}
}

func (p *Pool[P, K]) forget(i uint32) {
	e := &p.entries[i]
	p.leaveState(e)
	delete(p.index, e.key)
	*e = entry[P, K]{queued: e.queued}
	if !e.queued {
		p.unused = append(p.unused, i)
	}
}

// unqueue notes that a slot has left the wanted heap. A slot that was forgotten
// while it stood there can be used again only now.
func (p *Pool[P, K]) unqueue(i uint32) {
	p.entries[i].queued = false
	if p.entries[i].state == free {
		p.unused = append(p.unused, i)
	}
}

// leaveState takes an entry out of the counts of its present state.
func (p *Pool[P, K]) leaveState(e *entry[P, K]) {
	s := &p.classes[e.class].stats
	switch e.state {
	case wanted:
		s.Wanted--
	case inFlight:
		s.InFlight--
	case held:
		s.Held--
		p.bytesHeld -= e.size
	}
}

// peekReady returns the wanted slot of a class that has the lowest rank.
func (p *Pool[P, K]) peekReady(c *class) (uint32, bool) {
	for c.ready.len() > 0 {
		i := c.ready.peek()
		if p.entries[i].state == wanted {
			return i, true
		}
		c.ready.pop()
		p.unqueue(i)
	}
	return 0, false
}

// popReady removes it.
func (p *Pool[P, K]) popReady(c *class) {
	p.unqueue(c.ready.pop())
}

// pushReady undoes popReady.
func (p *Pool[P, K]) pushReady(c *class, i uint32) {
	p.entries[i].queued = true
	c.ready.push(i)
}

// sizeOf is what an entry is expected to weigh.
func (p *Pool[P, K]) sizeOf(e *entry[P, K]) int64 {
	if e.size > 0 {
		return e.size
	}
	return int64(p.classes[e.class].meanSize) + 1
}

// drop takes a request off an entry and reports whether it was on it. An
// entry that nobody is asked for any more is wanted again.
func (p *Pool[P, K]) drop(i uint32, r *request[P, K]) bool {
	e := &p.entries[i]
	if e.state != inFlight {
		return false
	}
	switch r {
	case e.holders[0]:
		e.holders[0], e.holders[1] = e.holders[1], nil
	case e.holders[1]:
		e.holders[1] = nil
	default:
		return false
	}
	if e.holders[0] == nil {
		p.classes[e.class].stats.InFlight--
		p.makeWanted(i)
	}
	return true
}

// CancelWanted forgets all keys of a class that are wanted. What is in flight is paid
// for: it is taken when it comes, and forgotten if it does not. What is held stays until
// Done or Reject. Whoever rests because he had nothing of it rests no more.
func (p *Pool[P, K]) CancelWanted(class Class) {
	for i := range p.entries {
		e := &p.entries[i]
		switch {
		case e.class != class || e.state == free:
		case e.state == wanted:
			p.forget(uint32(i))
		default:
			e.last = true
		}
	}
	for _, pr := range p.order {
		s := &pr.services[class]
		s.empty, s.restUntil = 0, time.Time{}
	}
}
