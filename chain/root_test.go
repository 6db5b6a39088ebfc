package chain_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/shoalnet/shoal/chain"
)

// values is a list as go-ethereum wants it.
type values [][]byte

func (v values) Len() int                           { return len(v) }
func (v values) EncodeIndex(i int, w *bytes.Buffer) { w.Write(v[i]) }

// TestListRoot compares roots with go-ethereum's, for numbers of items around each
// change of the keys, and items short enough to stand in their parents.
func TestListRoot(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	numbers := []int{0, 1, 2, 3, 15, 16, 17, 18, 100, 126, 127, 128, 129, 130, 143, 144, 145, 255, 256, 257, 258, 271, 272, 273, 511, 512, 4095, 4096, 4097, 1<<14 - 1, 1 << 14, 1<<14 + 1, 1<<16 + 3}
	for range 50 {
		numbers = append(numbers, r.IntN(600))
	}
	for _, n := range numbers {
		if chain.Racing() && n > 1<<12 {
			continue
		}
		for _, most := range []int{1, 2, 24, 32, 60, 300} {
			list := make(values, n)
			for i := range list {
				list[i] = make([]byte, 1+r.IntN(most))
				for j := range list[i] {
					list[i][j] = byte(r.Uint32() % 140)
				}
			}
			if got, want := chain.ListRoot(list), types.DeriveSha(list, trie.NewStackTrie(nil)); got != want {
				t.Fatalf("%d items of up to %d bytes: %x, want %x", n, most, got, want)
			}
		}
	}
}

// BenchmarkListRoot compares with go-ethereum's stack trie in the same run.
func BenchmarkListRoot(b *testing.B) {
	for _, c := range []struct{ n, size int }{{2, 110}, {100, 120}, {20, 1000}, {300, 500}} {
		b.Run(fmt.Sprintf("%dx%dB", c.n, c.size), func(b *testing.B) {
			list := make(values, c.n)
			for i := range list {
				list[i] = bytes.Repeat([]byte{byte(i), 0xee}, c.size/2)
			}
			t := trie.NewStackTrie(nil)
			var ours, theirs []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				began := time.Now()
				chain.ListRoot(list)
				mid := time.Now()
				types.DeriveSha(list, t)
				ours = append(ours, mid.Sub(began))
				theirs = append(theirs, time.Since(mid))
			}
			quick := func(d []time.Duration) float64 { slices.Sort(d); return d[len(d)/10].Seconds() }
			b.ReportMetric(float64(c.n*c.size)/1e6/quick(ours), "MB/s")
			b.ReportMetric(quick(theirs)/quick(ours), "xgeth")
			b.ReportMetric(0, "ns/op")
		})
	}
}
