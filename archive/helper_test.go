package archive

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/holiman/uint256"
	"github.com/klauspost/compress/gzip"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
)

// sharedData returns the path of a file of the optional data folder beside the
// repository, and skips the test if it is not there.
func sharedData(t testing.TB, elem ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{"..", "..", "shared", "data"}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("real chain data is optional, and %s is not there", path)
	}
	return path
}

// readAll reads all blocks of data up to the error, io.EOF if there is none.
func readAll(t testing.TB, data []byte, net *chain.Network, opts Options) ([]Block, error) {
	t.Helper()
	r, err := NewReader("test", bytes.NewReader(data), net, opts)
	if err != nil {
		return nil, err
	}
	var blocks []Block
	for {
		b, err := r.Next()
		if err != nil {
			return blocks, err
		}
		blocks = append(blocks, b)
	}
}

// wantError checks that err is an *Error of file "test" and returns it.
func wantError(t testing.TB, err error) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got error %v, want an *Error", err)
	}
	if e.File != "test" || e.Err == nil || !strings.Contains(e.Error(), "test") {
		t.Fatalf("incomplete error: %#v", e)
	}
	return e
}

// generated returns the genesis block of net and n blocks on top.
func generated(t testing.TB, net *chain.Network, n int) []*chain.Block {
	t.Helper()
	genesis, err := net.GenesisBlock()
	if err != nil {
		t.Fatal(err)
	}
	return append([]*chain.Block{genesis}, slices.Collect(chaingen.Generate(chaingen.Config{
		Network: net, Seed: 1, Blocks: uint64(n), UncleEvery: 3,
		Shape: func(n uint64) (int, int) { return int(n % 3), 0 },
	}))...)
}

// stream is what `geth export` would write.
func stream(blocks []*chain.Block) (data []byte) {
	for _, b := range blocks {
		data = append(data, b.Raw()...)
	}
	return data
}

func hexFile(blocks []*chain.Block) (data []byte) {
	for _, b := range blocks {
		data = hex.AppendEncode(data, b.Raw())
		data = append(data, '\n')
	}
	return data
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// e2store builds era1 files, right ones and wrong ones.
type e2store struct{ data []byte }

func (e *e2store) entry(typ uint16, payload []byte) {
	e.data = binary.LittleEndian.AppendUint16(e.data, typ)
	e.data = binary.LittleEndian.AppendUint32(e.data, uint32(len(payload)))
	e.data = append(e.data, 0, 0)
	e.data = append(e.data, payload...)
}

func (e *e2store) packed(typ uint16, content []byte) { e.entry(typ, pack(content)) }

func pack(content []byte) []byte {
	var buf bytes.Buffer
	w := snappy.NewBufferedWriter(&buf)
	w.Write(content)
	w.Close()
	return buf.Bytes()
}

// tuple writes the four entries of a block.
func (e *e2store) tuple(header, body, receipts []byte, td *uint256.Int) {
	e.packed(typeHeader, header)
	e.packed(typeBody, body)
	e.packed(typeReceipts, receipts)
	le := td.Bytes32()
	slices.Reverse(le[:])
	e.entry(typeTD, le[:])
}

// body returns the RLP list [transactions, uncles] of a block.
func body(t testing.TB, b *chain.Block) []byte {
	t.Helper()
	content, _, err := rlp.SplitList(b.Raw())
	if err != nil {
		t.Fatal(err)
	}
	content = content[len(b.Header.Raw()):]
	return append(appendListHeader(nil, len(content)), content...)
}

// era1File writes blocks as an era1 file. It returns the places where each
// block starts and, at the end, where the accumulator does.
func era1File(t testing.TB, net *chain.Network, td uint256.Int, blocks []*chain.Block) (data []byte, starts []int) {
	t.Helper()
	var e e2store
	var acc accumulator
	e.entry(typeVersion, nil)
	for _, b := range blocks {
		starts = append(starts, len(e.data))
		var err error
		if td, err = net.TotalDifficulty(&td, b); err != nil {
			t.Fatal(err)
		}
		e.tuple(b.Header.Raw(), body(t, b), chaingen.Receipts(b), &td)
		acc.add(b.Hash, &td)
	}
	starts = append(starts, len(e.data))
	root := acc.root()
	e.entry(typeAccumulator, root[:])
	e.entry(typeIndex, indexPayload(blocks[0].Number, len(e.data), starts[:len(blocks)]))
	return e.data, starts
}

func indexPayload(first uint64, at int, starts []int) []byte {
	p := binary.LittleEndian.AppendUint64(nil, first)
	for _, s := range starts {
		p = binary.LittleEndian.AppendUint64(p, uint64(s-at))
	}
	return binary.LittleEndian.AppendUint64(p, uint64(len(starts)))
}

// allBlocks checks that nothing is missing or changed, not even receipts, if
// they were read.
func allBlocks(t testing.TB, got []Block, want []*chain.Block) {
	t.Helper()
	sameBlocks(t, got, want)
	if len(got) != len(want) {
		t.Fatalf("got %d blocks, want %d", len(got), len(want))
	}
	for i, b := range got {
		if b.Receipts != nil && !bytes.Equal(b.Receipts, chaingen.Receipts(want[i])) {
			t.Fatalf("receipts of block %d have changed", want[i].Number)
		}
	}
}

// sameBlocks checks that got are the first blocks of want.
func sameBlocks(t testing.TB, got []Block, want []*chain.Block) {
	t.Helper()
	if len(got) > len(want) {
		t.Fatalf("got %d blocks, want at most %d", len(got), len(want))
	}
	for i, b := range got {
		if !bytes.Equal(b.Raw(), want[i].Raw()) {
			t.Fatalf("block %d has changed", want[i].Number)
		}
	}
}
