package node_test

import (
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/wire"
)

// TestTransactionsAreRelayed: through nodes in a row, to everybody once, never back to
// where they came from, and who asks is told of all; junk goes nowhere.
func TestTransactionsAreRelayed(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		first := w.node("first", nil, nil)
		second := w.node("second", nil, nil, first.addr)
		last := w.node("last", nil, nil, second.addr)
		time.Sleep(time.Second)
		wallet, watcher := w.scriptWith(wire.CapTransactions, first), w.scriptWith(wire.CapTransactions, last)
		nothing := w.scriptWith(wire.CapChain, last)
		for _, s := range []*script{wallet, watcher} {
			if m := s.next(); m.ID() != wire.IDGetTransactions {
				t.Fatalf("got %v, want GetTransactions", m.ID())
			}
			s.send(wire.Transactions{})
		}
		payment := func(nonce uint64) []byte {
			return testbed.Sign(t, chain.Dev, &types.LegacyTx{Nonce: nonce, GasPrice: big.NewInt(1), Gas: 21000, To: &common.Address{1}})
		}
		a, b, c := payment(1), payment(2), payment(3)
		wallet.send(wire.Transactions{RawList: slices.Concat(a, b)})
		wallet.send(wire.Transactions{RawList: wire.RawList{0xc0, 0x80, 0x05}})
		if m, ok := watcher.next().(wire.Transactions); !ok || string(m.RawList) != string(slices.Concat(a, b)) {
			t.Fatalf("the watcher got %+v", m)
		}
		wallet.send(wire.Transactions{RawList: slices.Concat(a, b)}) // once more
		if _, err := second.node.SendTransaction(c); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*script{wallet, watcher} {
			if m, ok := s.next().(wire.Transactions); !ok || string(m.RawList) != string(c) {
				t.Fatalf("%s got %+v, want the last one only", s.ip, m)
			}
		}
		for _, s := range []*script{wallet, watcher, nothing} {
			s.send(wire.GetTransactions{})
			m, ok := s.next().(wire.Transactions)
			if !ok || string(m.RawList) != string(slices.Concat(a, b, c)) {
				t.Fatalf("%s was told of %+v", s.ip, m)
			}
		}
	})
}
