package downloader

import (
	"math"
	"math/bits"
)

// A ledger remembers which blocks came from whom, for whoever wants to see a sync as a
// picture. Its size does not depend on the chain: of the whole chain it counts blocks in
// stretches, and of the youngest numbers that came it knows each. The loop writes to it
// for each block, which takes some nanoseconds, and reads it when somebody asks.
type ledger struct {
	width  uint64 // blocks in a stretch, a power of two; 0: nothing is counted yet
	counts [maxStretches][Marks]uint32
	recent [recentBlocks]brought // by number
	marks  [Marks]mark
	view   uint64 // blocks in a cell of the window when it was last shown
}

// brought is who brought a block. Its zero value is nobody, for the genesis block is
// never fetched.
type brought struct {
	number uint32
	mark   Mark
}

// mark is who has a mark.
type mark struct {
	name   string // "": nobody yet
	peer   *peerState
	blocks uint64
}

// Mark is what tells the blocks of one peer from those of others: small enough to be
// kept for each block. A peer gets one with its first block, and again if it comes back
// under the same name. When all are taken, those who have left with the fewest blocks
// are counted among [Others].
type Mark uint8

const (
	// Others is the mark of all who have none of their own.
	Others Mark = Marks - 2
	// Before is the mark of blocks that were found in the store.
	Before Mark = Marks - 1
	// Unmarked is who has brought nothing yet.
	Unmarked Mark = 255

	// Marks is how many marks there are: two dozen peers, and the two above. Nobody
	// tells more apart in a picture; ten times more would make the ledger megabytes.
	Marks = 26

	// maxStretches is into how many stretches a chain is cut, and half as many are
	// used at least. A screen has room for as many columns of two pixels.
	maxStretches = 512

	// recentBlocks is how many blocks are remembered one by one: what is in flight, or
	// waits for those that are, is a few thousand. Each takes eight bytes.
	recentBlocks = 16 << 10
)

// span makes the stretches as wide as a chain up to a number takes. If it takes much
// less than the one before, which may have been a lie, counting begins anew.
func (g *ledger) span(to uint64) {
	least := uint64(1) << bits.Len64(max(to, 1)-1) / maxStretches
	least = max(least, 1)
	if g.width == 0 || least*4 <= g.width {
		g.width = least
		clear(g.counts[:])
		for m := range g.marks {
			g.marks[m].blocks = 0
		}
	}
	for g.width < least {
		g.width *= 2
		for i := range g.counts {
			var sum [Marks]uint32
			for half := 2 * i; half < min(2*i+2, maxStretches); half++ {
				for m, n := range g.counts[half] {
					sum[m] += n
				}
			}
			g.counts[i] = sum
		}
	}
}

// note counts a block under a mark.
func (g *ledger) note(m Mark, number uint64) {
	if number == 0 || number > g.width*maxStretches || number > math.MaxUint32 {
		return
	}
	g.counts[(number-1)/g.width][m]++
	g.marks[m].blocks++
	g.recent[number%recentBlocks] = brought{uint32(number), m}
}

// found counts a block that was in the store, unless it was counted when it came, as far
// as that can be told.
func (g *ledger) found(number uint64) {
	if _, known := g.of(number); known || number == 0 || number > g.width*maxStretches {
		return
	}
	sum := uint64(0)
	for _, n := range g.counts[(number-1)/g.width] {
		sum += uint64(n)
	}
	if sum < g.width {
		g.note(Before, number)
	}
}

// of returns who brought a block, as far as that is remembered.
func (g *ledger) of(number uint64) (Mark, bool) {
	b := g.recent[number%recentBlocks]
	return b.mark, number > 0 && uint64(b.number) == number
}

// markOf returns the mark of a peer that brings something.
func (g *ledger) markOf(p *peerState) Mark {
	if p.mark == Unmarked {
		p.mark = g.give(p)
	}
	return p.mark
}

// give returns the mark for a peer that has none.
func (g *ledger) give(p *peerState) Mark {
	free, name := Others, p.String()
	for m := range Others {
		switch x := &g.marks[m]; {
		case x.peer != nil:
		case x.name == name:
			x.peer = p
			return m
		case free == Others || x.blocks < g.marks[free].blocks:
			free = m
		}
	}
	if free == Others {
		return Others // all who have one are still here
	}
	if g.marks[free].blocks > 0 {
		g.fold(free)
	}
	g.marks[free] = mark{name: name, peer: p}
	return free
}

// fold counts the blocks of a mark among those of others.
func (g *ledger) fold(m Mark) {
	for i := range g.counts {
		c := &g.counts[i]
		c[Others] += c[m]
		c[m] = 0
	}
	for i := range g.recent {
		if g.recent[i].mark == m {
			g.recent[i].mark = Others
		}
	}
	g.marks[Others].blocks += g.marks[m].blocks
}

// leave is called when a peer has left. Its mark stays its own until it is needed.
func (g *ledger) leave(p *peerState) {
	if p.mark < Others {
		g.marks[p.mark].peer = nil
	}
}
