package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/internal/faultfs"
)

// The steps of these tests: ours, which pack the canonical chain, and one more that gives a
// value another name, which the rest of the store neither needs nor minds. runs counts how
// often the first one runs.
func testSteps(runs *atomic.Int32) []step {
	first := step{steps[0].what, func(s *Store) error {
		runs.Add(1)
		return packCanon(s, 1)
	}}
	return append(append([]step{first}, steps[1:]...), step{"renaming a value", func(s *Store) error {
		v, err := get(s.db, foreignKey("room/name"), copied)
		if errors.Is(err, ErrNotFound) {
			return nil // done before
		}
		if err != nil {
			return err
		}
		return s.note(func(b *pebble.Batch) error {
			return errors.Join(b.Set(foreignKey("room/newname"), v, nil), b.Delete(foreignKey("room/name"), nil))
		})
	}})
}

// checkUpgraded looks at what the steps have done, and that the rest is as it was.
func checkUpgraded(t *testing.T, s *Store) {
	t.Helper()
	if format, err := get(s.db, metaKey(metaFormat), copied); err != nil || binary.BigEndian.Uint32(format) != Format+1 {
		t.Fatalf("the format is %x, %v", format, err)
	}
	if unfinished, err := has(s.db, metaKey(metaUpgrade)); err != nil || unfinished {
		t.Fatalf("unfinished: %v, %v", unfinished, err)
	}
	if v, err := s.Meta("room/newname"); err != nil || string(v) != "value" {
		t.Fatalf("the value under its new name is %q, %v", v, err)
	}
	if n := countKeys(t, s.db, prefixSingle); n != 0 {
		t.Fatalf("%d keys of the old chain are left", n)
	}
	if err := s.SetMeta("room/name", []byte("value")); err != nil { // as checkFormat wants it
		t.Fatal(err)
	}
	checkFormat(t, s)
}

func TestUpgrade(t *testing.T) {
	dir := unzipFormat(t, 1)
	var log bytes.Buffer
	var runs atomic.Int32
	opts := Options{
		SegmentSize: 8 << 10, Elsewhere: formatElsewhere, steps: testSteps(&runs),
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}

	t.Log("# who only reads is told, and nothing changes")
	keep := opts
	keep.KeepFormat = true
	_, err := Open(dir, keep.forTest())
	want := "store: data directory has an older format: " + dir + " has format 1, this program works with 3, and a command that only reads does not change that; " +
		"start a node once, or another command that writes, to upgrade it: older versions of the program cannot use it then"
	if !errors.Is(err, ErrOldFormat) || err.Error() != want {
		t.Fatalf("got  %v\nwant %s", err, want)
	}
	if runs.Load() != 0 {
		t.Error("a step has run")
	}
	if !isFormat1(t, dir, opts) {
		t.Error("the program before cannot use it any more")
	}

	t.Log("# the others upgrade, and say so")
	before := tree(t, dir)
	s := openTest(t, dir, opts)
	checkUpgraded(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"from=1 to=2 work=\"packing the canonical chain\"", "from=2 to=3 work=\"renaming a value\""} {
		if n := strings.Count(log.String(), what); n != 1 {
			t.Errorf("%d lines say %s:\n%s", n, what, &log)
		}
	}
	for name, content := range tree(t, dir) {
		if old, ok := before[name]; ok && strings.HasSuffix(name, ".seg") && old != content {
			t.Errorf("%s has been rewritten", name)
		}
	}

	t.Log("# once")
	s = openTest(t, dir, opts)
	if runs.Load() != 1 {
		t.Errorf("the first step ran %d times", runs.Load())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir, keep)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	t.Log("# and the programs before refuse it")
	if isFormat1(t, dir, opts) {
		t.Error("a program that knows format 1 takes it")
	}
	ours := opts
	ours.steps = nil
	if _, err := Open(dir, ours.forTest()); !errors.Is(err, ErrFormat) {
		t.Fatal(err)
	}
	if network, err := NetworkOf(dir); !errors.Is(err, ErrFormat) {
		t.Fatal(network, err)
	}
}

// isFormat1 reports whether a program that knows format 1 and no other takes a directory
// that was kept. If so, what it finds is whole, and not half of the next format.
func isFormat1(t *testing.T, dir string, opts Options) bool {
	t.Helper()
	opts.steps, opts.peek, opts.MustExist = []step{}, true, true
	s, err := Open(dir, opts.forTest())
	if errors.Is(err, ErrFormat) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	chain := slices.Concat([]block{{testGenesis.Record, genesisLink()}}, formatMain[:20], formatFork)
	for n := range chain {
		l := &chain[n].link
		key := prefixedNumber(prefixSingle, uint64(n))
		if v, err := get(s.db, key[:], copied); err != nil || !bytes.Equal(v, appendTD(l.Hash.Bytes(), &l.TD)) {
			t.Fatalf("block %d of format 1: %x, %v", n, v, err)
		}
	}
	if n := countKeys(t, s.db, prefixSingle); n != len(chain) {
		t.Fatalf("%d keys for a chain of %d", n, len(chain))
	}
	if n := countKeys(t, s.db, prefixCanon); n != 0 {
		t.Fatalf("%d keys of format 2", n)
	}
	return true
}

