package testbed

import (
	"math/rand/v2"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/shoalnet/shoal/chain"
)

// MadeUp returns hashes of nothing.
func MadeUp(seed uint64, n int) []common.Hash {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24), 1})
	out := make([]common.Hash, n)
	for i := range out {
		r.Read(out[i][:])
	}
	return out
}

// Remade returns a block with another header and the same body.
func Remade(t testing.TB, b *chain.Block, change func(*types.Header)) *chain.Block {
	t.Helper()
	var whole struct {
		Header      types.Header
		Txs, Uncles rlp.RawValue
	}
	if err := rlp.DecodeBytes(b.Raw(), &whole); err != nil {
		t.Fatal(err)
	}
	change(&whole.Header)
	raw, err := rlp.EncodeToBytes(&whole)
	if err != nil {
		t.Fatal(err)
	}
	x, err := chain.Dev.ParseBlock(raw)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// Spoilt returns a chain with another header at a number. All blocks above are linked
// to it and otherwise as they were.
func Spoilt(t testing.TB, c *Branch, at int, change func(*types.Header)) *Branch {
	t.Helper()
	blocks := []*chain.Block{Remade(t, c.Blocks[at], change)}
	for _, b := range c.Blocks[at+1:] {
		parent := blocks[len(blocks)-1].Hash
		blocks = append(blocks, Remade(t, b, func(h *types.Header) { h.ParentHash = parent }))
	}
	if at == 0 {
		s := &Branch{Network: c.Network, Blocks: blocks, At: map[common.Hash]int{}, TD: c.TD}
		for i, b := range blocks {
			s.At[b.Hash] = i
		}
		return s
	}
	return NewBranch(t, c.Network, c, at-1, blocks)
}

// withBody returns the bytes of a block with another body.
func withBody(t testing.TB, raw []byte, change func(txs, uncles []byte) (_, _ []byte)) []byte {
	t.Helper()
	var parts struct{ Header, Txs, Uncles rlp.RawValue }
	if err := rlp.DecodeBytes(raw, &parts); err != nil {
		t.Fatal(err)
	}
	parts.Txs, parts.Uncles = change(parts.Txs, parts.Uncles)
	out, err := rlp.EncodeToBytes(&parts)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var emptyList = []byte{0xc0}
