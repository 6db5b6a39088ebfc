package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/wire"
)

// hoarder is a peer that tries to fill a node's memory: it claims a chain of millions
// of blocks, names their hashes as fast as they are asked for, and sends megabytes that
// nobody has asked for.
type hoarder struct {
	hello wire.Hello
	head  []byte // block
}

// newHoarder makes one whose chain has a head that is in order by itself: the last of
// a chain, with another number.
func newHoarder(t testing.TB, last *chain.Block, number uint64) *hoarder {
	t.Helper()
	var block struct {
		Header      types.Header
		Txs, Uncles rlp.RawValue
	}
	if err := rlp.DecodeBytes(last.Raw(), &block); err != nil {
		t.Fatal(err)
	}
	block.Header.Number.SetUint64(number)
	block.Header.Time = uint64(time.Now().Unix())
	raw, err := rlp.EncodeToBytes(&block)
	if err != nil {
		t.Fatal(err)
	}
	h := &hoarder{hello: helloFor(t, chain.Dev), head: raw}
	if h.hello.Best, err = chain.HashOf(raw); err != nil {
		t.Fatal(err)
	}
	h.hello.TD.Lsh(uint256.NewInt(1), 200)
	return h
}

// listen serves whoever connects until the end of the test, and returns where.
func (h *hoarder) listen(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	h.hello.Port = uint16(l.Addr().(*net.TCPAddr).Port)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			go h.serve(conn)
		}
	}()
	return l.Addr().String()
}

// serve answers one connection until it ends.
func (h *hoarder) serve(conn net.Conn) {
	defer conn.Close()
	in, out := wire.NewReader(conn), wire.NewWriter(conn)
	unasked := wire.Blocks{RawList: bytes.Repeat(h.head, 1<<20/len(h.head))}
	err := out.Write(h.hello)
	for n := 0; err == nil; n++ {
		var m wire.Message
		if m, err = in.Next(); err != nil {
			return
		}
		switch m := m.(type) {
		case wire.Ping:
			err = out.Write(wire.Pong{})
		case wire.GetBlocks:
			err = out.Write(wire.Blocks{RawList: h.head})
		case wire.GetBlockHashes:
			var list wire.HashList
			first := binary.BigEndian.Uint64(m.Start[24:])
			for i := range min(m.Max, wire.MaxHashes) {
				x := common.Hash{0: 0xa5}
				binary.BigEndian.PutUint64(x[24:], first+1+i)
				list = wire.AppendHash(list, x)
			}
			err = out.Write(wire.BlockHashes{HashList: list})
		}
		if err == nil && n%8 == 7 {
			err = out.Write(unasked)
		}
	}
}

// TestF11MemoryLimit syncs with the least memory that the command takes, from one honest
// node among peers that try to fill it. What the process has really used, all that the
// system counts, stays within what it was given.
func TestF11MemoryLimit(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "chain.rlp")
	w, err := archive.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	var last *chain.Block
	for b := range chaingen.Generate(chaingen.Config{Seed: 11, Blocks: 3000, Txs: 20}) {
		last = b
		w.Append(b.Raw())
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	source, dir := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "data")
	shoal(t, "import", "--datadir", source, "--network", "dev", file)
	want := export(t, source)
	_, addr := startNode(t, "--datadir", source, "--listen", "127.0.0.1:0")
	// As a node, because what a process has used is not told after its end.
	args := []string{"node", "--datadir", dir, "--network", "dev", "--listen", "127.0.0.1:0",
		"--memory", fmt.Sprint(node.MinMemory), "--peer", addr}
	for i := range uint64(3) {
		args = append(args, "--peer", newHoarder(t, last, 20_000_000+i).listen(t))
	}
	p := start(t, args...)
	p.await(t, "chain fetched")
	mem, ok := peakMemory(p.cmd.Process.Pid)
	p.interrupt(t)
	p.exits(t, exitOK)
	if got := export(t, dir); !bytes.Equal(got, want) {
		t.Errorf("the export has %d bytes and is not the chain, which has %d", len(got), len(want))
	}
	if !ok {
		t.Skip("the system does not tell how much memory a process has had")
	}
	t.Logf("it has used %d MiB at the most, of %d", mem>>20, node.MinMemory>>20)
	if mem > node.MinMemory {
		t.Errorf("it has used %d MiB, and was given %d", mem>>20, node.MinMemory>>20)
	}
}
