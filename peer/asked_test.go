package peer

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"pgregory.net/rapid"
)

func toyBlocks(ns []int) (blocks []Block) {
	for _, n := range ns {
		blocks = append(blocks, Block{Hash: common.Hash{1: byte(n >> 8), 2: byte(n)}})
	}
	return blocks
}

func numberOf(b Block) int { return int(b.Hash[1])<<8 | int(b.Hash[2]) }

// books is the dumb model: it keeps the books on what was asked and what came.
type books struct {
	asked  map[uint64]map[int]int // per request: how often each block is still due
	open   []uint64
	closed map[uint64]bool
}

func (k *books) add(id uint64, ns []int) {
	if k.asked == nil {
		k.asked, k.closed = map[uint64]map[int]int{}, map[uint64]bool{}
	}
	k.asked[id] = map[int]int{}
	for _, n := range ns {
		k.asked[id][n]++
	}
	k.open = append(k.open, id)
}

// enter takes the outcome of one message, and says what is wrong with it.
func (k *books) enter(message []int, answers []Answer, rest []Block, matched bool) error {
	came := map[int]int{}
	for _, n := range message {
		came[n]++
	}
	last := -1
	for _, a := range answers {
		due, ok := k.asked[a.ID]
		if !ok || int(a.ID) <= last {
			return fmt.Errorf("request %d is unknown, or not after %d", a.ID, last)
		}
		if !k.closed[a.ID] { // what is late comes before all others
			last = int(a.ID)
		} else if last >= 0 {
			return fmt.Errorf("what is late for request %d comes after %d", a.ID, last)
		}
		if k.closed[a.ID] && (a.Closed || !a.Scattered) {
			return fmt.Errorf("request %d is closed twice, or in secret", a.ID)
		}
		if a.Closed {
			k.closed[a.ID] = true
			k.open = slices.DeleteFunc(k.open, func(id uint64) bool { return id == a.ID })
		}
		if len(message) > 0 && len(a.Blocks) == 0 {
			return fmt.Errorf("request %d is answered with nothing", a.ID)
		}
		for _, b := range a.Blocks {
			n := numberOf(b)
			if came[n]--; came[n] < 0 {
				return fmt.Errorf("block %d is attributed twice", n)
			}
			if due[n]--; due[n] < 0 {
				return fmt.Errorf("block %d was not due to request %d", n, a.ID)
			}
		}
	}
	for _, b := range rest {
		n := numberOf(b)
		if came[n]--; came[n] < 0 {
			return fmt.Errorf("block %d is attributed and announced", n)
		}
		for _, id := range k.open {
			if k.asked[id][n] > 0 {
				return fmt.Errorf("block %d is announced, but due to request %d", n, id)
			}
		}
	}
	if len(rest) > announceBlocks {
		return fmt.Errorf("%d announced", len(rest))
	}
	if len(rest) < announceBlocks {
		for n, left := range came {
			if left != 0 {
				return fmt.Errorf("block %d is lost", n)
			}
		}
	}
	if matched != (len(answers) > 0) {
		return fmt.Errorf("matched is %v with %d answers", matched, len(answers))
	}
	return nil
}

// TestAskedAnything: whatever is asked and whatever comes, nothing is counted
// twice and nothing is lost.
func TestAskedAnything(t *testing.T) {
	rapid.Check(t, askedAnything)
}

func FuzzAsked(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(askedAnything))
}

func askedAnything(t *rapid.T) {
	numbers := rapid.SliceOfN(rapid.IntRange(0, 9), 0, 8)
	var a asked
	var k books
	id := uint64(0)
	t.Repeat(map[string]func(*rapid.T){
		"ask": func(t *rapid.T) {
			ns := numbers.Draw(t, "asked")
			var hs []common.Hash
			for _, b := range toyBlocks(ns) {
				hs = append(hs, b.Hash)
			}
			a.add(id, hs)
			clear(hs) // the caller's
			k.add(id, ns)
			id++
		},
		"come": func(t *rapid.T) {
			ns := numbers.Draw(t, "came")
			oldest, any := uint64(0), len(k.open) > 0
			if any {
				oldest = k.open[0]
			}
			answers, rest, matched := a.match(toyBlocks(ns))
			if err := k.enter(ns, answers, rest, matched); err != nil {
				t.Fatal(err)
			}
			if len(ns) == 0 && any && (len(answers) != 1 || answers[0].ID != oldest || !answers[0].Closed) {
				t.Fatalf("an empty message closes %v, not %d", answers, oldest)
			}
		},
		"": func(t *rapid.T) {
			if len(a.open) != len(k.open) {
				t.Fatalf("%d open, in the books %d", len(a.open), len(k.open))
			}
		},
	})
}

