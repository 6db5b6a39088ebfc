package store

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"
)

// oneByOne is what AppendBlocks must return, by the simple means.
func oneByOne(t testing.TB, s *Store, hashes []common.Hash, most, limit int) (all []byte) {
	t.Helper()
	n := 0
	for _, h := range hashes {
		raw, err := s.AppendRaw(nil, h)
		if err != nil {
			continue
		}
		if n == most || n > 0 && len(all)+len(raw) > limit {
			break
		}
		all = append(all, raw...)
		n++
	}
	return all
}

func checkBlocks(t testing.TB, s *Store, hashes []common.Hash, most, limit int) {
	t.Helper()
	got, err := s.AppendBlocks([]byte("before"), hashes, most, limit)
	if err != nil {
		t.Fatal(err)
	}
	if want := oneByOne(t, s, hashes, most, limit); string(got) != "before"+string(want) {
		t.Fatalf("%d hashes, most %d, limit %d: %d bytes, want %d and what was there", len(hashes), most, limit, len(got), len(want))
	}
}

// TestAppendBlocks asks for runs, pieces of runs, shuffled and missing blocks, over
// the borders of segments, and compares with single reads.
func TestAppendBlocks(t *testing.T) {
	s := openTest(t, "data", Options{FS: vfs.NewMem(), SegmentSize: 100 << 10})
	r := rand.New(rand.NewPCG(5, 6))
	blocks := branch(genesisLink(), 1, 2000, 10)
	for from := 0; from < len(blocks); { // as they come: runs out of order
		n := min(1+r.IntN(100), len(blocks)-from)
		run := slices.Clone(blocks[from : from+n])
		if r.IntN(4) == 0 {
			slices.Reverse(run)
		}
		mustPut(t, s, run, n)
		from += n
	}
	hashes := make([]common.Hash, len(blocks))
	for i := range blocks {
		hashes[i] = blocks[i].Hash
	}
	const everything = 1 << 30
	checkBlocks(t, s, hashes, everything, everything)
	checkBlocks(t, s, nil, everything, everything)
	checkBlocks(t, s, hashes[:1], 0, everything)
	for range 300 {
		from := r.IntN(len(hashes))
		list := slices.Clone(hashes[from : from+r.IntN(min(300, len(hashes)-from))])
		for i := range list {
			switch r.IntN(40) {
			case 0:
				list[i] = common.Hash{9, byte(i)} // nobody's
			case 1:
				list[i] = hashes[r.IntN(len(hashes))]
			case 2:
				list[i] = list[0]
			}
		}
		checkBlocks(t, s, list, 1+r.IntN(200), r.IntN(100_000))
	}
	checkBlocks(t, s, []common.Hash{testGenesis.Hash, hashes[0], hashes[1]}, everything, everything)
}

// TestAppendBlocksCorrupt: a damaged block is left out, its neighbours are not.
func TestAppendBlocksCorrupt(t *testing.T) {
	fs := vfs.NewMem()
	s := openTest(t, "data", Options{FS: fs})
	blocks := branch(genesisLink(), 1, 200, 10)
	mustPut(t, s, blocks, len(blocks))
	p, err := getPlace(s.db, blocks[100].Hash)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	rewrite(t, fs, s.chain.files.path(p.segment), func(b []byte) []byte {
		b[int64(p.offset)+recordHeader+5] ^= 1
		return b
	})
	s = openTest(t, "data", Options{FS: fs})
	var hashes []common.Hash
	var want []byte
	for i := range blocks {
		hashes = append(hashes, blocks[i].Hash)
		if i != 100 {
			want = append(want, blocks[i].Raw...)
		}
	}
	got, err := s.AppendBlocks(nil, hashes, len(hashes), 1<<30)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, %v; want %d: all but the damaged block", len(got), err, len(want))
	}
}

// BenchmarkAppendBlocks compares with single reads in the same run.
func BenchmarkAppendBlocks(b *testing.B) {
	s := openTest(b, b.TempDir(), Options{})
	var hashes []common.Hash
	for _, r := range benchChain(b, s, 256<<10) {
		hashes = append(hashes, r.Hash)
	}
	var run, single []time.Duration
	var dst []byte
	i := 0
	for b.Loop() {
		i = (i + 7919) % (len(hashes) - 1024)
		ask := hashes[i : i+1024]
		began := time.Now()
		var err error
		if dst, err = s.AppendBlocks(dst[:0], ask, 1024, 2<<20); err != nil {
			b.Fatal(err)
		}
		mid := time.Now()
		dst = dst[:0]
		for _, h := range ask {
			if _, err := s.place(Block, h); err != nil {
				b.Fatal(err)
			}
			if dst, err = s.AppendRaw(dst, h); err != nil {
				b.Fatal(err)
			}
		}
		run, single = append(run, mid.Sub(began)), append(single, time.Since(mid))
	}
	quick := func(d []time.Duration) float64 { slices.Sort(d); return d[len(d)/10].Seconds() }
	b.ReportMetric(1024/quick(run), "blocks/s")
	b.ReportMetric(quick(single)/quick(run), "xsingle")
	b.ReportMetric(0, "ns/op")
}

