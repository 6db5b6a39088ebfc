package swarm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"pgregory.net/rapid"
)

// makeChunk puts a chunk with any span and any data, and returns its address.
func makeChunk(t testing.TB, s Store, span uint64, parts ...[]byte) common.Hash {
	t.Helper()
	p := append(binary.LittleEndian.AppendUint64(nil, span), bytes.Join(parts, nil)...)
	a, err := Address(p)
	if err == nil {
		err = s.PutChunks([]Chunk{{a, p}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func repeat(a common.Hash, n int) []byte { return bytes.Repeat(a[:], n) }

// TestHostileTrees: a tree that is not what its spans say is an error that names the
// chunk, for who reads it, and for who fetches it if the addresses show it.
func TestHostileTrees(t *testing.T) {
	s := new(Memory)
	full := makeChunk(t, s, 4096, factBytes(4096))
	short := makeChunk(t, s, 4095, factBytes(4095))
	liar := makeChunk(t, s, 4096, factBytes(100))
	level1 := makeChunk(t, s, 128*4096, repeat(full, 128))
	for _, tt := range []struct {
		name  string
		root  common.Hash
		blame common.Hash // zero: the root
		want  string
		late  bool // seen only by who reads
	}{
		{name: "span too small for its data", root: makeChunk(t, s, 3, []byte("four")), want: "4 bytes of data under a span of 3, want 3"},
		{name: "span too great for its data", root: makeChunk(t, s, 4000, []byte("four")), want: "want 4000"},
		{name: "span of an int64 at most", root: makeChunk(t, s, 1<<63, repeat(full, 2)), want: "a span of 9223372036854775808 bytes"},
		{name: "span with a level of redundancy", root: makeChunk(t, s, 1<<56*0x81+8192, repeat(full, 2)), want: "redundancy"},
		{name: "an address too few", root: makeChunk(t, s, 3*4096, repeat(full, 2)), want: "64 bytes of data under a span of 12288, want 96"},
		{name: "an address too many", root: makeChunk(t, s, 2*4096, repeat(full, 3)), want: "want 64"},
		{name: "half an address", root: makeChunk(t, s, 2*4096, repeat(full, 1), full[:16]), want: "48 bytes of data"},
		{name: "bytes in place of addresses", root: makeChunk(t, s, 4097, []byte("some")), want: "4 bytes of data"},
		{name: "a first leaf that is short", root: makeChunk(t, s, 4096+10, short[:], full[:]), blame: short, want: "its span is 4095, its place is for 4096", late: true},
		{name: "a last leaf that is long", root: makeChunk(t, s, 4096+10, full[:], full[:]), blame: full, want: "its span is 4096, its place is for 10", late: true},
		{name: "a leaf that lies", root: makeChunk(t, s, 2*4096, full[:], liar[:]), blame: liar, want: "100 bytes of data under a span of 4096", late: true},
		{name: "addresses in place of a leaf", root: makeChunk(t, s, 2*4096, full[:], level1[:]), blame: level1, want: "its place is for 4096", late: true},
		{name: "a leaf in place of addresses", root: makeChunk(t, s, 129*4096, full[:], full[:]), blame: full, want: "its span is 4096, its place is for 524288"},
		{name: "another subtree", root: makeChunk(t, s, 256*4096, level1[:], makeChunkBytes(t, s, 127*4096, full)), blame: common.Hash(makeChunkBytes(t, s, 127*4096, full)), want: "its span is 520192, its place is for 524288"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.blame == (common.Hash{}) {
				tt.blame = tt.root
			}
			check := func(who string, err error) {
				t.Helper()
				e, ok := errors.AsType[*TreeError](err)
				if !ok || e.Address != tt.blame || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s: %v; want %q at %x", who, err, tt.want, tt.blame)
				}
			}
			f := New(s, Options{})
			x, err := f.Open(t.Context(), tt.root)
			if err == nil {
				_, err = io.Copy(io.Discard, x)
				x.Close()
			}
			check("reading", err)
			if err = f.Fetch(t.Context(), tt.root, FetchOptions{}); tt.late {
				if err != nil {
					t.Errorf("fetching: %v", err)
				}
			} else {
				check("fetching", err)
			}
		})
	}
	if n, err := New(s, Options{}).Collect(t.Context()); err != nil || n < 10 || len(held(t, s)) > 0 {
		t.Errorf("%d collected, %v, %d left", n, err, len(held(t, s)))
	}
}

func makeChunkBytes(t testing.TB, s Store, span uint64, leaf common.Hash) []byte {
	a := makeChunk(t, s, span, repeat(leaf, int(span/4096)))
	return a[:]
}

// TestBomb: nine chunks that claim to be a file of an exabyte are not walked through
// for ever.
func TestBomb(t *testing.T) {
	s := new(Memory)
	a, span := makeChunk(t, s, 4096, make([]byte, 4096)), uint64(4096)
	for range 7 {
		span *= 128
		a = makeChunk(t, s, span, repeat(a, 128))
	}
	f := New(s, Options{})
	var last Progress
	if err := f.Fetch(t.Context(), a, FetchOptions{Progress: func(p Progress) { last = p }}); err != nil {
		t.Fatal(err)
	}
	if last.Held != span || last.Size != span {
		t.Errorf("%+v, want all of %d", last, span)
	}
	if p, err := f.Check(t.Context(), a); err != nil || p != last {
		t.Errorf("%+v, %v", p, err)
	}
	if n, err := f.Collect(t.Context()); err != nil || n != 8 {
		t.Errorf("%d collected, %v", n, err)
	}
}

// TestWalkMemory: however big a tree is, a walk through it holds few chunks, whether
// they come at once or as late as they can; and it comes to every leaf, in order if
// nothing is late.
func TestWalkMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		span := rapid.Uint64Range(ChunkSize+1, 300*128*ChunkSize).Draw(t, "span")
		late := rapid.Bool().Draw(t, "late")
		w := newWalk()
		serial := uint64(0) // each node gets an address of its own
		open := func(n node) {
			full := below(n.span)
			in := inner{node: n, full: full}
			for range (n.span + full - 1) / full {
				serial++
				a := common.BigToHash(common.Big1)
				binary.BigEndian.PutUint64(a[:], serial)
				in.addrs = append(in.addrs, a[:]...)
			}
			w.open(in)
		}
		open(node{span: span})
		var waiting []node
		bytes, reached := uint64(0), uint64(0)
		for {
			n, ok := w.next(len(waiting))
			if ok && n.leaf() {
				if !late && n.from != bytes {
					t.Fatalf("leaf at %d after %d bytes", n.from, bytes)
				}
				bytes += n.span
				reached++
			} else if ok && !late {
				open(n)
			} else if ok {
				waiting = append(waiting, n)
			} else if len(waiting) > 0 {
				i := rapid.IntRange(0, len(waiting)-1).Draw(t, "which")
				open(waiting[i])
				waiting = append(waiting[:i], waiting[i+1:]...)
			} else {
				break
			}
			if n := len(w.cursors) + len(waiting); n > mostOpen+9 || len(w.visited) > mostVisited {
				t.Fatalf("%d open or on their way, %d visited", n, len(w.visited))
			}
		}
		if bytes != span {
			t.Fatalf("%d of %d bytes in %d leaves", bytes, span, reached)
		}
	})
}

