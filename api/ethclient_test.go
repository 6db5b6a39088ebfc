package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/google/go-cmp/cmp"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/store"
)

// library stands for a store that holds a run of real blocks.
type library struct {
	shelf
	mu       sync.Mutex
	blocks   []*chain.Block
	receipts map[common.Hash][]byte // by their root
	at       map[common.Hash]int
	head     int
}

// td is what a block of the library is said to have.
func td(b *chain.Block) uint256.Int { return *uint256.NewInt(1000 * b.Number) }

func (l *library) Head() store.Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.blocks[l.head]
	return store.Head{Number: b.Number, Hash: b.Hash, TD: td(b)}
}

func (l *library) Canonical(n uint64) (common.Hash, error) {
	i := n - l.blocks[0].Number
	if i >= uint64(len(l.blocks)) {
		return common.Hash{}, store.ErrNotFound
	}
	return l.blocks[i].Hash, nil
}

func (l *library) Linked(h common.Hash) (store.Link, bool, error) {
	i, ok := l.at[h]
	if !ok {
		return store.Link{}, false, nil
	}
	return store.Link{Hash: h, Number: l.blocks[i].Number, TD: td(l.blocks[i])}, true, nil
}

func (l *library) AppendRaw(dst []byte, h common.Hash) ([]byte, error) {
	i, ok := l.at[h]
	if !ok {
		return dst, store.ErrNotFound
	}
	return append(dst, l.blocks[i].Raw()...), nil
}

func (l *library) AppendAncestors(dst []common.Hash, h common.Hash, max int) ([]common.Hash, error) {
	i, ok := l.at[h]
	if !ok {
		return dst, store.ErrNotFound
	}
	for n := 1; n <= max && n <= i; n++ {
		dst = append(dst, l.blocks[i-n].Hash)
	}
	return dst, nil
}

func (l *library) CanonicalHashes(from, to uint64) iter.Seq2[common.Hash, error] {
	return func(yield func(common.Hash, error) bool) {
		for n := from; n <= to; n++ {
			h, err := l.Canonical(n)
			if err != nil || !yield(h, nil) {
				return
			}
		}
	}
}

func (l *library) AppendContent(dst []byte, k store.Kind, h common.Hash) ([]byte, error) {
	raw, ok := l.receipts[h]
	if k != store.Receipts || !ok {
		return dst, store.ErrNotFound
	}
	return append(dst, raw...), nil
}

// Find implements api.Transactions, without an index.
func (l *library) Find(tx common.Hash) (block common.Hash, at int, ok bool, err error) {
	for _, b := range l.blocks[:l.head+1] {
		i := 0
		for leaf, err := range b.Transactions() {
			if err != nil {
				return block, 0, false, err
			}
			if chain.Keccak256(leaf) == tx {
				return b.Hash, i, true, nil
			}
			i++
		}
	}
	return block, 0, false, nil
}

func (l *library) Reached() uint64 { return l.Head().Number }

