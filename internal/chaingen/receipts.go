package chaingen

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/shoalnet/shoal/chain"
)

// Receipts returns the list of receipts of a generated block. Its transactions move
// some value and do nothing else, so blocks with as many of them have the same
// receipts, as it often is in a real chain.
func Receipts(b *chain.Block) []byte {
	n := 0
	for range b.Transactions() {
		n++
	}
	return receipts(n)
}

// receipts returns the receipts of n transactions that have succeeded and logged
// nothing: [1, cumulative gas, bloom, []] (EIP-658).
func receipts(n int) []byte {
	var content []byte
	var bloom types.Bloom
	for i := range n {
		start := len(content)
		r := append(content, 0, 0, 0, 1)
		r = rlp.AppendUint64(r, uint64(i+1)*txGas)
		r = appendString(r, bloom[:])
		content = closeList(append(r, 0xc0), start)
	}
	return append(appendListHeader(nil, len(content)), content...)
}

// receiptRoot returns the root of receipts(n).
func (g *Generator) receiptRoot(n int) common.Hash {
	root, ok := g.roots[n]
	if !ok {
		var err error
		if root, err = chain.ReceiptsRoot(receipts(n)); err != nil {
			panic(err) // ours
		}
		g.roots[n] = root
	}
	return root
}
