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

// null is the answer for what is not there.
var null = json.RawMessage("null")
