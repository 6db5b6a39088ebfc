package downloader

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// named is a peer that has nothing but a name.
type named struct {
	Peer
	name string
}

func (n named) String() string { return n.name }

// TestLedgerAgainstTwin: whatever comes from whom, comes and goes, and however the chain
// grows, each block is counted once, in its stretch, for the peer that has brought it; or
// for the others, if that peer has left and more have come than there are marks.
func TestLedgerAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var g ledger
		to := rapid.Uint64Range(1, 5000).Draw(t, "to")
		g.span(to)
		here := map[string]*peerState{}
		by := map[uint64]string{}
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			name := fmt.Sprint("p", rapid.IntRange(0, 39).Draw(t, "peer"))
			switch p := here[name]; rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				to += rapid.Uint64Range(0, to).Draw(t, "growth")
				g.span(to)
			case 1:
				if p != nil {
					g.leave(p)
					delete(here, name)
				}
			default:
				if p == nil {
					p = &peerState{Peer: named{name: name}, mark: Unmarked}
					here[name] = p
				}
				number := rapid.Uint64Range(1, to).Draw(t, "number")
				if by[number] == "" {
					g.note(g.markOf(p), number)
					by[number] = name
				} else if _, known := g.of(number); known {
					g.found(number)
				}
			}
		}
		if n := (to + g.width - 1) / g.width; n > maxStretches || g.width > 1 && n <= maxStretches/2 {
			t.Fatalf("%d blocks are cut into %d stretches", to, n)
		}
		var want [maxStretches][Marks]uint32
		mark := map[string]Mark{}
		for m, x := range g.marks {
			if x.name != "" {
				mark[x.name] = Mark(m)
			}
		}
		for number, name := range by {
			m, ok := mark[name]
			if !ok {
				m = Others
			}
			// Who came back after its mark had been given away has new blocks under its
			// name, and old ones among the others.
			if got, known := g.of(number); known && got != m && got != Others {
				t.Fatalf("block %d is by %s and marked %d", number, name, got)
			} else if known {
				m = got
			}
			want[(number-1)/g.width][m]++
		}
		total := uint64(0)
		for i := range g.counts {
			sum, mine := uint32(0), uint32(0)
			for m, n := range g.counts[i] {
				sum, mine = sum+n, mine+want[i][m]
			}
			if sum != mine {
				t.Fatalf("stretch %d counts %d blocks, want %d", i, sum, mine)
			}
			total += uint64(sum)
			if len(by) < 1000 && to < recentBlocks && g.counts[i] != want[i] {
				t.Fatalf("stretch %d counts %v, want %v", i, g.counts[i], want[i])
			}
		}
		marked := uint64(0)
		for _, x := range g.marks {
			marked += x.blocks
		}
		if marked != total || total != uint64(len(by)) {
			t.Fatalf("%d blocks are counted by mark, %d by stretch, %d came", marked, total, len(by))
		}
	})
}

// TestLedgerForgetsALie: a chain that was said to be long leaves no wide stretches behind.
func TestLedgerForgetsALie(t *testing.T) {
	var g ledger
	g.span(1 << 31)
	g.note(Before, 1<<30)
	g.note(Before, 1<<40) // not a number of it
	g.span(4000)
	if g.width != 8 || g.marks[Before].blocks != 0 {
		t.Errorf("stretches of %d blocks, %d counted", g.width, g.marks[Before].blocks)
	}
	for n := uint64(1); n <= 20; n++ {
		g.found(n % 10)
	}
	if g.marks[Before].blocks != 9 {
		t.Errorf("%d blocks were found", g.marks[Before].blocks)
	}
}

// BenchmarkLedger is what a block costs.
func BenchmarkLedger(b *testing.B) {
	var g ledger
	g.span(1 << 24)
	p := &peerState{Peer: named{name: "a"}, mark: Unmarked}
	n := uint64(0)
	for b.Loop() {
		n = n%(1<<24) + 1
		g.note(g.markOf(p), n)
	}
}
