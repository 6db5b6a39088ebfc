package api_test

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"
)

// wanted is eth_getLogs the slow way: it looks at every log.
func wanted(logs []types.Log, from, to uint64, q ethereum.FilterQuery) (out []types.Log) {
	for _, l := range logs {
		ok := l.BlockNumber >= from && l.BlockNumber <= to && len(q.Topics) <= len(l.Topics) &&
			(len(q.Addresses) == 0 || slices.Contains(q.Addresses, l.Address))
		for i := 0; ok && i < len(q.Topics); i++ {
			ok = len(q.Topics[i]) == 0 || slices.Contains(q.Topics[i], l.Topics[i])
		}
		if ok {
			out = append(out, l)
		}
	}
	return out
}

// noisy makes blocks with logs of few addresses and few topics.
func noisy(t *testing.T, r *rand.Rand, blocks uint64) *library {
	t.Helper()
	few := receiptKinds(t)
	block, _ := few.derived(t, few.blocks[0])
	l := &library{at: map[common.Hash]int{}, receipts: map[common.Hash][]byte{}}
	for n := range blocks {
		txs := block.Transactions()[:r.IntN(4)]
		var receipts types.Receipts
		for i, tx := range txs {
			receipt := &types.Receipt{Type: tx.Type(), Status: 1, CumulativeGasUsed: uint64(i) + 1}
			for range r.IntN(3) {
				log := &types.Log{Address: common.Address{byte(r.IntN(20))}}
				for range r.IntN(5) {
					log.Topics = append(log.Topics, common.Hash{byte(r.IntN(20))})
				}
				receipt.Logs = append(receipt.Logs, log)
			}
			receipt.Bloom = types.CreateBloom(receipt)
			receipts = append(receipts, receipt)
		}
		one := bindBlock(t, 1_500_000+n, txs, receipts)
		b := one.blocks[0]
		l.at[b.Hash] = len(l.blocks)
		l.blocks = append(l.blocks, b)
		l.receipts[b.ReceiptRoot] = one.receipts[b.ReceiptRoot]
	}
	l.head = len(l.blocks) - 1
	return l
}

// TestLogs: whatever is asked for, the answer has the logs that a look at all of them
// finds.
func TestLogs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	l := noisy(t, r, 300)
	c := serveLibrary(t, l, nil)
	var all []types.Log
	for _, b := range l.blocks {
		if b.TxRoot == types.EmptyTxsHash {
			continue
		}
		_, receipts := l.derived(t, b)
		for _, r := range receipts {
			for _, x := range r.Logs {
				all = append(all, *x)
			}
		}
	}
	first, last := l.blocks[0].Number, l.Head().Number
	found := 0
	for n := range 60 {
		var q ethereum.FilterQuery
		from, to := first, last
		if n%2 == 0 {
			from += r.Uint64N(last - first)
			to = from + r.Uint64N(200) // perhaps above the head
		}
		q.FromBlock, q.ToBlock = new(big.Int).SetUint64(from), new(big.Int).SetUint64(to)
		for range r.IntN(3) {
			q.Addresses = append(q.Addresses, all[r.IntN(len(all))].Address)
		}
		for place := range r.IntN(5) {
			var list []common.Hash
			for range r.IntN(3) {
				if x := all[r.IntN(len(all))]; place < len(x.Topics) {
					list = append(list, x.Topics[place])
				}
			}
			q.Topics = append(q.Topics, list)
		}
		want := wanted(all, from, to, q)
		found += len(want)
		got, err := c.FilterLogs(t.Context(), q)
		if len(want) == 0 {
			want = []types.Log{}
		}
		same(t, "logs", want, got, err)
	}
	if found == 0 {
		t.Error("nothing was ever found")
	}
	hash := all[0].BlockHash
	got, err := c.FilterLogs(t.Context(), ethereum.FilterQuery{BlockHash: &hash})
	same(t, "logs of one block", wanted(all, all[0].BlockNumber, all[0].BlockNumber, ethereum.FilterQuery{}), got, err)
}

