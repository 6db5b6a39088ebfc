package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/testbed"
)

// TestEra1At: each block and each list of receipts of real files is found, in any order and
// by several readers at a time.
func TestEra1At(t *testing.T) {
	for _, name := range []string{"sepolia-00000-643a00f7.era1", "sepolia-00021-b8814b14.era1"} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(testbed.Era1(t, name))
			if err != nil {
				t.Fatal(err)
			}
			blocks, _ := readAll(t, data, chain.Sepolia, Options{Receipts: true})
			e, err := NewEra1At(name, bytes.NewReader(data), int64(len(data)), chain.Sepolia)
			if err != nil {
				t.Fatal(err)
			}
			if e.First() != blocks[0].Number || e.Blocks() != len(blocks) {
				t.Fatalf("blocks %d and %d more", e.First(), e.Blocks())
			}
			var wg sync.WaitGroup
			for w := range uint64(2) {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(1, w))
					for range 2000 {
						b := blocks[r.IntN(len(blocks))]
						if got, err := e.AppendBlock([]byte("x"), b.Number, b.Hash); err != nil || string(got[1:]) != string(b.Raw()) || got[0] != 'x' {
							t.Errorf("block %d: %v", b.Number, err)
						}
						if !b.HasReceipts() {
							continue
						}
						if got, err := e.AppendReceipts(nil, b.Number, b.ReceiptRoot); err != nil || !bytes.Equal(got, b.Receipts) {
							t.Errorf("receipts of block %d: %v", b.Number, err)
						}
					}
				})
			}
			wg.Wait()
			b := blocks[5]
			for _, number := range []uint64{b.Number + 1, b.Number - 6, b.Number + 1<<40} {
				if got, err := e.AppendBlock(nil, number, b.Hash); !errors.Is(err, ErrNotThat) || got != nil {
					t.Errorf("block %d under the number %d: %d bytes, %v", b.Number, number, len(got), err)
				}
			}
			if _, err := e.AppendReceipts(nil, b.Number, common.Hash{1}); !errors.Is(err, ErrNotThat) {
				t.Errorf("receipts under another root: %v", err)
			}
		})
	}
}

// TestEra1AtDamage: whatever byte is another one, what is read is right, or it is an error
// that says that the file is not what it should be.
func TestEra1AtDamage(t *testing.T) {
	blocks := generated(t, chain.Dev, 6)
	data, _ := era1File(t, chain.Dev, uint256.Int{}, blocks)
	refused := 0
	for off := range data {
		bad := bytes.Clone(data)
		bad[off] ^= 0x55
		e, err := NewEra1At("test", bytes.NewReader(bad), int64(len(bad)), chain.Dev)
		for i := 0; err == nil && i < len(blocks); i++ {
			var got []byte
			if got, err = e.AppendBlock(nil, blocks[i].Number, blocks[i].Hash); err == nil && !bytes.Equal(got, blocks[i].Raw()) {
				t.Fatalf("byte %d: another block %d", off, i)
			}
		}
		if err != nil {
			refused++
			wantError(t, err)
			if !errors.Is(err, ErrNotThat) {
				t.Errorf("byte %d: %v", off, err)
			}
		}
	}
	if refused < len(data)/2 {
		t.Errorf("%d of %d bytes made a difference", refused, len(data))
	}
	for n := range len(data) {
		if _, err := NewEra1At("test", bytes.NewReader(data[:n]), int64(n), chain.Dev); !errors.Is(err, ErrNotThat) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	// A block index that claims to be much longer than it is.
	long := binary.LittleEndian.AppendUint64(bytes.Clone(data[:len(data)-8]), maxEra1Blocks)
	if _, err := NewEra1At("test", bytes.NewReader(long), int64(len(long)), chain.Dev); !errors.Is(err, ErrNotThat) {
		t.Errorf("a long index: %v", err)
	}
}

// TestEra1AtReadError: an error of the reader is told as it is, wherever it occurs.
func TestEra1AtReadError(t *testing.T) {
	blocks := generated(t, chain.Dev, 3)
	data, _ := era1File(t, chain.Dev, uint256.Int{}, blocks)
	e, err := NewEra1At("test", &failingAt{r: bytes.NewReader(data)}, int64(len(data)), chain.Dev)
	if err != nil {
		t.Fatal(err)
	}
	for at := range int64(len(data)) {
		e.file = &failingAt{bytes.NewReader(data), at}
		if got, err := e.AppendBlock(nil, 2, blocks[2].Hash); err != nil {
			if !errors.Is(err, errLink) || errors.Is(err, ErrNotThat) {
				t.Fatalf("failing from %d on: %v", at, err)
			}
		} else if !bytes.Equal(got, blocks[2].Raw()) {
			t.Fatalf("failing from %d on: another block", at)
		}
	}
	if _, err := NewEra1At("test", &failingAt{bytes.NewReader(data), 1}, int64(len(data)), chain.Dev); !errors.Is(err, errLink) || errors.Is(err, ErrNotThat) {
		t.Errorf("index: %v", err)
	}
}

var errLink = errors.New("the link is down")

// failingAt fails behind an offset, if that is not 0.
type failingAt struct {
	r  *bytes.Reader
	at int64
}

func (f *failingAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.r.ReadAt(p, off)
	if left := f.at - off; f.at > 0 && int64(n) > left {
		return int(max(left, 0)), errLink
	}
	return n, err
}

// FuzzEra1At: no file makes it read without end, allocate without reason, or return what
// was not asked for.
func FuzzEra1At(f *testing.F) {
	blocks := generated(f, chain.Dev, 4)
	data, _ := era1File(f, chain.Dev, uint256.Int{}, blocks)
	f.Add(data, uint64(2))
	f.Fuzz(func(t *testing.T, data []byte, number uint64) {
		e, err := NewEra1At("test", bytes.NewReader(data), int64(len(data)), chain.Dev)
		if err != nil {
			wantError(t, err)
			return
		}
		for _, b := range blocks {
			if got, err := e.AppendBlock(nil, number, b.Hash); err == nil && !bytes.Equal(got, b.Raw()) {
				t.Fatal("another block")
			}
			if got, err := e.AppendReceipts(nil, number, b.ReceiptRoot); err == nil && b.CheckReceipts(got) != nil {
				t.Fatal("other receipts")
			}
		}
	})
}
