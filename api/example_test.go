package api_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"sync"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/store"
)

// A node tells a tracker what happens, and a server answers whoever asks in the data
// directory.
func Example() {
	dir, err := os.MkdirTemp("", "api")
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
	tracker := api.NewTracker()
	n, err := node.New(node.Config{Network: chain.Dev, Store: st, Events: tracker.Event})
	if err != nil {
		log.Fatal(err)
	}
	s, err := api.NewServer(api.Config{Network: chain.Dev, Store: st, Node: n, Tracker: tracker, Client: "example"})
	if err != nil {
		log.Fatal(err)
	}
	socket, err := api.ListenSocket(dir)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { s.ServeSocket(ctx, socket) })
	wg.Go(func() { n.Run(ctx) })

	client, err := api.Dial(ctx, dir) // from this process or another one
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	var status api.Status
	if err := client.CallContext(ctx, &status, "shoal_status"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(status.Network, "has", status.Blocks, "block;", status.Node.Client, "has", status.Node.Peers, "peers")
	// Output: dev has 1 block; example has 0 peers
}
