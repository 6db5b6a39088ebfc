package main

import (
	"bytes"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
)

// signedBlock is a block whose transactions are signed, and its receipts with all that
// follows from the block, as go-ethereum derives it.
type signedBlock struct {
	block    *types.Block
	receipts types.Receipts
}

// signedArchive writes an era1 archive of the network dev whose blocks have transactions
// of all types that there were under proof of work, and receipts of all forms, with logs.
func signedArchive(t *testing.T) (file string, blocks []signedBlock) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := crypto.HexToECDSA(strings.Repeat("07", 32))
	check(err)
	id := new(big.Int).SetUint64(chain.Dev.ChainID())
	signer := types.LatestSignerForChainID(id)
	config := *params.AllEthashProtocolChanges
	config.ChainID = id
	w, err := archive.CreateEra1(t.TempDir(), "dev")
	check(err)
	genesis, err := chain.Dev.GenesisBlock()
	check(err)
	td := genesis.Difficulty
	check(w.Append(genesis, []byte{0xc0}, &td))
	parent, nonce := genesis.Hash, uint64(0)
	for b := range chaingen.Generate(chaingen.Config{Seed: 1, Blocks: 40}) {
		var plain types.Block
		check(rlp.DecodeBytes(b.Raw(), &plain))
		to, list := common.Address{byte(b.Number)}, types.AccessList{{Address: common.Address{5}, StorageKeys: []common.Hash{{6}}}}
		var txs types.Transactions
		var receipts types.Receipts
		for i := range b.Number % 6 {
			nonce++
			var tx *types.Transaction
			switch i {
			case 0:
				tx = types.MustSignNewTx(key, types.HomesteadSigner{}, &types.LegacyTx{Nonce: nonce, GasPrice: big.NewInt(10), Gas: 21000, To: &to, Value: big.NewInt(5)})
			case 1:
				tx = types.MustSignNewTx(key, signer, &types.LegacyTx{Nonce: nonce, GasPrice: big.NewInt(11), Gas: 90000, Data: []byte{1, 2, 3}})
			case 2:
				tx = types.MustSignNewTx(key, signer, &types.AccessListTx{ChainID: id, Nonce: nonce, GasPrice: big.NewInt(12), Gas: 50000, To: &to, AccessList: list})
			default:
				tx = types.MustSignNewTx(key, signer, &types.DynamicFeeTx{ChainID: id, Nonce: nonce, GasTipCap: big.NewInt(2), GasFeeCap: big.NewInt(100), Gas: 50000, To: &to, AccessList: list})
			}
			txs = append(txs, tx)
			r := &types.Receipt{Type: tx.Type(), Status: i % 2, CumulativeGasUsed: 21000 * (i + 1), Logs: []*types.Log{}}
			if i == 0 {
				r.PostState = bytes.Repeat([]byte{byte(b.Number)}, 32)
			}
			for k := range b.Number % 3 {
				r.Logs = append(r.Logs, &types.Log{Address: common.Address{byte(k)}, Topics: []common.Hash{{byte(i)}, {byte(k)}}[:k+1], Data: []byte{byte(nonce)}})
			}
			r.Bloom = types.CreateBloom(r)
			receipts = append(receipts, r)
		}
		h := plain.Header()
		h.ParentHash = parent
		h.GasUsed = 21000 * uint64(len(txs))
		block := types.NewBlock(h, &types.Body{Transactions: txs}, receipts, trie.NewStackTrie(nil))
		raw, err := rlp.EncodeToBytes(block)
		check(err)
		enc, err := rlp.EncodeToBytes(receipts)
		check(err)
		made, err := chain.Dev.ParseBlock(raw)
		check(err)
		td, err = chain.Dev.TotalDifficulty(&td, made)
		check(err)
		check(w.Append(made, enc, &td))
		parent = made.Hash
		check(receipts.DeriveFields(&config, made.Hash, made.Number, made.Time, nil, nil, txs))
		for _, r := range receipts {
			for _, l := range r.Logs {
				l.BlockTimestamp = made.Time
			}
		}
		blocks = append(blocks, signedBlock{block, receipts})
	}
	f, err := w.Commit()
	check(err)
	return f.Path, blocks
}

// serveSigned runs a node on the archive of signedArchive, and returns when it finds all
// transactions.
func serveSigned(t *testing.T) (*process, []signedBlock) {
	t.Helper()
	file, blocks := signedArchive(t)
	dir := t.TempDir()
	shoal(t, "import", "--network", "dev", "--datadir", dir, file)
	p, _ := startNode(t, "--datadir", dir, "--listen", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--tx-index")
	awaitIndex(t, dialNode(t, p))
	return p, blocks
}

// awaitIndex waits until a node finds all transactions.
func awaitIndex(t *testing.T, c *ethclient.Client) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if _, _, err := c.TransactionByHash(t.Context(), common.Hash{1}); errors.Is(err, ethereum.NotFound) {
			return
		} else if time.Since(began) > patience {
			t.Fatal(err)
		}
	}
}
