package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/google/go-cmp/cmp"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/chain"
)

// derived returns the receipts of a block of the library with all that follows from the
// block, as go-ethereum itself derives it.
func (l *library) derived(t *testing.T, b *chain.Block) (*types.Block, types.Receipts) {
	t.Helper()
	var block types.Block
	var list types.Receipts
	if err := errors.Join(rlp.DecodeBytes(b.Raw(), &block), rlp.DecodeBytes(l.receipts[b.ReceiptRoot], &list)); err != nil {
		t.Fatal(err)
	}
	if err := list.DeriveFields(params.SepoliaChainConfig, b.Hash, b.Number, b.Time, block.BaseFee(), nil, block.Transactions()); err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		if r.Logs == nil {
			r.Logs = []*types.Log{}
		}
		for _, l := range r.Logs {
			l.BlockTimestamp = b.Time
		}
	}
	return &block, list
}

// serveLibrary serves a library of blocks of Sepolia, and returns a client.
func serveLibrary(t *testing.T, l *library, txs api.Transactions) *ethclient.Client {
	t.Helper()
	addr := serveHTTP(t, api.Config{Network: chain.Sepolia, Store: l, Transactions: txs, Node: crowd{}, Tracker: api.NewTracker()}, api.HTTPConfig{})
	c, err := ethclient.DialContext(t.Context(), "http://"+addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// same compares what go-ethereum's client has read with what it should be.
func same(t *testing.T, what string, want, got any, err error) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *big.Int) bool {
		return a == b || a != nil && b != nil && a.Cmp(b) == 0
	})); diff != "" || err != nil {
		t.Errorf("%s: %v (-want +got)\n%s", what, err, diff)
	}
}

// TestReceiptsOfTheArchive: the receipts of real blocks are what go-ethereum makes of the
// archive, and transactions are found by their hash.
func TestReceiptsOfTheArchive(t *testing.T) {
	l := sepolia(t, "sepolia-00021-b8814b14.era1")
	c := serveLibrary(t, l, l)
	ctx := t.Context()
	seen := 0
	for _, b := range l.blocks {
		if b.TxRoot == types.EmptyTxsHash {
			continue
		}
		block, want := l.derived(t, b)
		if seen += len(want); seen%7 > 0 && testing.Short() {
			continue
		}
		got, err := c.BlockReceipts(ctx, rpc.BlockNumberOrHashWithHash(b.Hash, true))
		same(t, "receipts by hash", []*types.Receipt(want), got, err)
		got, err = c.BlockReceipts(ctx, rpc.BlockNumberOrHashWithNumber(rpc.BlockNumber(b.Number)))
		same(t, "receipts by number", []*types.Receipt(want), got, err)
		i := len(want) - 1
		one, err := c.TransactionReceipt(ctx, want[i].TxHash)
		same(t, "receipt", want[i], one, err)
		tx, pending, err := c.TransactionByHash(ctx, want[i].TxHash)
		if err != nil || pending || tx.Hash() != block.Transactions()[i].Hash() {
			t.Errorf("transaction %x of block %d: %v", want[i].TxHash, b.Number, err)
		}
		var raw []hexutil.Bytes
		if err := c.Client().Call(&raw, "debug_getRawReceipts", hexutil.Uint64(b.Number)); err != nil || len(raw) != len(want) {
			t.Fatalf("%d raw receipts of block %d: %v", len(raw), b.Number, err)
		}
		for i, r := range want {
			if enc, err := r.MarshalBinary(); err != nil || !bytes.Equal(enc, raw[i]) {
				t.Errorf("raw receipt %d of block %d is %x, want %x, %v", i, b.Number, []byte(raw[i]), enc, err)
			}
		}
	}
	if seen == 0 {
		t.Error("there were no receipts")
	}
	got, err := c.BlockReceipts(ctx, rpc.BlockNumberOrHashWithNumber(rpc.BlockNumber(l.blocks[0].Number)))
	if l.blocks[0].TxRoot == types.EmptyTxsHash && (err != nil || got == nil || len(got) != 0) {
		t.Errorf("the receipts of a block without transactions: %v, %v", got, err)
	}
	if _, err := c.TransactionReceipt(ctx, common.Hash{1}); !errors.Is(err, ethereum.NotFound) {
		t.Errorf("the receipt of no transaction: %v", err)
	}
	if _, err := c.BlockReceipts(ctx, rpc.BlockNumberOrHashWithHash(common.Hash{1}, false)); !errors.Is(err, ethereum.NotFound) {
		t.Errorf("the receipts of no block: %v", err)
	}
}

// TestReceiptsThatAreMissing: what is not here is an error with a code, and so is a hash
// where no index is kept or is not complete yet.
func TestReceiptsThatAreMissing(t *testing.T) {
	l := sepolia(t, "sepolia-00021-b8814b14.era1")
	l.receipts = nil
	var with *chain.Block
	for _, b := range l.blocks {
		if b.TxRoot != types.EmptyTxsHash {
			with = b
		}
	}
	want := func(err error, code int, text string) {
		t.Helper()
		if e, ok := errors.AsType[rpc.Error](err); !ok || e.ErrorCode() != code || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %d %s", err, code, text)
		}
	}
	c := serveLibrary(t, l, nil)
	_, err := c.BlockReceipts(t.Context(), rpc.BlockNumberOrHashWithHash(with.Hash, false))
	want(err, 4444, "--receipts")
	_, err = c.FilterLogs(t.Context(), ethereum.FilterQuery{BlockHash: &with.Hash})
	want(err, 4444, "--receipts")
	want(c.Client().Call(new([]hexutil.Bytes), "debug_getRawReceipts", with.Hash), 4444, "--receipts")
	want(c.Client().Call(new([]hexutil.Bytes), "debug_getRawReceipts", common.Hash{1}), -32001, "not found")
	_, err = c.TransactionReceipt(t.Context(), common.Hash{1})
	want(err, -32004, "--tx-index")
	_, _, err = serveLibrary(t, l, behind{l}).TransactionByHash(t.Context(), common.Hash{1})
	want(err, -32000, "being indexed")
}

