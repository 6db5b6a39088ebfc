package chain

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/rlp"
)

// straight is sealScratch.items one item after the other, as the Yellow Paper
// has it and every port: what interleaving is measured against.
func (s *sealScratch) straight(c *cache, i uint32) {
	for _, r := range []*row{&s.a, &s.b} {
		n := uint32(len(c.rows))
		*r = c.rows[i%n]
		r[0] ^= i
		s.sum512(r)
		for j := range uint32(datasetParents) {
			x := &c.rows[fnv(i^j, r[j%16])%n]
			for k := range r {
				r[k] = fnv(r[k], x[k])
			}
		}
		s.sum512(r)
		i++
	}
}

func benchHeader(b *testing.B) *Header {
	raw, err := hex.DecodeString("f90211a0d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3a01dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d493479405a56e2d52c817161883f50c441c3228cfe54d9fa0d67e4d450343046425ae4271474353857ab860dbc0a1dde64b41b5cd3a532bf3a056e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421a056e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421b90100" +
		hex.EncodeToString(make([]byte, 256)) +
		"8503ff80000001821388808455ba422499476574682f76312e302e302f6c696e75782f676f312e342e32a0969b900de27b6ac6a67742365dd65f55a0526c41fd18e1b16f1a1215c2e66f5988539bd4979fef1ec4")
	if err != nil {
		b.Fatal(err)
	}
	h, err := ParseHeader(FormatFrontier, raw)
	if err != nil {
		b.Fatal(err)
	}
	return h
}

// benchHeaders returns headers with good seals and different nonces, more than
// enough to use the whole cache: the 32,768 rows of one seal stay in the
// processor's caches. Their difficulty is 1.
func benchHeaders(b *testing.B, e *Ethash) (all []*Header) {
	c, err := e.acquire(b.Context(), epochKey{})
	if err != nil {
		b.Fatal(err)
	}
	defer e.release(c)
	s := sealing.New().(*sealScratch)
	s.sealHash(benchHeader(b), 13, 2)
	for nonce := range uint64(512) {
		h := *benchHeader(b)
		h.Difficulty.SetOne()
		h.Nonce = binary.BigEndian.AppendUint64(nil, nonce)
		s.start(nonce)
		s.hashimoto(c)
		h.MixDigest = s.digest
		all = append(all, &h)
	}
	return all
}

// BenchmarkEthash: whole checks in epoch 0, on one core and on all. On one core
// they take turns with straight: xstraight says how many times as fast the
// check is, by the quickest tenth of both, which a neighbour on the machine
// disturbs least.
func BenchmarkEthash(b *testing.B) {
	e := NewEthash(EthashConfig{})
	headers := benchHeaders(b, e)
	h := benchHeader(b)
	if err := e.CheckSeal(h); err != nil {
		b.Fatal(err)
	}
	b.Run("one core", func(b *testing.B) {
		s := sealing.New().(*sealScratch)
		c, err := e.acquire(context.Background(), epochKey{})
		if err != nil {
			b.Fatal(err)
		}
		defer e.release(c)
		b.ReportAllocs()
		var ours, theirs []time.Duration
		for i := uint32(0); b.Loop(); i++ {
			t := time.Now()
			if err := e.CheckSeal(headers[i%uint32(len(headers))]); err != nil {
				b.Fatal(err)
			}
			ours = append(ours, time.Since(t))
			t = time.Now()
			for k := range uint32(accesses) {
				s.straight(c, (i*accesses+k)*2654435761%(1<<24))
			}
			theirs = append(theirs, time.Since(t))
		}
		quick := func(d []time.Duration) time.Duration { slices.Sort(d); return d[len(d)/10] }
		b.ReportMetric(float64(quick(theirs))/float64(quick(ours)), "xstraight")
		b.ReportMetric(1/quick(ours).Seconds(), "seals/s")
		b.ReportMetric(float64(quick(ours)), "ns/op")
	})
	b.Run("all cores", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := rand.N(len(headers)); pb.Next(); i++ {
				if err := e.CheckSeal(headers[i%len(headers)]); err != nil {
					b.Error(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "seals/s")
		b.ReportMetric(float64(runtime.GOMAXPROCS(0)), "cores")
	})
	b.Run("forged", func(b *testing.B) {
		bad := *h
		bad.MixDigest[0] ^= 1
		for b.Loop() {
			if e.CheckSeal(&bad) == nil {
				b.Fatal("accepted")
			}
		}
	})
	// Checks on one core while the other generates the caches of other epochs.
	b.Run("prepare beside", func(b *testing.B) {
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(context.Background())
		wg.Go(func() {
			for n := uint64(1); ctx.Err() == nil; n++ {
				e.Prepare(ctx, (1+n%5)*epochLength)
			}
		})
		for i := 0; b.Loop(); i++ {
			if err := e.CheckSeal(headers[i%len(headers)]); err != nil {
				b.Fatal(err)
			}
		}
		cancel()
		wg.Wait()
	})
}

// BenchmarkEthashCache: one generation, in the first epoch and in mainnet's
// last.
func BenchmarkEthashCache(b *testing.B) {
	for _, c := range []struct {
		name   string
		number uint64
	}{{"epoch 0", 0}, {"epoch 517", 15_537_393}} {
		b.Run(c.name, func(b *testing.B) {
			e := NewEthash(EthashConfig{})
			key, _ := e.epochOf(c.number)
			size, _ := ethashSizes(key.epoch)
			b.SetBytes(int64(size))
			var made cache
			made.resize(int(size / rowBytes))
			for b.Loop() {
				if err := made.fill(context.Background(), seedHash(key.seed)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("sizes", func(b *testing.B) {
		for i := uint64(0); b.Loop(); i++ {
			ethashSizes(i % maxEpochs)
		}
	})
}

func BenchmarkPoC6Seal(b *testing.B) {
	raw, err := rlp.EncodeToBytes([][]byte{
		make([]byte, 32), make([]byte, 32), make([]byte, 20), make([]byte, 32), {}, {1}, {1}, {9, 24, 78, 114, 160, 0},
		{15, 62, 111}, {}, {84, 2, 0, 0}, {}, make([]byte, 32),
	})
	if err != nil {
		b.Fatal(err)
	}
	h, err := ParseHeader(FormatPoC6, raw)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := (PoC6Seal{}).CheckSeal(h); err != nil {
			b.Fatal(err)
		}
	}
}
