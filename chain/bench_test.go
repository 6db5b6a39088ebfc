package chain_test

import (
	"testing"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
)

// benchBlocks are a block like those of 2015 and one like those of 2020.
func benchBlocks() []struct {
	name string
	raw  []byte
} {
	small := generate(chaingen.Config{Seed: 1, Blocks: 1, Txs: 1, Size: 635})[0].Raw()
	big := generate(chaingen.Config{Seed: 1, Blocks: 1, Txs: 100, Size: 20000})[0].Raw()
	return []struct {
		name string
		raw  []byte
	}{{"600B", small}, {"20kB-100txs", big}}
}

// BenchmarkParseBlock: parsing makes the block's hash too, in both
// implementations.
func BenchmarkParseBlock(b *testing.B) {
	for _, blk := range benchBlocks() {
		b.Run(blk.name+"/shoal", func(b *testing.B) {
			b.SetBytes(int64(len(blk.raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := chain.ParseBlock(chain.FormatFrontier, blk.raw); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(blk.name+"/go-ethereum", func(b *testing.B) {
			b.SetBytes(int64(len(blk.raw)))
			b.ReportAllocs()
			for b.Loop() {
				var g types.Block
				if err := rlp.DecodeBytes(blk.raw, &g); err != nil {
					b.Fatal(err)
				}
				g.Hash()
			}
		})
	}
}

// BenchmarkCheckBlock: the body roots of a block that has been parsed.
func BenchmarkCheckBlock(b *testing.B) {
	for _, blk := range benchBlocks() {
		b.Run(blk.name+"/shoal", func(b *testing.B) {
			block := mustParse(b, chain.FormatFrontier, blk.raw)
			b.SetBytes(int64(len(blk.raw)))
			b.ReportAllocs()
			for b.Loop() {
				if err := chain.Dev.CheckBlock(block); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(blk.name+"/go-ethereum", func(b *testing.B) {
			var g types.Block
			if err := rlp.DecodeBytes(blk.raw, &g); err != nil {
				b.Fatal(err)
			}
			hasher := trie.NewStackTrie(nil)
			b.SetBytes(int64(len(blk.raw)))
			b.ReportAllocs()
			for b.Loop() {
				if types.DeriveSha(g.Transactions(), hasher) != g.TxHash() || types.CalcUncleHash(g.Uncles()) != g.UncleHash() {
					b.Fatal("wrong root")
				}
			}
		})
	}
}
