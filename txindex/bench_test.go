package txindex_test

import (
	"fmt"
	"testing"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/store"
	"github.com/shoalnet/shoal/txindex"
)

// BenchmarkCatchUp says how fast the blocks of a chain are indexed.
func BenchmarkCatchUp(b *testing.B) {
	for _, txs := range []int{10, 150} {
		b.Run(fmt.Sprintf("%d txs", txs), func(b *testing.B) {
			g, err := chain.Dev.GenesisBlock()
			if err != nil {
				b.Fatal(err)
			}
			st, err := store.Open(b.TempDir(), store.Options{
				Network: "dev", Genesis: store.Genesis{Record: store.Record{Hash: g.Hash, Raw: g.Raw()}, TD: g.Difficulty},
			})
			if err != nil {
				b.Fatal(err)
			}
			defer st.Close()
			td := g.Difficulty
			bytes, count := 0, 0
			for x := range chaingen.Generate(chaingen.Config{Seed: 1, Blocks: uint64(300_000 / txs), Txs: txs}) {
				if td, err = chain.Dev.TotalDifficulty(&td, x); err != nil {
					b.Fatal(err)
				}
				if _, err := st.Put([]store.Record{{Hash: x.Hash, Number: x.Number, Raw: x.Raw()}}); err != nil {
					b.Fatal(err)
				}
				if _, err := st.Link([]store.Link{{Hash: x.Hash, Parent: x.Parent, Number: x.Number, TD: td}}); err != nil {
					b.Fatal(err)
				}
				bytes += len(x.Raw())
				count += txs
			}
			b.SetBytes(int64(bytes))
			for b.Loop() {
				b.StopTimer()
				if err := st.PutTxRefs(nil, store.Head{}); err != nil { // begin anew
					b.Fatal(err)
				}
				x, err := txindex.New(chain.Dev, st)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if err := x.CatchUp(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(count)*float64(b.N)/b.Elapsed().Seconds(), "txs/s")
		})
	}
}
