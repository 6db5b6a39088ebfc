package node_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/store"
)

// open makes a node whose store is in memory, and which fetches nothing but files.
func open(listener net.Listener, peers ...string) (*node.Node, error) {
	genesis, err := chain.Dev.GenesisBlock()
	if err != nil {
		return nil, err
	}
	st, err := store.Open("data", store.Options{
		FS: vfs.NewMem(), Network: chain.Dev.Name,
		Genesis: store.Genesis{Record: store.Record{Hash: genesis.Hash, Raw: genesis.Raw()}, TD: genesis.Difficulty},
	})
	if err != nil {
		return nil, err
	}
	return node.New(node.Config{Network: chain.Dev, Store: st, Listener: listener, Peers: peers, FilesOnly: true})
}

// A file is put at one node, and another one fetches it over the network.
func ExampleNode_Files() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	alice, err := open(listener)
	if err != nil {
		fmt.Println(err)
		return
	}
	bob, err := open(nil, listener.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	running.Go(func() { alice.Run(ctx) })
	running.Go(func() { bob.Run(ctx) })

	ref, _, err := alice.Files().Put(ctx, "song", strings.NewReader(strings.Repeat("la ", 50_000)))
	if err != nil {
		fmt.Println(err)
		return
	}
	song, err := bob.Files().Open(ctx, ref)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer song.Close()
	n, err := io.Copy(io.Discard, song)
	fmt.Println(n, "bytes,", err)
	// Output: 150000 bytes, <nil>
}
