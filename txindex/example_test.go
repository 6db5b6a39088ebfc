package txindex_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/store"
	"github.com/shoalnet/shoal/txindex"
)

// A transaction of a chain that is there is found by its hash.
func Example() {
	dir, err := os.MkdirTemp("", "txindex")
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
	var last common.Hash // of a transaction
	for b := range chaingen.Generate(chaingen.Config{Seed: 1, Blocks: 3, Txs: 2}) {
		if td, err = chain.Dev.TotalDifficulty(&td, b); err != nil {
			log.Fatal(err)
		}
		if _, err := st.Put([]store.Record{{Hash: b.Hash, Number: b.Number, Raw: b.Raw()}}); err != nil {
			log.Fatal(err)
		}
		if _, err := st.Link([]store.Link{{Hash: b.Hash, Parent: b.Parent, Number: b.Number, TD: td}}); err != nil {
			log.Fatal(err)
		}
		for tx, err := range b.Transactions() {
			if err != nil {
				log.Fatal(err)
			}
			last = chain.Keccak256(tx)
		}
	}

	index, err := txindex.New(chain.Dev, st)
	if err != nil {
		log.Fatal(err)
	}
	if err := index.CatchUp(context.Background()); err != nil {
		log.Fatal(err)
	}
	block, at, ok, err := index.Find(last)
	fmt.Println("in the head:", block == st.Head().Hash, "at:", at, ok, err)
	_, _, ok, err = index.Find(common.Hash{1})
	fmt.Println("another one:", ok, err, "up to block", index.Reached())
	// Output:
	// in the head: true at: 1 true <nil>
	// another one: false <nil> up to block 3
}
