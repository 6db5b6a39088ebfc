package archive

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoalnet/shoal/chain"
)

func names(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// copyTo reads all of from and writes it to a new file.
func copyTo(t testing.TB, from, to string, net *chain.Network) {
	t.Helper()
	w, err := Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for b, err := range Blocks(from, net) {
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Append(b.Raw()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, net := range []*chain.Network{chain.Dev, chain.PoC6} {
		dir := t.TempDir()
		path := func(name string) string { return filepath.Join(dir, name) }
		file := func(name string) []byte {
			data, err := os.ReadFile(path(name))
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
		want := stream(generated(t, net, 300))
		if err := os.WriteFile(path("0.rlp"), want, 0o600); err != nil {
			t.Fatal(err)
		}
		copyTo(t, path("0.rlp"), path("1.rlp"), net)
		copyTo(t, path("1.rlp"), path("2.rlp.gz"), net)
		copyTo(t, path("2.rlp.gz"), path("3.blocks"), net)
		copyTo(t, path("3.blocks"), path("4.gz"), net)
		for _, name := range []string{"1.rlp", "3.blocks"} {
			if !bytes.Equal(file(name), want) {
				t.Errorf("%s: %s differs from the original", net.Name, name)
			}
		}
		if a, b := file("2.rlp.gz"), file("4.gz"); !bytes.Equal(a, b) {
			t.Errorf("%s: two gzip exports of the same blocks differ", net.Name)
		} else if len(a) >= len(want) || !isGzip(a) {
			t.Errorf("%s: the gzip export is not compressed", net.Name)
		}
		if got := names(t, dir); len(got) != 5 {
			t.Errorf("left over: %v", got)
		}
	}
}

func TestWriterLeavesNoHalfFile(t *testing.T) {
	blocks := generated(t, chain.Dev, 3)
	for _, c := range []struct {
		name   string
		finish func(*Writer) error
	}{
		{"abort", (*Writer).Abort},
		{"not a block, then commit", func(w *Writer) error {
			if err := w.Append([]byte{1, 2, 3}); err == nil {
				t.Error("garbage was accepted")
			}
			if err := w.Commit(); err == nil {
				t.Error("committed after an error")
			}
			return nil
		}},
		{"disk error, then commit", func(w *Writer) error {
			w.out.file.Close() // the next write to it fails
			if err := w.Commit(); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("got %v, want %v", err, fs.ErrClosed)
			}
			return w.Abort()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "old.rlp")
			if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			w, err := Create(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range blocks {
				if err := w.Append(b.Raw()); err != nil {
					t.Fatal(err)
				}
			}
			if n, size := w.Written(); n != 4 || size != int64(len(stream(blocks))) {
				t.Errorf("written are %d blocks of %d bytes", n, size)
			}
			if got, _ := os.ReadFile(path); string(got) != "old" {
				t.Error("the old file is gone before the new one is complete")
			}
			if err := c.finish(w); err != nil {
				t.Error(err)
			}
			if got, _ := os.ReadFile(path); string(got) != "old" {
				t.Error("the old file is gone")
			}
			if got := names(t, dir); len(got) != 1 {
				t.Errorf("left over: %v", got)
			}
			if err := w.Append(blocks[0].Raw()); err == nil {
				t.Error("append to a finished writer")
			}
			if err := w.Abort(); err != nil {
				t.Errorf("second abort: %v", err)
			}
		})
	}
}

func TestExtensions(t *testing.T) {
	dir := t.TempDir()
	for name, ok := range map[string]bool{
		"a.rlp": true, "a.blocks": true, "a.rlp.gz": true, "a.gz": true, "A.RLP": true, "mainnet.2015.gz": true,
		"a": false, "a.txt": false, "a.era1": false, "a.era1.gz": false, "a.hex": false, "a.hex.gz": false, "rlp": false, "a.rlp.bz2": false,
	} {
		w, err := Create(filepath.Join(dir, name))
		if (err == nil) != ok {
			t.Errorf("%s: got error %v", name, err)
		}
		if err == nil {
			w.Abort()
			continue
		}
		for _, ext := range WriteExtensions() {
			if !strings.Contains(err.Error(), ext) {
				t.Errorf("%s: %v does not name %s", name, err, ext)
			}
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "dir.rlp"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(filepath.Join(dir, "dir.rlp")); err == nil {
		t.Error("a directory was to be replaced")
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("left over: %v", got)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		path string
		want error // nil: any
	}{
		{filepath.Join(dir, "missing.rlp"), fs.ErrNotExist},
		{dir, nil},
		{write("empty", ""), io.ErrUnexpectedEOF},
		{write("empty.gz", string(gzipped(t, nil))), io.ErrUnexpectedEOF},
		{write("text", "hello"), nil},
		{write("gzip of gzip", string(gzipped(t, gzipped(t, []byte{0xc0})))), nil},
		{write("gzip header", "\x1f\x8b\x08"), io.ErrUnexpectedEOF},
	} {
		n := 0
		for _, err := range Blocks(c.path, chain.Dev) {
			e, ok := errors.AsType[*Error](err)
			if !ok || e.File != c.path || e.NumberKnown || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", c.path, err, c.want)
			}
			if strings.Count(err.Error(), c.path) != 1 {
				t.Errorf("the error names the file not just once: %v", err)
			}
			n++
		}
		if n != 1 {
			t.Errorf("%s: %d errors", c.path, n)
		}
	}
}

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		err  *Error
		want string
	}{
		{&Error{File: "a.rlp", Number: 7, NumberKnown: true, Offset: 99, Err: io.EOF}, "archive: a.rlp: block 7, at offset 99: EOF"},
		{&Error{File: "a.rlp", Offset: 0, Err: io.EOF}, "archive: a.rlp: first block, at offset 0: EOF"},
		{&Error{File: "a.rlp", Offset: -1, Err: io.EOF}, "archive: opening a.rlp: EOF"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