// sepolia reads an archive of Sepolia that comes with the source of go-ethereum.
func sepolia(t *testing.T, name string) *library {
	t.Helper()
	r, err := archive.Open(testbed.Era1(t, name), chain.Sepolia, archive.Options{Receipts: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l := &library{at: map[common.Hash]int{}, receipts: map[common.Hash][]byte{}}
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		l.at[b.Hash] = len(l.blocks)
		l.blocks = append(l.blocks, b.Block)
		l.receipts[b.ReceiptRoot] = b.Receipts
	}
	l.head = len(l.blocks) - 1
	return l
}

// serveHTTP runs a server over HTTP that ends with the test, and returns its address.
func serveHTTP(t *testing.T, cfg api.Config, who api.HTTPConfig) string {
	t.Helper()
	s, err := api.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.ServeHTTP(t.Context(), l, who); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(wg.Wait) // the context of a test ends before its cleanups
	return l.Addr().String()
}

// TestEthclient: go-ethereum's own client gets out of the interface what is in the
// archive, to the byte.
func TestEthclient(t *testing.T) {
	l := sepolia(t, "sepolia-00021-b8814b14.era1")
	addr := serveHTTP(t, api.Config{
		Network: chain.Sepolia, Store: l, Node: crowd{{Name: "a"}, {Name: "b"}}, Tracker: api.NewTracker(), Client: "Shoal/test", Listening: true,
	}, api.HTTPConfig{})
	for _, url := range []string{"http://" + addr, "ws://" + addr} {
		t.Run(url[:4], func(t *testing.T) {
			ctx := t.Context()
			raw, err := rpc.DialContext(ctx, url)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			c := ethclient.NewClient(raw)
			must := func(what string, want, got any, err error) {
				t.Helper()
				if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })); diff != "" || err != nil {
					t.Errorf("%s: %v (-want +got)\n%s", what, err, diff)
				}
			}
			id, err := c.ChainID(ctx)
			must("chain id", big.NewInt(11155111), id, err)
			id, err = c.NetworkID(ctx)
			must("network id", big.NewInt(11155111), id, err)
			number, err := c.BlockNumber(ctx)
			must("number", l.Head().Number, number, err)
			peers, err := c.PeerCount(ctx)
			must("peers", uint64(2), peers, err)
			progress, err := c.SyncProgress(ctx)
			if progress != nil || err != nil {
				t.Errorf("syncing: %v, %v", progress, err)
			}
			var version string
			err = raw.Call(&version, "web3_clientVersion")
			must("version", "Shoal/test", version, err)
			txs, uncles := 0, 0
			for i, want := range l.blocks {
				if i%61 > 0 && want.TxRoot == types.EmptyTxsHash {
					continue // one of thousands
				}
				b, err := c.BlockByNumber(ctx, new(big.Int).SetUint64(want.Number))
				if err != nil {
					t.Fatal(err)
				}
				enc, err := rlp.EncodeToBytes(b)
				must("block by number", want.Raw(), enc, err)
				if b, err = c.BlockByHash(ctx, want.Hash); err != nil {
					t.Fatal(err)
				}
				enc, err = rlp.EncodeToBytes(b)
				must("block by hash", want.Raw(), enc, err)
				h, err := c.HeaderByHash(ctx, want.Hash)
				must("header", want.Hash, h.Hash(), err)
				n, err := c.TransactionCount(ctx, want.Hash)
				must("transactions", uint(len(b.Transactions())), n, err)
				for i, tx := range b.Transactions() {
					got, err := c.TransactionInBlock(ctx, want.Hash, uint(i))
					if err != nil {
						t.Fatal(err)
					}
					must("transaction", tx.Hash(), got.Hash(), nil)
					sender, err := types.Sender(types.LatestSignerForChainID(id), tx)
					if err != nil {
						t.Fatal(err)
					}
					from, err := c.TransactionSender(ctx, got, want.Hash, uint(i))
					must("sender", sender, from, err)
					txs++
				}
				uncles += len(b.Uncles())
				var got hexutil.Bytes
				err = raw.Call(&got, "debug_getRawBlock", want.Hash)
				must("raw block", want.Raw(), []byte(got), err)
				err = raw.Call(&got, "debug_getRawHeader", rpc.BlockNumber(want.Number))
				must("raw header", want.Header.Raw(), []byte(got), err)
			}
			if txs == 0 {
				t.Error("no transaction was looked at")
			}
			t.Logf("%d transactions, %d uncles", txs, uncles)
			if _, err := c.BlockByNumber(ctx, big.NewInt(1e9)); !errors.Is(err, ethereum.NotFound) {
				t.Errorf("a block that is not there: %v", err)
			}
			if _, err := c.BlockByHash(ctx, common.Hash{1}); !errors.Is(err, ethereum.NotFound) {
				t.Errorf("a block that is not there: %v", err)
			}
			_, err = c.BalanceAt(ctx, common.Address{1}, nil)
			if e, ok := errors.AsType[rpc.Error](err); !ok || e.ErrorCode() != -32004 {
				t.Errorf("a balance: %v", err)
			}
			if _, err := c.BlockByNumber(ctx, big.NewInt(int64(rpc.FinalizedBlockNumber))); err == nil || !strings.Contains(err.Error(), "no finalized blocks") {
				t.Errorf("the finalized block: %v", err)
			}
		})
	}
}

