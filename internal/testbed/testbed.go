// Package testbed is what the tests of several rooms build their worlds of: chains as
// peers serve them, and as rogues do; somebody who stands for proof of work, and the
// watchdog as an oracle; and where there are real blocks. It knows no network and no store;
// each room has its own.
package testbed

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/chaingen"
)

// Branch is a chain: its blocks from the genesis block on.
type Branch struct {
	Network *chain.Network
	Blocks  []*chain.Block
	At      map[common.Hash]int // place in Blocks
	TD      uint256.Int         // of the head
}

// NewBranch puts blocks on top of the first ones of a trunk, up to the given number.
// A nil trunk is the genesis block of the network.
func NewBranch(t testing.TB, net *chain.Network, trunk *Branch, from int, blocks []*chain.Block) *Branch {
	t.Helper()
	b := &Branch{Network: net, At: make(map[common.Hash]int)}
	if trunk == nil {
		g, err := net.GenesisBlock()
		if err != nil {
			t.Fatal(err)
		}
		b.Blocks = []*chain.Block{g}
	} else {
		b.Blocks = slices.Clone(trunk.Blocks[:from+1])
	}
	b.Blocks = append(b.Blocks, blocks...)
	for i, x := range b.Blocks {
		b.At[x.Hash] = i
		td, err := net.TotalDifficulty(&b.TD, x)
		if err != nil {
			t.Fatal(err)
		}
		b.TD = td
	}
	return b
}

// Grow puts n generated blocks of [chain.Dev] on top of the first ones of a trunk. The
// interval between them, in seconds, decides their difficulty; 0 is the usual one.
func Grow(t testing.TB, trunk *Branch, from int, seed, interval uint64, n int) *Branch {
	t.Helper()
	cfg := chaingen.Config{Seed: seed, Blocks: uint64(n), Interval: interval, Txs: 1}
	if trunk != nil {
		cfg = cfg.From(trunk.Blocks[from])
	}
	return NewBranch(t, chain.Dev, trunk, from, slices.Collect(chaingen.Generate(cfg)))
}

// Head returns the youngest block.
func (b *Branch) Head() *chain.Block { return b.Blocks[len(b.Blocks)-1] }

// Size returns the bytes of all blocks.
func (b *Branch) Size() (n int) {
	for _, x := range b.Blocks {
		n += len(x.Raw())
	}
	return n
}

// Ancestors returns up to so many hashes as a peer that has the chain answers them: the
// parent of start first.
func (b *Branch) Ancestors(start common.Hash, most int) (list []common.Hash) {
	i, ok := b.At[start]
	if !ok {
		return nil
	}
	for i--; i >= 0 && len(list) < most; i-- {
		list = append(list, b.Blocks[i].Hash)
	}
	return list
}

// Notary stands for proof of work: it knows which seals are false, and counts what it
// is asked. The zero value finds all in order. It is safe for concurrent use.
type Notary struct {
	mu    sync.Mutex
	bad   map[common.Hash]bool
	asked map[uint64]int
}

// Refuse makes the seals of some blocks false.
func (n *Notary) Refuse(hashes ...common.Hash) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.bad == nil {
		n.bad = make(map[common.Hash]bool)
	}
	for _, h := range hashes {
		n.bad[h] = true
	}
}

// Asked returns how often the seal of each block was checked.
func (n *Notary) Asked() map[uint64]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.asked)
}

// CheckSeal implements [downloader.Sealer].
func (n *Notary) CheckSeal(h *chain.Header) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked == nil {
		n.asked = make(map[uint64]int)
	}
	n.asked[h.Number]++
	if n.bad[h.Hash] {
		return &chain.RuleError{Rule: chain.RuleSeal, Number: h.Number, Hash: h.Hash, Have: "false", Want: "true"}
	}
	return nil
}

// Watchdog fails a test if one of the events says that the downloader has stalled while
// a peer was idle that has what is wanted, and serves it.
func Watchdog[E any](t testing.TB, events []E, serves func(peer string, h common.Hash) bool) {
	t.Helper()
	for _, e := range events {
		s, ok := any(e).(downloader.Stalled)
		if !ok {
			continue
		}
		for _, name := range s.Idle {
			if serves(name, s.Wanted) {
				t.Errorf("nothing came for %v while %s was idle; waiting %q, pool %+v", s.For, name, s.Waiting, s.Pool)
			}
		}
	}
}

// Story tells of the events of a downloader and a node, the latest of them, for a test that
// fails.
func Story[E any](events []E) string {
	s := ""
	for _, e := range events {
		if p, ok := any(e).(downloader.Progress); ok {
			s += fmt.Sprintf("progress %v target %d hashes %d fed %d waiting %q pool %+v\n", p.Phase, p.Target, p.Hashes, p.Fed, p.Waiting, p.Pool)
			continue
		}
		s += fmt.Sprintf("%T %+v\n", e, e)
	}
	if len(s) > 6000 {
		s = "…" + s[len(s)-6000:]
	}
	return s
}
