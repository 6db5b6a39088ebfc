package chain_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
)

// TestKeccak256s: many at once are what each is alone, whatever their lengths and
// their number.
func TestKeccak256s(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 1200)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	check := func(inputs [][]byte) {
		t.Helper()
		got := chain.Keccak256s([]common.Hash{{1}}, inputs...)
		if len(got) != len(inputs)+1 || got[0] != (common.Hash{1}) {
			t.Fatalf("%d digests of %d inputs", len(got)-1, len(inputs))
		}
		for i, in := range inputs {
			if want := chain.Keccak256(in); got[i+1] != want {
				t.Fatalf("input %d of %d, of %d bytes: %x, want %x", i, len(inputs), len(in), got[i+1], want)
			}
		}
	}
	check(nil)
	for n := range 600 { // every length around the first blocks, beside others
		check([][]byte{data[:n], data[1:300], data[:600-n], nil, data[n:], data[:136]})
	}
	for range 2000 {
		inputs := make([][]byte, r.IntN(12))
		for i := range inputs {
			from := r.IntN(len(data))
			inputs[i] = data[from : from+r.IntN(len(data)-from)]
		}
		check(inputs)
	}
}

// BenchmarkKeccak256s compares digesting headers all together with one by one, in
// the same run.
func BenchmarkKeccak256s(b *testing.B) {
	for _, size := range []int{32, 110, 540, 4096} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			inputs := make([][]byte, 64)
			for i := range inputs {
				inputs[i] = make([]byte, size)
			}
			var together, alone []time.Duration
			var dst []common.Hash
			for b.Loop() {
				began := time.Now()
				dst = chain.Keccak256s(dst[:0], inputs...)
				mid := time.Now()
				for _, in := range inputs {
					chain.Keccak256(in)
				}
				together = append(together, mid.Sub(began))
				alone = append(alone, time.Since(mid))
			}
			// The quickest tenth, which a busy machine disturbs least.
			quick := func(d []time.Duration) float64 { slices.Sort(d); return d[len(d)/10].Seconds() }
			b.ReportMetric(float64(size*len(inputs))/1e6/quick(together), "MB/s")
			b.ReportMetric(quick(alone)/quick(together), "xalone")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// TestHashesOf: of many blocks at once, what HashOf says of each, and its error.
func TestHashesOf(t *testing.T) {
	var raws [][]byte
	var want []common.Hash
	for _, b := range generate(chaingen.Config{Seed: 1, Blocks: 30, Txs: 1}) {
		raws, want = append(raws, b.Raw()), append(want, b.Hash)
		as, err := chain.ParseBlockAs(chain.FormatFrontier, b.Hash, b.Raw())
		if err != nil || as.Hash != b.Hash {
			t.Fatalf("block %d under its own hash: %v", b.Number, err)
		}
	}
	got, err := chain.HashesOf(nil, raws...)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	raws[17] = raws[17][:20]
	if got, err := chain.HashesOf(want[:1], raws...); err == nil || len(got) != 1 {
		t.Errorf("got %d hashes, %v, want the error of the cut block", len(got), err)
	}
}
