package swarm

import (
	"fmt"
	"math"

	"github.com/ethereum/go-ethereum/common"
)

// TreeError says that the chunks of a tree do not fit together. Nobody who sent one of
// them is to blame: each is what its address promises, and the tree was made so.
type TreeError struct {
	Address common.Hash // of the chunk that is wrong
	What    string
}

func (e *TreeError) Error() string {
	return fmt.Sprintf("swarm: the tree is broken at %x: %s", e.Address, e.What)
}

// maxSpan is the greatest span that is read: what an int64 counts, because readers
// seek with it. Trees of that size do not exist; those that claim it lie.
const maxSpan = math.MaxInt64

// node is a chunk in its place in a tree: what is known of it before it is there.
type node struct {
	addr common.Hash
	span uint64
	from uint64 // offset in the file
}

// leaf reports whether the chunk holds bytes of the file.
func (n node) leaf() bool { return n.span <= ChunkSize }

// below returns how many bytes each chunk below one with the span covers, but for
// the last. The span must be above ChunkSize.
func below(span uint64) uint64 {
	full := uint64(ChunkSize)
	for (span-1)/full >= Branches {
		full *= Branches
	}
	return full
}

// check compares the payload that is held under the address of a node with its place.
func (n node) check(payload []byte) error {
	wrong := func(format string, args ...any) error {
		return &TreeError{n.addr, fmt.Sprintf(format, args...)}
	}
	if len(payload) < SpanSize || len(payload) > MaxPayload {
		return wrong("a payload of %d bytes", len(payload))
	}
	if got := span(payload); got != n.span {
		return wrong("its span is %d, its place is for %d", got, n.span)
	}
	want := n.span // of bytes
	if !n.leaf() {
		full := below(n.span)
		want = (n.span + full - 1) / full * common.HashLength
	}
	if got := len(data(payload)); uint64(got) != want {
		return wrong("%d bytes of data under a span of %d, want %d", got, n.span, want)
	}
	return nil
}

// root returns the node of a tree's first chunk, whose payload says how big it is.
func root(addr common.Hash, payload []byte) (node, error) {
	n := node{addr: addr}
	if len(payload) >= SpanSize {
		n.span = span(payload)
	}
	if n.span > maxSpan {
		return n, &TreeError{addr, fmt.Sprintf("a span of %d bytes: it is encrypted, has redundancy, or is none", n.span)}
	}
	return n, n.check(payload)
}

// inner is a node that is open: its payload is there, and right.
type inner struct {
	node
	addrs []byte // of the chunks below
	full  uint64 // what each of them covers, but for the last
}

// open checks the payload of a node that is no leaf.
func (n node) open(payload []byte) (inner, error) {
	if err := n.check(payload); err != nil {
		return inner{}, err
	}
	return inner{n, data(payload), below(n.span)}, nil
}

// children returns the number of chunks below.
func (in *inner) children() int { return len(in.addrs) / common.HashLength }

// child returns the node at index i below.
func (in *inner) child(i int) node {
	before := uint64(i) * in.full
	return node{
		addr: common.Hash(in.addrs[i*common.HashLength:][:common.HashLength]),
		span: min(in.full, in.span-before),
		from: in.from + before,
	}
}
