package downloader

import (
	"cmp"
	"context"
	"slices"

	"github.com/ethereum/go-ethereum/common"
)

// Survey is a picture of the chain by its blocks: which are here, from whom, and which
// are on their way. Its size is bounded, however long the chain is. Blocks are counted
// from 1, for the genesis block is always here.
type Survey struct {
	Head  uint64 // youngest linked block
	To    uint64 // youngest block of the chain, ours or the one that is fetched
	Known uint64 // the hashes of the blocks from this number on are known, and those up to Head
	// Width is how many blocks a stretch has; those of stretch i follow block i*Width.
	Width uint64
	// Brought counts, for each mark, the blocks of each stretch that came from its
	// peer; nil if there are none. A block that was fetched twice counts twice.
	Brought [Marks][]uint32
	// InFlight counts the blocks of each stretch that somebody is asked for.
	InFlight []uint32
	Names    [Marks]string // of the peers that have the marks
	Present  [Marks]bool   // who of them is connected
	Window   Window
}

// Window is the part of the chain in which most is going on.
type Window struct {
	From  uint64 // number of the first block
	Width uint64 // blocks in a cell
	Cells []Cell
}

// Cell is a block, or what most blocks of a few neighbours are.
type Cell struct {
	State State
	Mark  Mark // who brings or brought it; Unmarked if nobody is known
}

// State is how far a block is.
type State uint8

// The states, in the order in which a block has them.
const (
	StateUnknown  State = iota // its hash is not known
	StateWanted                // nobody is asked for it now
	StateInFlight              // somebody is
	StateHeld                  // it is here, and some block below it is not
	StateLinked                // it is here, with all blocks below it
	states
)

// windowCells is how many cells a window has: as many as can be told apart on a screen.
// recentBlocks bounds what each may stand for.
const windowCells = 512

// Survey asks the loop for a picture, which takes about a millisecond of its time and
// nothing while nobody asks. It reports false if the loop has not answered when the
// context is done.
func (d *Downloader) Survey(ctx context.Context) (Survey, bool) {
	q := surveyed{make(chan Survey, 1)}
	d.send(ctx, q)
	select {
	case s := <-q.answer:
		return s, true
	case <-ctx.Done():
		return Survey{}, false
	}
}

// surveyed is the question for a survey. The channel has room for the answer.
type surveyed struct{ answer chan Survey }

func (m surveyed) apply(l *loop) error {
	m.answer <- l.survey()
	return nil
}

// asked is a block that somebody is asked for.
type asked struct {
	number uint64
	mark   Mark
}

func (l *loop) survey() Survey {
	g := &l.ledger
	s := Survey{Head: l.store.Head().Number}
	s.To, s.Known = s.Head, s.Head+1
	if p := l.plan; p != nil {
		s.To = max(s.To, p.Number)
		s.Known = p.numberAt(p.Len - 1)
	}
	g.span(s.To)
	s.Width = g.width
	flight := l.inFlight()
	n := int((s.To + g.width - 1) / g.width)
	s.InFlight = make([]uint32, n)
	for _, a := range flight {
		if i := (a.number - 1) / g.width; a.number > 0 && i < uint64(n) {
			s.InFlight[i]++
		}
	}
	for m := range s.Brought {
		x := &g.marks[m]
		s.Names[m], s.Present[m] = x.name, x.peer != nil
		if x.blocks == 0 {
			continue
		}
		s.Brought[m] = make([]uint32, n)
		for i := range n {
			s.Brought[m][i] = g.counts[i][m]
		}
	}
	s.Window = l.window(&s, flight)
	return s
}

// inFlight lists the blocks of the plan that peers are asked for.
func (l *loop) inFlight() (list []asked) {
	if l.plan == nil {
		return nil
	}
	l.pool.EachInFlight(blocks, func(peer Peer, hash common.Hash) {
		if at, ok := l.places[hash]; ok {
			list = append(list, asked{l.plan.numberAt(at.index), l.peers[peer].mark})
		}
	})
	slices.SortFunc(list, func(a, b asked) int { return cmp.Compare(a.number, b.number) })
	return list
}

// window looks closer at where most is in flight, or, if nothing is, at where the next
// block is missing, or at the head. It moves and grows in steps, so that it stands still
// for the eye.
func (l *loop) window(s *Survey, flight []asked) Window {
	g := &l.ledger
	n := uint64(len(flight))
	if g.view == 0 || windowCells*g.view < n+n/2 || windowCells*g.view > 16*n {
		g.view = 1
		for windowCells*g.view < 2*n && windowCells*g.view < recentBlocks {
			g.view *= 2
		}
	}
	cells := min(windowCells, int((s.To+g.view-1)/g.view))
	middle := s.Head
	if n > 0 {
		middle = flight[n/2].number
	}
	blocks := uint64(cells) * g.view
	step := max(blocks/8, 1)
	from := (max(middle, blocks/2) - blocks/2) / step * step
	from = min(from, s.To-min(s.To, blocks)) + 1
	w := Window{From: from, Width: g.view, Cells: make([]Cell, cells)}
	at, _ := slices.BinarySearchFunc(flight, from, func(a asked, n uint64) int { return cmp.Compare(a.number, n) })
	held := l.sealing()
	for i := range w.Cells {
		var seen [states]int
		var by [states]Mark // whoever brings the last one
		for range g.view {
			c := Cell{Mark: Unmarked}
			if m, ok := g.of(from); ok {
				c.Mark = m
			}
			asked := false
			for ; at < len(flight) && flight[at].number <= from; at++ {
				asked = true
				if flight[at].number == from {
					c.Mark = flight[at].mark
				}
			}
			seal, sealing := held[from]
			switch {
			case from <= s.Head:
				c.State = StateLinked
			case asked:
				c.State = StateInFlight
			case sealing:
				c = Cell{StateHeld, seal}
			case c.Mark != Unmarked:
				c.State = StateHeld
			case from >= s.Known:
				c.State = StateWanted
			}
			if from <= s.To {
				seen[c.State]++
				by[c.State] = c.Mark
			}
			from++
		}
		best := StateUnknown
		for st := range states {
			if seen[st] >= seen[best] && seen[st] > 0 {
				best = st
			}
		}
		w.Cells[i] = Cell{best, by[best]}
	}
	return w
}

// sealing returns the blocks of the plan that are here and whose seals are still to be
// checked, and who brought them.
func (l *loop) sealing() map[uint64]Mark {
	all := make(map[uint64]Mark)
	for _, t := range l.toSeal {
		for _, b := range t.blocks {
			if at, ok := l.places[b.Hash]; ok && l.plan != nil && l.peers[t.peer] != nil {
				all[l.plan.numberAt(at.index)] = l.peers[t.peer].mark
			}
		}
	}
	return all
}
