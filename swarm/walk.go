package swarm

import (
	"slices"

	"github.com/ethereum/go-ethereum/common"
)

const (
	// mostOpen is how many chunks of addresses are open at a time, or on their way.
	// Each is 4 KiB, and leads to 128 chunks, half a megabyte. Ten times as many
	// would be memory for addresses that nobody gets to soon.
	mostOpen = 64

	// mostVisited is how many chunks of addresses a walk remembers, so as not to go
	// through the same subtree again: a file of zeros has one of each level. A tree
	// that is made to be bigger than its chunks must alternate between more than that,
	// which is 16 MiB of real content, to be walked more than once.
	mostVisited = 4096
)

// walk goes through a tree in the order of the file, as far as its chunks are there. It
// is a pure state machine: nodes come out of next, and those that are no leaves go into
// open, when their payload is there. Its memory does not depend on the size of the tree.
type walk struct {
	cursors []cursor // in the order of the file
	visited map[common.Hash]bool
	recent  []common.Hash // those in visited, a ring
	oldest  int
	skipped uint64 // bytes below nodes that were visited before
}

// cursor is a chunk of addresses, of which some have come out of next.
type cursor struct {
	inner
	i int // the next child
}

// at returns where in the file the next child is. What is left of the cursors never
// overlaps, so their order stays.
func (c *cursor) at() uint64 { return c.from + min(uint64(c.i)*c.full, c.span) }

// atLeaf reports whether the next child is a leaf.
func (c *cursor) atLeaf() bool { return min(c.full, c.span-uint64(c.i)*c.full) <= ChunkSize }

func newWalk() *walk { return &walk{visited: make(map[common.Hash]bool)} }

// open adds the chunks below a node.
func (w *walk) open(in inner) {
	at, _ := slices.BinarySearchFunc(w.cursors, in.from, func(c cursor, from uint64) int {
		if c.at() < from {
			return -1
		}
		return 1
	})
	w.cursors = slices.Insert(w.cursors, at, cursor{inner: in})
}

// next returns the next node to be looked at, given how many that are no leaves are on
// their way. There is none if all are out, or if those left must wait. Chunks of addresses
// come first, as far as there is room for what they lead to: when one is wanted only after
// all leaves that are known, the source has nothing to do until it is here.
func (w *walk) next(onTheWay int) (n node, ok bool) {
	w.cursors = slices.DeleteFunc(w.cursors, func(c cursor) bool { return c.i == c.children() })
	for k := range w.cursors {
		c := &w.cursors[k]
		for c.i < c.children() && !c.atLeaf() {
			// The first in the file may always go deeper: it is what the rest waits for.
			if onTheWay+len(w.cursors) >= mostOpen && (onTheWay > 0 || k > 0) {
				break
			}
			n := c.child(c.i)
			c.i++
			if !w.visited[n.addr] {
				w.visit(n.addr)
				return n, true
			}
			w.skipped += n.span
		}
	}
	for k := range w.cursors {
		if c := &w.cursors[k]; c.i < c.children() && c.atLeaf() {
			c.i++
			return c.child(c.i - 1), true
		}
	}
	return node{}, false
}

func (w *walk) visit(addr common.Hash) {
	if len(w.recent) < mostVisited {
		w.recent = append(w.recent, addr)
	} else {
		delete(w.visited, w.recent[w.oldest])
		w.recent[w.oldest] = addr
		w.oldest = (w.oldest + 1) % mostVisited
	}
	w.visited[addr] = true
}
