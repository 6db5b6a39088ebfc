package main

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/wire"
)

// rawPeer is the other side of a node's session, at the level of bytes.
type rawPeer struct {
	net.Conn
	in  *wire.Reader
	out *wire.Writer
}

// dialRaw connects to a node, and says nothing yet.
func dialRaw(t testing.TB, addr string) *rawPeer {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &rawPeer{conn, wire.NewReader(conn), wire.NewWriter(conn)}
}

// helloFor is a proper Hello of a peer that has nothing but the genesis block.
func helloFor(t testing.TB, network *chain.Network) wire.Hello {
	t.Helper()
	genesis, err := network.GenesisBlock()
	if err != nil {
		t.Fatal(err)
	}
	td, err := network.TotalDifficulty(&genesis.Difficulty, genesis)
	if err != nil {
		t.Fatal(err)
	}
	td.Sub(&td, &genesis.Difficulty)
	h := wire.Hello{
		Version: wire.Version, Client: "raw", Caps: wire.CapPeers | wire.CapTransactions | wire.CapChain,
		TD: td, Best: genesis.Hash, Genesis: genesis.Hash,
	}
	h.Network.SetUint64(network.ID)
	rand.Read(h.Node[:])
	return h
}

// joinRaw connects to a node and shakes hands.
func joinRaw(t testing.TB, addr string, network *chain.Network) *rawPeer {
	t.Helper()
	return joinAs(t, addr, helloFor(t, network))
}

// joinAs is joinRaw with a Hello of one's own.
func joinAs(t testing.TB, addr string, hello wire.Hello) *rawPeer {
	t.Helper()
	p := dialRaw(t, addr)
	p.send(t, hello)
	if _, ok := p.next(t).(wire.Hello); !ok {
		t.Fatal("the node does not begin with Hello")
	}
	return p
}

func (p *rawPeer) send(t testing.TB, m wire.Message) {
	t.Helper()
	if err := p.out.Write(m); err != nil {
		t.Fatalf("sending %v: %v", m.ID(), err)
	}
}

func (p *rawPeer) next(t testing.TB) wire.Message {
	t.Helper()
	m, err := p.in.Next()
	if err != nil {
		t.Fatalf("the node does not answer: %v", err)
	}
	return m
}

// await returns the next message of a type, and passes over the others.
func await[M wire.Message](t testing.TB, p *rawPeer) M {
	t.Helper()
	for {
		switch m := p.next(t).(type) {
		case M:
			return m
		case wire.Disconnect:
			t.Fatalf("the node disconnects: %v", m.Reason)
		}
	}
}

// stay keeps the session alive for as long as the node does, by answering its
// pings. It returns where the node's pongs are told; the channel is closed at the
// end of the session.
func (p *rawPeer) stay() <-chan struct{} {
	p.SetDeadline(time.Time{})
	pongs := make(chan struct{}, 16)
	go func() {
		defer close(pongs)
		for {
			m, err := p.in.Next()
			if err != nil {
				return
			}
			switch m.(type) {
			case wire.Ping:
				p.Write(wire.AppendFrame(nil, wire.Pong{}))
			case wire.Pong:
				pongs <- struct{}{}
			}
		}
	}()
	return pongs
}

// end reads until the node closes the connection, and returns the reason that it
// gave; false if it gave none. Whatever is not closed in time is an error.
func (p *rawPeer) end() (reason wire.Reason, told bool, err error) {
	for {
		m, err := p.in.Next()
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			return 0, told, fmt.Errorf("the node does not close the connection: %w", err)
		}
		if err != nil { // closed or, with what we sent still unread, reset
			if f, ok := errors.AsType[*wire.FormatError](err); ok {
				return 0, told, f
			}
			return reason, told, nil
		}
		if d, ok := m.(wire.Disconnect); ok {
			reason, told = d.Reason, true
		}
	}
}

// healthy checks that a node serves: it answers a ping, and sends a block.
func healthy(t testing.TB, addr string, network *chain.Network, block common.Hash) {
	t.Helper()
	p := joinRaw(t, addr, network)
	defer p.Close()
	p.send(t, wire.Ping{})
	await[wire.Pong](t, p)
	p.send(t, wire.GetBlocks{HashList: wire.AppendHash(nil, block)})
	blocks := await[wire.Blocks](t, p)
	for raw := range blocks.All() {
		if h, err := chain.HashOf(raw); err != nil || h != block {
			t.Fatalf("the node sends block %v (%v), want %v", h, err, block)
		}
	}
	if n := blocks.Len(); n != 1 {
		t.Fatalf("the node sends %d blocks, want 1", n)
	}
	p.send(t, wire.Disconnect{Reason: wire.ReasonQuitting})
	if _, _, err := p.end(); err != nil {
		t.Fatal(err)
	}
}

// frame returns bytes with the head of a frame before them.
func frame(payload []byte) []byte {
	return append(frameHead(len(payload)), payload...)
}

func frameHead(n int) []byte {
	b := []byte{0x22, 0x40, 0x08, 0x91}
	return binary.BigEndian.AppendUint32(b, uint32(n))
}