// FuzzTree: whatever the chunks say, to read, to fetch and to collect ends, with the
// content or with an error that names a chunk.
func FuzzTree(f *testing.F) {
	f.Add(uint64(5), []byte("hello"), uint64(0), uint8(0))
	f.Add(uint64(4097), []byte{0, 1}, uint64(4096), uint8(2))
	f.Add(uint64(128*4096+1), []byte{2, 0}, uint64(128*4096), uint8(128))
	f.Add(uint64(1)<<62, []byte{1, 1, 1}, uint64(1)<<55, uint8(3))
	f.Fuzz(func(t *testing.T, rootSpan uint64, what []byte, middleSpan uint64, branches uint8) {
		s := new(Memory)
		leaf := makeChunk(t, s, 4096, factBytes(4096))
		byteLeaf := makeChunk(t, s, 1, []byte{7})
		middle := makeChunk(t, s, middleSpan, repeat(leaf, int(branches)%129))
		ref := makeChunk(t, s, rootSpan, what[:min(len(what), ChunkSize)])
		if rootSpan > ChunkSize { // the bytes choose what is below
			var addrs []byte
			for _, b := range what[:min(len(what), Branches)] {
				a := [...]common.Hash{leaf, byteLeaf, middle, {b}}[b%4]
				addrs = append(addrs, a[:]...)
			}
			ref = makeChunk(t, s, rootSpan, addrs)
		}
		files := New(s, Options{})
		allowed := func(err error) {
			if _, ok := errors.AsType[*TreeError](err); err != nil && !ok && !errors.Is(err, ErrNotHeld) {
				t.Fatalf("ended by %v", err)
			}
		}
		x, err := files.Open(t.Context(), ref)
		allowed(err)
		if err == nil {
			for _, off := range []int64{0, x.Size() / 2, x.Size() - 1, max(x.Size()-5000, 0)} {
				buf := make([]byte, min(10_000, x.Size()))
				n, err := x.ReadAt(buf, max(off, 0))
				if err != io.EOF {
					allowed(err)
				}
				if err == nil && n < len(buf) {
					t.Fatalf("%d of %d bytes at %d and no error", n, len(buf), off)
				}
			}
			x.Close()
		}
		allowed(files.Fetch(t.Context(), ref, FetchOptions{}))
		if _, err := files.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(held(t, s)); n > 0 {
			t.Fatalf("%d chunks left", n)
		}
	})
}
