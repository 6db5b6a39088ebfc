package store

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"
	"pgregory.net/rapid"
)

func chunkNumbered(n int) Record {
	h := common.Hash{byte(n), byte(n >> 8), 0xc4}
	return Record{Hash: h, Raw: bytes.Repeat([]byte{byte(n), byte(n >> 8)}, 100+n%50)}
}

func heldChunks(t interface {
	Helper()
	Fatal(...any)
}, s *Store) map[common.Hash]bool {
	t.Helper()
	m := map[common.Hash]bool{}
	if err := s.EachChunk(func(h common.Hash) bool { m[h] = true; return true }); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestReclaim: chunks come, go and move, the store is closed or crashes at any time, and
// what was put and not dropped is there; after all has been dropped nothing is left but
// the segment that is being written.
func TestReclaim(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		disk := vfs.NewCrashableMem()
		opts := Options{FS: disk, SegmentSize: 4 << 10}
		s, err := Open("db", opts.forTest())
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { s.Close() }()
		held, gone := map[int]bool{}, map[int]bool{} // gone: dropped, and may come back
		put := func(ns ...int) {
			var recs []Record
			for _, n := range ns {
				recs = append(recs, chunkNumbered(n))
				held[n] = true
				delete(gone, n)
			}
			if _, err := s.PutContent(Chunk, recs); err != nil {
				rt.Fatal(err)
			}
		}
		numbers := rapid.SliceOfN(rapid.IntRange(0, 60), 1, 20)
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) { put(numbers.Draw(t, "chunks")...) },
			"drop": func(t *rapid.T) {
				var hashes []common.Hash
				for _, n := range numbers.Draw(t, "chunks") {
					hashes = append(hashes, chunkNumbered(n).Hash)
					delete(held, n)
					gone[n] = true
				}
				if err := s.DropChunks(hashes); err != nil {
					t.Fatal(err)
				}
			},
			"reclaim": func(t *rapid.T) {
				before, err := s.ChunkBytes()
				if err != nil {
					t.Fatal(err)
				}
				freed, err := s.Reclaim()
				if err != nil {
					t.Fatal(err)
				}
				if after, err := s.ChunkBytes(); err != nil || after < before-freed {
					t.Fatalf("%d bytes, %d freed, %d left, %v", before, freed, after, err)
				}
			},
			"reopen": func(t *rapid.T) {
				if rapid.IntRange(0, 4).Draw(t, "really") > 0 {
					t.Skip("it takes long")
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if s, err = Open("db", opts.forTest()); err != nil {
					t.Fatal(err)
				}
			},
			"crash": func(t *rapid.T) {
				if rapid.IntRange(0, 4).Draw(t, "really") > 0 {
					t.Skip("it takes long")
				}
				disk = disk.CrashClone(vfs.CrashCloneCfg{})
				s.Close()
				opts.FS = disk
				if s, err = Open("db", opts.forTest()); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				got := heldChunks(rt, s)
				for n := range held {
					raw, err := s.AppendContent(nil, Chunk, chunkNumbered(n).Hash)
					if err != nil || !bytes.Equal(raw, chunkNumbered(n).Raw) {
						t.Fatalf("chunk %d: %v", n, err)
					}
					delete(got, chunkNumbered(n).Hash)
				}
				for n := range gone {
					if h := chunkNumbered(n).Hash; got[h] { // a crash brought it back
						delete(got, h)
						if raw, err := s.AppendContent(nil, Chunk, h); err != nil || !bytes.Equal(raw, chunkNumbered(n).Raw) {
							t.Fatalf("chunk %d, which is back: %v", n, err)
						}
					}
				}
				if len(got) > 0 {
					t.Fatalf("%d chunks too many", len(got))
				}
			},
		})
		var all []common.Hash
		for h := range heldChunks(rt, s) {
			all = append(all, h)
		}
		slices.SortFunc(all, common.Hash.Cmp)
		if err := s.DropChunks(all); err != nil {
			rt.Fatal(err)
		}
		if _, err := s.Reclaim(); err != nil {
			rt.Fatal(err)
		}
		if files, err := s.chunks.files.list(); err != nil || len(files) > 1 {
			rt.Fatalf("%v left, %v", files, err)
		}
		if n := s.chunks.held.Load(); n != 0 {
			rt.Fatalf("%d chunks counted", n)
		}
	})
}

// TestReclaimOfTheNewestSegment: room comes back although no segment is full.
func TestReclaimOfTheNewestSegment(t *testing.T) {
	s := openTest(t, "db", Options{FS: vfs.NewMem()})
	var hashes []common.Hash
	for n := range 64 {
		r := Record{Hash: common.Hash{byte(n), 1}, Raw: make([]byte, 64<<10)}
		hashes = append(hashes, r.Hash)
		if _, err := s.PutContent(Chunk, []Record{r}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DropChunks(hashes[1:]); err != nil {
		t.Fatal(err)
	}
	if freed, err := s.Reclaim(); err != nil || freed < 4<<20 {
		t.Errorf("%d bytes freed, %v", freed, err)
	}
	if size, err := s.ChunkBytes(); err != nil || size > 128<<10 {
		t.Errorf("%d bytes left, %v", size, err)
	}
	if held := heldChunks(t, s); len(held) != 1 || !held[hashes[0]] {
		t.Errorf("%d chunks held", len(held))
	}
}

// TestReclaimKeepsDamage: a segment of which not everything can be read stays, for who may
// still get something out of it.
func TestReclaimKeepsDamage(t *testing.T) {
	disk := vfs.NewMem()
	s := openTest(t, "db", Options{FS: disk, SegmentSize: 8 << 10})
	var recs []Record
	var drop []common.Hash
	for n := range 60 {
		recs = append(recs, chunkNumbered(n))
		if n%2 == 0 {
			drop = append(drop, recs[n].Hash)
		}
	}
	if _, err := s.PutContent(Chunk, recs); err != nil {
		t.Fatal(err)
	}
	if err := s.DropChunks(drop); err != nil {
		t.Fatal(err)
	}
	p, err := s.place(Chunk, recs[11].Hash)
	if err != nil {
		t.Fatal(err)
	}
	f, err := disk.OpenReadWrite(s.chunks.files.path(p.segment), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("junk"), int64(p.offset)+recordHeader); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := s.Reclaim(); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Stat(s.chunks.files.path(p.segment)); err != nil {
		t.Errorf("the damaged segment: %v", err)
	}
	for n := 1; n < 60; n += 2 {
		raw, err := s.AppendContent(nil, Chunk, recs[n].Hash)
		if _, corrupt := errors.AsType[*CorruptError](err); n == 11 && !corrupt || n != 11 && (err != nil || !bytes.Equal(raw, recs[n].Raw)) {
			t.Errorf("chunk %d: %v", n, err)
		}
	}
	if n := len(heldChunks(t, s)); n != 30 {
		t.Errorf("%d chunks held, want 30", n)
	}
}