// TestEach reads blocks in order, up to one that is not held, or until the caller
// has had enough.
func TestEach(t *testing.T) {
	fs := vfs.NewMem()
	s := openTest(t, "data", Options{FS: fs, SegmentSize: 100 << 10})
	blocks := branch(genesisLink(), 1, 1000, 10)
	mustPut(t, s, blocks[:900], 900)
	var hashes []common.Hash
	for i := range blocks {
		hashes = append(hashes, blocks[i].Hash)
	}
	read := func(hashes []common.Hash, most int) (n int, err error) {
		enough := errors.New("enough")
		err = s.Each(hashes, func(raw []byte) error {
			if n == most {
				return enough
			}
			if !bytes.Equal(raw, blocks[n].Raw) {
				t.Fatalf("block %d is not what was put", n)
			}
			n++
			return nil
		})
		if errors.Is(err, enough) {
			err = nil
		}
		return n, err
	}
	if n, err := read(hashes[:900], 900); n != 900 || err != nil {
		t.Fatalf("%d blocks, %v; want all", n, err)
	}
	if n, err := read(hashes, 1000); n != 900 || !errors.Is(err, ErrNotFound) {
		t.Fatalf("%d blocks, %v; want those that are held", n, err)
	}
	if n, err := read(hashes, 7); n != 7 || err != nil {
		t.Fatalf("%d blocks, %v; want as many as wanted", n, err)
	}
}

// TestLinkWithoutLooking: who says that blocks are held is believed. That there is no look
// into the index shows when it is wrong.
func TestLinkWithoutLooking(t *testing.T) {
	blocks := branch(genesisLink(), 1, 300, 10)
	s := openTest(t, t.TempDir(), Options{})
	mustPut(t, s, blocks[:200], 200)
	if _, err := s.Link(links(blocks[:250])); !errors.Is(err, ErrNotFound) {
		t.Fatalf("linking blocks that are not held: %v", err)
	}
	wrong := links(blocks[:1])
	wrong[0].Hash = blocks[1].Hash
	if _, err := s.Link(wrong); err == nil {
		t.Fatal("a block is linked under a number that it was not put with")
	}
	if _, err := s.LinkHeld(links(blocks[200:])); !errors.Is(err, ErrNotLinked) {
		t.Fatalf("linking blocks whose parent is not linked: %v", err)
	}
	if _, err := s.LinkHeld(links(blocks[:200])); err != nil {
		t.Fatal(err)
	}
	if head := s.Head(); head.Hash != blocks[199].Hash {
		t.Fatalf("head is %+v", head)
	}
	if m, err := s.LinkHeld(links(blocks[200:])); err != nil || m.New.Number != 300 {
		t.Fatalf("%+v, %v", m, err)
	}
}

// TestNothingIsReadAhead: a record that is in the file, but was not put to the end, is
// not read in the wake of the one before it.
func TestNothingIsReadAhead(t *testing.T) {
	s := openTest(t, "data", Options{FS: vfs.NewMem()})
	blocks := branch(genesisLink(), 1, 20, 10)
	mustPut(t, s, blocks[:10], 10)
	w := &s.chain.writer
	batch := s.db.NewBatch()
	defer batch.Close()
	for i := range blocks[10:] {
		if _, err := w.append(Block, &blocks[10+i].Record, batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.sync(); err != nil {
		t.Fatal(err)
	}
	var hashes []common.Hash
	for i := range blocks {
		hashes = append(hashes, blocks[i].Hash)
	}
	n := 0
	err := s.Each(hashes, func([]byte) error { n++; return nil })
	if n != 10 || !errors.Is(err, ErrNotFound) {
		t.Errorf("%d blocks, %v; want the ten that were put", n, err)
	}
	w.rollback()
	mustPut(t, s, blocks[10:], 10)
	n = 0
	if err := s.Each(hashes, func([]byte) error { n++; return nil }); n != 20 || err != nil {
		t.Errorf("%d blocks, %v; want all", n, err)
	}
}
