package node_test

import (
	"context"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/store"
)

// BenchmarkSync syncs a generated chain from four nodes over loopback and reports
// its speed, and the ratio to the ceiling that it measures in the same run: the
// same work, parsing, hashing, body roots and durable storing, on the same bytes
// without any network. The four serving nodes run on the same cores.
func BenchmarkSync(b *testing.B) {
	for _, c := range []struct {
		name   string
		blocks uint64
		txs    int
		size   int
	}{
		{"600B", 40_000, 0, 0},
		{"20kB", 4_000, 20, 20_000},
	} {
		b.Run(c.name, func(b *testing.B) {
			var blocks []*chain.Block
			var bytes int
			for x := range chaingen.Generate(chaingen.Config{Seed: 1, Blocks: c.blocks, Txs: c.txs, Size: c.size}) {
				blocks = append(blocks, x)
				bytes += len(x.Raw())
			}
			dir := b.TempDir()
			ctx, cancel := context.WithCancel(b.Context())
			var wg sync.WaitGroup
			var addrs []string
			for i := range 4 {
				st := openBench(b, filepath.Join(dir, "source", string(rune('a'+i))))
				defer st.Close()
				fillBench(b, st, blocks, runtime.GOMAXPROCS(0))
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					b.Fatal(err)
				}
				n, err := node.New(node.Config{Network: chain.Dev, Store: st, Listener: l, Client: "bench"})
				if err != nil {
					b.Fatal(err)
				}
				addrs = append(addrs, l.Addr().String())
				wg.Go(func() { n.Run(ctx) })
			}
			defer wg.Wait()
			defer cancel()

			var sync, ceiling time.Duration
			runs := 0
			for b.Loop() {
				runs++
				sync += timeSync(b, filepath.Join(dir, "sync", string(rune('a'+runs))), addrs, blocks)
				st := openBench(b, filepath.Join(dir, "ceiling", string(rune('a'+runs))))
				began := time.Now()
				fillBench(b, st, blocks, runtime.GOMAXPROCS(0))
				ceiling += time.Since(began)
				st.Close()
			}
			n := float64(len(blocks) * runs)
			b.ReportMetric(n/sync.Seconds(), "blocks/s")
			b.ReportMetric(float64(bytes*runs)/1e6/sync.Seconds(), "MB/s")
			b.ReportMetric(n/ceiling.Seconds(), "ceiling-blocks/s")
			b.ReportMetric(ceiling.Seconds()/sync.Seconds(), "of-ceiling")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func openBench(b *testing.B, dir string) *store.Store {
	b.Helper()
	g, err := chain.Dev.GenesisBlock()
	if err != nil {
		b.Fatal(err)
	}
	st, err := store.Open(dir, store.Options{
		Network: "dev", Genesis: store.Genesis{Record: store.Record{Hash: g.Hash, Raw: g.Raw()}, TD: g.Difficulty},
	})
	if err != nil {
		b.Fatal(err)
	}
	return st
}

// timeSync brings the chain into an empty store from the nodes at the addresses.
func timeSync(b *testing.B, dir string, addrs []string, blocks []*chain.Block) time.Duration {
	b.Helper()
	st := openBench(b, dir)
	defer st.Close()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	n, err := node.New(node.Config{
		Network: chain.Dev, Store: st, Peers: addrs, Client: "bench",
		Events: func(e any) {
			if s, ok := e.(downloader.Settled); ok && s.Head.Number == uint64(len(blocks)) {
				cancel()
			}
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := n.Run(ctx); err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	if h := st.Head(); h.Hash != blocks[len(blocks)-1].Hash {
		b.Fatalf("ends at block %d", h.Number)
	}
	return took
}

// fillBench is the ceiling: it parses and checks the blocks on the given number of
// cores, and stores and links them durably in large batches.
func fillBench(b *testing.B, st *store.Store, blocks []*chain.Block, cores int) {
	b.Helper()
	const batch = 4096
	checked := make(chan []*chain.Block, 1) // one batch ahead of the writer
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(checked)
		for at := 0; at < len(blocks); at += batch {
			part := blocks[at:min(at+batch, len(blocks))]
			out := make([]*chain.Block, len(part))
			var cg sync.WaitGroup
			for c := range cores {
				cg.Go(func() {
					for i := c; i < len(part); i += cores {
						x, err := chain.Dev.ParseBlock(part[i].Raw())
						if err == nil {
							err = chain.Dev.CheckBlock(x)
						}
						if err != nil {
							b.Error(err)
						}
						out[i] = x
					}
				})
			}
			cg.Wait()
			checked <- out
		}
	})
	td := st.Head().TD
	for part := range checked {
		recs := make([]store.Record, len(part))
		links := make([]store.Link, len(part))
		for i, x := range part {
			td.Add(&td, &x.Difficulty)
			recs[i] = store.Record{Hash: x.Hash, Number: x.Number, Raw: x.Raw()}
			links[i] = store.Link{Hash: x.Hash, Parent: x.Parent, Number: x.Number, TD: td}
		}
		if _, err := st.Put(recs); err != nil {
			b.Fatal(err)
		}
		if _, err := st.Link(links); err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
}
