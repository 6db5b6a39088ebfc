package serve

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
)

// pipe returns the two ends of a TCP connection, the server's with the faults of a
// role.
func pipe(t *testing.T, r Role) (client net.Conn, server *conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	s := &shaper{Role: r, clock: &clock{}, conns: map[*conn]bool{}}
	s.clock.begun.Store(&begun)
	server = s.shape(c.(*net.TCPConn))
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func TestDelayKeepsBytesAndOrder(t *testing.T) {
	client, server := pipe(t, Role{Delay: 30 * time.Millisecond})
	want := bytes.Repeat([]byte("in order "), 100_000)
	began := time.Now()
	go func() {
		client.Write(want)
		client.Close()
	}()
	got, err := io.ReadAll(server)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes arrive, want %d: %v", len(got), len(want), err)
	}
	if d := time.Since(began); d < 30*time.Millisecond {
		t.Errorf("all of it arrived after %v", d)
	}
	if n := server.up.Load(); n != int64(len(want)) {
		t.Errorf("%d bytes are counted, want %d", n, len(want))
	}
}

func TestDeadlinesHoldInDelayedReads(t *testing.T) {
	_, server := pipe(t, Role{Delay: time.Millisecond})
	server.SetReadDeadline(time.Unix(1, 0))
	if _, err := server.Read(make([]byte, 1)); err == nil {
		t.Error("a read after its deadline has waited for something")
	}
}

func TestStalledWriteEndsWithItsConnection(t *testing.T) {
	for name, end := range map[string]func(net.Conn, *conn){
		"closed":     func(_ net.Conn, c *conn) { c.Close() },
		"cut":        func(_ net.Conn, c *conn) { c.SetWriteDeadline(time.Unix(1, 0)) },
		"other side": func(client net.Conn, c *conn) { client.Close(); io.Copy(io.Discard, struct{ io.Reader }{c}) },
	} {
		t.Run(name, func(t *testing.T) {
			client, server := pipe(t, Role{Stall: 1})
			failed := make(chan error, 1)
			go func() {
				_, err := server.Write([]byte("never"))
				failed <- err
			}()
			end(client, server)
			if err := <-failed; !errors.Is(err, net.ErrClosed) {
				t.Errorf("the write ends with %v", err)
			}
			if n := server.written.Load(); n != 0 {
				t.Errorf("%d bytes were sent by a peer that has stalled", n)
			}
		})
	}
}

func TestPacedWriteArrivesWhole(t *testing.T) {
	client, server := pipe(t, Role{Rate: 1e6})
	want := bytes.Repeat([]byte("x"), 50_000)
	began := time.Now()
	go func() {
		server.Write(want)
		server.Close()
	}()
	got, err := io.ReadAll(client)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes arrive, want %d: %v", len(got), len(want), err)
	}
	if d := time.Since(began); d < 35*time.Millisecond {
		t.Errorf("50 kB at 1 MB/s took %v", d)
	}
}

// TestDerived compares a derived chain with the one that it is derived from.
func TestDerived(t *testing.T) {
	const blocks = 2*stretchBlocks + 100
	d, err := derive(chain.Dev, Walk{Seed: 5, Blocks: blocks})
	if err != nil {
		t.Fatal(err)
	}
	var list []common.Hash
	at := d.head.Hash
	for {
		n := len(list)
		if list, err = d.AppendAncestors(list, at, 1000); err != nil {
			t.Fatal(err)
		}
		if len(list) == n {
			break
		}
		at = list[len(list)-1]
	}
	if len(list) != blocks || list[blocks-1] != d.marks[0].Hash {
		t.Fatalf("%d hashes lead from the head to the genesis block, want %d", len(list), blocks)
	}
	raw, err := d.AppendBlocks(nil, []common.Hash{d.head.Hash, {1}, list[0], list[5000]}, 10, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	want := []uint64{blocks, blocks - 1, blocks - 5001}
	for len(raw) > 0 {
		b, rest := split(t, raw)
		if len(want) == 0 || b.Number != want[0] {
			t.Fatalf("block %d is sent, want one of %v", b.Number, want)
		}
		want, raw = want[1:], rest
	}
	if len(want) > 0 {
		t.Errorf("blocks %v are not sent", want)
	}
}

func split(t *testing.T, raw []byte) (*chain.Block, []byte) {
	t.Helper()
	for n := 500; n <= len(raw); n++ {
		if b, err := chain.Dev.ParseBlock(raw[:n:n]); err == nil {
			return b, raw[n:]
		}
	}
	t.Fatal("there is no block")
	return nil, nil
}

// TestLie follows the lie to its end, from wherever one asks.
func TestLie(t *testing.T) {
	genesis, err := chain.Dev.GenesisBlock()
	if err != nil {
		t.Fatal(err)
	}
	parent := *genesis
	parent.Number = 1000
	l, st, err := newLie(chain.Dev, Head{Number: 1000, TD: genesis.Difficulty}, &parent)
	if err != nil {
		t.Fatal(err)
	}
	if st.Head != l.head.Hash || st.TD.Cmp(&genesis.Difficulty) <= 0 || l.head.Number != 1001 {
		t.Fatalf("block %d with a total difficulty of %v is no lie", l.head.Number, &st.TD)
	}
	all, _ := l.AppendAncestors(nil, st.Head, 5000)
	if len(all) != 1000 || all[0] != l.head.Parent {
		t.Fatalf("%d hashes, want 1000", len(all))
	}
	for _, i := range []int{0, 1, 500} {
		rest, _ := l.AppendAncestors(nil, all[i], 5000)
		if len(rest) != 999-i || rest[0] != all[i+1] {
			t.Errorf("behind hash %d come %d, want %d", i, len(rest), 999-i)
		}
	}
	if b, _ := l.AppendBlocks(nil, all, 10, 1<<20); len(b) > 0 {
		t.Error("it sends a block that does not exist")
	}
	if b, _ := l.AppendBlocks(nil, append(all, st.Head), 10, 1<<20); !bytes.Equal(b, l.head.Raw()) {
		t.Error("it does not send its head")
	}
}
