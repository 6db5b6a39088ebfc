package node_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/store"
	"github.com/shoalnet/shoal/swarm"
)

// TestFilesFromThoseWhoHoldAHalf: of two files, two at the same time, from two nodes that
// hold every other chunk, each chunk once.
func TestFilesFromThoseWhoHoldAHalf(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		even := w.honest("even", nil, 2e6)
		odd := w.honest("odd", nil, 2e6)
		getter := w.node("getter", nil, nil, even.addr, odd.addr)
		var refs []common.Hash
		var files [][]byte
		for seed := range uint64(2) {
			file := make([]byte, 3_000_000)
			rand.NewChaCha8([32]byte{byte(seed)}).Read(file)
			for i, m := range []*machine{even, odd} {
				ref, _, err := m.node.Files().Put(t.Context(), "file", bytes.NewReader(file))
				if err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					refs, files = append(refs, ref), append(files, file)
				}
			}
		}
		for i, m := range []*machine{even, odd} {
			disk := swarm.OnDisk(m.store)
			var all []common.Hash
			if err := disk.Chunks(func(a common.Hash) bool { all = append(all, a); return true }); err != nil {
				t.Fatal(err)
			}
			slices.SortFunc(all, common.Hash.Cmp)
			var gone []common.Hash
			for n, a := range all {
				if n%2 == i {
					gone = append(gone, a)
				}
			}
			if err := disk.DeleteChunks(gone); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan error)
		for _, ref := range refs {
			go func() { done <- getter.node.Files().Fetch(t.Context(), ref, swarm.FetchOptions{}) }()
		}
		for range refs {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		for i, ref := range refs {
			f, err := getter.node.Files().Open(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(f)
			if err != nil || !bytes.Equal(got, files[i]) {
				t.Fatalf("file %d has %d bytes, %v", i, len(got), err)
			}
			f.Close()
		}
		if s := getter.last().Pool; s.Duplicates > 0 || s.Unrequested > 0 {
			t.Errorf("%d chunks came twice, and %d that nobody wanted", s.Duplicates, s.Unrequested)
		}
	})
}

// TestReceiptsComeWithTheChain, from the one of two peers that has them.
func TestReceiptsComeWithTheChain(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		shape := func(n uint64) (int, int) { return int(n % 30), 0 }
		b := testbed.NewBranch(t, chain.Dev, nil, 0, slices.Collect(chaingen.Generate(chaingen.Config{Seed: 1, Blocks: 500, Shape: shape})))
		without := w.honest("without", b, 1e6)
		with := w.honest("with", b, 1e6)
		for _, x := range b.Blocks {
			if !x.HasReceipts() {
				continue
			}
			if _, err := with.store.PutContent(store.Receipts, []store.Record{{Hash: x.ReceiptRoot, Raw: chaingen.Receipts(x)}}); err != nil {
				t.Fatal(err)
			}
		}
		m := w.node("syncing", nil, func(c *node.Config) { c.Receipts = true }, without.addr, with.addr)
		m.until("the receipts", func(e any) bool {
			r, ok := e.(downloader.ReceiptsHere)
			return ok && r.Head.Hash == b.Head().Hash
		})
		m.settled(b)
		for _, x := range b.Blocks {
			if !x.HasReceipts() {
				continue
			}
			got, err := m.store.AppendContent(nil, store.Receipts, x.ReceiptRoot)
			if err != nil || !bytes.Equal(got, chaingen.Receipts(x)) {
				t.Fatalf("the receipts of block %d: %v", x.Number, err)
			}
		}
	})
}
