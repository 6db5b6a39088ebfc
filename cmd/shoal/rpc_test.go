package main

import (
	"bytes"
	"errors"
	"io"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
)

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
	web := regexp.MustCompile(`answering on (http://\S+)`)
	dial := func(p *process) *ethclient.Client {
		t.Helper()
		found := p.all.await(web)
		if found == nil {
			t.Fatalf("it does not say where it answers:\n%s", p.all)
		}
		c, err := ethclient.DialContext(t.Context(), strings.Replace(found[1], "http", "ws", 1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	a, addr := startNode(t, "--datadir", dir+"/a", "--listen", "127.0.0.1:0", "--http-addr", "127.0.0.1:0")
	b, _ := startNode(t, "--datadir", dir+"/b", "--network", "sepolia", "--listen", "127.0.0.1:0", "--http-addr", ":0", "--peer", addr)
	heads := make(chan *types.Header, 10_000)
	second := dial(b)
	if _, err := second.SubscribeNewHead(t.Context(), heads); err != nil {
		t.Fatal(err)
	}
	c := dial(a)
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
