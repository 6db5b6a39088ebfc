package chain

import (
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

// leaves reuses the lists of a body's transactions.
var leaves = sync.Pool{New: func() any { return new([][]byte) }}

// txRoot computes the transactions root of the body (Yellow Paper section
// 4.3.2; protocol 30 specification, section 4.1). Transactions are not decoded.
func (b *Block) txRoot() (common.Hash, error) {
	if len(b.txs) == 0 {
		return b.format.emptyTxRoot(), nil
	}
	list := leaves.Get().(*[][]byte)
	defer leaves.Put(list)
	defer func() { clear(*list) }()
	*list = (*list)[:0]
	for leaf, err := range b.Transactions() {
		if err != nil {
			return common.Hash{}, err
		}
		if len(*list) == maxRootItems {
			return longRoot(b.Transactions())
		}
		*list = append(*list, leaf)
	}
	return ListRoot(*list), nil
}

// CheckBody recomputes both roots that tie the body to the header, and checks
// nothing else. Errors are *[RuleError] of a rule for which [Rule.OfBody] holds,
// or *[FormatError].
func (b *Block) CheckBody() error {
	root, err := b.txRoot()
	if err != nil {
		return err
	}
	if root != b.TxRoot {
		return &RuleError{Rule: RuleTransactionsRoot, Number: b.Number, Hash: b.Hash, Have: b.TxRoot.Hex(), Want: root.Hex()}
	}
	// Nearly every block has no uncles: spare the hash of the empty list.
	uncles := types.EmptyUncleHash
	if len(b.uncles) > 1 {
		uncles = Keccak256(b.uncles)
	}
	if uncles != b.UnclesHash {
		return &RuleError{Rule: RuleUnclesHash, Number: b.Number, Hash: b.Hash, Have: b.UnclesHash.Hex(), Want: uncles.Hex()}
	}
	return nil
}
