package archive

import (
	"bytes"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
)

// allocated returns how many bytes f allocates in total.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestClaims has files of few bytes that claim or unpack to much.
func TestClaims(t *testing.T) {
	var bomb, receipts, body e2store
	zeros := make([]byte, 4*MaxBlock)
	bomb.entry(typeVersion, nil)
	bomb.packed(typeHeader, zeros)
	g := generated(t, chain.Dev, 0)[0]
	body.entry(typeVersion, nil)
	body.packed(typeHeader, g.Header.Raw())
	body.packed(typeBody, zeros)
	receipts.entry(typeVersion, nil)
	receipts.packed(typeHeader, g.Header.Raw())
	receipts.packed(typeBody, []byte{0xc2, 0xc0, 0xc0})
	receipts.packed(typeReceipts, zeros)

	const little, much = 2 << 20, 6 * MaxBlock
	for _, c := range []struct {
		name  string
		data  []byte
		limit uint64
		text  string
	}{
		{"RLP claims 16 MB", []byte{0xfa, 0xff, 0xff, 0x00, 1, 2, 3}, little, "truncated"},
		{"RLP claims 4 GiB", []byte{0xfb, 0xff, 0xff, 0xff, 0xff, 1, 2, 3}, little, "at most"},
		{"RLP claims 16 EiB", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, little, "at most"},
		{"era1 entry claims 4 GiB", []byte{0x65, 0x32, 0, 0, 0, 0, 0, 0, 3, 0, 0xff, 0xff, 0xff, 0xff, 0, 0}, little, "are accepted"},
		{"unknown era1 entry claims 4 GiB", []byte{0x65, 0x32, 0, 0, 0, 0, 0, 0, 0x33, 0, 0xff, 0xff, 0xff, 0xff, 0, 0}, little, "truncated"},
		{"snappy header", bomb.data, much, "decompresses to more than"},
		{"snappy body", body.data, much, "decompresses to more than"},
		{"snappy receipts", receipts.data, much, "decompresses to more than"},
		{"long hex line", bytes.Repeat([]byte("00"), MaxBlock+1), 2 * much, "hex digits"},
		{"gzip block", gzipped(t, append([]byte{0xfb, 1, 0, 0, 0}, zeros...)), little + much, "at most"},
		{"gzip hex line", gzipped(t, bytes.Repeat([]byte("00"), 2*MaxBlock)), 2*much + little, "hex digits"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var err error
			n := allocated(func() { _, err = readAll(t, c.data, chain.Dev, Options{Receipts: true}) })
			wantError(t, err)
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want one about %q", err, c.text)
			}
			if n > c.limit {
				t.Errorf("a file of %d bytes made the reader allocate %d bytes", len(c.data), n)
			}
		})
	}
}

// TestEra1Limit reads a file with one block too many.
func TestEra1Limit(t *testing.T) {
	if testing.Short() {
		t.Skip("generates 8193 blocks")
	}
	blocks := slices.Collect(chaingen.Generate(chaingen.Config{Blocks: maxEra1Blocks + 1}))
	data, starts := era1File(t, chain.Dev, *uint256.NewInt(1 << 20), blocks)
	got, err := readAll(t, data, chain.Dev, Options{})
	e := wantError(t, err)
	if len(got) != maxEra1Blocks || e.Number != maxEra1Blocks+1 || e.Offset != int64(starts[maxEra1Blocks]) {
		t.Errorf("%d blocks and %v", len(got), err)
	}
}

