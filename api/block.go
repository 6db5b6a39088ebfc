package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
)

// headerJSON is a header as the execution-apis specification shapes it (schema
// Block, without what belongs to later forks), and the total difficulty, which that
// had as long as there was one.
type headerJSON struct {
	Number          hexutil.Uint64   `json:"number"`
	Hash            common.Hash      `json:"hash"`
	ParentHash      common.Hash      `json:"parentHash"`
	Nonce           types.BlockNonce `json:"nonce"`
	MixHash         common.Hash      `json:"mixHash"`
	UnclesHash      common.Hash      `json:"sha3Uncles"`
	LogsBloom       types.Bloom      `json:"logsBloom"`
	TxRoot          common.Hash      `json:"transactionsRoot"`
	StateRoot       common.Hash      `json:"stateRoot"`
	ReceiptsRoot    common.Hash      `json:"receiptsRoot"`
	Miner           common.Address   `json:"miner"`
	Difficulty      *hexutil.Big     `json:"difficulty"`
	TotalDifficulty *hexutil.Big     `json:"totalDifficulty,omitempty"` // not of uncles
	Extra           hexutil.Bytes    `json:"extraData"`
	GasLimit        hexutil.Uint64   `json:"gasLimit"`
	GasUsed         hexutil.Uint64   `json:"gasUsed"`
	Time            hexutil.Uint64   `json:"timestamp"`
	BaseFee         *hexutil.Big     `json:"baseFeePerGas,omitempty"`
}

// blockJSON is a block. Transactions holds hashes or txJSON.
type blockJSON struct {
	headerJSON
	Size         hexutil.Uint64 `json:"size"`
	Transactions []any          `json:"transactions"`
	Uncles       []common.Hash  `json:"uncles"`
}

// txJSON is a transaction in a block (schema TransactionInfo).
type txJSON struct {
	BlockHash   common.Hash       `json:"blockHash"`
	BlockNumber hexutil.Uint64    `json:"blockNumber"`
	BlockTime   hexutil.Uint64    `json:"blockTimestamp"`
	Index       hexutil.Uint64    `json:"transactionIndex"`
	Hash        common.Hash       `json:"hash"`
	Type        hexutil.Uint64    `json:"type"`
	From        common.Address    `json:"from"`
	To          *common.Address   `json:"to"` // null: it makes a contract
	Nonce       hexutil.Uint64    `json:"nonce"`
	Gas         hexutil.Uint64    `json:"gas"`
	GasPrice    *hexutil.Big      `json:"gasPrice"`
	FeeCap      *hexutil.Big      `json:"maxFeePerGas,omitempty"`
	TipCap      *hexutil.Big      `json:"maxPriorityFeePerGas,omitempty"`
	Value       *hexutil.Big      `json:"value"`
	Input       hexutil.Bytes     `json:"input"`
	AccessList  *types.AccessList `json:"accessList,omitempty"`
	ChainID     *hexutil.Big      `json:"chainId,omitempty"`
	V           *hexutil.Big      `json:"v"`
	R           *hexutil.Big      `json:"r"`
	S           *hexutil.Big      `json:"s"`
	YParity     *hexutil.Uint64   `json:"yParity,omitempty"`
}

// errOldFormat: the interface has no shape for the blocks of 2014, whose headers lack
// half of the fields and whose nonces are four times as long.
var errOldFormat = errors.New("a block in the format of 2014 has no shape in this interface: debug_getRawBlock has its bytes")

// decode returns a stored block as go-ethereum's types have it.
func decode(raw []byte) (*types.Block, error) {
	var b types.Block
	if err := rlp.DecodeBytes(raw, &b); err != nil {
		return nil, fmt.Errorf("api: a stored block: %w", err)
	}
	return &b, nil
}

