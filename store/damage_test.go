package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// copyFS returns a copy of all of fs.
func copyFS(fs *vfs.MemFS) *vfs.MemFS {
	return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
}

// rewrite replaces the content of a file.
func rewrite(t testing.TB, fs vfs.FS, path string, change func([]byte) []byte) {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, info.Size())
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if f, err = fs.Create(path, vfs.WriteCategoryUnspecified); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(change(b)); err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// TestC3TornSegment: every way in which the end of the newest segment may be cut or
// flipped, with an index that knows the records and with one that has to find them:
// the store opens, gives wrong bytes to nobody, and takes the blocks again.
func TestC3TornSegment(t *testing.T) {
	base := vfs.NewCrashableMem()
	main := branch(genesisLink(), 1, 30, 10)
	side := branch(main[19].link, 2, 9, 10)
	s := openTest(t, "data", Options{FS: base, SegmentSize: 6 << 10})
	mustPut(t, s, main[:20], 20)
	mustPut(t, s, side, 9)
	mustPut(t, s, main[20:], 10)
	mustLink(t, s, main)
	mustLink(t, s, side)
	last := s.chain.writer.segment
	size := int(s.chain.writer.end)
	file := s.chain.files.path(last)
	firstDamaged := func(at int) map[[32]byte]bool { // blocks that must stay whole
		whole := make(map[[32]byte]bool)
		for _, b := range append(slices.Clone(main), side...) {
			p, err := getPlace(s.db, b.Hash)
			if err != nil {
				t.Fatal(err)
			}
			if p.segment != last || p.end() <= int64(at) {
				whole[b.Hash] = true
			}
		}
		return whole
	}
	var at []int
	for i := 1; i <= 120 && i < size; i++ {
		at = append(at, size-i)
	}
	for i := 121; i < size; i += 41 {
		at = append(at, size-i)
	}
	whole := make([]map[[32]byte]bool, len(at))
	for i := range at {
		whole[i] = firstDamaged(at[i])
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if last < 2 {
		t.Fatal("the test wants several segments")
	}
	for i, at := range at {
		if i%sparse != 0 {
			continue
		}
		for _, mode := range []string{"cut", "flip", "cut, index lost", "flip, index lost"} {
			fs := copyFS(base)
			rewrite(t, fs, file, func(b []byte) []byte {
				if strings.HasPrefix(mode, "cut") {
					return b[:at]
				}
				b[at] ^= 1 << (at % 8)
				return b
			})
			if strings.HasSuffix(mode, "lost") {
				if err := fs.RemoveAll("data/index"); err != nil {
					t.Fatal(err)
				}
			}
			what := fmt.Sprintf("%s at %d of %d", mode, at, size)
			opts := Options{FS: fs, SegmentSize: 6 << 10}
			s := openTest(t, "data", opts)
			checkConsistent(t, s)
			var again []Record
			for _, b := range append(slices.Clone(main), side...) {
				raw, err := s.AppendRaw(nil, b.Hash)
				var corrupt *CorruptError
				switch {
				case err == nil && string(raw) == string(b.Raw):
				case whole[i][b.Hash]:
					t.Fatalf("%s: block %d before the damage: %v", what, b.Number, err)
				case mode == "flip" && errors.As(err, &corrupt) && corrupt.File == file && corrupt.Hash == b.Hash:
					again = append(again, b.Record)
				case mode != "flip" && errors.Is(err, ErrNotFound):
					again = append(again, b.Record)
				default:
					t.Fatalf("%s: block %d: got %d bytes, %v", what, b.Number, len(raw), err)
				}
			}
			if mode == "cut" && len(again) > 0 && s.Head().Number >= again[0].Number && again[0].Hash != side[0].Hash && s.Head().Hash == main[29].Hash {
				t.Fatalf("%s: head %d stands on lost block %d", what, s.Head().Number, again[0].Number)
			}
			if err := s.Replace(again); err != nil {
				t.Fatal(what, err)
			}
			for range 2 {
				mustLink(t, s, main)
				mustLink(t, s, side)
				checkConsistent(t, s)
				if s.Blocks() != 40 || s.Head().Hash != main[29].Hash {
					t.Fatalf("%s: in the end %d blocks, head %d", what, s.Blocks(), s.Head().Number)
				}
				for _, b := range append(slices.Clone(main), side...) {
					checkHeld(t, s, &b)
				}
				s.Close()
				s = openTest(t, "data", opts)
			}
			s.Close()
		}
	}
}

// TestC3TornIndex: each file of the index is cut, or a bit of it flipped, near its end.
// Either the store opens, and what it then says it has is right, or it says that the
// index is damaged; without it the blocks are all there.
func TestC3TornIndex(t *testing.T) {
	base := vfs.NewCrashableMem()
	opts := faultOptions
	opts.FS = base
	s := openTest(t, "data", opts)
	if err := crashWorkload(s, newAcked()); err != nil {
		t.Fatal(err)
	}
	blocks := s.Blocks()
	crashed := copyFS(base) // with a log that has something in it
	s.Close()
	names, err := crashed.List("data/index")
	if err != nil {
		t.Fatal(err)
	}
	opened, refused := 0, 0
	for _, name := range names {
		file := "data/index/" + name
		info, err := crashed.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := int64(1); i <= min(info.Size(), 80); i += 5 * sparse {
			for _, mode := range []string{"cut", "flip"} {
				fs := copyFS(crashed)
				rewrite(t, fs, file, func(b []byte) []byte {
					if mode == "cut" {
						return b[:info.Size()-i]
					}
					b[info.Size()-i] ^= 1 << (i % 8)
					return b
				})
				what := fmt.Sprintf("%s of %s, %d from the end", mode, name, i)
				opts.FS = fs
				s, err := Open("data", opts.forTest())
				if err != nil {
					refused++
					if !strings.HasPrefix(err.Error(), "store: the index of data is damaged; remove the directory data/index and start again") {
						t.Fatalf("%s: %v", what, err)
					}
					if err := fs.RemoveAll("data/index"); err != nil {
						t.Fatal(err)
					}
					s = openTest(t, "data", opts)
					if s.Blocks() != blocks {
						t.Fatalf("%s: %d blocks without the index, want %d", what, s.Blocks(), blocks)
					}
				} else {
					opened++
				}
				t.Logf("# %s", what)
				checkConsistent(t, s)
				if err := crashWorkload(s, newAcked()); err != nil {
					t.Fatal(err)
				}
				// A torn manifest has forgotten a table, hence something in the middle
				// of what was done; but what is put again counts once.
				checkFinal(t, s)
				s.Close()
			}
		}
	}
	t.Logf("%d opened, %d refused", opened, refused)
}

// TestC3TornManifest: the last entry of the index's list of tables is lost, after every
// few blocks of a workload. A table may be missing then whose blocks are older than the
// count of blocks. Those that are held are counted, and what is put again counts once.
func TestC3TornManifest(t *testing.T) {
	base := vfs.NewCrashableMem()
	opts := faultOptions
	opts.FS = base
	s := openTest(t, "data", opts)
	defer s.Close()
	const n = 1200
	main := branch(genesisLink(), 1, n, 10)
	forgotten := 0
	const step = 24
	for done := step; done <= n; done += step {
		mustPut(t, s, main[done-step:done], step)
		if done/step%sparse != 0 {
			continue
		}
		fs := copyFS(base)
		desc, err := pebble.Peek("data/index", fs)
		if err != nil {
			t.Fatal(err)
		}
		rewrite(t, fs, desc.ManifestFilename, func(b []byte) []byte { return b[:len(b)-1] })
		torn := opts
		torn.FS = fs
		s, err := Open("data", torn.forTest())
		if err != nil {
			continue // the index says that it is damaged
		}
		held := uint64(1) // the genesis block
		for _, b := range main[:done] {
			if ok, err := s.Has(b.link.Hash); err != nil {
				t.Fatal(err)
			} else if ok {
				held++
			}
		}
		if held < uint64(done+1) {
			forgotten++
		}
		if s.Blocks() != held {
			t.Errorf("after %d blocks %d are held, and counted as %d", done, held, s.Blocks())
		}
		mustPut(t, s, main[:done], done+1-int(held))
		if s.Blocks() != uint64(done+1) {
			t.Errorf("%d blocks are counted as %d when they are put again", done, s.Blocks())
		}
		s.Close()
	}
	t.Logf("something was forgotten %d times", forgotten) // by when tables are written
}

// Whole files may vanish, the first one with the genesis block included.
func TestLostSegmentsCostTheirBlocksOnly(t *testing.T) {
	base := vfs.NewCrashableMem()
	main := branch(genesisLink(), 1, 60, 10)
	side := branch(main[9].link, 2, 20, 11)
	heavy := branch(main[4].link, 3, 4, 20)
	opts := Options{FS: base, SegmentSize: 3 << 10}
	s := openTest(t, "data", opts)
	mustPut(t, s, heavy, 4) // in the oldest segments
	mustPut(t, s, main, 60)
	mustPut(t, s, side, 20)
	for _, b := range [][]block{main, side, heavy} {
		mustLink(t, s, b)
	}
	segments, err := s.chain.files.list()
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	for _, n := range segments {
		opts.FS = copyFS(base)
		if err := opts.FS.Remove("data/segments/" + segmentName(n)); err != nil {
			t.Fatal(err)
		}
		s := openTest(t, "data", opts)
		checkConsistent(t, s)
		// The head is the best of what is whole.
		head := s.Head()
		for _, b := range slices.Concat(main, side, heavy) {
			l, ok, err := s.Linked(b.Hash)
			if err != nil || ok && l.TD.Gt(&head.TD) {
				t.Fatalf("segment %d lost: block with TD %s is linked, head has %s; %v", n, &l.TD, &head.TD, err)
			}
			if held, _ := s.Has(b.Hash); ok && !held {
				t.Fatalf("segment %d lost: block %d linked but not held", n, b.Number)
			}
		}
		for _, b := range [][]block{main, side, heavy} {
			if _, err := s.Put(records(b)); err != nil {
				t.Fatal(err)
			}
			mustLink(t, s, b)
		}
		if chain := checkConsistent(t, s); len(chain) != 61 || s.Blocks() != 85 {
			t.Fatalf("segment %d lost: in the end chain of %d, %d blocks", n, len(chain), s.Blocks())
		}
		s.Close()
	}
}

// A failed write is the moment's trouble, a failed sync stops writing.
func TestFailedWriteCanBeRetriedFailedSyncCannot(t *testing.T) {
	var fail atomic.Int64 // the kind of operation that fails, +1
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if strings.HasSuffix(op.Path, ".seg") && fail.Load() == int64(op.Kind)+1 {
			return errorfs.ErrInjected
		}
		return nil
	}))
	main := branch(genesisLink(), 1, 30, 10)
	s := openTest(t, "data", Options{FS: fs})
	mustPut(t, s, main[:10], 10)

	fail.Store(int64(errorfs.OpFileWriteAt) + 1)
	for range 3 {
		n, err := s.Put(records(main[10:20]))
		const want = "store: put: nothing was stored; free space or repair the disk, then start again: "
		if n != 0 || err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, errorfs.ErrInjected) || errors.Is(err, ErrFailed) {
			t.Fatal(n, err)
		}
	}
	if ok, _ := s.Has(main[10].Hash); ok || s.Blocks() != 11 {
		t.Fatal("counts as held:", ok, s.Blocks())
	}
	fail.Store(0)
	mustPut(t, s, main[10:20], 10)

	fail.Store(int64(errorfs.OpFileSync) + 1)
	_, err := s.Put(records(main[20:]))
	const want = "store: writing has stopped in data; free space or repair the disk, then start again: sync data/segments/"
	if !errors.Is(err, ErrFailed) || !errors.Is(err, errorfs.ErrInjected) || !strings.HasPrefix(err.Error(), want) {
		t.Fatal(err)
	}
	fail.Store(0)
	_, err1 := s.Put(records(main[20:]))
	_, err2 := s.Link(links(main[:5]))
	for _, err := range []error{err1, err2, s.SetMeta("a", nil), s.StartPlan(Plan{})} {
		if !errors.Is(err, ErrFailed) {
			t.Fatal(err)
		}
	}
	checkHeld(t, s, &main[15])
	if s.Blocks() != 21 {
		t.Fatal(s.Blocks())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, "data", Options{FS: fs})
	mustPut(t, s, main, int(31-s.Blocks()))
	mustLink(t, s, main)
	checkConsistent(t, s)
}
