package pool

import "hash/maphash"

// Keys is most of what a pool holds: a million of them wait while a chain is fetched.
// So each takes its own size and little more. They lie in pages, so that growing
// copies nothing, and are found through chains of slot numbers; a map of Go would take
// as much again. What is only known of keys in flight is elsewhere; see flight.

// pageSlots is how many keys a page has. Pages are never given back, and the last one
// is half empty on the average: ten times more would make a small pool big, ten times
// less would cost a look-up more often.
const pageSlots = 1 << 11

// slot is what the pool knows of a key. The numbers of slots begin at 1; 0 is none.
type slot[K comparable] struct {
	key K
	// order is the rank of a key that is wanted, the number of the flight of one
	// that is in flight or held, and the next free slot of one that is free. It
	// stays as it is in a stale slot, because that still stands in its heap.
	order int64
	next  uint32 // slot in the same chain
	size  uint16 // hint of the caller in units of sizeUnit, rounded up; 0 if none
	state state
	class Class
}

// sizeUnit is the grain of the hints. With two bytes they reach a megabyte; what is
// bigger still fills a request alone.
const sizeUnit = 16

// hint makes the size of a slot of a number of bytes.
func hint(size int) uint16 {
	return uint16(min(max(size, 0)+sizeUnit-1, sizeUnit*0xffff) / sizeUnit)
}

// state of a slot; see the package comment for the transitions.
type state uint8

const (
	free     state = iota // on the free list
	stale                 // without a key, but still in the heap of its class
	wanted                // in the heap of its class
	inFlight              // asked of somebody
	held                  // arrived
)

// keySet is the keys and their slots.
type keySet[K comparable] struct {
	seed  maphash.Seed
	heads []uint32 // of the chains; as many as a power of two
	pages []*[pageSlots]slot[K]
	used  uint32 // slots that have ever been given out, and slot 0
	free  uint32 // first of the free list
	n     int    // keys
}

func newKeySet[K comparable]() keySet[K] {
	return keySet[K]{seed: maphash.MakeSeed(), heads: make([]uint32, 64), used: 1}
}

// slot returns a slot, valid as long as the set.
func (s *keySet[K]) slot(i uint32) *slot[K] { return &s.pages[i/pageSlots][i%pageSlots] }

// head returns where the chain of a key begins.
func (s *keySet[K]) head(key K) *uint32 {
	return &s.heads[maphash.Comparable(s.seed, key)&uint64(len(s.heads)-1)]
}

// find returns the slot of a key, 0 if it is not known.
func (s *keySet[K]) find(key K) uint32 {
	i := *s.head(key)
	for i != 0 {
		slot := s.slot(i)
		if slot.key == key {
			return i
		}
		i = slot.next
	}
	return 0
}

// has reports whether a slot is that of a key; the slot may have been given away.
func (s *keySet[K]) has(i uint32, key K) bool {
	slot := s.slot(i)
	return slot.state >= wanted && slot.key == key
}

// add gives a key, which must not be known, a slot.
func (s *keySet[K]) add(key K) uint32 {
	if s.n >= len(s.heads) {
		s.grow()
	}
	i := s.free
	if i != 0 {
		s.free = uint32(s.slot(i).order)
	} else {
		i = s.used
		s.used++
		if int(i/pageSlots) == len(s.pages) {
			s.pages = append(s.pages, new([pageSlots]slot[K]))
		}
	}
	*s.slot(i) = slot[K]{key: key}
	s.link(i)
	s.n++
	return i
}

// link puts a slot into the chain of its key.
func (s *keySet[K]) link(i uint32) {
	slot := s.slot(i)
	head := s.head(slot.key)
	slot.next, *head = *head, i
}

// grow doubles the chains.
func (s *keySet[K]) grow() {
	s.heads = make([]uint32, 2*len(s.heads))
	for i := uint32(1); i < s.used; i++ {
		if s.slot(i).state >= wanted {
			s.link(i)
		}
	}
}

// remove takes the key out of a slot.
func (s *keySet[K]) remove(i uint32) {
	at := s.head(s.slot(i).key)
	for *at != i {
		at = &s.slot(*at).next
	}
	*at = s.slot(i).next
	s.n--
}

// release puts a slot without a key on the free list.
func (s *keySet[K]) release(i uint32) {
	*s.slot(i) = slot[K]{order: int64(s.free)}
	s.free = i
}
