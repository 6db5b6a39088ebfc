package downloader

import (
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/store"
)

// BenchmarkLinker measures what linking a small block takes when all of a chain is here:
// from the oldest upwards, and if most of it was verified ahead, that and the rest.
func BenchmarkLinker(b *testing.B) {
	const blocks = 100_000
	g, err := chain.Dev.GenesisBlock()
	if err != nil {
		b.Fatal(err)
	}
	var records []store.Record
	var hashes []common.Hash
	for x := range chaingen.Generate(chaingen.Config{Blocks: blocks, Txs: 0, Size: 600}) {
		records = append(records, store.Record{Hash: x.Hash, Number: x.Number, Raw: x.Raw()})
		hashes = append(hashes, x.Hash)
	}
	for i, j := 0, len(hashes)-1; i < j; i, j = i+1, j-1 {
		hashes[i], hashes[j] = hashes[j], hashes[i]
	}
	for _, early := range []bool{false, true} {
		name := "oldest first"
		if early {
			name = "ahead"
		}
		b.Run(name, func(b *testing.B) {
			var looked, linking time.Duration
			for b.Loop() {
				s, err := store.Open(b.TempDir(), store.Options{
					Network: "dev", Genesis: store.Genesis{Record: store.Record{Hash: g.Hash, Raw: g.Raw()}, TD: g.Difficulty},
				})
				if err != nil {
					b.Fatal(err)
				}
				for from := 0; from < blocks; from += 10_000 {
					if _, err := s.Put(records[from : from+10_000]); err != nil {
						b.Fatal(err)
					}
				}
				if err := s.StartPlan(store.Plan{Head: hashes[0], Number: blocks}); err != nil {
					b.Fatal(err)
				}
				if err := s.AppendPlan(hashes[1:], !early); err != nil {
					b.Fatal(err)
				}
				d := New(Config{Network: chain.Dev, Store: s})
				l := &linker{d: d}
				began := time.Now()
				for l.step(b.Context()) {
					select {
					case <-d.inbox:
					default:
					}
				}
				took := time.Since(began)
				if !early {
					linking += took
				} else {
					looked += took
					if err := s.AppendPlan(nil, true); err != nil {
						b.Fatal(err)
					}
					began = time.Now()
					for l.step(b.Context()) {
						<-d.inbox
					}
					linking += time.Since(began)
				}
				if s.Head().Number != blocks {
					b.Fatal(s.Head(), l.ahead.to)
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(looked.Nanoseconds())/float64(b.N*blocks), "ahead-ns/block")
			b.ReportMetric(float64(linking.Nanoseconds())/float64(b.N*blocks), "linking-ns/block")
			b.ReportMetric(0, "ns/op")
		})
	}
}
