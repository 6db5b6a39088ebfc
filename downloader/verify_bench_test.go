package downloader_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/testbed"
)

// BenchmarkVerify measures how fast real blocks are verified as a sync does it,
// parsed, hashed, body roots, rules between parent and child, with the seals of
// none, of one in a hundred as in the long part of a sampled chain, and of all of
// them; on one core and on two. Each is compared with keccak-256 over the same
// bytes on as many cores in the same run.
func BenchmarkVerify(b *testing.B) {
	blocks := sepolia(b, 8192)
	ethash := chain.NewSealer(chain.Sepolia.Format, chain.EthashConfig{})
	if err := ethash.CheckSeal(&blocks[1].Header); err != nil { // and makes the cache
		b.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		oneIn int // 0: none
		most  int // blocks
	}{{"none", 0, 8192}, {"sample", 100, 8192}, {"all", 1, 1024}} {
		for _, cores := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/cores=%d", c.name, cores), func(b *testing.B) {
				list := blocks[1:min(c.most+1, len(blocks))]
				size := 0
				for _, x := range list {
					size += len(x.Raw())
				}
				var verify, keccak time.Duration
				for b.Loop() {
					verify += onCores(cores, len(list), func(i int) {
						x, err := chain.Sepolia.ParseBlock(list[i].Raw())
						if err == nil {
							err = chain.Sepolia.CheckBlock(x)
						}
						if err == nil {
							err = chain.Sepolia.CheckLink(&blocks[i].Header, &x.Header)
						}
						if err == nil && c.oneIn > 0 && i%c.oneIn == 0 {
							err = ethash.CheckSeal(&x.Header)
						}
						if err != nil {
							b.Error(err)
						}
					})
					keccak += onCores(cores, len(list), func(i int) { crypto.Keccak256Hash(list[i].Raw()) })
				}
				b.ReportMetric(float64(len(list)*b.N)/verify.Seconds(), "blocks/s")
				b.ReportMetric(float64(size*b.N)/1e6/verify.Seconds(), "MB/s")
				b.ReportMetric(keccak.Seconds()/verify.Seconds(), "of-keccak")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// onCores runs a function for 0 to n-1 on some goroutines and returns how long all
// of it took.
func onCores(cores, n int, f func(i int)) time.Duration {
	const run = 64
	began := time.Now()
	var wg sync.WaitGroup
	next := make(chan int)
	for range cores {
		wg.Go(func() {
			for from := range next {
				for i := from; i < min(from+run, n); i++ {
					f(i)
				}
			}
		})
	}
	for from := 0; from < n; from += run {
		next <- from
	}
	close(next)
	wg.Wait()
	return time.Since(began)
}

// sepolia returns the first blocks of that network, from a file that comes with
// go-ethereum.
func sepolia(b *testing.B, n int) []*chain.Block {
	b.Helper()
	r, err := archive.Open(testbed.Era1(b, "sepolia-00000-643a00f7.era1"), chain.Sepolia, archive.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	var blocks []*chain.Block
	for x, err := range r.Blocks() {
		if err != nil {
			b.Fatal(err)
		}
		if blocks = append(blocks, x.Block); len(blocks) > n {
			break
		}
	}
	return blocks
}