// behind is an index that is not complete.
type behind struct{ api.Transactions }

func (behind) Reached() uint64 { return 7 }

// receiptKinds makes a block with a transaction of each kind, and receipts of each form.
func receiptKinds(t *testing.T) *library {
	t.Helper()
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	to, id := common.Address{7}, new(big.Int).SetUint64(chain.Sepolia.ChainID())
	signer := types.LatestSignerForChainID(id)
	txs := types.Transactions{
		types.MustSignNewTx(key, types.HomesteadSigner{}, &types.LegacyTx{Nonce: 1, GasPrice: big.NewInt(10), Gas: 21000, To: &to}),
		types.MustSignNewTx(key, signer, &types.LegacyTx{Nonce: 2, GasPrice: big.NewInt(11), Gas: 90000, Data: []byte{1, 2, 3}}), // makes a contract
		types.MustSignNewTx(key, signer, &types.AccessListTx{ChainID: id, Nonce: 3, GasPrice: big.NewInt(12), Gas: 50000, To: &to}),
		types.MustSignNewTx(key, signer, &types.DynamicFeeTx{ChainID: id, Nonce: 4, GasTipCap: big.NewInt(2), GasFeeCap: big.NewInt(100), Gas: 50000, To: &to}),
		types.MustSignNewTx(key, signer, &types.DynamicFeeTx{ChainID: id, Nonce: 5, GasTipCap: big.NewInt(90), GasFeeCap: big.NewInt(50), Gas: 50000}),
	}
	log := func(n byte, topics ...common.Hash) *types.Log {
		return &types.Log{Address: common.Address{n}, Topics: topics, Data: bytes.Repeat([]byte{n}, int(n))}
	}
	receipts := types.Receipts{
		{Type: 0, PostState: bytes.Repeat([]byte{9}, 32), CumulativeGasUsed: 21000, Logs: []*types.Log{log(1), log(2, common.Hash{1})}},
		{Type: 0, Status: 1, CumulativeGasUsed: 100000},
		{Type: 1, Status: 0, CumulativeGasUsed: 150000},
		{Type: 2, Status: 1, CumulativeGasUsed: 180000, Logs: []*types.Log{log(1, common.Hash{1}, common.Hash{2}), log(3, common.Hash{1}, common.Hash{3}, common.Hash{4}, common.Hash{5})}},
		{Type: 2, Status: 1, CumulativeGasUsed: 181000, Logs: []*types.Log{log(0, common.Hash{2})}},
	}
	for _, r := range receipts {
		r.Bloom = types.CreateBloom(r)
	}
	return bindBlock(t, 1_500_000, txs, receipts)
}

// bindBlock makes a library of one block.
func bindBlock(t *testing.T, number uint64, txs types.Transactions, receipts types.Receipts) *library {
	t.Helper()
	list, err := rlp.EncodeToBytes(receipts)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := rlp.EncodeToBytes(types.NewBlock(&types.Header{Number: new(big.Int).SetUint64(number), Difficulty: big.NewInt(1), BaseFee: big.NewInt(7), Time: 77},
		&types.Body{Transactions: txs}, receipts, trie.NewStackTrie(nil)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := chain.Sepolia.ParseBlock(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &library{blocks: []*chain.Block{b}, at: map[common.Hash]int{b.Hash: 0}, receipts: map[common.Hash][]byte{b.ReceiptRoot: list}}
}

// TestReceiptKinds: receipts of all forms that there were under proof of work.
func TestReceiptKinds(t *testing.T) {
	l := receiptKinds(t)
	c := serveLibrary(t, l, l)
	_, want := l.derived(t, l.blocks[0])
	got, err := c.BlockReceipts(t.Context(), rpc.BlockNumberOrHashWithNumber(rpc.LatestBlockNumber))
	same(t, "receipts", []*types.Receipt(want), got, err)
	var shapes []map[string]json.RawMessage
	if err := c.Client().Call(&shapes, "eth_getBlockReceipts", "latest"); err != nil {
		t.Fatal(err)
	}
	for i, shape := range shapes {
		for key, there := range map[string]bool{"root": i == 0, "status": i > 0} {
			if _, ok := shape[key]; ok != there {
				t.Errorf("receipt %d has %s: %v", i, key, ok)
			}
		}
		if made := string(shape["contractAddress"]) != "null"; made != (i == 1 || i == 4) {
			t.Errorf("receipt %d: contractAddress %s", i, shape["contractAddress"])
		}
	}
	if s := string(shapes[3]["effectiveGasPrice"]); s != `"0x9"` {
		t.Errorf("effectiveGasPrice %s", s)
	}
}
