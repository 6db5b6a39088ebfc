package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
)

// TestGethReadsTheStream: what "geth import" does with a file, it can do with an export.
func TestGethReadsTheStream(t *testing.T) {
	if sepoliaFile() == "" {
		t.Skip("the source of go-ethereum, which has blocks of Sepolia, is absent")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "chain.rlp")
	shoal(t, "import", "--datadir", dir+"/a", "--seals", "none", sepoliaFile())
	shoal(t, "export", "--datadir", dir+"/a", file)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stream := rlp.NewStream(f, 0)
	parent := new(types.Block)
	n := uint64(0)
	for ; ; n++ {
		b := new(types.Block)
		if err := stream.Decode(b); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("block %d: %v", n, err)
		}
		if b.NumberU64() != n || n > 0 && b.ParentHash() != parent.Hash() {
			t.Fatalf("block %d: number %d, parent %v, want %v", n, b.NumberU64(), b.ParentHash(), parent.Hash())
		}
		parent = b
	}
	if n != 8192 || parent.Hash().Hex() != sepoliaHead {
		t.Errorf("%d blocks, the last is %v", n, parent.Hash())
	}
}
