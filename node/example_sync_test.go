package node_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/store"
)

// openChain opens a data directory of the network, which is made if there is none.
func openChain(dir string, network *chain.Network) (*store.Store, error) {
	genesis, err := network.GenesisBlock()
	if err != nil {
		return nil, err
	}
	td, err := network.TotalDifficulty(new(uint256.Int), genesis)
	if err != nil {
		return nil, err
	}
	return store.Open(dir, store.Options{
		Network: network.Name,
		Genesis: store.Genesis{Record: store.Record{Hash: genesis.Hash, Raw: genesis.Raw()}, TD: td},
	})
}

// fetch brings the best chain of the peers into the store, and returns its head.
func fetch(ctx context.Context, network *chain.Network, st *store.Store, peers ...string) (store.Head, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	n, err := node.New(node.Config{
		Network: network, Store: st, Peers: peers,
		Seals:       downloader.SealNone,    // else a Sealer is needed: see chain.Ethash
		Checkpoints: map[common.Hash]bool{}, // blocks that you trust
		Events: func(e any) {
			if e, ok := e.(downloader.Settled); ok && e.Head.Number > 0 {
				stop() // there is nothing left to fetch
			}
		},
	})
	if err != nil {
		return store.Head{}, err
	}
	err = n.Run(ctx)
	return st.Head(), err
}

// One node serves a chain, and a program fetches it.
func ExampleNode() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	full, err := openChain(filepath.Join(dir, "full"), chain.Dev)
	if err != nil {
		panic(err)
	}
	defer full.Close()
	grow(full, 500)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server, err := node.New(node.Config{Network: chain.Dev, Store: full, Listener: listener})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	defer serving.Wait()
	defer cancel()
	serving.Go(func() { server.Run(ctx) })

	st, err := openChain(filepath.Join(dir, "empty"), chain.Dev)
	if err != nil {
		panic(err)
	}
	defer st.Close()
	head, err := fetch(ctx, chain.Dev, st, listener.Addr().String())
	fmt.Println(head.Number, err)
	raw, err := st.AppendRaw(nil, head.Hash)
	fmt.Println(len(raw) > 500, err)
	// Output:
	// 500 <nil>
	// true <nil>
}

// grow puts a generated chain into a store.
func grow(st *store.Store, blocks uint64) {
	var records []store.Record
	var links []store.Link
	td := st.Head().TD
	for b := range chaingen.Generate(chaingen.Config{Seed: 1, Blocks: blocks}) {
		td.Add(&td, &b.Difficulty)
		records = append(records, store.Record{Hash: b.Hash, Number: b.Number, Raw: b.Raw()})
		links = append(links, store.Link{Hash: b.Hash, Parent: b.Parent, Number: b.Number, TD: td})
	}
	if _, err := st.Put(records); err != nil {
		panic(err)
	}
	if _, err := st.Link(links); err != nil {
		panic(err)
	}
}
