package downloader_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/store"
)

// library is a peer without a network: it has the blocks in memory.
type library struct {
	down   *downloader.Downloader
	blocks []*chain.Block // by number
	number map[common.Hash]int
}

func (l *library) GetBlocks(id uint64, hashes []common.Hash) {
	a := downloader.Answer{ID: id, Closed: true, At: time.Now()}
	for _, h := range hashes {
		a.Blocks = append(a.Blocks, downloader.Block{Hash: h, Raw: l.blocks[l.number[h]].Raw()})
	}
	go l.down.Blocks(context.Background(), l, a)
}

func (l *library) GetHashes(start common.Hash, max int) {
	var hashes []common.Hash
	for n := l.number[start] - 1; n >= 0 && len(hashes) < max; n-- {
		hashes = append(hashes, l.blocks[n].Hash)
	}
	go l.down.Hashes(context.Background(), l, start, hashes)
}

func (l *library) String() string                               { return "library" }
func (l *library) Announce([]byte)                              {}
func (l *library) Told() common.Hash                            { return common.Hash{} }
func (l *library) TellHead(downloader.Claim)                    {}
func (l *library) Received() uint64                             { return 0 }
func (l *library) Answered() uint64                             { return 0 }
func (l *library) Drop(*downloader.Offence)                     {}
func (l *library) GetContent(uint64, store.Kind, []common.Hash) {} // its claim says that it has blocks only

// An application that has peers of its own kind brings their chain into a store.
func Example() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	genesis, err := chain.Dev.GenesisBlock()
	if err != nil {
		panic(err)
	}
	st, err := store.Open(dir, store.Options{Network: "dev", Genesis: store.Genesis{
		Record: store.Record{Hash: genesis.Hash, Raw: genesis.Raw()}, TD: genesis.Difficulty,
	}})
	if err != nil {
		panic(err)
	}
	defer st.Close()

	// A peer with a chain of a hundred blocks.
	peer := &library{blocks: []*chain.Block{genesis}, number: map[common.Hash]int{}}
	td := genesis.Difficulty
	for b := range chaingen.Generate(chaingen.Config{Seed: 1, Blocks: 100}) {
		peer.blocks = append(peer.blocks, b)
		td.Add(&td, &b.Difficulty)
	}
	for n, b := range peer.blocks {
		peer.number[b.Hash] = n
	}

	ctx, cancel := context.WithCancel(context.Background())
	down := downloader.New(downloader.Config{
		Network: chain.Dev, Store: st,
		Listener: func(e downloader.Event) {
			if s, ok := e.(downloader.Settled); ok && s.Head.Number > 0 {
				fmt.Println("in sync at block", s.Head.Number)
				cancel()
			}
		},
	})
	peer.down = down
	go down.Join(ctx, peer, downloader.Claim{TD: td, Head: peer.blocks[100].Hash})
	if err := down.Run(ctx); err != nil {
		panic(err)
	}
	// Output: in sync at block 100
}
