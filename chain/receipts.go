package chain

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
)

// maxTopics is how many topics a log has at most: there is an instruction for each
// number of them, LOG0 to LOG4 (Yellow Paper, appendix H).
const maxTopics = 4

// HasReceipts reports whether there are receipts to ask for: not if the header's format
// has no receipts root, and not if the root is that of no receipts.
func (h *Header) HasReceipts() bool {
	return h.Items != poc6Items && h.ReceiptRoot != types.EmptyReceiptsHash
}

// CheckReceipts checks that raw is the list of the block's receipts, as [ReceiptsRoot]
// describes it. That of a block without receipts is c0, in either format.
// Errors are *[RuleError] of [RuleReceiptsRoot], or *[FormatError].
func (h *Header) CheckReceipts(raw []byte) error {
	root, err := ReceiptsRoot(raw)
	if err != nil {
		return err
	}
	have := h.ReceiptRoot
	if !h.HasReceipts() {
		have = types.EmptyReceiptsHash
	}
	if root != have {
		return &RuleError{Rule: RuleReceiptsRoot, Number: h.Number, Hash: h.Hash, Have: have.Hex(), Want: root.Hex()}
	}
	return nil
}

// ReceiptsRoot returns the root of the trie over the receipts in raw, which must be
// exactly one list of receipts as blocks from Frontier to Gray Glacier have them:
//
//	[receipt, …]
//	receipt  [state root or status, cumulative gas, bloom, [log, …]]
//	         or, in a string, type 01 or 02 and that list (EIP-2718, EIP-2930, EIP-1559)
//	status   80 or 01 (EIP-658); before Byzantium the state root of 32 bytes
//	log      [address, [topic, …], data]
//
// It is the list that era1 files and the eth protocol have. Exactly one raw belongs to
// a root: whatever could be written in two ways is refused in all but one. What a
// receipt says is not checked. Errors are *[FormatError].
func ReceiptsRoot(raw []byte) (common.Hash, error) {
	list := leaves.Get().(*[][]byte)
	defer leaves.Put(list)
	defer func() { clear(*list) }()
	*list = (*list)[:0]
	content, rest, err := rlp.SplitList(raw)
	switch {
	case err != nil:
		return common.Hash{}, &FormatError{Item: "receipts", What: "not a canonical RLP list", Err: err}
	case len(rest) > 0:
		return common.Hash{}, &FormatError{Item: "receipts", What: "bytes after their end"}
	}
	for len(content) > 0 {
		leaf, rest, err := cutReceipt(content)
		if err != nil {
			return common.Hash{}, &FormatError{Item: fmt.Sprintf("receipt %d", len(*list)), What: "not well-formed", Err: err}
		}
		*list = append(*list, leaf)
		content = rest
	}
	return ListRoot(*list), nil
}

// cutReceipt splits the first receipt off b. It returns it as it stands in the trie: a
// typed one without the string around it.
func cutReceipt(b []byte) (leaf, rest []byte, err error) {
	kind, content, rest, err := rlp.Split(b)
	if err != nil {
		return nil, nil, err
	}
	if kind == rlp.List {
		return b[:len(b)-len(rest)], rest, checkReceipt(content, false)
	}
	if len(content) < 2 || content[0] != types.AccessListTxType && content[0] != types.DynamicFeeTxType {
		return nil, nil, fmt.Errorf("neither a list nor an envelope of type %d or %d", types.AccessListTxType, types.DynamicFeeTxType)
	}
	fs, end, err := rlp.SplitList(content[1:])
	if err == nil && len(end) > 0 {
		err = errors.New("bytes after the list in an envelope")
	}
	if err == nil {
		err = checkReceipt(fs, true)
	}
	return content, rest, err
}

// checkReceipt checks the fields of a receipt.
func checkReceipt(b []byte, typed bool) error {
	fs := fields{of: "receipt", rest: b}
	outcome := fs.bytes("status", common.HashLength)
	before := len(outcome) == common.HashLength && !typed // types came after Byzantium
	if !before && len(outcome) != 0 && string(outcome) != "\x01" {
		fs.fail("status", "neither 0 nor 1 nor, before Byzantium, a state root", nil)
	}
	fs.uint64("cumulative gas")
	var bloom [types.BloomByteLength]byte
	fs.fixed("bloom", bloom[:])
	logs := fields{of: "receipt", rest: fs.list("logs")}
	if err := fs.end(); err != nil {
		return err
	}
	for len(logs.rest) > 0 && logs.err == nil {
		log := fields{of: "log", rest: logs.list("log")}
		if logs.err == nil {
			logs.err = log.log()
		}
	}
	return logs.err
}

// log reads all fields of a log.
func (f *fields) log() error {
	var address common.Address
	f.fixed("address", address[:])
	topics := fields{of: "log", rest: f.list("topics")}
	f.bytes("data", len(f.rest))
	if err := f.end(); err != nil {
		return err
	}
	for range maxTopics {
		if len(topics.rest) == 0 {
			break
		}
		var topic common.Hash
		topics.fixed("topic", topic[:])
	}
	return topics.end()
}
