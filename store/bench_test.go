package store

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// benchRecords makes n records of size bytes that differ from all other calls
// with another round.
func benchRecords(recs []Record, raw []byte, round uint64, n int) []Record {
	recs = recs[:0]
	for i := range n {
		var h common.Hash
		binary.LittleEndian.PutUint64(h[:], (round*uint64(n)+uint64(i)+1)*0x9e3779b97f4a7c15)
		binary.LittleEndian.PutUint64(h[8:], round)
		binary.LittleEndian.PutUint64(h[16:], uint64(i))
		recs = append(recs, Record{Hash: h, Number: round*uint64(n) + uint64(i) + 1, Raw: raw})
	}
	return recs
}

func BenchmarkPut(b *testing.B) {
	for _, c := range []struct{ size, batch int }{{600, 1024}, {600, 8192}, {20_000, 128}, {20_000, 1024}} {
		b.Run(fmt.Sprintf("%dx%d", c.batch, c.size), func(b *testing.B) {
			s := openTest(b, b.TempDir(), Options{})
			raw := make([]byte, c.size)
			var recs []Record
			var round uint64
			b.SetBytes(int64(c.size * c.batch))
			for b.Loop() {
				recs = benchRecords(recs, raw, round, c.batch)
				round++
				if _, err := s.Put(recs); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(round)*float64(c.batch)/b.Elapsed().Seconds(), "blocks/s")
		})
	}
}

// benchChain puts and links n small blocks.
func benchChain(b *testing.B, s *Store, n int) []Record {
	const step = 8192
	raw := make([]byte, 600)
	prev := Link{Hash: testGenesis.Hash, TD: testGenesis.TD}
	var all []Record
	for round := uint64(0); len(all) < n; round++ {
		recs := benchRecords(nil, raw, round, step)
		if _, err := s.Put(recs); err != nil {
			b.Fatal(err)
		}
		links := make([]Link, len(recs))
		for i, r := range recs {
			l := Link{Hash: r.Hash, Parent: prev.Hash, Number: r.Number}
			l.TD.Add(&prev.TD, uint256.NewInt(1<<40))
			links[i], prev = l, l
		}
		if _, err := s.LinkHeld(links); err != nil {
			b.Fatal(err)
		}
		all = append(all, recs...)
	}
	return all
}

func BenchmarkLink(b *testing.B) {
	s := openTest(b, b.TempDir(), Options{})
	var n int
	for b.Loop() {
		n = 0
		b.StopTimer()
		s.Close()
		s = openTest(b, b.TempDir(), Options{})
		b.StartTimer()
		n += len(benchChain(b, s, 128<<10))
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "put+link/s")
}

// BenchmarkLinkAlone links blocks that are known to be held: one, as new heads come, and
// as many as a sync does at once. B/block is what the index has to write
// for it, before tables are merged.
func BenchmarkLinkAlone(b *testing.B) {
	for _, n := range []int{1, 4096, 32 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := openTest(b, b.TempDir(), Options{})
			raw := make([]byte, 600)
			parent := Link{Hash: testGenesis.Hash, TD: *uint256.NewInt(1 << 60)}
			run := make([]Link, n)
			var rounds, logged uint64
			for b.Loop() {
				b.StopTimer()
				recs := benchRecords(nil, raw, rounds, n)
				if _, err := s.Put(recs); err != nil {
					b.Fatal(err)
				}
				for i, r := range recs {
					l := Link{Hash: r.Hash, Parent: parent.Hash, Number: r.Number}
					l.TD.Add(&parent.TD, uint256.NewInt(1<<44))
					run[i], parent = l, l
				}
				rounds++
				before := s.db.Metrics().WAL.BytesIn
				b.StartTimer()
				if _, err := s.LinkHeld(run); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				logged += s.db.Metrics().WAL.BytesIn - before
				b.StartTimer()
			}
			blocks := float64(rounds) * float64(n)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/blocks, "ns/block")
			b.ReportMetric(float64(logged)/blocks, "B/block")
		})
	}
}

func BenchmarkAppendAncestors(b *testing.B) {
	s := openTest(b, b.TempDir(), Options{})
	all := benchChain(b, s, 256<<10)
	var dst []common.Hash
	i := 0
	for b.Loop() {
		i = (i + 7919) % (len(all) - 8192)
		var err error
		dst, err = s.AppendAncestors(dst[:0], all[i+8192].Hash, 8192)
		if err != nil || len(dst) != 8192 {
			b.Fatal(len(dst), err)
		}
	}
	b.ReportMetric(8192*float64(b.N)/b.Elapsed().Seconds(), "hashes/s")
}

func BenchmarkAppendRaw(b *testing.B) {
	s := openTest(b, b.TempDir(), Options{})
	all := benchChain(b, s, 256<<10)
	var dst []byte
	i := 0
	b.SetBytes(600)
	for b.Loop() {
		i = (i + 7919) % len(all)
		var err error
		if dst, err = s.AppendRaw(dst[:0], all[i].Hash); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHasMissing(b *testing.B) {
	s := openTest(b, b.TempDir(), Options{})
	benchChain(b, s, 256<<10)
	var h common.Hash
	var i uint64
	for b.Loop() {
		i++
		binary.LittleEndian.PutUint64(h[:], i*0x9e3779b97f4a7c15)
		h[31] = 1
		if ok, err := s.Has(h); ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
