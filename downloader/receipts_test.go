package downloader_test

import (
	"errors"
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
	var got []uint64
	for m, err := range c.Missing() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.Number)
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
	if err := c.Advance(2); err != nil {
		t.Fatal(err)
	}
	wantMissing(t, c, 3, 4, 8, 9)
	if err := c.Advance(11); !errors.Is(err, store.ErrNotFound) {
		t.Fatal("a block that there is not:", err)
	}
	bring(t, st, blocks[2], blocks[3])
	if err := c.Advance(10); err != nil {
		t.Fatal(err)
	}
	wantMissing(t, c)
	if n := cursor(t, st).Number(); n != 10 {
		t.Fatalf("opened again, it is at block %d", n)
	}

	t.Log("# a reorg, longer than a step, seen by the old cursor and by a new one")
	main := slices.Collect(chaingen.Generate(chaingen.Config{Seed: 1, Blocks: 100}.From(blocks[9])))
	link(t, st, main)
	if err := c.Advance(110); err != nil {
		t.Fatal(err)
	}
	three := func(n uint64) (int, int) { return int(n % 2 * 3), 0 }
	link(t, st, slices.Collect(chaingen.Generate(chaingen.Config{Seed: 2, Blocks: 130, Interval: 5, Shape: three}.From(blocks[6]))))
	if st.Head().Number != 137 {
		t.Fatalf("head is block %d", st.Head().Number)
	}
	if n := cursor(t, st).Number(); n != 7 {
		t.Fatalf("after the reorg a new cursor is at block %d, want 7", n)
	}
	var odd []uint64
	for n := uint64(9); n <= 137; n += 2 {
		odd = append(odd, n)
	}
	wantMissing(t, c, odd...)
	if c.Number() != 7 {
		t.Fatalf("after the reorg the cursor is at block %d, want 7", c.Number())
	}
	for range c.Missing() { // may be left at any time
		break
	}
}
