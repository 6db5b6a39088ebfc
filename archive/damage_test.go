package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
)

// place returns which block of the given starts holds offset i.
func place(starts []int, i int) int {
	n, found := slices.BinarySearch(starts, i)
	if !found {
		n--
	}
	return max(n, 0)
}

func startsOf(blocks []*chain.Block, size func(*chain.Block) int) (starts []int) {
	at := 0
	for _, b := range blocks {
		starts = append(starts, at)
		at += size(b)
	}
	return starts
}

// TestTruncatedRLP cuts a stream at every offset.
func TestTruncatedRLP(t *testing.T) {
	blocks := generated(t, chain.Dev, 6)
	data := stream(blocks)
	starts := startsOf(blocks, func(b *chain.Block) int { return len(b.Raw()) })
	for n := range data {
		got, err := readAll(t, data[:n], chain.Dev, Options{})
		sameBlocks(t, got, blocks)
		i, boundary := slices.BinarySearch(starts, n)
		if boundary && n > 0 {
			if err != io.EOF || len(got) != i {
				t.Fatalf("cut at %d, between blocks: %d blocks and %v", n, len(got), err)
			}
			continue
		}
		i = max(i-1, 0)
		e := wantError(t, err)
		if len(got) != i || e.Number != uint64(i) || e.NumberKnown != (i > 0) || e.Offset != int64(starts[i]) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut at %d: %d blocks and %v", n, len(got), err)
		}
	}
}

// TestTruncatedEra1 cuts an era1 file at every offset.
func TestTruncatedEra1(t *testing.T) {
	blocks := generated(t, chain.Dev, 3)
	for first := range 2 {
		part := blocks[first:]
		data, starts := era1File(t, chain.Dev, *uint256.NewInt(uint64(first) * 1000), part)
		for _, opts := range []Options{{}, {Receipts: true}} {
			for n := range data {
				got, err := readAll(t, data[:n], chain.Dev, opts)
				sameBlocks(t, got, part)
				e := wantError(t, err)
				i := 0
				if n > 8 {
					i = place(starts, n-1)
				}
				if i < len(part) && slices.Contains(starts, n) && n > 8 {
					i++ // between two blocks
				}
				// Less than three bytes are no era1 file yet, more are a cut one.
				if len(got) != min(i, len(part)) || n > 2 && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatalf("cut at %d: %d blocks and %v", n, len(got), err)
				}
				if len(got) > 0 && (e.Number != part[0].Number+uint64(len(got)) || e.Offset < int64(starts[i])) || e.Offset > int64(n) {
					t.Fatalf("cut at %d: %v", n, err)
				}
			}
		}
	}
}

// TestFlippedEra1 flips two bits, one at a time, of every byte of an era1 file:
// each that changes the content must be noticed in the block where it is.
func TestFlippedEra1(t *testing.T) {
	blocks := generated(t, chain.Dev, 4)
	data, starts := era1File(t, chain.Dev, uint256.Int{}, blocks)
	for i := range data {
		for _, bit := range []int{i % 8, (i + 3) % 8} {
			data[i] ^= 1 << bit
			got, err := readAll(t, data, chain.Dev, Options{Receipts: true})
			data[i] ^= 1 << bit
			if err == io.EOF {
				// Two ways to compress the same content.
				allBlocks(t, got, blocks)
				continue
			}
			e := wantError(t, err)
			sameBlocks(t, got, blocks)
			n := min(place(starts, i), len(blocks))
			if len(got) != n || n > 0 && (!e.NumberKnown || e.Number != uint64(n)) {
				t.Fatalf("bit %d of byte %d, block %d: %d blocks and %v", bit, i, n, len(got), err)
			}
			if e.Offset < int64(starts[n]) && n > 0 || e.Offset > int64(i) {
				// A wrong length can move the error back to the entry, a wrong
				// type can move it to the next entry of the same block.
				if n < len(blocks) && e.Offset < int64(starts[n+1]) || n == len(blocks) {
					continue
				}
				t.Fatalf("bit %d of byte %d, block %d at %d: offset %d: %v", bit, i, n, starts[n], e.Offset, err)
			}
		}
	}
}

// TestFlippedStream flips two bits, one at a time, of every byte of RLP and hex
// files. Such a file has
// no checksum, so a wrong header is noticed by the block after it, and that of
// the last block by whoever knows its hash.
func TestFlippedStream(t *testing.T) {
	for _, net := range []*chain.Network{chain.Dev, chain.PoC6} {
		blocks := generated(t, net, 4)
		for _, c := range []struct {
			name   string
			data   []byte
			starts []int
		}{
			{"RLP", stream(blocks), startsOf(blocks, func(b *chain.Block) int { return len(b.Raw()) })},
			{"hex", hexFile(blocks), startsOf(blocks, func(b *chain.Block) int { return 2*len(b.Raw()) + 1 })},
		} {
			flip := func(i, bit int) {
				c.data[i] ^= 1 << bit
				defer func() { c.data[i] ^= 1 << bit }()
				got, err := readAll(t, c.data, net, Options{})
				n := place(c.starts, i)
				if err == io.EOF {
					// In the last header, or a hex digit in capitals.
					if len(got) != len(blocks) {
						t.Fatalf("%s %s: bit %d of byte %d: %d blocks and no error", net.Name, c.name, bit, i, len(got))
					}
					if n < len(blocks)-1 {
						allBlocks(t, got, blocks)
					}
					return
				}
				e := wantError(t, err)
				if len(got) < n || len(got) > n+1 {
					t.Fatalf("%s %s: bit %d of byte %d, block %d: %d blocks and %v", net.Name, c.name, bit, i, n, len(got), err)
				}
				sameBlocks(t, got[:n], blocks)
				if n > 0 && (e.Number != uint64(len(got)) || e.Offset != int64(c.starts[len(got)])) {
					t.Fatalf("%s %s: bit %d of byte %d, block %d: %v", net.Name, c.name, bit, i, n, err)
				}
			}
			for i := range c.data {
				flip(i, i%8)
				flip(i, (i+3)%8)
			}
		}
	}
}

