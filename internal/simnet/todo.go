package simnet

import (
	"container/heap"
	"sort"
	"time"
)

// todo is what the re-implementations have in common: which blocks are missing,
// oldest first. All of them begin when the whole chain of hashes is known.
type todo struct {
	state []todoState
	left  int      // blocks that are not here
	first int      // the oldest block that is not here: what can be linked ends before it
	next  int      // from here on, nothing has been asked for
	back  sortable // asked for before, and missing again
	known bool
}

type todoState uint8

const (
	todoMissing todoState = iota
	todoAsked
	todoHere
)

// sortable is a heap of blocks.
type sortable struct{ sort.IntSlice }

func (s *sortable) Push(x any) { s.IntSlice = append(s.IntSlice, x.(int)) }
func (s *sortable) Pop() any {
	last := len(s.IntSlice) - 1
	x := s.IntSlice[last]
	s.IntSlice = s.IntSlice[:last]
	return x
}

func newTodo(blocks int) todo { return todo{state: make([]todoState, blocks), left: blocks} }

// take returns the oldest missing block below a limit, which is asked for from now
// on.
func (t *todo) take(limit int) (block int, ok bool) {
	if !t.known {
		return 0, false
	}
	for t.back.Len() > 0 && t.state[t.back.IntSlice[0]] != todoMissing {
		heap.Pop(&t.back)
	}
	for t.next < len(t.state) && t.state[t.next] != todoMissing {
		t.next++
	}
	switch {
	case t.back.Len() > 0 && t.back.IntSlice[0] < min(limit, t.next):
		block = heap.Pop(&t.back).(int)
	case t.next < min(limit, len(t.state)):
		block = t.next
		t.next++
	default:
		return 0, false
	}
	t.state[block] = todoAsked
	return block, true
}

// giveBack makes blocks that were asked for missing again.
func (t *todo) giveBack(blocks []int) {
	for _, b := range blocks {
		if t.state[b] == todoAsked {
			t.state[b] = todoMissing
			heap.Push(&t.back, b)
		}
	}
}

// come takes a block, and reports whether it was not here yet.
func (t *todo) come(block int) bool {
	if t.state[block] == todoHere {
		return false
	}
	t.state[block] = todoHere
	t.left--
	for t.first < len(t.state) && t.state[t.first] == todoHere {
		t.first++
	}
	return true
}

// Known implements Policy.
func (t *todo) Known(_ time.Duration, from int) { t.known = from == 0 }

// Walks and Walked implement Policy: who is asked for hashes makes no difference.
func (t *todo) Walks(time.Duration, int, int64)  {}
func (t *todo) Walked(time.Duration, int, int64) {}

// Checked implements Policy: junk is missing again.
func (t *todo) Checked(_ time.Duration, _ int, blocks []int, ok bool) {
	if ok {
		return
	}
	for _, b := range blocks {
		if t.state[b] == todoHere {
			t.state[b] = todoMissing
			t.left++
			t.first = min(t.first, b)
			heap.Push(&t.back, b)
		}
	}
}

// roster is the connected peers of a re-implementation, in order of their numbers.
type roster[P any] struct {
	byID  map[int]*P
	order []int
}

func (r *roster[P]) join(id int, p *P) {
	if r.byID == nil {
		r.byID = make(map[int]*P)
	}
	r.byID[id] = p
	i := sort.SearchInts(r.order, id)
	r.order = append(r.order, 0)
	copy(r.order[i+1:], r.order[i:])
	r.order[i] = id
}

func (r *roster[P]) leave(id int) *P {
	p := r.byID[id]
	delete(r.byID, id)
	if i := sort.SearchInts(r.order, id); i < len(r.order) && r.order[i] == id {
		r.order = append(r.order[:i], r.order[i+1:]...)
	}
	return p
}
