package store

import (
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
)

// TestTxRefs: what is noted is there, also after a restart, and nothing else.
func TestTxRefs(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, Options{})
	if _, err := s.TxCursor(); !errors.Is(err, ErrNotFound) {
		t.Errorf("the cursor of a new store: %v", err)
	}
	a, twin, other := common.Hash{1, 7: 9}, common.Hash{1, 7: 9, 31: 1}, common.Hash{1, 7: 8, 8: 255}
	at := Head{Number: 12, Hash: common.Hash{12}}
	if err := s.PutTxRefs([]TxRef{{a, 5}, {twin, 3}, {a, 5}, {other, 4}, {a, math.MaxUint32}}, at); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		for _, tt := range []struct {
			tx   common.Hash
			most int
			want []uint64
		}{
			{a, 9, []uint64{3, 5, math.MaxUint32}},
			{twin, 2, []uint64{3, 5}},
			{other, 9, []uint64{4}},
			{common.Hash{1}, 9, nil},
		} {
			if got, err := s.TxNumbers(tt.tx, tt.most); err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("numbers of %x: %v, %v; want %v", tt.tx[:9], got, err, tt.want)
			}
		}
		if got, err := s.TxCursor(); err != nil || got != at {
			t.Errorf("cursor %v, %v", got, err)
		}
	}
	check()
	if err := s.PutTxRefs([]TxRef{{a, math.MaxUint32 + 1}}, Head{}); err == nil {
		t.Error("a number that has no room was noted")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir, Options{})
	check()
}

// BenchmarkPutTxRefs says what noting a transaction costs, in time and on disk.
func BenchmarkPutTxRefs(b *testing.B) {
	const batch, batches = 32 << 10, 128
	dir := b.TempDir()
	s := openTest(b, dir, Options{})
	r := rand.New(rand.NewPCG(1, 2))
	refs := make([]TxRef, batch)
	n := 0
	for b.Loop() {
		for k := range batches {
			for i := range refs {
				for j := range 4 {
					*(*[8]byte)(refs[i].Hash[8*j:]) = [8]byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}
				}
				refs[i].Number = uint64(k)
			}
			if err := s.PutTxRefs(refs, Head{}); err != nil {
				b.Fatal(err)
			}
			n += batch
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "txs/s")
	if err := errors.Join(s.db.Compact(b.Context(), []byte{prefixTx}, prefixEnd(prefixTx), false), s.Close()); err != nil {
		b.Fatal(err)
	}
	var size int64
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".sst" {
			info, err := d.Info()
			if err != nil {
				return err
			}
			size += info.Size()
		}
		return err
	}); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(size)/float64(n), "B/tx")
}
