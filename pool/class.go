package pool

import (
	"math"
	"time"
)

// Class is a kind of content: blocks, receipts, chunks of files. One message of a
// network protocol carries one kind, and not every peer serves every kind.
type Class uint8

// MaxClasses bounds the classes: a class is below it. There are as many as there are
// kinds of content; every peer and every outlook has an entry for each, and every
// request looks at the head of each, so ten times as many would show.
const MaxClasses = 4

// class is what the pool knows of a kind of content.
type class struct {
	ready    heap[uint32] // wanted slots by rank; may hold stale ones
	added    uint64       // counts additions to the wanted set
	meanSize float64      // moving average of what a key weighs
	booked   int64        // bytes in flight, by expectation
	expected int          // keys that are still to be wanted
	stats    ClassStats
}

// sizeGain is the weight of a new size in the moving average, when that is of more than
// the hint: sizes change with the height of a chain, but not from one block to the next.
const sizeGain = 0.02

// learn takes a key of the class that has arrived.
func (c *class) learn(size int) {
	c.stats.Useful++
	c.stats.UsefulBytes += uint64(size)
	c.meanSize += max(sizeGain, 1/float64(c.stats.Useful)) * (float64(size) - c.meanSize)
	c.meanSize = max(c.meanSize, 1) // it is divided by
}

// yieldKeys is over how many keys a yield is averaged. It is taken for leastYield at
// the least, because a peer that seems to have one in a thousand would be asked for a
// thousand at once, and might have them all; and for mostYield at the most when it is
// judged what its peer misses.
const (
	yieldKeys  = 64
	leastYield = 1.0 / 8
	mostYield  = 0.99
)

// learnYield takes an answer that had so many keys, and could have had others.
func (s *service) learnYield(had, others int) {
	n := had + others
	if n == 0 {
		return
	}
	s.shown = min(s.shown, yieldKeys) + n
	s.yield += float64(n) / float64(s.shown) * (float64(had)/float64(n) - s.yield)
	s.yield = max(s.yield, leastYield)
}

// miss takes an answer that has none of so many keys.
func (s *service) miss(keys int) {
	s.empty++
	s.luck += s.chance(keys)
}

// chance is the logarithm of how likely it is that the peer has none of so many keys.
func (s *service) chance(keys int) float64 {
	return float64(keys) * math.Log1p(-min(s.share(), mostYield))
}

// share is how much of what it is asked for the peer is expected to bring.
func (s *service) share() float64 {
	if s.yield == 0 {
		return 1
	}
	return s.yield
}

// inTail reports whether all that is left of the class has been handed out.
func (c *class) inTail() bool {
	return c.stats.Wanted == 0 && c.expected == 0 && c.stats.InFlight > 0
}

// Expect says how many more keys of a class will be wanted soon, besides those that the
// pool knows. Until they are, a peer without work waits for them: nothing is asked twice
// because the end seems to have come, and nothing left to faster peers.
func (p *Pool[P, K]) Expect(class Class, keys int) { p.classes[class].expected = max(keys, 0) }

// service is what the pool knows of a peer in one class.
type service struct {
	offered bool // it serves the class at all

	capKeys  int   // most keys that it answers at once, 0 if not known
	capBytes int64 // most bytes that it answers at once, 0 if not known

	yield     float64   // how much of what it is asked for it has, 0 if not known
	shown     int       // over how many keys that is averaged
	empty     int       // answers in a row that had nothing
	luck      float64   // logarithm of how likely they are, by the yield
	restUntil time.Time // no work before, because of them

	blocked uint64 // class.added when nothing was eligible for it
}
