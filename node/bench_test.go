package node_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/store"
)

// benchChains are the chains of the benchmarks, from small blocks to big ones.
var benchChains = []struct {
	name string
	chaingen.Config
}{
	{"600B", chaingen.Config{Seed: 1, Blocks: 200_000}},
	{"10kB", chaingen.Config{Seed: 1, Blocks: 20_000, Txs: 40, Size: 10_000}},
	{"20kB", chaingen.Config{Seed: 1, Blocks: 10_000, Txs: 20, Size: 20_000}},
}

// BenchmarkSync syncs a generated chain over loopback from four nodes in another
// process, which share one store, and reports its speed as a share of the raw
// ceiling of this machine, measured in the same run: what reading the same blocks
// from a socket, splitting them, hashing their headers, their body roots and a
// durable append take, and nothing else (see ceiling_test.go). Of each of these
// stages it reports how fast it is on its own, in ceilings.
func BenchmarkSync(b *testing.B) {
	for _, c := range benchChains {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			st := openBench(b, filepath.Join(dir, "source"))
			head, size := fillBench(b, st, c.Config)
			if err := st.Close(); err != nil {
				b.Fatal(err)
			}
			addrs, raw := serveBench(b, filepath.Join(dir, "source"), 4)
			drain(b, raw) // which gathers them, once

			var total stages
			var sync time.Duration
			runs := 0
			for b.Loop() {
				runs++
				sync += timeSync(b, filepath.Join(dir, fmt.Sprint("sync", runs)), addrs, head)
				total.add(timeCeiling(b, filepath.Join(dir, fmt.Sprint("ceiling", runs)), raw))
			}
			n := float64(c.Blocks) * float64(runs)
			b.ReportMetric(n/sync.Seconds(), "blocks/s")
			b.ReportMetric(float64(size*runs)/1e6/sync.Seconds(), "MB/s")
			b.ReportMetric(n/total.all.Seconds(), "ceiling-blocks/s")
			b.ReportMetric(total.all.Seconds()/sync.Seconds(), "of-ceiling")
			for name, d := range total.byName() {
				b.ReportMetric(total.all.Seconds()/d.Seconds(), name+"-ceilings")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func openBench(b testing.TB, dir string) *store.Store {
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

// forStore is blocks of one chain as a store takes them.
type forStore struct {
	records []store.Record
	links   []store.Link
	td      uint256.Int // of the last one; at first of the block below
}

func (f *forStore) add(x *chain.Block) {
	f.td.Add(&f.td, &x.Difficulty)
	f.records = append(f.records, store.Record{Hash: x.Hash, Number: x.Number, Raw: x.Raw()})
	f.links = append(f.links, store.Link{Hash: x.Hash, Parent: x.Parent, Number: x.Number, TD: f.td})
}

// fillBench puts a generated chain into a store and links it. It returns the head, and
// the bytes of all blocks.
func fillBench(b testing.TB, st *store.Store, cfg chaingen.Config) (head *chain.Block, size int) {
	b.Helper()
	const batch = 4096
	f := forStore{td: st.Head().TD}
	for x := range chaingen.Generate(cfg) {
		f.add(x)
		head, size = x, size+len(x.Raw())
		if len(f.records) < batch && x.Number < cfg.Blocks {
			continue
		}
		if _, err := st.Put(f.records); err != nil {
			b.Fatal(err)
		}
		if _, err := st.Link(f.links); err != nil {
			b.Fatal(err)
		}
		f.records, f.links = f.records[:0], f.links[:0]
	}
	return head, size
}

// timeSync brings the chain into an empty store from the nodes at the addresses.
func timeSync(b *testing.B, dir string, addrs []string, head *chain.Block) time.Duration {
	b.Helper()
	st := openBench(b, dir)
	defer st.Close()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	n, err := node.New(node.Config{
		Network: chain.Dev, Store: st, Peers: addrs, Client: "bench",
		Events: func(e any) {
			if s, ok := e.(downloader.Settled); ok && s.Head.Hash == head.Hash {
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
	if h := st.Head(); h.Hash != head.Hash {
		b.Fatalf("ends at block %d", h.Number)
	}
	return took
}
