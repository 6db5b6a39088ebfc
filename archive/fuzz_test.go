package archive

import (
	"bytes"
	"io"
	"testing"

	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
)

// fuzzRead reads data as a chain file of net, checks what holds for any input
// and returns the blocks and whether data was read to its end.
func fuzzRead(t *testing.T, data []byte, net *chain.Network) (blocks []Block, whole bool) {
	t.Helper()
	var err error
	n := allocated(func() { blocks, err = readAll(t, data, net, Options{Receipts: true}) })
	// Two read buffers, a decompressor, an inflated record that turned out too
	// large; and in proportion to the input.
	if limit := uint64(8*MaxBlock + 200*len(data)); n > limit {
		t.Fatalf("%d bytes of input made the reader allocate %d bytes", len(data), n)
	}
	if err != io.EOF {
		e := wantError(t, err)
		if len(blocks) > 0 && (!e.NumberKnown || e.Number != blocks[len(blocks)-1].Number+1 || e.Offset < blocks[len(blocks)-1].Offset) {
			t.Fatalf("after %d blocks: %v", len(blocks), err)
		}
	}
	for i, b := range blocks {
		if err := net.CheckBlock(b.Block); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			if err := net.CheckLink(&blocks[i-1].Header, &b.Header); err != nil {
				t.Fatal(err)
			}
		}
	}
	return blocks, err == io.EOF
}

// FuzzEra1 and FuzzRLPStream find many inputs that the fuzzer likes to shorten,
// for a minute each and without counting: give -fuzzminimizetime 1x to fuzz.
func FuzzEra1(f *testing.F) {
	blocks := generated(f, chain.Dev, 4)
	data, starts := era1File(f, chain.Dev, uint256.Int{}, blocks)
	f.Add(data)
	f.Add(data[:starts[2]])
	late, _ := era1File(f, chain.Dev, *uint256.NewInt(5000), blocks[3:])
	f.Add(late)
	f.Fuzz(func(t *testing.T, data []byte) {
		// Whatever it starts with, let it be read as era1.
		copy(data, []byte{0x65, 0x32, 0})
		blocks, whole := fuzzRead(t, data, chain.Dev)
		if !whole || len(data) < 3 {
			return
		}
		// What was read whole says the same when it is written again.
		td := new(uint256.Int)
		raw := make([]*chain.Block, len(blocks))
		for i, b := range blocks {
			raw[i] = b.Block
		}
		td.Sub(blocks[0].TD, &blocks[0].Difficulty)
		again, _ := era1File(t, chain.Dev, *td, raw)
		got, err := readAll(t, again, chain.Dev, Options{})
		if len(got) != len(blocks) || err != io.EOF {
			t.Fatalf("written again: %d blocks of %d and %v", len(got), len(blocks), err)
		}
	})
}

func FuzzRLPStream(f *testing.F) {
	for _, net := range []*chain.Network{chain.Dev, chain.PoC6} {
		blocks := generated(f, net, 4)
		f.Add(stream(blocks))
		f.Add(hexFile(blocks))
		f.Add(gzipped(f, stream(blocks)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, net := range []*chain.Network{chain.Dev, chain.PoC6} {
			blocks, whole := fuzzRead(t, data, net)
			if kind, _ := Detect(data); kind != RLP || len(blocks) == 0 {
				continue
			}
			// The blocks are the bytes of the file, nothing added or dropped.
			var raw []byte
			for _, b := range blocks {
				if b.Offset != int64(len(raw)) {
					t.Fatalf("block %d is at %d, not at %d", b.Number, len(raw), b.Offset)
				}
				raw = append(raw, b.Raw()...)
			}
			if !bytes.HasPrefix(data, raw) || whole && len(raw) != len(data) {
				t.Fatalf("the blocks are not the first %d bytes of the file", len(raw))
			}
		}
	})
}
