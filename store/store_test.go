package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-cmp/cmp"
	"github.com/holiman/uint256"
)

// TestConformance runs the same promises over every file system and segment
// size: what a store does must not depend on either.
func TestConformance(t *testing.T) {
	for _, size := range []int64{1, 4 << 10, 0} {
		t.Run(fmt.Sprintf("disk/%d", size), func(t *testing.T) {
			conformance(t, t.TempDir(), Options{SegmentSize: size})
		})
		t.Run(fmt.Sprintf("memory/%d", size), func(t *testing.T) {
			conformance(t, "data", Options{SegmentSize: size, FS: vfs.NewMem()})
		})
	}
}

func conformance(t *testing.T, dir string, opts Options) {
	s := openTest(t, dir, opts)
	reopen := func() {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openTest(t, dir, opts)
	}
	gen := block{testGenesis.Record, genesisLink()}

	t.Log("# a new store holds the genesis block and nothing else")
	if h := s.Head(); h != (Head{0, testGenesis.Hash, testGenesis.TD}) || s.Blocks() != 1 || s.Network() != "test" {
		t.Fatalf("head %+v, %d blocks, network %q", h, s.Blocks(), s.Network())
	}
	checkHeld(t, s, &gen)
	checkConsistent(t, s)
	if _, ok := s.Plan(); ok {
		t.Fatal("there is a plan")
	}

	t.Log("# blocks are stored in any order, repeated ones once")
	main := branch(genesisLink(), 1, 60, 10)
	mustPut(t, s, main[40:], 20)
	twice := append(slices.Clone(main[20:45]), main[20], main[21])
	mustPut(t, s, twice, 20)
	mustPut(t, s, main, 20)
	mustPut(t, s, main, 0)
	if s.Blocks() != 61 {
		t.Fatalf("got %d blocks, want 61", s.Blocks())
	}
	for i := range main {
		checkHeld(t, s, &main[i])
		if _, ok, err := s.Linked(main[i].Hash); ok || err != nil {
			t.Fatal("linked before Link:", ok, err)
		}
	}
	missing := common.Hash{0xff}
	if ok, err := s.Has(missing); ok || err != nil {
		t.Fatal("Has(missing):", ok, err)
	}
	if _, err := s.AppendRaw(nil, missing); !errors.Is(err, ErrNotFound) {
		t.Fatal("AppendRaw(missing):", err)
	}
	if _, err := s.AppendAncestors(nil, main[0].Hash, 5); !errors.Is(err, ErrNotFound) {
		t.Fatal("AppendAncestors(not linked):", err)
	}

	t.Log("# linking needs a linked parent, a real run and held blocks")
	if _, err := s.Link(links(main[1:])); !errors.Is(err, ErrNotLinked) {
		t.Fatal("Link without parent:", err)
	}
	if _, err := s.Link([]Link{main[0].link, main[2].link}); err == nil {
		t.Fatal("Link with a gap succeeded")
	}
	stranger := branch(genesisLink(), 99, 1, 1000)
	if _, err := s.Link(links(stranger)); !errors.Is(err, ErrNotFound) {
		t.Fatal("Link of a block that is not held:", err)
	}
	bad := main[0].link
	bad.TD = testGenesis.TD
	if _, err := s.Link([]Link{bad}); err == nil {
		t.Fatal("Link with TD that does not grow succeeded")
	}
	if s.Head().Number != 0 {
		t.Fatal("a refused Link moved the head")
	}

	t.Log("# the head follows")
	if m := mustLink(t, s, main[:50]); m.Old.Number != 0 || m.New.Number != 50 || m.Ancestor != 0 || m.Reorged || !m.Moved() {
		t.Fatalf("move %+v", m)
	}
	if m := mustLink(t, s, main[:50]); m.Moved() || m.Reorged {
		t.Fatalf("repeated Link moved: %+v", m)
	}
	mustLink(t, s, main[30:]) // overlapping
	checkConsistent(t, s)
	if l, ok, err := s.Linked(main[9].Hash); err != nil || !ok || l != main[9].link {
		t.Fatalf("Linked: %+v %v %v", l, ok, err)
	}

	t.Log("# a lighter branch and one of equal weight stay aside")
	side := branch(main[19].link, 2, 50, 10) // reaches number 70; equal TD at 60
	mustPut(t, s, side, 50)
	if m := mustLink(t, s, side[:40]); m.Moved() {
		t.Fatalf("equal TD moved the head: %+v", m)
	}
	got, err := s.AppendAncestors(nil, side[29].Hash, 35)
	want := ancestors(35, side[:29], main[:20])
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("AppendAncestors on a side chain: %v\n%s", err, cmp.Diff(want, got))
	}
	if got, err := s.AppendAncestors(nil, side[0].Hash, 1<<20); err != nil || len(got) != 21 || got[len(got)-1] != testGenesis.Hash {
		t.Fatalf("AppendAncestors to genesis: %d, %v", len(got), err)
	}
	if got, err := s.AppendAncestors(nil, testGenesis.Hash, 10); err != nil || len(got) != 0 {
		t.Fatalf("AppendAncestors(genesis): %d, %v", len(got), err)
	}
	if got, err := s.AppendAncestors(nil, side[5].Hash, 0); err != nil || len(got) != 0 {
		t.Fatalf("AppendAncestors(max 0): %d, %v", len(got), err)
	}
	reopen()

	t.Log("# a heavier one takes over, and can be shorter")
	if m := mustLink(t, s, side[40:41]); !m.Reorged || m.Ancestor != 20 || m.Old.Hash != main[59].Hash || m.New.Number != 61 {
		t.Fatalf("move %+v", m)
	}
	checkConsistent(t, s)
	short := branch(main[9].link, 3, 5, 10_000)
	mustPut(t, s, short, 5)
	if m := mustLink(t, s, short); !m.Reorged || m.Ancestor != 10 || m.New.Number != 15 {
		t.Fatalf("move %+v", m)
	}
	checkConsistent(t, s)
	if _, err := s.Canonical(16); !errors.Is(err, ErrNotFound) {
		t.Fatal("Canonical above the head:", err)
	}
	for _, b := range append(slices.Clone(main[10:]), side[:41]...) {
		if l, ok, err := s.Linked(b.Hash); err != nil || !ok || l != b.link {
			t.Fatalf("block that left the chain: %+v %v %v", l, ok, err)
		}
	}
	reopen()
	checkConsistent(t, s)
	if s.Head().Hash != short[4].Hash || s.Blocks() != 116 {
		t.Fatalf("after reopening: head %+v, %d blocks", s.Head(), s.Blocks())
	}

	t.Log("# ranges of the canonical chain end at the head")
	var nums []common.Hash
	for h, err := range s.CanonicalHashes(9, 12) {
		if err != nil {
			t.Fatal(err)
		}
		nums = append(nums, h)
		if _, err := s.Has(h); err != nil { // calls inside the loop are fine
			t.Fatal(err)
		}
	}
	if want := []common.Hash{main[8].Hash, main[9].Hash, short[0].Hash, short[1].Hash}; !slices.Equal(nums, want) {
		t.Fatal(cmp.Diff(want, nums))
	}
	for range s.CanonicalHashes(16, 1<<40) {
		t.Fatal("hash above the head")
	}

	conformPlan(t, func() *Store { return s }, reopen)

	t.Log("# small values")
	if _, err := s.Meta("node/id"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	for _, v := range []string{"a", "", "bc"} {
		if err := s.SetMeta("node/id", []byte(v)); err != nil {
			t.Fatal(err)
		}
		reopen()
		if got, err := s.Meta("node/id"); err != nil || string(got) != v {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if err := s.SetMeta("node/id", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Meta("node/id"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}

	t.Log("# Replace keeps links and count")
	if err := s.Replace(records(main[3:6])); err != nil {
		t.Fatal(err)
	}
	checkHeld(t, s, &main[4])
	if s.Blocks() != 116 {
		t.Fatal(s.Blocks())
	}

	t.Log("# a closed store says so")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err1 := s.Has(missing)
	_, err2 := s.Put(nil)
	_, err3 := s.Link(nil)
	for _, err := range []error{err1, err2, err3, s.Close(), s.DropPlan()} {
		if !errors.Is(err, ErrClosed) {
			t.Fatal("after Close:", err)
		}
	}
}

// ancestors lists max ancestors: the parts from the youngest to the oldest.
func ancestors(max int, parts ...[]block) []common.Hash {
	var hashes []common.Hash
	for _, p := range parts {
		for i := len(p) - 1; i >= 0; i-- {
			hashes = append(hashes, p[i].Hash)
		}
	}
	return append(hashes, testGenesis.Hash)[:max]
}

func conformPlan(t *testing.T, store func() *Store, reopen func()) {
	t.Log("# a plan grows, is read at any place, and survives")
	if err := store().AppendPlan(make([]common.Hash, 1), false); !errors.Is(err, ErrNoPlan) {
		t.Fatal(err)
	}
	all := planOf(1, 3000)
	if err := store().StartPlan(Plan{Head: common.Hash{1}, Number: 7}); err != nil {
		t.Fatal(err)
	}
	if err := store().StartPlan(Plan{Head: all[0], Number: 5000, TD: *uint256.NewInt(77)}); err != nil {
		t.Fatal(err)
	}
	for from := 1; from < len(all); {
		to := min(from+from%700+1, len(all))
		if err := store().AppendPlan(all[from:to], false); err != nil {
			t.Fatal(err)
		}
		from = to
	}
	want := Plan{Head: all[0], Number: 5000, TD: *uint256.NewInt(77), Len: 3000}
	for range 2 {
		if p, ok := store().Plan(); !ok || p != want {
			t.Fatal(cmp.Diff(want, p))
		}
		for _, r := range [][2]uint64{{0, 1}, {0, 3000}, {511, 514}, {2999, 3000}, {1234, 1234}, {2500, 9999}, {3000, 4000}, {5, 2}} {
			got, err := store().PlanHashes(nil, r[0], r[1])
			wantHashes := all[min(r[0], 3000):max(min(r[1], 3000), min(r[0], 3000))]
			if err != nil || !slices.Equal(got, wantHashes) {
				t.Fatalf("PlanHashes%v: %d hashes, %v; want %d", r, len(got), err, len(wantHashes))
			}
		}
		reopen()
	}
	if err := store().AppendPlan(nil, true); err != nil {
		t.Fatal(err)
	}
	if err := store().AppendPlan(all[:1], false); err == nil {
		t.Fatal("a complete plan grew")
	}
	if p, _ := store().Plan(); !p.Complete || p.Len != 3000 {
		t.Fatalf("%+v", p)
	}
	if err := store().DropPlan(); err != nil {
		t.Fatal(err)
	}
	reopen()
	if _, ok := store().Plan(); ok {
		t.Fatal("dropped plan is back")
	}
	if got, err := store().PlanHashes(nil, 0, 10); err != nil || len(got) != 0 {
		t.Fatal(len(got), err)
	}
}

func planOf(seed byte, n int) []common.Hash {
	hashes := make([]common.Hash, n)
	for i := range hashes {
		hashes[i] = common.Hash{seed, 0xaa, byte(i >> 16), byte(i >> 8), byte(i)}
	}
	return hashes
}

// TestOpenRefusesWhatItMustNotTouch checks the sentences people see.
func TestOpenRefusesWhatItMustNotTouch(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "data")
	expect := func(sentinel error, want string, err error) {
		t.Helper()
		if !errors.Is(err, sentinel) {
			t.Fatalf("got %v, want %v", err, sentinel)
		}
		if got := strings.ReplaceAll(err.Error(), parent, "DIR"); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
	_, err := Open(dir, Options{MustExist: true}.forTest())
	expect(ErrNotExist, "store: no store in this directory: DIR/data; check the path, or create the store by syncing or importing first", err)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("MustExist created something:", err)
	}
	if _, err := Open(dir, Options{}); err == nil {
		t.Fatal("a store without a genesis block was created")
	}
	s := openTest(t, dir, Options{})
	_, err = Open(dir, Options{}.forTest())
	expect(ErrLocked, "store: data directory is in use: another process works in DIR/data; stop it first, or choose another data directory", err)

	t.Log("# the same directory under another name is the same directory")
	link := filepath.Join(parent, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Skip(err)
	}
	_, err = Open(link, Options{}.forTest())
	expect(ErrLocked, "store: data directory is in use: another process works in DIR/link; stop it first, or choose another data directory", err)
	mustPut(t, s, branch(genesisLink(), 1, 3, 1), 3) // undisturbed
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	_, err = Open(dir, Options{Network: "sepolia"}.forTest())
	expect(ErrNetwork, `store: data directory belongs to another network: DIR/data holds "test" (genesis 9e000000), asked for "sepolia" (genesis 9e000000); choose that network, or another data directory`, err)
	other := testGenesis
	other.Hash = common.Hash{0x77}
	_, err = Open(dir, Options{Genesis: other}.forTest())
	expect(ErrNetwork, `store: data directory belongs to another network: DIR/data holds "test" (genesis 9e000000), asked for "test" (genesis 77000000); choose that network, or another data directory`, err)

	t.Log("# who does not name a network gets what is there")
	if s, err = Open(dir, Options{MustExist: true}); err != nil || s.Network() != "test" || s.Blocks() != 4 {
		t.Fatal(err)
	}
	if err := s.db.Set(metaKey(metaFormat), []byte{0, 0, 0, 9}, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir, Options{}.forTest())
	expect(ErrFormat, "store: data directory has a newer format: DIR/data has format 9, this program knows up to 2; use a newer version of the program, or choose another data directory", err)
}

// Readers run while a writer puts, links back and forth and plans. They must
// see whole states only.
func TestReadersSeeConsistentStatesDuringWrites(t *testing.T) {
	s := openTest(t, t.TempDir(), Options{SegmentSize: 64 << 10})
	const n = 400 / min(sparse, 4) // blocks per branch
	a, b := branch(genesisLink(), 1, n, 10), branch(genesisLink(), 2, n, 10)
	for i := range b { // b is a little heavier at each number
		b[i].link.TD.AddUint64(&b[i].link.TD, 5)
	}
	var done atomic.Bool
	var wg sync.WaitGroup
	for r := range 3 {
		wg.Go(func() {
			var raw []byte
			var hashes []common.Hash
			for i := r; !done.Load(); i++ {
				head := s.Head()
				var err error
				hashes, err = s.AppendAncestors(hashes[:0], head.Hash, 1<<20)
				if err != nil || uint64(len(hashes)) != head.Number {
					t.Errorf("ancestors of head %d: %d, %v", head.Number, len(hashes), err)
					return
				}
				if l, ok, err := s.Linked(head.Hash); err != nil || !ok || l.TD != head.TD {
					t.Errorf("head %d is not linked: %v %v", head.Number, ok, err)
					return
				}
				n := 0
				for h, err := range s.CanonicalHashes(0, 1<<40) {
					n++
					if i%8 == 0 && err == nil {
						raw, err = s.AppendRaw(raw[:0], h)
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
				if p, ok := s.Plan(); ok {
					if _, err := s.PlanHashes(hashes[:0], 0, p.Len); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for i := 0; i < n; i += 20 {
		mustPut(t, s, a[i:i+20], 20)
		mustLink(t, s, a[i:i+20])
		mustPut(t, s, b[i:i+20], 20)
		if m := mustLink(t, s, b[i:i+20]); !m.Reorged {
			t.Errorf("no reorg at %d", i)
		}
		if err := s.StartPlan(Plan{Head: common.Hash{byte(i)}}); err != nil {
			t.Error(err)
		}
		if err := s.AppendPlan(planOf(byte(i), 900), i%40 == 0); err != nil {
			t.Error(err)
		}
	}
	done.Store(true)
	wg.Wait()
	checkConsistent(t, s)
}

// Close may come at any time; calls get an answer or ErrClosed.
func TestCloseWaitsForCallsAndRefusesLaterOnes(t *testing.T) {
	s := openTest(t, "data", Options{FS: vfs.NewMem()})
	blocks := branch(genesisLink(), 1, 500, 1)
	var wg sync.WaitGroup
	started := make(chan struct{}, 4)
	for range 4 {
		wg.Go(func() {
			started <- struct{}{}
			for {
				_, err := s.Put(records(blocks[:10]))
				for _, e := range s.CanonicalHashes(0, 10) {
					if _, err2 := s.Has(blocks[0].Hash); err == nil {
						err = errors.Join(e, err2)
					}
				}
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 4 {
		<-started
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}
