package depot_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
)

// BenchmarkAppendBlocks compares what a store gives out of a depot, and out of its own
// segments, to somebody who syncs.
func BenchmarkAppendBlocks(b *testing.B) {
	dir := sepolia(b)
	d := openDepot(b, chain.Sepolia, dir)
	out := openStore(b, chain.Sepolia, b.TempDir(), d)
	if _, err := d.Index(b.Context(), out, archive.Options{}, nil); err != nil {
		b.Fatal(err)
	}
	own := openStore(b, chain.Sepolia, b.TempDir(), nil)
	f, err := os.Open(filepath.Join(dir, sepoliaName))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	r, err := archive.NewReader(sepoliaName, f, chain.Sepolia, archive.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := archive.Import(context.Background(), r, chain.Sepolia, own); err != nil {
		b.Fatal(err)
	}
	var hashes []common.Hash
	for h, err := range own.CanonicalHashes(0, own.Head().Number) {
		if err != nil {
			b.Fatal(err)
		}
		hashes = append(hashes, h)
	}
	for name, st := range map[string]*store.Store{"segments": own, "depot": out} {
		b.Run(name, func(b *testing.B) {
			var buf []byte
			for b.Loop() {
				size := 0
				for i := 0; i < len(hashes); i += 256 {
					if buf, err = st.AppendBlocks(buf[:0], hashes[i:min(i+256, len(hashes))], 256, 2<<20); err != nil {
						b.Fatal(err)
					}
					size += len(buf)
				}
				b.SetBytes(int64(size))
			}
		})
	}
}
