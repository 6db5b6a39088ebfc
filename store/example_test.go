package store_test

import (
	"fmt"
	"log"
	"os"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/store"
)

// Blocks are put in any order. Linked, from the oldest up, they become the canonical chain.
func Example() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	genesis, err := chain.Dev.GenesisBlock()
	if err != nil {
		log.Fatal(err)
	}
	st, err := store.Open(dir, store.Options{Network: "dev", Genesis: store.Genesis{
		Record: store.Record{Hash: genesis.Hash, Raw: genesis.Raw()}, TD: genesis.Difficulty,
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer st.Close()

	td := genesis.Difficulty
	var links []store.Link
	var records []store.Record
	for b := range chaingen.Generate(chaingen.Config{Seed: 1, Blocks: 3}) {
		if td, err = chain.Dev.TotalDifficulty(&td, b); err != nil {
			log.Fatal(err)
		}
		links = append(links, store.Link{Hash: b.Hash, Parent: b.Parent, Number: b.Number, TD: td})
		records = append([]store.Record{{Hash: b.Hash, Number: b.Number, Raw: b.Raw()}}, records...)
	}
	added, err := st.Put(records)
	fmt.Println("new:", added, err, "head:", st.Head().Number)
	move, err := st.Link(links)
	fmt.Println("moved:", move.Moved(), err, "head:", st.Head().Number)

	second, err := st.Canonical(2)
	fmt.Println("block 2:", second == links[1].Hash, err)
	_, err = st.Canonical(4)
	fmt.Println("block 4:", err)
	// Output:
	// new: 3 <nil> head: 0
	// moved: true <nil> head: 3
	// block 2: true <nil>
	// block 4: store: not found
}
