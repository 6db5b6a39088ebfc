package downloader_test

import (
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/store"
)

// receiptStore is an empty store in memory.
func receiptStore(t testing.TB) *store.Store {
	t.Helper()
	g, err := chain.Dev.GenesisBlock()
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open("data", store.Options{FS: vfs.NewMem(), Network: chain.Dev.Name, Genesis: store.Genesis{
		Record: store.Record{Hash: g.Hash, Raw: g.Raw()}, TD: g.Difficulty,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// link puts and links blocks on top of a linked one.
func link(t testing.TB, st *store.Store, blocks []*chain.Block) {
	t.Helper()
	parent, ok, err := st.Linked(blocks[0].Parent)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	td := parent.TD
	var recs []store.Record
	var run []store.Link
	for _, b := range blocks {
		td.Add(&td, &b.Difficulty)
		recs = append(recs, store.Record{Hash: b.Hash, Number: b.Number, Raw: b.Raw()})
		run = append(run, store.Link{Hash: b.Hash, Parent: b.Parent, Number: b.Number, TD: td})
	}
	if _, err := st.Put(recs); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Link(run); err != nil {
		t.Fatal(err)
	}
}

// bring stores the receipts of blocks.
func bring(t testing.TB, st *store.Store, blocks ...*chain.Block) {
	t.Helper()
	for _, b := range blocks {
		rec := store.Record{Hash: b.ReceiptRoot, Raw: chaingen.Receipts(b)}
		if _, err := st.PutContent(store.Receipts, []store.Record{rec}); err != nil {
			t.Fatal(err)
		}
	}
}

func wantMissing(t testing.TB, c *downloader.ReceiptCursor, want ...uint64) {
	t.Helper()
	if err := c.Align(); err != nil {
		t.Fatal(err)
	}
	var got []uint64
	_, err := c.Missing(c.At(), func(m downloader.MissingReceipts) bool {
		got = append(got, m.Number)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("missing are the receipts of %d, want %d", got, want)
	}
}

func cursor(t testing.TB, st *store.Store) *downloader.ReceiptCursor {
	t.Helper()
	c, err := downloader.NewReceiptCursor(chain.Dev, st)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func canonical(t testing.TB, st *store.Store, number uint64) store.Head {
	t.Helper()
	hash, err := st.Canonical(number)
	if err != nil {
		t.Fatal(err)
	}
	return store.Head{Number: number, Hash: hash}
}

// The cursor finds what is missing, remembers how far it was, and goes back when blocks
// leave the chain.
func TestReceiptCursor(t *testing.T) {
	st := receiptStore(t)
	shape := func(n uint64) (int, int) { return []int{0, 1, 0, 2, 5}[n%5], 0 }
	blocks := slices.Collect(chaingen.Generate(chaingen.Config{Seed: 1, Blocks: 10, Shape: shape}))
	c := cursor(t, st)
	wantMissing(t, c)
	link(t, st, blocks)
	wantMissing(t, c, 1, 3, 4, 6, 8, 9)
	bring(t, st, blocks[0]) // those of block 6 are the same
	wantMissing(t, c, 3, 4, 8, 9)
	if err := c.Advance(canonical(t, st, 2)); err != nil {
		t.Fatal(err)
	}
	wantMissing(t, c, 3, 4, 8, 9)
	bring(t, st, blocks[2], blocks[3])
	if err := c.Advance(canonical(t, st, 10)); err != nil {
		t.Fatal(err)
	}
	wantMissing(t, c)
	if n := cursor(t, st).At().Number; n != 10 {
		t.Fatalf("opened again, it is at block %d", n)
	}

	t.Log("# a reorg, longer than a step, seen by the old cursor and by a new one")
	main := slices.Collect(chaingen.Generate(chaingen.Config{Seed: 1, Blocks: 100}.From(blocks[9])))
	link(t, st, main)
	if err := c.Advance(canonical(t, st, 110)); err != nil {
		t.Fatal(err)
	}
	three := func(n uint64) (int, int) { return int(n % 2 * 3), 0 }
	link(t, st, slices.Collect(chaingen.Generate(chaingen.Config{Seed: 2, Blocks: 130, Interval: 5, Shape: three}.From(blocks[6]))))
	if st.Head().Number != 137 {
		t.Fatalf("head is block %d", st.Head().Number)
	}
	if n := cursor(t, st).At().Number; n != 7 {
		t.Fatalf("after the reorg a new cursor is at block %d, want 7", n)
	}
	var odd []uint64
	for n := uint64(9); n <= 137; n += 2 {
		odd = append(odd, n)
	}
	wantMissing(t, c, odd...)
	if c.At().Number != 7 {
		t.Fatalf("after the reorg the cursor is at block %d, want 7", c.At().Number)
	}
	last, err := c.Missing(c.At(), func(downloader.MissingReceipts) bool { return false })
	if err != nil || last.Number != 9 {
		t.Fatalf("left at once, it has looked at block %d, %v", last.Number, err)
	}
}
