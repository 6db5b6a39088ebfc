package chaingen

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math/rand/v2"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/shoalnet/shoal/chain"
)

// Generator generates one chain, block after block, without end. It is not safe for
// concurrent use.
type Generator struct {
	cfg  Config
	head *chain.Block
	rng  *rand.ChaCha8
	tree *trie.StackTrie

	// roots are the receipts roots, by the number of transactions.
	roots map[int]common.Hash

	// Reused from block to block.
	txs    txList
	uncles []byte
	header []byte
}

// New returns a generator for the chain of c.
func New(c Config) (*Generator, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	g := &Generator{cfg: c, head: c.Parent, rng: rand.NewChaCha8([32]byte{}), tree: trie.NewStackTrie(nil), roots: map[int]common.Hash{}}
	if g.head == nil {
		genesis, err := c.network().GenesisBlock()
		if err != nil {
			return nil, err
		}
		g.head = genesis
	}
	return g, nil
}

// Head returns the last block generated, before the first one its parent.
func (g *Generator) Head() *chain.Block { return g.head }

// Blocks yields the next n blocks.
func (g *Generator) Blocks(n uint64) iter.Seq[*chain.Block] {
	return func(yield func(*chain.Block) bool) {
		for range n {
			if !yield(g.Next()) {
				return
			}
		}
	}
}

// Next returns the next block. There always is one. The block is the caller's.
func (g *Generator) Next() *chain.Block {
	raw := g.encode(g.head)
	b, err := g.cfg.network().ParseBlock(raw)
	if err != nil {
		panic(fmt.Sprintf("chaingen: block %d of seed %d: %v", g.head.Number+1, g.cfg.Seed, err))
	}
	g.head = b
	return b
}

// encode returns the RLP of the block after parent.
func (g *Generator) encode(parent *chain.Block) []byte {
	format := g.cfg.network().Format
	h := chain.Header{
		Parent:      parent.Hash,
		Number:      parent.Number + 1,
		UnclesHash:  types.EmptyUncleHash,
		TxRoot:      types.EmptyTxsHash,
		ReceiptRoot: types.EmptyReceiptsHash,
		Items:       parent.Items,
	}
	g.reseed(&h)
	g.fillRandom(&h)
	h.Time = g.nextTime(&parent.Header)
	adjust(g.cfg.network(), &parent.Header, &h)

	g.uncles = g.uncles[:0]
	if every := g.cfg.UncleEvery; every > 0 && h.Number%every == 0 && parent.Number > 0 {
		g.uncles = g.appendUncle(g.uncles, parent)
	}
	uncles := listSize(len(g.uncles))

	txs, size := g.cfg.shape(h.Number)
	// Before the transactions the size of the header can only be estimated.
	g.txs.fill(format, g.rng, txs, size-emptySize(format)-len(g.uncles))
	if n := len(g.txs.items); n > 0 {
		h.TxRoot = types.DeriveSha(&g.txs, g.tree)
		h.GasUsed = min(uint64(n)*txGas, h.GasLimit)
		h.ReceiptRoot = g.receiptRoot(n)
	}
	if len(g.uncles) > 0 {
		h.UnclesHash = chain.Keccak256(appendListHeader(nil, len(g.uncles)), g.uncles)
	}

	g.header = appendHeader(g.header[:0], format, &h)
	content := len(g.header) + listSize(len(g.txs.content)) + uncles
	raw := make([]byte, 0, listSize(content))
	raw = appendListHeader(raw, content)
	raw = append(raw, g.header...)
	raw = appendListHeader(raw, len(g.txs.content))
	raw = append(raw, g.txs.content...)
	raw = appendListHeader(raw, len(g.uncles))
	return append(raw, g.uncles...)
}

// reseed makes the randomness of a block depend on the seed and its parent.
func (g *Generator) reseed(h *chain.Header) {
	var key [32]byte
	copy(key[:], h.Parent[:])
	binary.LittleEndian.PutUint64(key[:], g.cfg.Seed^binary.LittleEndian.Uint64(key[:]))
	g.rng.Seed(key)
}

// fillRandom fills the fields that nobody checks without executing or sealing.
func (g *Generator) fillRandom(h *chain.Header) {
	g.rng.Read(h.Coinbase[:])
	g.rng.Read(h.StateRoot[:])
	g.rng.Read(h.MixDigest[:])
	n := 8
	if g.cfg.network().Format == chain.FormatPoC6 {
		n = 32
	}
	h.Nonce = make([]byte, n)
	g.rng.Read(h.Nonce)
}

// appendUncle appends the header of a sibling of b: the same parent, number,
// time and difficulty, found by someone else, with an empty body.
func (g *Generator) appendUncle(dst []byte, b *chain.Block) []byte {
	h := b.Header
	h.UnclesHash, h.TxRoot, h.ReceiptRoot = types.EmptyUncleHash, types.EmptyTxsHash, types.EmptyReceiptsHash
	h.GasUsed = 0
	g.fillRandom(&h)
	return appendHeader(dst, g.cfg.network().Format, &h)
}

// emptySize is about the size of a block without body.
func emptySize(format chain.Format) int {
	if format == chain.FormatPoC6 {
		return 205
	}
	return 520
}

func listSize(content int) int { return int(rlp.ListSize(uint64(content))) }
