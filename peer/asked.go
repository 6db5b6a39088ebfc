package peer

import (
	"slices"

	"github.com/ethereum/go-ethereum/common"
)

// asked holds the GetBlocks that are not fully answered, oldest first, and
// attributes what arrives to them.
//
// The rule of the protocol is one Blocks for each GetBlocks, in order. A server
// that sends one answer in several messages is recognised by blocks that arrive
// for a request that its first message has closed; from then on its requests are
// closed only when they are complete, or by an empty Blocks.
type asked struct {
	open      []*blockRequest
	closed    *blockRequest // the last one that was closed with blocks missing
	scattered bool
}

type blockRequest struct {
	id     uint64
	hashes []common.Hash
	got    []bool
	left   int
	next   int // where the next block is expected
}

func (a *asked) add(id uint64, hashes []common.Hash) {
	hashes = slices.Clone(hashes) // the caller's
	a.open = append(a.open, &blockRequest{id: id, hashes: hashes, got: make([]bool, len(hashes)), left: len(hashes)})
}

// take marks a hash as arrived. It reports whether the request asked for it and
// did not have it yet; a hash may be asked for twice in one request.
func (r *blockRequest) take(h common.Hash) bool {
	for i := range r.hashes {
		// Answers come in request order: begin where the next is expected.
		if j := (r.next + i) % len(r.hashes); r.hashes[j] == h && !r.got[j] {
			r.got[j] = true
			r.left--
			r.next = j + 1
			return true
		}
	}
	return false
}

// match attributes the blocks of one message. It returns the answers, first what
// is late and then in the order of their requests, and the blocks that nobody
// asked for. It reports whether the message was an answer at all.
func (a *asked) match(blocks []Block) (answers []Answer, rest []Block, matched bool) {
	if len(blocks) == 0 { // always an answer, to the oldest request
		if len(a.open) == 0 {
			return nil, nil, false
		}
		r := a.open[0]
		a.open = a.open[1:]
		a.closed = nil
		return []Answer{{ID: r.id, Closed: true, Scattered: a.scattered}}, nil, true
	}
	byRequest := make([][]Block, len(a.open))
	var late []Block
	for n, b := range blocks {
		if len(rest) == announceBlocks {
			break // junk: it is not worth the search
		}
		if i := a.owner(b.Hash); i >= 0 {
			if len(byRequest[i]) == n { // mostly it is one request's, all of it
				byRequest[i] = blocks[: n+1 : n+1]
			} else {
				byRequest[i] = append(byRequest[i], b)
			}
		} else if a.closed != nil && a.closed.take(b.Hash) {
			late = append(late, b)
		} else {
			rest = append(rest, b)
		}
	}
	if late != nil {
		a.scattered = true
		answers = append(answers, Answer{ID: a.closed.id, Blocks: late, Scattered: true})
	}
	var still []*blockRequest
	for i, r := range a.open {
		got := byRequest[i]
		if len(got) == 0 {
			still = append(still, r)
			continue
		}
		matched = true
		done := r.left == 0 || !a.scattered
		answers = append(answers, Answer{ID: r.id, Blocks: got, Closed: done, Scattered: a.scattered})
		if !done {
			still = append(still, r)
		} else if r.left > 0 {
			a.closed = r
		}
	}
	a.open = still
	return answers, rest, matched || late != nil
}

// owner returns the index of the oldest open request that still misses a hash, or
// -1.
func (a *asked) owner(h common.Hash) int {
	for i, r := range a.open {
		if r.take(h) {
			return i
		}
	}
	return -1
}
