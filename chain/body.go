package chain

import (
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"
)

// tries reuses stack tries: one is needed for every block with transactions.
var tries = sync.Pool{New: func() any { return trie.NewStackTrie(nil) }}

// txRoot computes the transactions root of the body (Yellow Paper section
// 4.3.2; protocol 30 specification, section 4.1): the root of a trie that maps
// rlp(index) to the entry. Transactions are not decoded.
func (b *Block) txRoot() (common.Hash, error) {
	if len(b.txs) == 0 {
		return b.format.emptyTxRoot(), nil
	}
	t := tries.Get().(*trie.StackTrie)
	t.Reset()
	defer tries.Put(t)

	var (
		key   [9]byte
		first []byte
		i     uint64
	)
	// The trie takes its keys in ascending order, and rlp(0) = 0x80 sorts
	// after rlp(127) = 0x7f and before rlp(128) = 0x8180.
	for leaf, err := range b.Transactions() {
		if err != nil {
			return common.Hash{}, err
		}
		switch {
		case i == 0:
			first = leaf
		case i == 128:
			if err := t.Update(rlp.AppendUint64(key[:0], 0), first); err != nil {
				return common.Hash{}, err
			}
			fallthrough
		default:
			if err := t.Update(rlp.AppendUint64(key[:0], i), leaf); err != nil {
				return common.Hash{}, err
			}
		}
		i++
	}
	if i <= 128 {
		if err := t.Update(rlp.AppendUint64(key[:0], 0), first); err != nil {
			return common.Hash{}, err
		}
	}
	return t.Hash(), nil
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