// TestSendTransaction: what somebody has signed for the network is given to the node, which
// says what is wrong with anything else.
func TestSendTransaction(t *testing.T) {
	g, err := chain.Sepolia.GenesisBlock()
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.TempDir(), store.Options{
		Network: "sepolia", Genesis: store.Genesis{Record: store.Record{Hash: g.Hash, Raw: g.Raw()}, TD: g.Difficulty},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	n, err := node.New(node.Config{Network: chain.Sepolia, Store: st})
	if err != nil {
		t.Fatal(err)
	}
	addr := serveHTTP(t, api.Config{Network: chain.Sepolia, Store: st, Node: n, Tracker: api.NewTracker()}, api.HTTPConfig{})
	c, err := ethclient.DialContext(t.Context(), "http://"+addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	id := new(big.Int).SetUint64(chain.Sepolia.ChainID())
	legacy := &types.LegacyTx{Nonce: 1, GasPrice: big.NewInt(10), Gas: 21000, To: &common.Address{7}}
	old := types.MustSignNewTx(key, types.HomesteadSigner{}, legacy)
	for _, x := range []struct {
		name string
		tx   *types.Transaction
		want string
	}{
		{"of the first kind", old, ""},
		{"of a typed kind", types.MustSignNewTx(key, types.LatestSignerForChainID(id), &types.DynamicFeeTx{
			ChainID: id, GasFeeCap: big.NewInt(9), GasTipCap: big.NewInt(1), Gas: 21000, To: &common.Address{7},
		}), ""},
		{"once more", old, "is known"},
		{"for another network", types.MustSignNewTx(key, types.LatestSignerForChainID(big.NewInt(1)), legacy), "chain id"},
		{"not signed", types.NewTx(legacy), "nobody has signed"},
	} {
		err := c.SendTransaction(t.Context(), x.tx)
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", x.name, err, x.want)
		}
	}
	var h common.Hash
	if err := c.Client().Call(&h, "eth_sendRawTransaction", "0x05"); err == nil || !strings.Contains(err.Error(), "not a transaction") {
		t.Errorf("junk: %v", err)
	}
	pay := types.MustSignNewTx(key, types.LatestSignerForChainID(id), legacy)
	raw, err := pay.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Client().Call(&h, "eth_sendRawTransaction", hexutil.Bytes(raw)); err != nil || h != pay.Hash() {
		t.Errorf("the hash is %x, %v", h, err)
	}
}

// TestTransactionKinds: transactions of all kinds that there were under proof of work
// come out as they went in, with who has signed them and what was paid.
func TestTransactionKinds(t *testing.T) {
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	from, to, id := crypto.PubkeyToAddress(key.PublicKey), common.Address{7}, new(big.Int).SetUint64(chain.Sepolia.ChainID())
	signer := types.LatestSignerForChainID(id)
	list := types.AccessList{{Address: to, StorageKeys: []common.Hash{{1}}}}
	txs := types.Transactions{
		types.MustSignNewTx(key, types.HomesteadSigner{}, &types.LegacyTx{Nonce: 1, GasPrice: big.NewInt(10), Gas: 21000, To: &to, Value: big.NewInt(5)}),
		types.MustSignNewTx(key, signer, &types.LegacyTx{Nonce: 2, GasPrice: big.NewInt(11), Gas: 90000, Data: []byte{1, 2, 3}}), // makes a contract
		types.MustSignNewTx(key, signer, &types.AccessListTx{ChainID: id, Nonce: 3, GasPrice: big.NewInt(12), Gas: 50000, To: &to, AccessList: list}),
		types.MustSignNewTx(key, signer, &types.DynamicFeeTx{ChainID: id, Nonce: 4, GasTipCap: big.NewInt(2), GasFeeCap: big.NewInt(100), Gas: 50000, To: &to, AccessList: list}),
		types.MustSignNewTx(key, signer, &types.DynamicFeeTx{ChainID: id, Nonce: 5, GasTipCap: big.NewInt(90), GasFeeCap: big.NewInt(50), Gas: 50000, To: &to}),
	}
	prices := []string{"0xa", "0xb", "0xc", "0x9", "0x32"} // the base fee is 7
	l := bindBlock(t, 1, txs, nil)
	b := l.blocks[0]
	addr := serveHTTP(t, api.Config{Network: chain.Sepolia, Store: l, Node: crowd{}, Tracker: api.NewTracker()}, api.HTTPConfig{})
	c, err := ethclient.DialContext(t.Context(), "http://"+addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := c.BlockByHash(t.Context(), b.Hash)
	if err != nil {
		t.Fatal(err)
	}
	if enc, err := rlp.EncodeToBytes(got); err != nil || !bytes.Equal(enc, b.Raw()) {
		t.Errorf("the block is another one: %v", err)
	}
	for i := range txs {
		var tx struct {
			From, To         *common.Address
			GasPrice         string
			TransactionIndex hexutil.Uint
			BlockHash        common.Hash
		}
		if err := c.Client().Call(&tx, "eth_getTransactionByBlockNumberAndIndex", "latest", hexutil.Uint(i)); err != nil {
			t.Fatal(err)
		}
		if tx.GasPrice != prices[i] || *tx.From != from || (tx.To == nil) != (i == 1) || int(tx.TransactionIndex) != i || tx.BlockHash != b.Hash {
			t.Errorf("transaction %d: %+v", i, tx)
		}
	}
}

// TestUncles: the uncles of a block are shaped as blocks without a body.
func TestUncles(t *testing.T) {
	l := &library{at: map[common.Hash]int{}}
	for b := range chaingen.Generate(chaingen.Config{Seed: 1, Blocks: 20, Txs: 1, UncleEvery: 5}) {
		l.at[b.Hash] = len(l.blocks)
		l.blocks = append(l.blocks, b)
	}
	l.head = 19
	addr := serveHTTP(t, api.Config{Network: chain.Dev, Store: l, Node: crowd{}, Tracker: api.NewTracker()}, api.HTTPConfig{})
	c, err := rpc.DialContext(t.Context(), "http://"+addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	seen := 0
	for _, b := range l.blocks {
		var n string
		if err := c.Call(&n, "eth_getUncleCountByBlockHash", b.Hash); err != nil {
			t.Fatal(err)
		}
		i := 0
		for u, err := range b.Uncles() {
			if err != nil {
				t.Fatal(err)
			}
			var h types.Header
			if err := c.Call(&h, "eth_getUncleByBlockNumberAndIndex", rpc.BlockNumber(b.Number), "0x0"); err != nil {
				t.Fatal(err)
			}
			if h.Hash() != u.Hash {
				t.Errorf("block %d: uncle %x, want %x", b.Number, h.Hash(), u.Hash)
			}
			i++
		}
		seen += i
		if n != hexutil.EncodeUint64(uint64(i)) {
			t.Errorf("block %d has %s uncles, want %d", b.Number, n, i)
		}
		var none json.RawMessage
		if err := c.Call(&none, "eth_getUncleByBlockHashAndIndex", b.Hash, "0x7"); err != nil || string(none) != "null" {
			t.Errorf("an uncle that is not there: %s, %v", none, err)
		}
	}
	if seen == 0 {
		t.Error("there were no uncles")
	}
}

// TestNewHeads: who has subscribed gets each header once and in order; when the head
// moves by a lot, the youngest.
func TestNewHeads(t *testing.T) {
	l := sepolia(t, "sepolia-00021-b8814b14.era1")
	l.head = 100
	tracker := api.NewTracker()
	addr := serveHTTP(t, api.Config{Network: chain.Sepolia, Store: l, Node: crowd{}, Tracker: tracker}, api.HTTPConfig{})
	c, err := ethclient.DialContext(t.Context(), "ws://"+addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	heads := make(chan *types.Header, 1000)
	sub, err := c.SubscribeNewHead(t.Context(), heads)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	move := func(to, first int) {
		t.Helper()
		l.mu.Lock()
		l.head = to
		l.mu.Unlock()
		tracker.Event(downloader.HeadMoved{})
		for i := first; i <= to; i++ {
			select {
			case h := <-heads:
				if h.Hash() != l.blocks[i].Hash {
					t.Fatalf("got block %d, want %d", h.Number, l.blocks[i].Number)
				}
			case err := <-sub.Err():
				t.Fatal(err)
			case <-time.After(time.Minute):
				t.Fatalf("block %d does not come", l.blocks[i].Number)
			}
		}
	}
	move(101, 101)
	move(110, 102)
	move(5000, 5000-63)
	move(5001, 5001)
}

// TestWhoMayAsk: requests under a name that is not ours are refused, and web pages
// that are not named; so are requests that are too big, and too many at once.
func TestWhoMayAsk(t *testing.T) {
	addr := serveHTTP(t, api.Config{Network: chain.Dev, Store: &library{}, Node: crowd{}, Tracker: api.NewTracker()},
		api.HTTPConfig{Hosts: []string{"shoal.example"}, Origins: []string{"https://good.example"}})
	const call = `{"jsonrpc":"2.0","id":1,"method":"net_version"}`
	post := func(host, origin, body string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		if host != "" {
			r.Host = host
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { answer.Body.Close() })
		return answer
	}
	for host, want := range map[string]int{
		"": 200, "localhost": 200, "LOCALHOST:1": 200, "[::1]:8545": 200, "10.0.0.1": 200, "shoal.example": 200, "shoal.example:8545": 200,
		"evil.example": 403, "evil.example:8545": 403, "localhost.evil.example": 403,
	} {
		if got := post(host, "", call).StatusCode; got != want {
			t.Errorf("asked as %q: %d, want %d", host, got, want)
		}
	}
	for origin, want := range map[string]string{"https://good.example": "https://good.example", "https://evil.example": "", "null": ""} {
		if got := post("", origin, call).Header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("a page of %s may read: %q, want %q", origin, got, want)
		}
		_, err := rpc.DialWebsocket(t.Context(), "ws://"+addr, origin)
		if (err == nil) != (want != "") {
			t.Errorf("a WebSocket of a page of %s: %v", origin, err)
		}
	}
	if got := post("", "", `{"jsonrpc":"2.0","id":1,"method":"web3_sha3","params":["0x`+strings.Repeat("00", 1<<20)+`"]}`).StatusCode; got != http.StatusRequestEntityTooLarge {
		t.Errorf("a request of 2 MiB: %d", got)
	}
	var answers []struct{ Error *struct{ Message string } }
	if err := json.NewDecoder(post("", "", "["+strings.Repeat(call+",", 100)+call+"]").Body).Decode(&answers); err != nil || answers[0].Error == nil {
		t.Errorf("a batch of 101: %+v, %v", answers, err)
	}
}