// TestLogFilters: all forms that a filter may have, and those that it may not have.
func TestLogFilters(t *testing.T) {
	l := receiptKinds(t)
	c := serveLibrary(t, l, nil).Client()
	one, two := common.Hash{1}.Hex(), common.Hash{2}.Hex()
	a1, a3 := common.Address{1}.Hex(), common.Address{3}.Hex()
	type object = map[string]any
	for _, tt := range []struct {
		filter object
		want   []int // numbers of logs
	}{
		{object{}, []int{0, 1, 2, 3, 4}},
		{object{"fromBlock": nil, "toBlock": "latest", "address": nil, "topics": nil}, []int{0, 1, 2, 3, 4}},
		{object{"fromBlock": "latest", "topics": []any{}}, []int{0, 1, 2, 3, 4}},
		{object{"blockHash": l.blocks[0].Hash}, []int{0, 1, 2, 3, 4}},
		{object{"address": a1}, []int{0, 2}},
		{object{"address": []string{a1, a3}}, []int{0, 2, 3}},
		{object{"topics": []any{one}}, []int{1, 2, 3}},
		{object{"topics": []any{nil, two}}, []int{2}},
		{object{"topics": []any{[]string{one, two}}}, []int{1, 2, 3, 4}},
		{object{"topics": []any{nil, nil, nil, nil}}, []int{3}},
		{object{"address": a3, "topics": []any{two}}, nil},
	} {
		var got []struct {
			LogIndex    string
			BlockNumber string
		}
		if err := c.Call(&got, "eth_getLogs", tt.filter); err != nil {
			t.Errorf("%v: %v", tt.filter, err)
			continue
		}
		ok := len(got) == len(tt.want)
		for i := range min(len(got), len(tt.want)) {
			ok = ok && got[i].LogIndex == "0x"+string(rune('0'+tt.want[i])) && got[i].BlockNumber == "0x16e360"
		}
		if !ok {
			t.Errorf("%v: %v, want %v", tt.filter, got, tt.want)
		}
	}
	for _, tt := range []struct {
		filter object
		code   int
		text   string
	}{
		{object{"fromBlock": "0x0"}, -32005, "too many"},
		{object{"fromBlock": "latest", "toBlock": "0x5"}, -32602, "is above"},
		{object{"toBlock": "pending"}, -32602, "pending"},
		{object{"toBlock": "finalized"}, -32000, "finalized"},
		{object{"blockHash": one}, -32001, "not found"},
		{object{"blockHash": one, "fromBlock": "0x1"}, -32602, "blockHash"},
		{object{"topics": []any{nil, nil, nil, nil, nil}}, -32602, "at most 4"},
		{object{"address": slices.Repeat([]string{a1}, 1001)}, -32602, "at most 1000"},
		{object{"address": "0x12"}, -32602, ""},
		{object{"topics": []any{7}}, -32602, ""},
	} {
		err := c.Call(new(any), "eth_getLogs", tt.filter)
		if e, ok := errors.AsType[rpc.Error](err); !ok || e.ErrorCode() != tt.code || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%v: %v, want %d %s", tt.filter, err, tt.code, tt.text)
		}
	}
}

// TestTooManyLogs: an answer that would be too long is refused with a code of its own.
func TestTooManyLogs(t *testing.T) {
	few := receiptKinds(t)
	block, receipts := few.derived(t, few.blocks[0])
	receipts[1].Logs = slices.Repeat([]*types.Log{{Address: common.Address{9}}}, 10_001)
	l := bindBlock(t, few.Head().Number, block.Transactions(), receipts)
	c := serveLibrary(t, l, nil)
	latest := big.NewInt(int64(rpc.LatestBlockNumber))
	_, err := c.FilterLogs(t.Context(), ethereum.FilterQuery{FromBlock: latest})
	if e, ok := errors.AsType[rpc.Error](err); !ok || e.ErrorCode() != -32005 || !strings.Contains(err.Error(), "fewer blocks") {
		t.Errorf("got %v", err)
	}
	if got, err := c.FilterLogs(t.Context(), ethereum.FilterQuery{FromBlock: latest, Addresses: []common.Address{{3}}}); err != nil || len(got) != 1 {
		t.Errorf("%d logs, %v", len(got), err)
	}
}

// TestDocumentedMethods: every method that the documentation lists is there.
func TestDocumentedMethods(t *testing.T) {
	doc, err := os.ReadFile("../docs/json-rpc.md")
	if err != nil {
		t.Fatal(err)
	}
	l := receiptKinds(t)
	c := serveLibrary(t, l, l).Client()
	methods := regexp.MustCompile("`((?:eth|net|web3|debug)_[A-Za-z0-9]+)`").FindAllStringSubmatch(string(doc), -1)
	if len(methods) < 20 {
		t.Errorf("the documentation lists %d methods", len(methods))
	}
	for _, m := range methods {
		err := c.Call(new(any), m[1])
		if e, ok := errors.AsType[rpc.Error](err); ok && e.ErrorCode() == -32601 && !strings.Contains(m[1], "subscribe") {
			t.Errorf("%s: %v", m[1], err)
		}
	}
}
