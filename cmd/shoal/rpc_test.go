package main

import (
	"bytes"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
)

// webAddress returns where a node answers over HTTP.
func webAddress(t *testing.T, p *process) string {
	t.Helper()
	return p.await(t, `answering on (http://\S+)`)
}

// dialNode connects to a node over a WebSocket.
func dialNode(t *testing.T, p *process) *ethclient.Client {
	t.Helper()
	c, err := ethclient.DialContext(t.Context(), strings.Replace(webAddress(t, p), "http", "ws", 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestEthclientAndTheArchive: the real binary serves the real blocks of Sepolia to
// go-ethereum's own client: each of them equals what is in the archive, to the byte.
// Another one that syncs from it meanwhile tells of its heads over a WebSocket.
func TestEthclientAndTheArchive(t *testing.T) {
	t.Parallel()
	if sepoliaFile() == "" {
		t.Skip("the source of go-ethereum is absent, and with it the blocks of Sepolia")
	}
	dir := t.TempDir()
	shoal(t, "import", "--datadir", dir+"/a", sepoliaFile())
	a, addr := startNode(t, "--datadir", dir+"/a", "--listen", "127.0.0.1:0", "--http-addr", "127.0.0.1:0")
	b, _ := startNode(t, "--datadir", dir+"/b", "--network", "sepolia", "--listen", "127.0.0.1:0", "--http-addr", ":0", "--peer", addr)
	heads := make(chan *types.Header, 10_000)
	second := dialNode(t, b)
	if _, err := second.SubscribeNewHead(t.Context(), heads); err != nil {
		t.Fatal(err)
	}
	c := dialNode(t, a)
	r, err := archive.Open(sepoliaFile(), chain.Sepolia, archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n := 0
	for ; ; n++ {
		want, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if testing.Short() && n%50 > 0 {
			continue
		}
		got, err := c.BlockByNumber(t.Context(), new(big.Int).SetUint64(want.Number))
		if err != nil {
			t.Fatal(err)
		}
		if enc, err := rlp.EncodeToBytes(got); err != nil || !bytes.Equal(enc, want.Raw()) {
			t.Fatalf("block %d is not that of the archive: %v", want.Number, err)
		}
	}
	if n != 8192 {
		t.Errorf("%d blocks were compared", n)
	}
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if h, err := second.BlockNumber(t.Context()); err == nil && h == 8191 {
			break
		}
		if time.Since(began) > patience {
			t.Fatalf("the second node is not in sync:\n%s", b.all)
		}
	}
	// Heads come in order up to the last one; if it was done before anybody had
	// subscribed, none.
	for last := (*types.Header)(nil); last != nil || len(heads) > 0; {
		select {
		case h := <-heads:
			if last != nil && h.Number.Cmp(last.Number) <= 0 {
				t.Errorf("head %d after %d", h.Number, last.Number)
			}
			last = h
		case <-time.After(patience):
			t.Fatalf("the last head was %d", last.Number)
		}
		if last.Hash().Hex() == sepoliaHead {
			break
		}
	}
	a.interrupt(t)
	a.exits(t, exitOK)
	b.interrupt(t)
	b.exits(t, exitOK)
}

// TestReceiptsOverRPC: transactions of all types are found by their hash on the real
// binary, and receipts and logs are those of the archive with all that follows from them.
func TestReceiptsOverRPC(t *testing.T) {
	t.Parallel()
	p, blocks := serveSigned(t)
	c := dialNode(t, p)
	amounts := cmp.Comparer(func(a, b *big.Int) bool { return a == b || a != nil && b != nil && a.Cmp(b) == 0 })
	var logs []types.Log
	for _, want := range blocks {
		got, err := c.BlockByNumber(t.Context(), want.block.Number())
		if err != nil || got.Hash() != want.block.Hash() {
			t.Fatalf("block %d: %v", want.block.Number(), err)
		}
		for i, tx := range want.block.Transactions() {
			got, _, err := c.TransactionByHash(t.Context(), tx.Hash())
			if err != nil || got.Hash() != tx.Hash() {
				t.Errorf("transaction %d of block %d: %v", i, want.block.Number(), err)
			}
			receipt, err := c.TransactionReceipt(t.Context(), tx.Hash())
			if diff := cmp.Diff(want.receipts[i], receipt, amounts, cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("receipt %d of block %d: %v (-want +got)\n%s", i, want.block.Number(), err, diff)
			}
			for _, l := range want.receipts[i].Logs {
				if len(l.Topics) == 2 && l.Topics[1] == (common.Hash{1}) {
					logs = append(logs, *l)
				}
			}
		}
	}
	got, err := c.FilterLogs(t.Context(), ethereum.FilterQuery{FromBlock: new(big.Int), Topics: [][]common.Hash{nil, {{1}}}})
	if diff := cmp.Diff(logs, got); diff != "" || err != nil || len(logs) == 0 {
		t.Errorf("%d logs: %v (-want +got)\n%s", len(logs), err, diff)
	}
	p.interrupt(t)
	p.exits(t, exitOK)
}
