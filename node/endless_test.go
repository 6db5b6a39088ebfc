package node_test

import (
	"encoding/binary"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/testbed"
)

// The attacks on memory: lists of hashes that never end, and chains that are long and
// worth nothing. A list of hashes costs nothing to make up, which is why later
// protocols did without.

// endless makes a rogue claim a head block that is in order by itself and has
// twenty million ancestors, all of which it can name and none of which it has. Each
// answer names at most so many, and takes so long.
func (r *rogue) endless(answer int, pause time.Duration) {
	const ancestors = 20_000_000
	name := func(i uint64) (h common.Hash) {
		h[0] = 0xa5
		binary.BigEndian.PutUint64(h[24:], i)
		return h
	}
	head := testbed.Remade(r.w, r.Chain.Head(), func(h *types.Header) {
		h.Number.SetUint64(ancestors)
		h.ParentHash = name(0)
		h.Time = uint64(time.Now().Unix())
	})
	r.Chain = &testbed.Branch{Network: r.Chain.Network, Blocks: []*chain.Block{head}, At: map[common.Hash]int{head.Hash: 0}}
	r.Best = head.Hash
	r.ClaimMore()
	r.Ancestry = func(start common.Hash, _ []common.Hash) (list []common.Hash) {
		first := uint64(0)
		switch {
		case start == head.Hash:
		case start[0] == 0xa5:
			first = binary.BigEndian.Uint64(start[24:]) + 1
		default:
			return nil
		}
		r.Sleep(pause)
		for i := range uint64(answer) {
			list = append(list, name(first+i))
		}
		return list
	}
}

func TestEndlessLists(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 600)
	for _, a := range []struct {
		name   string
		answer int
		pause  time.Duration
	}{
		{"A3 made-up hashes in the largest batches", 8192, 0},
		{"A4 made-up hashes, one at a time", 1, 0},
		{"A4 made-up hashes, one at a time, slowly", 1, 7 * time.Second},
		{"A5 an endless chain, as slowly as a slow link", 8192, 3 * time.Second},
	} {
		t.Run(a.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				r := w.rogue("attacker", c)
				r.endless(a.answer, a.pause)
				addrs := []string{r.listen().addr}
				for _, name := range []string{"a", "b", "c"} {
					addrs = append(addrs, w.honest(name, c, honestRate).addr)
				}
				before := heap()
				began := time.Now()
				v := w.node("victim", nil, nil, addrs...)
				v.until("the honest chain", func(e any) bool {
					h, ok := e.(downloader.HeadMoved)
					return ok && h.New.Hash == c.Head().Hash
				})
				took := v.reached(c.Head().Hash).Sub(began)
				t.Logf("the chain took %v", took.Round(ms))
				if took > 2*soon {
					t.Errorf("the chain took %v", took)
				}
				grown := heap() - before
				t.Logf("the heap grew by %d kB", grown>>10)
				if grown > heapBound {
					t.Errorf("the heap grew by %d bytes", grown)
				}
				v.settled(c)
				t.Logf("settling took %v", time.Since(began).Round(ms))
				v.convicted(downloader.Useless, r.ip)
				v.fair(r.ip)
				v.frugal()
				v.bounded()
			})
		})
	}
}

// heapBound is what a node may take for itself with a chain of a few hundred
// kilobytes and somebody who tries to fill it up: the file system of its store, which
// is in memory here, the index's tables and its session buffers, with much air.
const heapBound = 64 << 20

// heap returns how much memory is in use when everybody waits.
func heap() int64 {
	synctest.Wait()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// TestA6ACheapChainWithALargeClaim: the claim is held against the difficulties of
// blocks chosen in secret, and the chain is given up before it is fetched.
func TestA6ACheapChainWithALargeClaim(t *testing.T) {
	if testing.Short() {
		t.Skip("70,000 blocks")
	}
	cheap := testbed.Grow(t, nil, 0, 5, 0, 70_000)
	good := testbed.Grow(t, nil, 0, 1, 0, 300)
	inBubble(t, func(t *testing.T, w *world) {
		r := w.rogue("attacker", cheap)
		r.host.SetUpload(2e6)
		r.TD.Mul(&r.TD, uint256.NewInt(1000))
		a := w.honest("a", good, honestRate)
		v := w.node("victim", nil, nil, r.listen().addr, a.addr)
		v.until("the attacker's end", func(e any) bool {
			d, ok := e.(downloader.Dropped)
			return ok && hostOf(d.Peer) == r.ip
		})
		served, _ := r.Count()
		t.Logf("%d blocks of it were fetched", served)
		if served > 40_000 {
			t.Errorf("%d blocks of it were fetched", served)
		}
		v.settled(good)
		v.convicted(downloader.Lie, r.ip)
		v.fair(r.ip)
		v.frugal()
	})
}