// tree returns the files of a directory with their contents.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	var walk func(string)
	walk = func(at string) {
		entries, err := os.ReadDir(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			path := at + "/" + e.Name()
			if e.IsDir() {
				walk(path)
				continue
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files[path] = string(b)
		}
	}
	walk(dir)
	return files
}

// NetworkOf changes nothing, also where there is much to repair.
func TestNetworkOfChangesNothing(t *testing.T) {
	dir := unzipFormat(t, 1)
	before := tree(t, dir)
	if network, err := NetworkOf(dir); err != nil || network != "test" {
		t.Fatalf("%q, %v", network, err)
	}
	after := tree(t, dir)
	for name := range after {
		if before[name] != after[name] {
			t.Errorf("%s has changed", name)
		}
	}
	if len(before) != len(after) {
		t.Errorf("%d files before, %d now", len(before), len(after))
	}
	for _, part := range []string{"", "/index"} {
		empty := t.TempDir()
		if err := os.MkdirAll(empty+part, 0o777); err != nil {
			t.Fatal(err)
		}
		if _, err := NetworkOf(empty); !errors.Is(err, ErrNotExist) {
			t.Errorf("of a directory with %q: %v", part, err)
		}
	}
}

// writeHookFS calls hook before and after each write too.
type writeHookFS struct{ *syncHookFS }

func (f writeHookFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.syncHookFS.Create(name, c)
	return f.wrap(file, err)
}

func (f writeHookFS) ReuseForWrite(o, n string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.syncHookFS.ReuseForWrite(o, n, c)
	return f.wrap(file, err)
}

func (f writeHookFS) wrap(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &writeHookFile{file, f.hook}, nil
}

type writeHookFile struct {
	vfs.File
	hook func()
}

func (f *writeHookFile) Write(p []byte) (int, error) {
	f.hook()
	n, err := f.File.Write(p)
	f.hook()
	return n, err
}

// memFormat is the directory of a format on a file system in memory that can crash.
func memFormat(t *testing.T, format int) *vfs.MemFS {
	t.Helper()
	mem := vfs.NewCrashableMem()
	if ok, err := vfs.Clone(vfs.Default, mem, unzipFormat(t, format), "data", vfs.CloneSync); err != nil || !ok {
		t.Fatal(ok, err)
	}
	return synced(mem)
}

// synced is a copy of a file system in which all that was written is synced.
func synced(fs *vfs.MemFS) *vfs.MemFS {
	return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
}

