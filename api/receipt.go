package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/shoalnet/shoal/store"
)

// receiptJSON is a receipt in a block (schema ReceiptInfo).
type receiptJSON struct {
	Type              hexutil.Uint64  `json:"type"`
	TxHash            common.Hash     `json:"transactionHash"`
	TxIndex           hexutil.Uint64  `json:"transactionIndex"`
	BlockHash         common.Hash     `json:"blockHash"`
	BlockNumber       hexutil.Uint64  `json:"blockNumber"`
	From              common.Address  `json:"from"`
	To                *common.Address `json:"to"` // null: it makes a contract
	CumulativeGasUsed hexutil.Uint64  `json:"cumulativeGasUsed"`
	GasUsed           hexutil.Uint64  `json:"gasUsed"`
	ContractAddress   *common.Address `json:"contractAddress"`
	Logs              []*logJSON      `json:"logs"`
	LogsBloom         types.Bloom     `json:"logsBloom"`
	Root              *hexutil.Bytes  `json:"root,omitempty"`   // before Byzantium
	Status            *hexutil.Uint64 `json:"status,omitempty"` // since Byzantium
	EffectiveGasPrice *hexutil.Big    `json:"effectiveGasPrice"`
}

// logJSON is a log in a block (schema Log). Removed is for subscriptions, which there
// are none of.
type logJSON struct {
	Removed     bool           `json:"removed"`
	LogIndex    hexutil.Uint64 `json:"logIndex"`
	TxIndex     hexutil.Uint64 `json:"transactionIndex"`
	TxHash      common.Hash    `json:"transactionHash"`
	BlockHash   common.Hash    `json:"blockHash"`
	BlockNumber hexutil.Uint64 `json:"blockNumber"`
	BlockTime   hexutil.Uint64 `json:"blockTimestamp"`
	Address     common.Address `json:"address"`
	Data        hexutil.Bytes  `json:"data"`
	Topics      []common.Hash  `json:"topics"`
}

// errNoReceipts: 4444 is what the execution-apis specification says of history that is
// not here.
var errNoReceipts = &codedError{4444, "the receipts of this block are not here: sync with --receipts, or import an era1 archive that has them"}

// receiptBytes returns the list of receipts of a block in RLP, as it is stored.
func (s *Server) receiptBytes(root common.Hash) ([]byte, error) {
	if root == types.EmptyReceiptsHash {
		return []byte{0xc0}, nil
	}
	raw, err := s.cfg.Store.AppendContent(nil, store.Receipts, root)
	if errors.Is(err, store.ErrNotFound) {
		return nil, errNoReceipts
	}
	if err != nil {
		return nil, fmt.Errorf("api: receipts: %w", err)
	}
	return raw, nil
}

// receipts returns the receipts of a block, one for each transaction.
func (s *Server) receipts(b *types.Block) (list []*types.Receipt, err error) {
	raw, err := s.receiptBytes(b.ReceiptHash())
	if err != nil {
		return nil, err
	}
	if err := rlp.DecodeBytes(raw, &list); err != nil {
		return nil, fmt.Errorf("api: stored receipts of block %d: %w", b.NumberU64(), err)
	}
	if len(list) != len(b.Transactions()) {
		return nil, fmt.Errorf("api: block %d has %d transactions and %d receipts", b.NumberU64(), len(b.Transactions()), len(list))
	}
	return list, nil
}

// shapeReceipt shapes the receipt of a transaction of a block.
func shapeReceipt(b *types.Block, list []*types.Receipt, i int, signer types.Signer) (*receiptJSON, error) {
	tx, r := b.Transactions()[i], list[i]
	from, err := types.Sender(signer, tx)
	if err != nil {
		return nil, fmt.Errorf("api: transaction %d of block %d: %w", i, b.NumberU64(), err)
	}
	out := &receiptJSON{
		Type: hexutil.Uint64(r.Type), TxHash: tx.Hash(), TxIndex: hexutil.Uint64(i), BlockHash: b.Hash(), BlockNumber: hexutil.Uint64(b.NumberU64()),
		From: from, To: tx.To(), CumulativeGasUsed: hexutil.Uint64(r.CumulativeGasUsed), GasUsed: hexutil.Uint64(r.CumulativeGasUsed),
		Logs: []*logJSON{}, LogsBloom: r.Bloom, EffectiveGasPrice: (*hexutil.Big)(pricePaid(tx, b.BaseFee())),
	}
	firstLog := 0
	for _, before := range list[:i] {
		firstLog += len(before.Logs)
	}
	if i > 0 {
		out.GasUsed -= hexutil.Uint64(list[i-1].CumulativeGasUsed)
	}
	if tx.To() == nil {
		made := crypto.CreateAddress(from, tx.Nonce())
		out.ContractAddress = &made
	}
	if len(r.PostState) > 0 {
		out.Root = (*hexutil.Bytes)(&r.PostState)
	} else {
		out.Status = (*hexutil.Uint64)(&r.Status)
	}
	for k, l := range r.Logs {
		out.Logs = append(out.Logs, shapeLog(b, i, firstLog+k, l))
	}
	return out, nil
}

// shapeLog shapes a log of transaction i, which is the nth of its block.
func shapeLog(b *types.Block, i, nth int, l *types.Log) *logJSON {
	topics := l.Topics
	if topics == nil {
		topics = []common.Hash{}
	}
	return &logJSON{
		LogIndex: hexutil.Uint64(nth), TxIndex: hexutil.Uint64(i), TxHash: b.Transactions()[i].Hash(), BlockHash: b.Hash(),
		BlockNumber: hexutil.Uint64(b.NumberU64()), BlockTime: hexutil.Uint64(b.Time()), Address: l.Address, Data: l.Data, Topics: topics,
	}
}

// GetBlockReceipts is eth_getBlockReceipts.
func (a ethAPI) GetBlockReceipts(_ context.Context, which rpc.BlockNumberOrHash) (any, error) {
	h, known, err := a.s.named(which)
	if err != nil || !known {
		return null, err
	}
	b, _, err := a.s.block(h)
	if err != nil || b == nil {
		return null, err
	}
	list, err := a.s.receipts(b)
	if err != nil {
		return nil, err
	}
	out := make([]*receiptJSON, len(list))
	for i := range list {
		if out[i], err = shapeReceipt(b, list, i, a.signer); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// GetTransactionReceipt is eth_getTransactionReceipt.
func (a ethAPI) GetTransactionReceipt(_ context.Context, tx common.Hash) (any, error) {
	b, i, err := a.s.findTx(tx)
	if err != nil || b == nil {
		return null, err
	}
	list, err := a.s.receipts(b)
	if err != nil {
		return nil, err
	}
	return shapeReceipt(b, list, i, a.signer)
}