func shapeHeader(h *types.Header, hash common.Hash, td *big.Int) headerJSON {
	return headerJSON{
		Number: hexutil.Uint64(h.Number.Uint64()), Hash: hash, ParentHash: h.ParentHash, Nonce: h.Nonce, MixHash: h.MixDigest,
		UnclesHash: h.UncleHash, LogsBloom: h.Bloom, TxRoot: h.TxHash, StateRoot: h.Root, ReceiptsRoot: h.ReceiptHash,
		Miner: h.Coinbase, Difficulty: (*hexutil.Big)(h.Difficulty), TotalDifficulty: (*hexutil.Big)(td), Extra: h.Extra,
		GasLimit: hexutil.Uint64(h.GasLimit), GasUsed: hexutil.Uint64(h.GasUsed), Time: hexutil.Uint64(h.Time),
		BaseFee: (*hexutil.Big)(h.BaseFee),
	}
}

// shapeBlock shapes a block with the hashes of its transactions, or all of them.
func shapeBlock(b *types.Block, td *big.Int, signer types.Signer, full bool) (*blockJSON, error) {
	out := &blockJSON{
		headerJSON: shapeHeader(b.Header(), b.Hash(), td), Size: hexutil.Uint64(b.Size()),
		Transactions: []any{}, Uncles: []common.Hash{},
	}
	for i, tx := range b.Transactions() {
		if !full {
			out.Transactions = append(out.Transactions, tx.Hash())
			continue
		}
		shaped, err := shapeTx(b, i, signer)
		if err != nil {
			return nil, err
		}
		out.Transactions = append(out.Transactions, shaped)
	}
	for _, u := range b.Uncles() {
		out.Uncles = append(out.Uncles, u.Hash())
	}
	return out, nil
}

// shapeUncle shapes an uncle as a block without a body.
func shapeUncle(h *types.Header) *blockJSON {
	return &blockJSON{
		headerJSON: shapeHeader(h, h.Hash(), nil), Size: hexutil.Uint64(types.NewBlockWithHeader(h).Size()),
		Transactions: []any{}, Uncles: []common.Hash{},
	}
}

// shapeTx shapes a transaction of a block, with who has signed it.
func shapeTx(b *types.Block, i int, signer types.Signer) (*txJSON, error) {
	tx := b.Transactions()[i]
	from, err := types.Sender(signer, tx)
	if err != nil {
		return nil, fmt.Errorf("api: transaction %d of block %d: %w", i, b.NumberU64(), err)
	}
	v, r, s := tx.RawSignatureValues()
	out := &txJSON{
		BlockHash: b.Hash(), BlockNumber: hexutil.Uint64(b.NumberU64()), BlockTime: hexutil.Uint64(b.Time()), Index: hexutil.Uint64(i),
		Hash: tx.Hash(), Type: hexutil.Uint64(tx.Type()), From: from, To: tx.To(), Nonce: hexutil.Uint64(tx.Nonce()),
		Gas: hexutil.Uint64(tx.Gas()), GasPrice: (*hexutil.Big)(tx.GasPrice()), Value: (*hexutil.Big)(tx.Value()), Input: tx.Data(),
		V: (*hexutil.Big)(v), R: (*hexutil.Big)(r), S: (*hexutil.Big)(s),
	}
	if id := tx.ChainId(); id.Sign() > 0 {
		out.ChainID = (*hexutil.Big)(id)
	}
	if tx.Type() != types.LegacyTxType {
		list, parity := tx.AccessList(), hexutil.Uint64(v.Uint64())
		out.AccessList, out.YParity = &list, &parity
	}
	if tx.Type() == types.DynamicFeeTxType {
		out.FeeCap, out.TipCap = (*hexutil.Big)(tx.GasFeeCap()), (*hexutil.Big)(tx.GasTipCap())
		// In a block, the price is what was paid.
		price := new(big.Int).Add(tx.GasTipCap(), b.BaseFee())
		if price.Cmp(tx.GasFeeCap()) > 0 {
			price = tx.GasFeeCap()
		}
		out.GasPrice = (*hexutil.Big)(price)
	}
	return out, nil
}

// null is the answer for what is not there.
var null = json.RawMessage("null")
