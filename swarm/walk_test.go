package swarm

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
)

// imagined opens a node of a tree in which no chunk is like another.
func imagined(n node) inner {
	full := below(n.span)
	addrs := make([]byte, (n.span+full-1)/full*common.HashLength)
	for i := range len(addrs) / common.HashLength {
		binary.BigEndian.PutUint64(addrs[i*common.HashLength:], n.from+uint64(i)*full)
		binary.BigEndian.PutUint64(addrs[i*common.HashLength+8:], full)
	}
	return inner{n, addrs, full}
}

// TestWalkKeepsTheWindowFull: a fetch always has as much wanted as it may, until all that
// is left is wanted, although what leads to it must be fetched too. Of what is wanted, a
// part is on its way, lowest rank first.
func TestWalkKeepsTheWindowFull(t *testing.T) {
	const (
		size   = 300 << 20
		flying = 2 * fetchWindow / 3
		step   = 40 // chunks that come at a time
	)
	w := newWalk()
	root := node{span: size}
	w.open(imagined(root))
	var wanted, flight []node // wanted by rank
	onTheWay, bytes := 0, uint64(0)
	for round := 0; ; round++ {
		for len(wanted)+len(flight) < fetchWindow {
			n, ok := w.next(onTheWay)
			if !ok {
				break
			}
			at, _ := slices.BinarySearchFunc(wanted, n, func(a, b node) int { return int(rankOf(0, a) - rankOf(0, b)) })
			wanted = slices.Insert(wanted, at, n)
			if !n.leaf() {
				onTheWay++
			}
		}
		if len(wanted)+len(flight) == 0 {
			break
		}
		left := size - bytes
		for _, n := range append(wanted, flight...) {
			if n.leaf() {
				left -= n.span
			}
		}
		if n := len(wanted) + len(flight); round > 10 && left > 0 && n < fetchWindow-mostOpen {
			t.Fatalf("round %d: %d chunks are wanted, and %d bytes are left", round, n, left)
		}
		n := min(flying-len(flight), len(wanted))
		flight, wanted = append(flight, wanted[:n]...), wanted[n:]
		n = min(step, len(flight))
		for _, x := range flight[:n] {
			if x.leaf() {
				bytes += x.span
				continue
			}
			onTheWay--
			w.open(imagined(x))
		}
		flight = flight[n:]
	}
	if bytes != size {
		t.Errorf("%d bytes, want %d", bytes, size)
	}
}
