package archive

import (
	"bytes"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/internal/testbed"
)

// BenchmarkRead reads generated blocks of 20 kB in each format, checking all
// or only parsing; and a real era1 file.
func BenchmarkRead(b *testing.B) {
	blocks := slices.Collect(chaingen.Generate(chaingen.Config{Blocks: 300, Size: 20000, Txs: 100}))
	era, _ := era1File(b, chain.Dev, *uint256.NewInt(1 << 20), blocks)
	unchecked := Options{SkipBodies: true, SkipLinks: true}
	run := func(name string, net *chain.Network, data []byte, opts Options) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var n, size int64
			for b.Loop() {
				r, err := NewReader("bench", bytes.NewReader(data), net, opts)
				if err != nil {
					b.Fatal(err)
				}
				for {
					blk, err := r.Next()
					if err == io.EOF {
						break
					}
					if err != nil {
						b.Fatal(err)
					}
					n++
					size += int64(len(blk.Raw()))
				}
			}
			b.SetBytes(size / int64(b.N))
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "blocks/s")
		})
	}
	run("rlp", chain.Dev, stream(blocks), Options{})
	run("rlp-unchecked", chain.Dev, stream(blocks), unchecked)
	run("gzip-unchecked", chain.Dev, gzipped(b, stream(blocks)), unchecked)
	run("hex-unchecked", chain.Dev, hexFile(blocks), unchecked)
	run("era1", chain.Dev, era, Options{})
	run("era1-unchecked", chain.Dev, era, unchecked)
	data, err := os.ReadFile(testbed.Era1(b, "sepolia-00000-643a00f7.era1"))
	if err != nil {
		b.Fatal(err)
	}
	run("era1-sepolia", chain.Sepolia, data, Options{})
}