// TestConstantMemory writes and reads a chain of 40 MB while the live heap
// stays below 2 MB more than before.
func TestConstantMemory(t *testing.T) {
	const blocks, size = 4000, 10000
	for _, name := range []string{"chain.rlp", "chain.rlp.gz"} {
		path := filepath.Join(t.TempDir(), name)
		base, n, highest := live(), 0, uint64(0)
		sample := func() {
			if n++; n%400 == 0 {
				highest = max(highest, live())
			}
		}
		w, err := Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Abort()
		for b := range chaingen.Generate(chaingen.Config{Blocks: blocks, Size: size, Txs: 5}) {
			if err := w.Append(b.Raw()); err != nil {
				t.Fatal(err)
			}
			sample()
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		var prev Block
		for b, err := range Blocks(path, chain.Dev) {
			if err != nil {
				t.Fatal(err)
			}
			prev = b
			sample()
		}
		if prev.Number != blocks {
			t.Fatalf("read up to block %d", prev.Number)
		}
		if st, err := os.Stat(path); err != nil || st.Size() < blocks*size/2 {
			t.Fatalf("the file has %d bytes: %v", st.Size(), err)
		}
		// The compressor alone takes more than a megabyte.
		if limit := base + 2<<20; highest > limit {
			t.Errorf("%s: live heap rose from %d to %d bytes", name, base, highest)
		}
		t.Logf("%s: live heap rose by %d bytes at most", name, int64(highest)-int64(base))
	}
}

// live returns the size of the heap that is in use.
func live() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestOwnership checks that blocks stay as they were while others are read.
func TestOwnership(t *testing.T) {
	blocks := generated(t, chain.Dev, 50)
	era, _ := era1File(t, chain.Dev, uint256.Int{}, blocks)
	for _, data := range [][]byte{stream(blocks), hexFile(blocks), era, gzipped(t, era), gzipped(t, hexFile(blocks))} {
		got, err := readAll(t, data, chain.Dev, Options{Receipts: true})
		if err != io.EOF {
			t.Fatal(err)
		}
		allBlocks(t, got, blocks)
		for _, b := range got {
			if cap(b.Raw()) != len(b.Raw()) {
				t.Fatalf("block %d of %d bytes occupies %d", b.Number, len(b.Raw()), cap(b.Raw()))
			}
		}
	}
}

// TestOptions reads what is refused by default.
func TestOptions(t *testing.T) {
	blocks := generated(t, chain.Dev, 6)
	jump := stream(slices.Concat(blocks[4:], blocks[:2]))
	if _, err := readAll(t, jump, chain.Dev, Options{}); err == io.EOF {
		t.Error("a jump was not noticed")
	}
	if got, err := readAll(t, jump, chain.Dev, Options{SkipLinks: true}); len(got) != 5 || err != io.EOF {
		t.Errorf("%d blocks and %v", len(got), err)
	}
	h := blocks[1].Header.Raw()
	other := appendListHeader(nil, len(h)+2)
	other = append(append(other, h...), 0xc0, 0xc0)
	if _, err := readAll(t, other, chain.Dev, Options{}); wantError(t, err).Number != 1 {
		t.Error(err)
	}
	if got, err := readAll(t, other, chain.Dev, Options{SkipBodies: true}); len(got) != 1 || err != io.EOF {
		t.Errorf("%d blocks and %v", len(got), err)
	}
}

// TestHexForms reads hex files as people make them.
func TestHexForms(t *testing.T) {
	blocks := generated(t, chain.Dev, 2)
	a, b := hex.EncodeToString(blocks[0].Raw()), strings.ToUpper(hex.EncodeToString(blocks[1].Raw()))
	for _, text := range []string{
		a + "\n" + b + "\n",
		a + "\n" + b,
		a + "\r\n\r\n" + b + "\r\n \n",
		"0x" + a + "\n0x" + b,
	} {
		got, err := readAll(t, []byte(text), chain.Dev, Options{})
		if len(got) != 2 || err != io.EOF {
			t.Fatalf("%d blocks and %v", len(got), err)
		}
		sameBlocks(t, got, blocks)
		for _, b := range got {
			if i := int(b.Offset); text[i] != 'f' && text[i] != 'F' && text[i] != '0' {
				t.Errorf("block %d does not start at offset %d", b.Number, i)
			}
		}
	}
}

// TestNextAfterEnd checks that an end is final.
func TestNextAfterEnd(t *testing.T) {
	r, err := NewReader("test", bytes.NewReader(stream(generated(t, chain.Dev, 0))), chain.Dev, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := r.Next(); err != io.EOF {
			t.Fatalf("got %v, want EOF", err)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	r, _ = NewReader("test", bytes.NewReader(stream(generated(t, chain.Dev, 0))), chain.Dev, Options{})
	r.Close()
	if _, err := r.Next(); wantError(t, err) == nil {
		t.Error("read after close")
	}
}
