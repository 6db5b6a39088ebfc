package store

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
)

// testdata/format-N.zip is a data directory as the program that wrote format N left it,
// with one of everything in it. It is made once, by the first test with a new format, and
// kept for ever: what has been written in any format must open and be whole.

func formatFile(format int) string {
	return filepath.Join("testdata", fmt.Sprintf("format-%d.zip", format))
}

// What is in the directories of all formats.
var (
	formatMain  = branch(genesisLink(), 1, 40, 10)
	formatFork  = branch(formatMain[19].link, 2, 15, 40) // heavier
	formatLoose = branch(formatFork[14].link, 3, 5, 10)  // held, not linked
	formatAway  = branch(formatFork[14].link, 4, 6, 10)  // registered
	formatPlan  = Plan{Head: planOf(7, 1)[0], Number: 4711, TD: formatFork[14].link.TD}
)

// writeFormat makes a data directory with one of everything.
func writeFormat(t *testing.T, dir string) {
	s := openTest(t, dir, Options{SegmentSize: 8 << 10, Elsewhere: formatElsewhere})
	mustPut(t, s, formatMain, len(formatMain))
	mustLink(t, s, formatMain)
	mustPutContent(t, s, Receipts, formatMain[:10], 10)
	mustPutContent(t, s, Chunk, formatMain, len(formatMain))
	if err := s.db.Flush(); err != nil { // the rest stays in the index's log
		t.Fatal(err)
	}
	mustPut(t, s, formatFork, len(formatFork))
	if m := mustLink(t, s, formatFork); !m.Reorged {
		t.Fatal("no reorg")
	}
	mustPut(t, s, formatLoose, len(formatLoose))
	_, err := s.Register(Block, records(formatAway))
	if err := errors.Join(err,
		s.DropChunks([]common.Hash{formatMain[0].Hash}),
		s.StartPlan(formatPlan),
		s.AppendPlan(planOf(7, 600)[1:], false),
		s.SetMeta("room/name", []byte("value")),
		s.PutTxRefs([]TxRef{{Hash: common.Hash{0xaa}, Number: 3}}, Head{Number: 5, Hash: formatMain[4].Hash}),
		s.Close(),
	); err != nil {
		t.Fatal(err)
	}
	// A write that a crash has cut off.
	segments, err := filepath.Glob(filepath.Join(dir, "segments", "*.seg"))
	if err != nil || len(segments) < 3 {
		t.Fatal(segments, err)
	}
	f, err := os.OpenFile(segments[len(segments)-1], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("torn"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// formatElsewhere has the blocks that are registered.
var formatElsewhere = elsewhereFunc(func(dst []byte, k Kind, h common.Hash, number uint64) ([]byte, error) {
	i := slices.IndexFunc(formatAway, func(b block) bool { return b.Hash == h })
	if i < 0 || formatAway[i].Number != number || k != Block {
		return dst, ErrGone
	}
	return append(dst, formatAway[i].Raw...), nil
})

type elsewhereFunc func(dst []byte, k Kind, h common.Hash, number uint64) ([]byte, error)

func (f elsewhereFunc) AppendElsewhere(dst []byte, k Kind, h common.Hash, number uint64) ([]byte, error) {
	return f(dst, k, h, number)
}

// checkFormat reads everything that writeFormat has written.
func checkFormat(t *testing.T, s *Store) {
	t.Helper()
	want := []common.Hash{testGenesis.Hash}
	for _, b := range slices.Concat(formatMain[:20], formatFork) {
		want = append(want, b.Hash)
	}
	if chain := checkConsistent(t, s); !slices.Equal(chain, want) {
		t.Fatalf("a canonical chain of %d, want %d", len(chain), len(want))
	}
	held := slices.Concat(formatMain, formatFork, formatLoose, formatAway)
	for i := range held {
		checkHeld(t, s, &held[i])
	}
	if got, want := s.Blocks(), uint64(1+len(held)); got != want {
		t.Fatalf("%d blocks are held, want %d", got, want)
	}
	for _, b := range formatMain[20:] {
		if l, ok, err := s.Linked(b.Hash); err != nil || !ok || l != b.link {
			t.Fatalf("block %d beside the canonical chain: %+v, %v, %v", b.Number, l, ok, err)
		}
	}
	for _, r := range contentOf(Receipts, formatMain[:10]) {
		checkContent(t, s, Receipts, &r)
	}
	for _, r := range contentOf(Chunk, formatMain[1:]) {
		checkContent(t, s, Chunk, &r)
	}
	if got, want := s.Chunks(), uint64(len(formatMain)-1); got != want {
		t.Fatalf("%d chunks are held, want %d", got, want)
	}
	plan := formatPlan
	plan.Len = 600
	if p, ok := s.Plan(); !ok || p != plan {
		t.Fatalf("the plan is %+v, %v; want %+v", p, ok, plan)
	}
	if hashes, err := s.PlanHashes(nil, 0, 1000); err != nil || !slices.Equal(hashes, planOf(7, 600)) {
		t.Fatalf("%d hashes of the plan, %v", len(hashes), err)
	}
	if v, err := s.Meta("room/name"); err != nil || string(v) != "value" {
		t.Fatalf("the value of another room is %q, %v", v, err)
	}
	if n, err := s.TxNumbers(common.Hash{0xaa}, 9); err != nil || !slices.Equal(n, []uint64{3}) {
		t.Fatalf("the transaction is in %v, %v", n, err)
	}
	if h, err := s.TxCursor(); err != nil || h.Number != 5 || h.Hash != formatMain[4].Hash {
		t.Fatalf("transactions are noted up to %+v, %v", h, err)
	}
	if yes, err := s.HasElsewhere(); err != nil || !yes {
		t.Fatalf("HasElsewhere: %v, %v", yes, err)
	}
}

// unzipFormat makes a copy of the directory of a format.
func unzipFormat(t *testing.T, format int) string {
	t.Helper()
	r, err := zip.OpenReader(formatFile(format))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(dir, r); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestFormats: the directories of all formats open, are whole, and can be worked with.
func TestFormats(t *testing.T) {
	if _, err := os.Stat(formatFile(Format)); errors.Is(err, fs.ErrNotExist) {
		dir := filepath.Join(t.TempDir(), "data")
		writeFormat(t, dir)
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		if err := errors.Join(w.AddFS(os.DirFS(dir)), w.Close(), os.MkdirAll("testdata", 0o777), os.WriteFile(formatFile(Format), b.Bytes(), 0o666)); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s is new: commit it", formatFile(Format))
	}
	for format := 1; format <= Format; format++ {
		dir := unzipFormat(t, format)
		opts := Options{SegmentSize: 8 << 10, Elsewhere: formatElsewhere}
		s := openTest(t, dir, opts)
		checkFormat(t, s)
		mustLink(t, s, formatLoose)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openTest(t, dir, opts)
		if h := s.Head(); h.Hash != formatLoose[4].Hash {
			t.Errorf("format %d: after more was linked, the head is %d %x", format, h.Number, h.Hash[:4])
		}
		checkConsistent(t, s)
	}
}
