package archive

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/store"
)

// realEra1 are published files.
var realEra1 = []struct {
	name string
	path func(t testing.TB, name string) string
	net  *chain.Network
}{
	{"sepolia-00000-643a00f7.era1", testbed.Era1, chain.Sepolia},
	{"sepolia-00021-b8814b14.era1", testbed.Era1, chain.Sepolia},
	{"mainnet-00000-5ec1ffb8.era1", func(t testing.TB, name string) string { return sharedData(t, "era1", name) }, chain.Mainnet},
}

// What is read from a published file is written as the same bytes, under the same name.
func TestEra1WriterWritesPublishedFiles(t *testing.T) {
	for _, c := range realEra1 {
		t.Run(c.name, func(t *testing.T) {
			path := c.path(t, c.name)
			r, err := Open(path, c.net, Options{Receipts: true, SkipLinks: true, SkipBodies: true})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			dir := t.TempDir()
			w, err := CreateEra1(dir, c.net.Name)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Abort()
			for b, err := range r.Blocks() {
				if err == nil {
					err = w.Append(b.Block, b.Receipts, b.TD)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			f, err := w.Commit()
			if err != nil {
				t.Fatal(err)
			}
			if f.Path != filepath.Join(dir, c.name) || f.Root != r.Root() {
				t.Errorf("it is called %s, with root %x", f.Path, f.Root)
			}
			sameFiles(t, f.Path, path)
			onlyFiles(t, dir, c.name)
		})
	}
}

func sameFiles(t testing.TB, got, want string) {
	t.Helper()
	a, err1 := os.ReadFile(got)
	b, err2 := os.ReadFile(want)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Fatalf("%s has %d bytes, %s has %d, and they differ", got, len(a), want, len(b))
	}
}

// onlyFiles checks that a directory has these files and nothing else.
func onlyFiles(t testing.TB, dir string, want ...string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range all {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Fatalf("in the directory are %q, want %q", got, want)
	}
}

// The writer refuses what would make no era1 file, and leaves nothing behind.
func TestEra1WriterRefuses(t *testing.T) {
	blocks := generated(t, chain.Dev, 4)
	td := uint256.NewInt(7)
	none := []byte{0xc0}
	for name, work := range map[string]func(w *Era1Writer) error{
		"gap": func(w *Era1Writer) error {
			return errors.Join(w.Append(blocks[0], none, td), w.Append(blocks[2], none, td))
		},
		"twice": func(w *Era1Writer) error {
			return errors.Join(w.Append(blocks[1], none, td), w.Append(blocks[1], none, td))
		},
		"nothing": func(w *Era1Writer) error { _, err := w.Commit(); return err },
		"disk": func(w *Era1Writer) error {
			w.out.file.Close()
			err := w.Append(blocks[0], none, td)
			if _, cerr := w.Commit(); cerr == nil {
				t.Error("commit on a closed file")
			} else if err == nil {
				err = cerr
			}
			return err
		},
		"after commit": func(w *Era1Writer) error {
			if err := w.Append(blocks[0], none, td); err != nil {
				t.Error(err)
			}
			f, err := w.Commit()
			if err != nil {
				t.Error(err)
			}
			os.Remove(f.Path)
			return w.Append(blocks[1], none, td)
		},
	} {
		dir := t.TempDir()
		w, err := CreateEra1(dir, "dev")
		if err != nil {
			t.Fatal(err)
		}
		err = work(w)
		if err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		}
		if err := w.Abort(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		onlyFiles(t, dir)
	}
	if _, err := CreateEra1(filepath.Join(t.TempDir(), "missing"), "dev"); err == nil {
		t.Error("a file in a directory that does not exist")
	}
}

func TestEpochs(t *testing.T) {
	merged := *chain.Dev
	merged.LastBlock.Number = 3*Epoch + 99
	for _, c := range []struct {
		net        *chain.Network
		from, to   uint64
		first, end uint64
	}{
		{chain.Dev, 0, 0, 0, 0},
		{chain.Dev, 0, Epoch - 2, 0, 0},
		{chain.Dev, 0, Epoch - 1, 0, 1},
		{chain.Dev, 1, Epoch - 1, 1, 1},
		{chain.Dev, 1, 3 * Epoch, 1, 3},
		{chain.Dev, Epoch, 2*Epoch - 1, 1, 2},
		{&merged, 0, 3*Epoch + 98, 0, 3},
		{&merged, 0, 3*Epoch + 99, 0, 4},
		{&merged, 3 * Epoch, 3*Epoch + 99, 3, 4},
		{chain.Mainnet, 0, chain.Mainnet.LastBlock.Number, 0, 1897},
		{chain.Sepolia, 0, chain.Sepolia.LastBlock.Number, 0, 178},
	} {
		if first, end := Epochs(c.net, c.from, c.to); first != c.first || end != c.end {
			t.Errorf("%s %d to %d: epochs %d to below %d, want %d and %d", c.net.Name, c.from, c.to, first, end, c.first, c.end)
		}
	}
}

// A chain goes into a store and comes out as era1: whole epochs, and the last one of
// proof of work, however short.
func TestExportEra1(t *testing.T) {
	blocks := append(generated(t, chain.Dev, 0), slices.Collect(chaingen.Generate(chaingen.Config{
		Network: chain.Dev, Seed: 5, Blocks: Epoch + 20, Shape: func(n uint64) (int, int) { return int(n % 5 / 3), 0 },
	}))...)
	merged := *chain.Dev
	merged.LastBlock = chain.Checkpoint{Number: Epoch + 20, Hash: blocks[Epoch+20].Hash}
	var td uint256.Int
	whole, _ := era1File(t, &merged, td, blocks[:Epoch])
	for _, b := range blocks[:Epoch] {
		td.Add(&td, &b.Difficulty)
	}
	short, _ := era1File(t, &merged, td, blocks[Epoch:])
	st := openStore(t, &merged)
	for _, data := range [][]byte{whole, short} {
		importData(t, data, &merged, st, Options{Receipts: true})
	}
	dir := t.TempDir()
	calls := 0
	var names []string
	for epoch, want := range [][]byte{whole, short} {
		f, err := ExportEra1(t.Context(), st, &merged, uint64(epoch), dir, func() { calls++ })
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) || f.First != uint64(epoch)*Epoch || f.Bytes != int64(len(want)) {
			t.Fatalf("epoch %d: %+v is not what it should be, of %d bytes", epoch, f, len(want))
		}
		names = append(names, filepath.Base(f.Path))
	}
	onlyFiles(t, dir, names...)
	if calls != len(blocks) {
		t.Errorf("progress was called %d times for %d blocks", calls, len(blocks))
	}
	if _, err := ExportEra1(t.Context(), st, &merged, 2, dir, nil); err == nil {
		t.Error("an epoch that there is not")
	}
	onlyFiles(t, dir, names...)

	bare := openStore(t, &merged)
	importData(t, whole, &merged, bare, Options{})
	_, err := ExportEra1(t.Context(), bare, &merged, 0, dir, nil)
	if !errors.Is(err, ErrNoReceipts) || !strings.Contains(err.Error(), "block 3:") {
		t.Errorf("without receipts: %v", err)
	}
	if _, err := ExportEra1(t.Context(), bare, chain.PoC6, 0, dir, nil); err == nil {
		t.Error("blocks of 2014 in an era1 file")
	}
	onlyFiles(t, dir, names...)
}

// importData imports a file.
func importData(t testing.TB, data []byte, net *chain.Network, st *store.Store, opts Options) Imported {
	t.Helper()
	r, err := NewReader("test", bytes.NewReader(data), net, opts)
	if err != nil {
		t.Fatal(err)
	}
	done, err := Import(t.Context(), r, net, st)
	if err != nil {
		t.Fatal(err)
	}
	return done
}