// TestC2CrashInsideUpgrade: the process is killed, or the power goes, at any write or sync
// of an upgrade. The next start goes on, and a program that does not know the new format
// finds the old one whole or refuses.
func TestC2CrashInsideUpgrade(t *testing.T) {
	var runs atomic.Int32
	opts := Options{SegmentSize: 8 << 10, Elsewhere: formatElsewhere, steps: testSteps(&runs)}
	points := recordCrashes(memFormat(t, 1), newAcked(), func(fs vfs.FS) {
		o := opts
		o.FS = writeHookFS{fs.(*syncHookFS)}
		s := openTest(t, "data", o)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
	old, refused, again := 0, 0, 0
	for i, p := range points {
		if i%min(sparse, 7) != 0 {
			continue
		}
		t.Logf("# %s", p.what)
		o := opts
		o.FS = synced(p.fs)
		if isFormat1(t, "data", o) {
			old++
		} else {
			refused++
		}
		before := runs.Load()
		o.FS = p.fs
		s := openTest(t, "data", o)
		checkUpgraded(t, s)
		again += int(runs.Load() - before)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d crashes: %d before the upgrade, %d within or after it; the first step ran again %d times", old+refused, old, refused, again)
	if sparse == 1 && (old == 0 || refused == 0 || again <= old || again == old+refused) {
		t.Error("the crashes are not those that were meant")
	}
}

// TestC2CrashWhilePacking: the same with a chain of several runs, some of which are there
// and some not when it happens.
func TestC2CrashWhilePacking(t *testing.T) {
	const runs, blocks = 11, 10*canonRun + 1
	mem := vfs.NewCrashableMem()
	first := branch(genesisLink(), 1, 1, 1)
	first[0].link.TD.Lsh(uint256.NewInt(1), 255) // big values, so that the log is written now and then
	main := append(first, branch(first[0].link, 1, blocks-2, 1<<30)...)
	s := openTest(t, "data", Options{FS: mem})
	mustPut(t, s, main, len(main))
	mustLink(t, s, main)
	want := checkConsistent(t, s)
	if err := s.note(func(b *pebble.Batch) error { // as format 1 had it
		for _, l := range append(links(main), genesisLink()) {
			key := prefixedNumber(prefixSingle, l.Number)
			if err := b.Set(key[:], appendTD(l.Hash.Bytes(), &l.TD), nil); err != nil {
				return err
			}
		}
		return errors.Join(setFormat(b, 1), b.DeleteRange([]byte{prefixCanon}, prefixEnd(prefixCanon), nil))
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	opts := Options{steps: []step{{"packing", func(s *Store) error { return packCanon(s, 1) }}}}
	points := recordCrashesOf(synced(mem), newAcked(), func(fs vfs.FS) {
		o := opts
		o.FS = writeHookFS{fs.(*syncHookFS)}
		s := openTest(t, "data", o)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}, func() []int { return []int{50, 100} }) // all that is written: so much of the log, and no more
	half := 0
	o := opts
	o.steps = []step{{"packing", func(s *Store) error {
		if n := countKeys(t, s.db, prefixCanon); n > 0 && n < runs {
			half++
		}
		return packCanon(s, 1)
	}}}
	for i, p := range points {
		if i%sparse != 0 {
			continue
		}
		t.Logf("# %s", p.what)
		o.FS = p.fs
		s := openTest(t, "data", o)
		if got := checkConsistent(t, s); !slices.Equal(got, want) {
			t.Fatalf("a chain of %d, want %d", len(got), len(want))
		}
		if n, old := countKeys(t, s.db, prefixCanon), countKeys(t, s.db, prefixSingle); n != runs || old != 0 {
			t.Fatalf("%d runs, %d old keys", n, old)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d crashes, in %d of them some runs were there", len(points), half)
	if sparse == 1 && half == 0 {
		t.Error("the crashes are not those that were meant")
	}
}

// Packing a chain that is not one is refused, and the old keys stay.
func TestPackingABrokenChain(t *testing.T) {
	for name, change := range map[string]func(n uint64, v []byte) []byte{
		"gap": func(n uint64, v []byte) []byte {
			if n == 20 {
				return nil
			}
			return v
		},
		"TD does not grow": func(n uint64, v []byte) []byte { return v[:common.HashLength+1] },
		"short":            func(n uint64, v []byte) []byte { return v[:common.HashLength-1] },
		"long":             func(n uint64, v []byte) []byte { return append(v, make([]byte, 33)...) },
	} {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, "data", Options{FS: vfs.NewMem()})
			main := branch(genesisLink(), 1, 300, 1<<30)
			for _, l := range append(links(main), genesisLink()) {
				key := prefixedNumber(prefixSingle, l.Number)
				if v := change(l.Number, appendTD(l.Hash.Bytes(), &l.TD)); v != nil {
					if err := s.db.Set(key[:], v, nil); err != nil {
						t.Fatal(err)
					}
				}
			}
			before := countKeys(t, s.db, prefixSingle)
			if err := packCanon(s, 1); err == nil || !strings.Contains(err.Error(), "index is corrupt") {
				t.Error(err)
			}
			if n := countKeys(t, s.db, prefixSingle); n != before {
				t.Errorf("of %d old keys %d are left", before, n)
			}
		})
	}
}

// TestF9UpgradeOnAFullDisk: an upgrade that finds no room says so, and the next start
// goes on.
func TestF9UpgradeOnAFullDisk(t *testing.T) {
	failed := 0
	for k := 1; ; k += min(sparse, 7) {
		var runs atomic.Int32
		mem := memFormat(t, 1)
		disk := faultfs.Wrap(mem)
		opts := Options{FS: disk, SegmentSize: 8 << 10, Elsewhere: formatElsewhere, steps: testSteps(&runs)}
		disk.Arm(faultfs.Full(), k)
		s, err := Open("data", opts.forTest())
		hit := disk.Hit()
		if err == nil {
			err = s.Close()
		} else {
			failed++
			checkSentence(t, err, faultfs.Full())
		}
		disk.Repair()
		if hit == "" && err == nil {
			break
		}
		s = openTest(t, "data", opts)
		checkUpgraded(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(fmt.Errorf("op %d: %w", k, err))
		}
	}
	if failed == 0 {
		t.Error("nothing has failed")
	}
}