// TestDamagedGzip cuts a gzipped stream everywhere, and flips bits behind the
// gzip header, which has a few bytes that nobody reads.
func TestDamagedGzip(t *testing.T) {
	blocks := generated(t, chain.Dev, 4)
	data := gzipped(t, stream(blocks))
	for n := range data {
		got, err := readAll(t, data[:n], chain.Dev, Options{})
		sameBlocks(t, got, blocks)
		wantError(t, err)
		if n > 2 && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	for i := 10; i < len(data); i++ {
		data[i] ^= 1 << (i % 8)
		got, err := readAll(t, data, chain.Dev, Options{})
		data[i] ^= 1 << (i % 8)
		if err == io.EOF {
			allBlocks(t, got, blocks)
			continue
		}
		wantError(t, err)
	}
}

// TestWrongEra1 has files that are well-formed in all but one respect.
func TestWrongEra1(t *testing.T) {
	blocks := generated(t, chain.Dev, 2)
	good, starts := era1File(t, chain.Dev, uint256.Int{}, blocks)
	index := len(good) - (8 + 8 + 8*len(blocks) + 8)
	tuple := func(i int) []byte { return good[starts[i]:starts[i+1]] }
	edit := func(change func(e *e2store)) []byte {
		e := &e2store{data: slices.Clone(good[:starts[1]])}
		change(e)
		return e.data
	}
	h, td := blocks[1].Header.Raw(), *uint256.NewInt(1)

	for _, c := range []struct {
		name   string
		data   []byte
		blocks int
		rule   chain.Rule // "" if it is none of chain's
	}{
		{"no blocks", good[:8], 0, ""},
		{"accumulator at once", slices.Concat(good[:8], good[starts[3]:]), 0, ""},
		{"block twice", slices.Concat(good[:starts[1]], tuple(0), good[starts[1]:]), 1, chain.RuleParent},
		{"block left out", slices.Concat(good[:starts[1]], good[starts[2]:]), 1, chain.RuleParent},
		{"last block left out", slices.Concat(good[:starts[2]], good[starts[3]:]), 2, ""},
		{"bytes after the end", slices.Concat(good, []byte{0}), 3, ""},
		{"no index", good[:index], 3, ""},
		{"version twice", slices.Concat(good[:8], good), 0, ""},
		{"wrong TD", edit(func(e *e2store) { e.tuple(h, body(t, blocks[1]), nil, &td) }), 1, chain.RuleTotalDifficulty},
		{"other body", edit(func(e *e2store) { e.tuple(h, body(t, blocks[2]), nil, &td) }), 1, chain.RuleTransactionsRoot},
		{"two headers in one entry", edit(func(e *e2store) { e.tuple(slices.Concat(h, h), body(t, blocks[1]), nil, &td) }), 1, ""},
		{"body no list", edit(func(e *e2store) { e.tuple(h, []byte{0x80}, nil, &td) }), 1, ""},
		{"empty entries", edit(func(e *e2store) { e.entry(typeHeader, nil); e.entry(typeBody, nil) }), 1, ""},
		{"body missing", edit(func(e *e2store) { e.packed(typeHeader, h); e.packed(typeReceipts, nil) }), 1, ""},
		{"huge header entry", edit(func(e *e2store) {
			e.data = binary.LittleEndian.AppendUint32(append(e.data, typeHeader, 0), 1<<31)
			e.data = append(e.data, 0, 0)
		}), 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readAll(t, c.data, chain.Dev, Options{})
			sameBlocks(t, got, blocks)
			e := wantError(t, err)
			t.Log(err)
			if len(got) != c.blocks || e.Number != uint64(c.blocks) {
				t.Errorf("%d blocks and number %d, want %d", len(got), e.Number, c.blocks)
			}
			if re, _ := errors.AsType[*chain.RuleError](err); (re != nil) != (c.rule != "") || re != nil && re.Rule != c.rule {
				t.Errorf("got rule %v, want %q", re, c.rule)
			}
		})
	}

	t.Run("later epoch with less TD than work", func(t *testing.T) {
		var e e2store
		e.entry(typeVersion, nil)
		e.tuple(h, body(t, blocks[1]), nil, &td)
		_, err := readAll(t, e.data, chain.Dev, Options{})
		if e := wantError(t, err); e.Number != 1 || !e.NumberKnown {
			t.Error(err)
		}
	})
	t.Run("unknown entries are skipped", func(t *testing.T) {
		var e e2store
		e.entry(0x7777, bytes.Repeat([]byte{1}, 1000))
		data := slices.Concat(good[:starts[3]], e.data, good[starts[3]:])
		if got, err := readAll(t, data, chain.Dev, Options{}); len(got) != 3 || err == nil {
			// The index moves away from the blocks, which it must notice.
			t.Errorf("%d blocks and %v", len(got), err)
		}
		var right e2store
		right.data = slices.Concat(good[:starts[3]], e.data, good[starts[3]:index])
		right.entry(typeIndex, indexPayload(0, len(right.data), starts[:3]))
		if got, err := readAll(t, right.data, chain.Dev, Options{}); len(got) != 3 || err != io.EOF {
			t.Errorf("%d blocks and %v", len(got), err)
		}
	})
}
