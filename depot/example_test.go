package depot_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/depot"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/store"
)

// A store serves a chain whose blocks stay in an archive.
func Example() {
	dir, err := os.MkdirTemp("", "depot")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	genesis := writeArchive(dir)

	ctx := context.Background()
	source, err := depot.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	d, err := depot.New(ctx, source, chain.Dev, 0)
	if err != nil {
		log.Fatal(err)
	}
	st, err := store.Open(filepath.Join(dir, "store"), store.Options{
		Network: "dev", Elsewhere: d, Genesis: store.Genesis{
			Record: store.Record{Hash: genesis.Hash, Raw: genesis.Raw()}, TD: genesis.Difficulty,
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer st.Close()
	added, err := d.Index(ctx, st, archive.Options{Receipts: true}, func(string, *archive.Reader) {})
	fmt.Println("new:", added, err, "head:", st.Head().Number)

	raw, err := st.AppendRaw(nil, st.Head().Hash)
	if err != nil {
		log.Fatal(err)
	}
	head, err := chain.Dev.ParseBlock(raw)
	fmt.Println("read: block", head.Number, err)
	// Output:
	// new: 3 <nil> head: 3
	// read: block 3 <nil>
}

// writeArchive writes an era1 archive of a short chain, and returns its first block.
func writeArchive(dir string) *chain.Block {
	w, err := archive.CreateEra1(dir, "dev")
	if err != nil {
		log.Fatal(err)
	}
	defer w.Abort()
	genesis, err := chain.Dev.GenesisBlock()
	if err != nil {
		log.Fatal(err)
	}
	var td uint256.Int
	add := func(b *chain.Block) {
		if td, err = chain.Dev.TotalDifficulty(&td, b); err != nil {
			log.Fatal(err)
		}
		if err := w.Append(b, []byte{0xc0}, &td); err != nil { // no receipts
			log.Fatal(err)
		}
	}
	add(genesis)
	for b := range chaingen.Generate(chaingen.Config{Seed: 1, Blocks: 3}) {
		add(b)
	}
	if _, err := w.Commit(); err != nil {
		log.Fatal(err)
	}
	return genesis
}