// TestAskedOfOneWithDiscipline: a server that sends one message for each request,
// in order, with some or none of its blocks in any order, and announces what
// nobody asks for at any time, closes each request by exactly its message. New
// requests ask for what is missing, and for what is asked already.
func TestAskedOfOneWithDiscipline(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a asked
		var k books
		var queue [][]int // at the server
		id, turn := uint64(0), uint64(0)
		numbers := rapid.SliceOfN(rapid.IntRange(0, 9), 1, 8)
		news := rapid.SliceOfN(rapid.IntRange(1000, 1010), 0, 3)
		t.Repeat(map[string]func(*rapid.T){
			"ask": func(t *rapid.T) {
				ns := numbers.Draw(t, "asked")
				var hs []common.Hash
				for _, b := range toyBlocks(ns) {
					hs = append(hs, b.Hash)
				}
				a.add(id, hs)
				k.add(id, ns)
				queue = append(queue, ns)
				id++
			},
			"answer": func(t *rapid.T) {
				if len(queue) == 0 {
					t.Skip("nothing to answer")
				}
				ns := rapid.Permutation(queue[0]).Draw(t, "order")
				ns = ns[:rapid.IntRange(0, len(ns)).Draw(t, "how many")]
				queue = queue[1:]
				own := len(ns)
				if own > 0 { // and something new in the same message
					ns = append(slices.Clone(ns), news.Draw(t, "news")...)
				}
				answers, rest, matched := a.match(toyBlocks(ns))
				if err := k.enter(ns, answers, rest, matched); err != nil {
					t.Fatal(err)
				}
				if len(answers) != 1 || answers[0].ID != turn || !answers[0].Closed || answers[0].Scattered || len(answers[0].Blocks) != own {
					t.Fatalf("%v of request %d gives %+v", ns, turn, answers)
				}
				turn++
			},
			"announce": func(t *rapid.T) {
				ns := append(news.Draw(t, "news"), 1011)
				answers, rest, matched := a.match(toyBlocks(ns))
				if len(answers) > 0 || matched || len(rest) != len(ns) {
					t.Fatalf("%v gives %+v", ns, answers)
				}
			},
			"": func(t *rapid.T) {
				if len(a.open) != len(queue) {
					t.Fatalf("%d open, %d at the server", len(a.open), len(queue))
				}
			},
		})
	})
}

// TestAskedOfOneWhoScatters: a server that cuts each answer into several messages
// is known by the second piece of the first that has more than one; from then on
// each request is closed by its last piece.
func TestAskedOfOneWhoScatters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a asked
		var k books
		var queue [][]int
		next := 0
		for id := range rapid.IntRange(1, 5).Draw(t, "requests") {
			var ns []int
			var hs []common.Hash
			for range rapid.IntRange(1, 8).Draw(t, "blocks") {
				ns = append(ns, next)
				hs = append(hs, toyBlocks([]int{next})[0].Hash)
				next++
			}
			a.add(uint64(id), hs)
			k.add(uint64(id), ns)
			queue = append(queue, ns)
		}
		known := false
		for id, ns := range queue {
			for rest := ns; len(rest) > 0; {
				n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
				first, last := len(rest) == len(ns), n == len(rest)
				known = known || !first
				answers, more, matched := a.match(toyBlocks(rest[:n]))
				if err := k.enter(rest[:n], answers, more, matched); err != nil {
					t.Fatal(err)
				}
				if len(answers) != 1 || answers[0].ID != uint64(id) || answers[0].Scattered != known {
					t.Fatalf("a piece of request %d gives %+v, scattered should be %v", id, answers, known)
				}
				if last && !k.closed[uint64(id)] {
					t.Fatalf("request %d is not closed by its last piece", id)
				}
				rest = rest[n:]
			}
		}
		if len(a.open) > 0 {
			t.Fatalf("%d are open in the end", len(a.open))
		}
	})
}
