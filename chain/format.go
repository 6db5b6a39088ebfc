package chain

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
)

// Format is how a network writes its blocks. There are two: [FormatFrontier] and
// [FormatPoC6].
type Format interface {
	// String is the format's name for people.
	String() string
	// header reads the fields of a header; h.Items is set already.
	header(fs *fields, h *Header)
	// txLeaf turns an entry of the transaction list into the value that the
	// transactions trie holds for it.
	txLeaf(kind rlp.Kind, item, content []byte) ([]byte, error)
	// emptyTxRoot is what the header says when there are no transactions.
	emptyTxRoot() common.Hash
}

// FormatFrontier is the format of mainnet, Sepolia and Classic from July 2015 to
// the last proof-of-work block: 15 header items, 16 since London (base fee),
// transactions as lists or, since Berlin, as typed envelopes in strings
// (Yellow Paper section 4.3, EIP-2718, EIP-1559).
var FormatFrontier Format = frontier{}

// FormatPoC6 is the format of August and September 2014 (protocol 30 specification,
// section 4): 13 header items with a 32-byte nonce, transaction entries that
// bundle [transaction, state root, cumulative gas], empty roots as empty
// strings.
var FormatPoC6 Format = poc6{}

type frontier struct{}

func (frontier) String() string           { return "Frontier" }
func (frontier) emptyTxRoot() common.Hash { return types.EmptyTxsHash }

func (frontier) header(fs *fields, h *Header) {
	if h.Items < 15 || h.Items > 16 {
		fs.fail("length", "a proof-of-work header has 15 items, or 16 since London", nil)
		return
	}
	fs.fixed("parent hash", h.Parent[:])
	fs.fixed("uncles hash", h.UnclesHash[:])
	fs.fixed("coinbase", h.Coinbase[:])
	fs.fixed("state root", h.StateRoot[:])
	fs.fixed("transactions root", h.TxRoot[:])
	fs.fixed("receipts root", h.ReceiptRoot[:])
	if bloom := fs.bytes("logs bloom", types.BloomByteLength); fs.err == nil && len(bloom) != types.BloomByteLength {
		fs.fail("logs bloom", "wrong length", nil)
	}
	fs.uint256("difficulty", &h.Difficulty)
	h.Number = fs.uint64("number")
	h.GasLimit = fs.uint64("gas limit")
	h.GasUsed = fs.uint64("gas used")
	h.Time = fs.uint64("timestamp")
	h.Extra = fs.bytes("extra data", maxExtra)
	fs.fixed("mix digest", h.MixDigest[:])
	h.Nonce = fs.bytes("nonce", 8)
	if fs.err == nil && len(h.Nonce) != 8 {
		fs.fail("nonce", "wrong length", nil)
	}
	if h.Items == 16 {
		fs.uint256("base fee", &h.BaseFee)
	}
}

// txLeaf: a legacy transaction is a list and stands in the trie as it is; a
// typed one (EIP-2718) is wrapped in a string and stands there unwrapped.
func (frontier) txLeaf(kind rlp.Kind, item, content []byte) ([]byte, error) {
	if kind == rlp.List {
		return item, nil
	}
	// EIP-2718: types are 0x00 to 0x7f; and a one-byte string is its own
	// encoding, which is an envelope without payload.
	if len(content) < 2 || content[0] > 0x7f {
		return nil, &FormatError{Item: "transactions", What: "neither a list nor a typed envelope"}
	}
	return content, nil
}

// poc6Items is how many items a header of 2014 has, which no other format has.
const poc6Items = 13

type poc6 struct{}

func (poc6) String() string           { return "PoC-6" }
func (poc6) emptyTxRoot() common.Hash { return common.Hash{} }

func (poc6) header(fs *fields, h *Header) {
	if h.Items != poc6Items {
		fs.fail("length", "a header of 2014 has 13 items", nil)
		return
	}
	fs.fixed("parent hash", h.Parent[:])
	fs.fixed("uncles hash", h.UnclesHash[:])
	fs.fixed("coinbase", h.Coinbase[:])
	fs.root("state root", &h.StateRoot)
	fs.root("transactions root", &h.TxRoot)
	fs.uint256("difficulty", &h.Difficulty)
	h.Number = fs.uint64("number")
	fs.uint256("minimum gas price", &h.MinGasPrice)
	h.GasLimit = fs.uint64("gas limit")
	h.GasUsed = fs.uint64("gas used")
	h.Time = fs.uint64("timestamp")
	h.Extra = fs.bytes("extra data", maxExtra)
	h.Nonce = fs.bytes("nonce", 32)
	if fs.err == nil && len(h.Nonce) != 32 {
		fs.fail("nonce", "wrong length", nil)
	}
}

func (poc6) txLeaf(kind rlp.Kind, item, content []byte) ([]byte, error) {
	if kind != rlp.List {
		return nil, &FormatError{Item: "transactions", What: "an entry is not a list"}
	}
	n, err := rlp.CountValues(content)
	if err != nil || n != 3 {
		return nil, &FormatError{Item: "transactions", What: "an entry is not [transaction, state root, gas]", Err: err}
	}
	return item, nil
}
