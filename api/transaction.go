package api

import (
	"context"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"
)

// Transactions finds transactions by their hash; a *txindex.Index does. All methods are
// safe for concurrent use.
type Transactions interface {
	// Find returns the canonical block that a transaction is in, and its place there.
	Find(tx common.Hash) (block common.Hash, at int, ok bool, err error)
	// Reached returns the number of the last block whose transactions are found.
	Reached() uint64
}

// errNoTxIndex has the code of methods that are not supported (EIP-1474).
var errNoTxIndex = &codedError{-32004, "this node does not find transactions by their hash: start it with --tx-index"}

// findTx returns the canonical block that a transaction is in, nil if there is none, and
// its place there.
func (s *Server) findTx(tx common.Hash) (*types.Block, int, error) {
	if s.cfg.Transactions == nil {
		return nil, 0, errNoTxIndex
	}
	reached, head := s.cfg.Transactions.Reached(), s.cfg.Store.Head().Number
	h, i, ok, err := s.cfg.Transactions.Find(tx)
	switch {
	case err != nil:
		return nil, 0, err
	case !ok && reached < head:
		return nil, 0, &codedError{-32000, fmt.Sprintf("transactions are being indexed, up to block %d of %d by now: ask again later", reached, head)}
	case !ok:
		return nil, 0, nil
	}
	b, _, err := s.block(h)
	return b, i, err
}

// GetTransactionByHash is eth_getTransactionByHash.
func (a ethAPI) GetTransactionByHash(_ context.Context, tx common.Hash) (any, error) {
	b, i, err := a.s.findTx(tx)
	if err != nil || b == nil {
		return null, err
	}
	return shapeTx(b, i, a.signer)
}

// GetTransactionByBlockNumberAndIndex is eth_getTransactionByBlockNumberAndIndex.
func (a ethAPI) GetTransactionByBlockNumberAndIndex(_ context.Context, n rpc.BlockNumber, i hexutil.Uint) (any, error) {
	b, _, err := a.s.find(n)
	return a.transaction(b, i, err)
}

// GetTransactionByBlockHashAndIndex is eth_getTransactionByBlockHashAndIndex.
func (a ethAPI) GetTransactionByBlockHashAndIndex(_ context.Context, h common.Hash, i hexutil.Uint) (any, error) {
	b, _, err := a.s.block(h)
	return a.transaction(b, i, err)
}

func (a ethAPI) transaction(b *types.Block, i hexutil.Uint, err error) (any, error) {
	if err != nil || b == nil || uint64(i) >= uint64(len(b.Transactions())) {
		return null, err
	}
	return shapeTx(b, int(i), a.signer)
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
		Gas: hexutil.Uint64(tx.Gas()), GasPrice: (*hexutil.Big)(pricePaid(tx, b.BaseFee())), Value: (*hexutil.Big)(tx.Value()), Input: tx.Data(),
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
	}
	return out, nil
}

// pricePaid returns what a transaction in a block has paid for a unit of gas (EIP-1559).
// The base fee is nil in a block of before, which may hold a transaction that does not
// belong there: nobody has executed it.
func pricePaid(tx *types.Transaction, baseFee *big.Int) *big.Int {
	if tx.Type() != types.DynamicFeeTxType || baseFee == nil {
		return tx.GasPrice()
	}
	price := new(big.Int).Add(tx.GasTipCap(), baseFee)
	if price.Cmp(tx.GasFeeCap()) > 0 {
		return tx.GasFeeCap()
	}
	return price
}

// SendRawTransaction is eth_sendRawTransaction: a transaction that is well-formed and signed
// for this network is passed on to the peers, and told to who asks for it, until a block has
// it or its time is over. That says nothing of whether it can be executed: there is no state
// here to tell by.
func (a ethAPI) SendRawTransaction(raw hexutil.Bytes) (common.Hash, error) {
	return a.s.cfg.Node.SendTransaction(raw)
}
