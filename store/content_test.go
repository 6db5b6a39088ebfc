package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"
)

// The same hash may name content of each kind, and none stands for another.
func TestKindsAreApart(t *testing.T) {
	s := openTest(t, "data", Options{FS: vfs.NewMem()})
	main := branch(genesisLink(), 1, 10, 10)
	for i, k := range []Kind{Chunk, Receipts, Block} {
		if held, err := s.HasContent(k, main[0].Hash); held || err != nil {
			t.Fatalf("%v before it was put: %v, %v", k, held, err)
		}
		mustPutContent(t, s, k, main, 10)
		mustPutContent(t, s, k, main, 0)
		if b := s.Blocks(); b != uint64(1+10*(i/2)) || s.Chunks() != 10 {
			t.Fatalf("with %v: %d blocks, %d chunks", k, b, s.Chunks())
		}
	}
	for _, k := range []Kind{Block, Receipts, Chunk} {
		for _, r := range contentOf(k, main) {
			checkContent(t, s, k, &r)
		}
	}
	// A run of blocks skips what lies between them.
	mustPutContent(t, s, Receipts, branch(main[9].link, 1, 3, 10), 3)
	raw, err := s.AppendBlocks(nil, []common.Hash{main[3].Hash, main[4].Hash}, 9, 1<<20)
	want := contentOf(Block, main[3:5])
	if err != nil || string(raw) != string(want[0].Raw)+string(want[1].Raw) {
		t.Fatalf("AppendBlocks: %d bytes, %v", len(raw), err)
	}
	for _, k := range []Kind{kinds, 77} {
		_, err1 := s.PutContent(k, nil)
		_, err2 := s.HasContent(k, common.Hash{})
		_, err3 := s.AppendContent(nil, k, common.Hash{})
		for _, err := range []error{err1, err2, err3} {
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("there is no content of kind %d", k)) {
				t.Errorf("kind %d: %v", k, err)
			}
		}
	}
}

// Damage to receipts and chunks is found, named, and mended.
func TestDamagedContentIsReplaced(t *testing.T) {
	fs := vfs.NewMem()
	opts := Options{FS: fs, SegmentSize: 2 << 10}
	main := branch(genesisLink(), 1, 12, 10)
	for _, k := range []Kind{Receipts, Chunk} {
		s := openTest(t, "data", opts)
		mustPutContent(t, s, k, main, 12)
		p, err := s.place(k, main[5].Hash)
		if err != nil {
			t.Fatal(err)
		}
		path := s.familyOf(k).files.path(p.segment)
		s.Close()
		rewrite(t, fs, path, func(b []byte) []byte {
			b[int64(p.offset)+recordHeader+2] ^= 4
			return b
		})
		s = openTest(t, "data", opts)
		_, err = s.AppendContent(nil, k, main[5].Hash)
		corrupt, ok := errors.AsType[*CorruptError](err)
		if !ok || corrupt.Kind != k || corrupt.File != path || corrupt.Offset != int64(p.offset) {
			t.Fatalf("%v: %v", k, err)
		}
		recs := contentOf(k, main)
		if err := s.ReplaceContent(k, recs[5:6]); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			for i := range recs {
				checkContent(t, s, k, &recs[i])
			}
			s.Close()
			s = openTest(t, "data", opts)
		}
		s.Close()
	}
}

// A lost file costs what was in it: a chunk file no block, and receipts no place in
// the chain.
func TestLostSegmentsCostTheirContentOnly(t *testing.T) {
	base := vfs.NewCrashableMem()
	opts := Options{FS: base, SegmentSize: 3 << 10}
	main := branch(genesisLink(), 1, 40, 10)
	s := openTest(t, "data", opts)
	mustPut(t, s, main, 40)
	mustLink(t, s, main)
	mustPutContent(t, s, Receipts, main, 40)
	mustPutContent(t, s, Chunk, main, 40)
	dropped := map[Kind]string{}
	lost := map[Kind][]common.Hash{}
	for _, k := range []Kind{Receipts, Chunk} {
		p, err := s.place(k, main[39].Hash)
		if err != nil {
			t.Fatal(err)
		}
		dropped[k] = s.familyOf(k).files.path(p.segment)
		for i := range main {
			if q, err := s.place(k, main[i].Hash); err == nil && q.segment == p.segment {
				lost[k] = append(lost[k], main[i].Hash)
			}
		}
	}
	s.Close()
	for k, path := range dropped {
		fs := copyFS(base)
		opts.FS = fs
		if err := fs.Remove(path); err != nil {
			t.Fatal(err)
		}
		s := openTest(t, "data", opts)
		if s.Head().Hash != main[39].Hash || s.Blocks() != 41 {
			t.Fatalf("without %s: head %d, %d blocks", path, s.Head().Number, s.Blocks())
		}
		for _, of := range []Kind{Receipts, Chunk} {
			for i, r := range contentOf(of, main) {
				if of == k && slices.Contains(lost[k], main[i].Hash) {
					if _, err := s.AppendContent(nil, of, r.Hash); !errors.Is(err, ErrNotFound) {
						t.Fatalf("%v %d without its file: %v", of, i, err)
					}
					continue
				}
				checkContent(t, s, of, &r)
			}
		}
		mustPutContent(t, s, k, main, len(lost[k]))
		if s.Chunks() != 40 {
			t.Fatalf("%d chunks", s.Chunks())
		}
		s.Close()
	}
}
