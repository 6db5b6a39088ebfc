package downloader_test

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/store"
)

// GetContent implements downloader.Peer: place by place, as the content exchange has it.
func (a *actor) GetContent(id uint64, kind store.Kind, addrs []common.Hash) {
	addrs = slices.Clone(addrs)
	a.requests <- func() {
		answer := downloader.ContentAnswer{ID: id, Kind: kind}
		bytes := 0
		for _, addr := range addrs {
			raw, ok := a.content[addr]
			if !ok {
				answer.Absent = append(answer.Absent, addr)
				continue
			}
			answer.Items = append(answer.Items, store.Record{Hash: addr, Raw: raw})
			bytes += len(raw)
		}
		if !a.wait(bytes) {
			return
		}
		a.mu.Lock()
		a.received += uint64(bytes) + 1
		a.mu.Unlock()
		a.w.mu.Lock()
		for _, x := range answer.Items {
			a.w.served[x.Hash]++
		}
		a.w.mu.Unlock()
		answer.At = time.Now()
		a.w.down.Content(a.w.ctx, a, answer)
	}
}

// manyShapes is a branch on top of the first blocks of a trunk, whose blocks have from no to
// so many transactions, and so as many different receipts.
func manyShapes(t *testing.T, trunk *testbed.Branch, from int, seed uint64, n int, txs uint64) *testbed.Branch {
	cfg := chaingen.Config{Seed: seed, Blocks: uint64(n), Shape: func(n uint64) (int, int) { return int(n % (txs + 1)), 0 }}
	if trunk != nil {
		cfg = cfg.From(trunk.Blocks[from])
	}
	return testbed.NewBranch(t, chain.Dev, trunk, from, slices.Collect(chaingen.Generate(cfg)))
}

// receiptsOf returns the receipts of a branch by their root.
func receiptsOf(b *testbed.Branch) map[common.Hash][]byte {
	all := make(map[common.Hash][]byte)
	for _, x := range b.Blocks {
		if x.HasReceipts() {
			all[x.ReceiptRoot] = chaingen.Receipts(x)
		}
	}
	return all
}

// half returns every other item, by the order of the addresses.
func half(all map[common.Hash][]byte, odd int) map[common.Hash][]byte {
	some := make(map[common.Hash][]byte)
	for i, addr := range slices.SortedFunc(maps.Keys(all), common.Hash.Cmp) {
		if i%2 == odd {
			some[addr] = all[addr]
		}
	}
	return some
}

// receiptsHere waits until all receipts of a branch are here, and looks at them.
func (w *world) receiptsHere(b *testbed.Branch) {
	w.Helper()
	w.until(fmt.Sprintf("the receipts up to block %d", b.Head().Number), func(e downloader.Event) bool {
		r, ok := e.(downloader.ReceiptsHere)
		return ok && r.Head.Hash == b.Head().Hash
	})
	for root, want := range receiptsOf(b) {
		got, err := w.store.AppendContent(nil, store.Receipts, root)
		if err != nil || string(got) != string(want) {
			w.Fatalf("receipts %x are not what was served: %v", root, err)
		}
		w.mu.Lock()
		if n := w.served[root]; n != 1 {
			w.Errorf("receipts %x were sent %d times", root, n)
		}
		w.mu.Unlock()
	}
}

// TestReceiptsFollowTheChain: they come from whoever has them, each once, also after a
// restart and a reorg, and a peer without the exchange is not asked.
func TestReceiptsFollowTheChain(t *testing.T) {
	tune := func(c *downloader.Config) { c.Receipts = c.Store.(downloader.ReceiptStore) }
	inBubbleWith(t, tune, func(t *testing.T, w *world) {
		long := manyShapes(t, nil, 0, 1, 600, 40)
		receipts := receiptsOf(long)
		claim := claimOf(long)
		w.join(&actor{name: "of 2014", chain: long})
		claim.Content = true
		w.join(&actor{name: "even", chain: long, claim: claim, content: half(receipts, 0), delay: 20 * time.Millisecond})
		w.settled(long)
		w.until("all that there is", func(e downloader.Event) bool {
			p, ok := e.(downloader.Progress)
			return ok && p.Pool.Classes[1].Useful == uint64(len(receipts)/2) && p.Pool.Held == 0
		})
		w.mu.Lock()
		for _, e := range w.events {
			if r, ok := e.(downloader.ReceiptsHere); ok && r.Head.Hash == long.Head().Hash {
				t.Error("all receipts are said to be here, and half of them cannot be")
			}
		}
		w.mu.Unlock()
		w.stop()

		t.Log("# started again, with somebody who has the others")
		w.start()
		w.join(&actor{name: "odd", chain: long, claim: claim, content: half(receipts, 1), delay: 20 * time.Millisecond})
		w.receiptsHere(long)

		t.Log("# a reorg")
		other := manyShapes(t, long, 550, 2, 100, 60)
		claim = claimOf(other)
		claim.Content = true
		w.join(&actor{name: "other", chain: other, claim: claim, content: receiptsOf(other)})
		w.settled(other)
		w.receiptsHere(other)
	})
}

// shelf is a keeper in memory.
type shelf struct {
	mu   sync.Mutex
	kept map[common.Hash][]byte
}

func (s *shelf) Keep(records []store.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range records {
		s.kept[r.Hash] = r.Raw
	}
	return nil
}

func (s *shelf) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.kept)
}

// TestWantedContentComesFromWhoHasIt, each item once and while a chain is synced, and what
// is cancelled does not come.
func TestWantedContentComesFromWhoHasIt(t *testing.T) {
	chunks := &shelf{kept: make(map[common.Hash][]byte)}
	tune := func(c *downloader.Config) { c.Keepers = map[store.Kind]downloader.Keeper{store.Chunk: chunks} }
	inBubbleWith(t, tune, func(t *testing.T, w *world) {
		all := make(map[common.Hash][]byte)
		var wants []downloader.Want
		for i := range 1000 {
			addr := common.Hash{byte(i), byte(i >> 8), 1}
			all[addr] = make([]byte, 4104)
			wants = append(wants, downloader.Want{Address: addr, Rank: int64(i)})
		}
		nowhere := common.Hash{2}
		w.down.Want(store.Chunk, append(wants, downloader.Want{Address: nowhere, Rank: -1}))
		b := testbed.Grow(t, nil, 0, 1, 0, 500)
		claim := claimOf(b)
		claim.Content = true
		for odd, name := range []string{"even", "odd"} {
			w.join(&actor{name: name, chain: b, claim: claim, content: half(all, odd), delay: 10 * time.Millisecond, rate: 1e6})
		}
		w.settled(b)
		for began := time.Now(); chunks.len() < len(all); time.Sleep(100 * time.Millisecond) {
			if time.Since(began) > time.Minute {
				t.Fatalf("%d of %d chunks have come\n%s", chunks.len(), len(all), w.story())
			}
		}
		w.mu.Lock()
		for addr := range all {
			if n := w.served[addr]; n != 1 {
				t.Errorf("chunk %x was sent %d times", addr[:3], n)
			}
		}
		w.mu.Unlock()
		w.down.Cancel(store.Chunk, []common.Hash{nowhere})
		w.join(&actor{name: "late", chain: b, claim: claim, content: map[common.Hash][]byte{nowhere: {1}}})
		time.Sleep(time.Minute)
		if chunks.len() != len(all) {
			t.Error("what was cancelled has come")
		}
	})
}
