package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/wire"
)

// TestHostilePeers sends a running node everything that a peer should not send.
// Each time the session must end with the right Disconnect, or with none where the
// peer is gone or nothing was wrong; and the node must go on serving.
func TestHostilePeers(t *testing.T) {
	t.Parallel()
	network := chain.Dev
	dir := filepath.Join(t.TempDir(), "data")
	file := filepath.Join(t.TempDir(), "chain.rlp")
	w, err := archive.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	genesis, err := network.GenesisBlock()
	if err != nil {
		t.Fatal(err)
	}
	w.Append(genesis.Raw())
	var block *chain.Block
	for b := range chaingen.Generate(chaingen.Config{Network: network, Seed: 3, Blocks: 100, Txs: 1}) {
		block = b
		w.Append(b.Raw())
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	shoal(t, "import", "--datadir", dir, "--network", network.Name, file)
	node, addr := startNode(t, "--datadir", dir, "--listen", "127.0.0.1:0", "--log-level", "debug")

	// One peer is there all the time, and must not notice anything.
	bystander := joinRaw(t, addr, network)
	pongs := bystander.stay()
	var longest wire.HashList
	for range wire.MaxHashes + 1 {
		longest = wire.AppendHash(longest, common.Hash{1})
	}
	other := func(change func(*wire.Hello)) []byte {
		h := helloFor(t, network)
		change(&h)
		return wire.AppendFrame(nil, h)
	}
	hello := func() []byte { return other(func(*wire.Hello) {}) }
	joined := func(more ...[]byte) func() []byte {
		return func() []byte { return append(hello(), bytes.Join(more, nil)...) }
	}
	// A node id that somebody has who is connected.
	taken := func() wire.NodeID {
		h, holder := helloFor(t, network), dialRaw(t, addr)
		holder.send(t, h)
		holder.send(t, wire.Ping{})
		await[wire.Pong](t, holder)
		return h.Node
	}
	child := chaingen.Config{Network: network, Seed: 4, Blocks: 1, Txs: 1}.From(block)
	var young *chain.Block
	for b := range chaingen.Generate(child) {
		young = b
	}
	wrongBody := bytes.Clone(young.Raw())
	wrongBody[len(wrongBody)-10] ^= 1 // in the last transaction
	const none = wire.Reason(1 << 20) // no Disconnect is owed
	fromHex := func(s string) []byte { return unhexLines(s) }
	for _, c := range []struct {
		name  string
		bytes func() []byte
		want  wire.Reason
		// What the peer does afterwards: it closes its half, so that the node sees
		// the end of the stream.
		closes bool
	}{
		{name: "garbage first", want: wire.ReasonBadProtocol, bytes: func() []byte { return bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 100) }},
		{name: "garbage after hello", want: wire.ReasonBadProtocol, bytes: joined(bytes.Repeat([]byte{0xaa, 0x55}, 5000))},
		{name: "zeros", want: wire.ReasonBadProtocol, bytes: func() []byte { return make([]byte, 4096) }},
		{name: "token with a flipped bit", want: wire.ReasonBadProtocol, bytes: joined(fromHex("2240089000000002c102"))},
		{name: "request before hello", want: wire.ReasonBadProtocol, bytes: func() []byte { return wire.AppendFrame(nil, wire.GetPeers{}) }},
		{name: "second hello", want: wire.ReasonBadProtocol, bytes: joined(hello())},

		{name: "4 GiB first", want: wire.ReasonBadProtocol, bytes: func() []byte { return frameHead(1<<32 - 1) }},
		{name: "4 GiB", want: wire.ReasonBadProtocol, bytes: joined(frameHead(1<<32-1), fromHex("fbffffffff13"), make([]byte, 100))},
		{name: "10 MiB and one", want: wire.ReasonBadProtocol, bytes: joined(frameHead(wire.MaxFrame+1), fromHex("fa9ffffd13"))},
		{name: "ping of 1 MiB", want: wire.ReasonBadProtocol, bytes: joined(frameHead(1<<20), fromHex("fa0ffffc02"), make([]byte, 100))},
		{name: "hello of 1 MiB", want: wire.ReasonBadProtocol, bytes: func() []byte { return append(append(frameHead(1<<20), fromHex("fa0ffffc80")...), make([]byte, 100)...) }},
		{name: "8193 hashes", want: wire.ReasonBadProtocol, bytes: joined(wire.AppendFrame(nil, wire.GetBlocks{HashList: longest}))},
		{name: "8193 hashes unasked", want: wire.ReasonBadProtocol, bytes: joined(wire.AppendFrame(nil, wire.BlockHashes{HashList: longest}))},

		{name: "empty frame", want: wire.ReasonBadProtocol, bytes: joined(frame(nil))},
		{name: "empty list", want: wire.ReasonBadProtocol, bytes: joined(frame(fromHex("c0")))},
		{name: "string", want: wire.ReasonBadProtocol, bytes: joined(frame(fromHex("8102")))},
		{name: "list that is longer than its frame", want: wire.ReasonBadProtocol, bytes: joined(frame(fromHex("c202")))},
		{name: "list that is shorter than its frame", want: wire.ReasonBadProtocol, bytes: joined(frame(fromHex("c10200")))},
		{name: "zero id with a leading zero", want: wire.ReasonBadProtocol, bytes: joined(frame(fromHex("c100")))},
		{name: "long form of a short list", want: wire.ReasonBadProtocol, bytes: joined(frame(fromHex("f80102")))},
		{name: "nested hash request", want: wire.ReasonBadProtocol, bytes: joined(frame(append(fromHex("e417e2a0"), append(make([]byte, 32), 0x20)...)))},
		{name: "hash of 31 bytes", want: wire.ReasonBadProtocol, bytes: joined(frame(append(fromHex("e1199f"), make([]byte, 31)...)))},
		{name: "hash request of 65 bits", want: wire.ReasonBadProtocol, bytes: joined(frame(append(append(fromHex("ec17a0"), make([]byte, 32)...), fromHex("89010000000000000000")...)))},
		{name: "block that is none", want: wire.ReasonBadProtocol, bytes: joined(frame(fromHex("c613c4c3010203")))},
		{name: "block that is a string", want: wire.ReasonBadProtocol, bytes: joined(frame(fromHex("c51383646f67")))},
		{name: "block with another body", want: wire.ReasonBadProtocol, bytes: joined(wire.AppendFrame(nil, wire.Blocks{RawList: wrongBody}))},
		{name: "answers to nothing", want: wire.ReasonUselessPeer, bytes: joined(bytes.Repeat(wire.AppendFrame(nil, wire.BlockHashes{}), 100))},

		{name: "wrong genesis", want: wire.ReasonWrongGenesis, bytes: func() []byte { return other(func(h *wire.Hello) { h.Genesis[5] ^= 1 }) }},
		{name: "version 29", want: wire.ReasonIncompatible, bytes: func() []byte { return other(func(h *wire.Hello) { h.Version = 29 }) }},
		{name: "version 33", want: wire.ReasonIncompatible, bytes: func() []byte { return other(func(h *wire.Hello) { h.Version = 33 }) }},
		{name: "network 0", want: wire.ReasonIncompatible, bytes: func() []byte { return other(func(h *wire.Hello) { h.Network.Clear() }) }},
		{name: "network of 256 bits", want: wire.ReasonIncompatible, bytes: func() []byte { return other(func(h *wire.Hello) { h.Network.SetAllOne() }) }},
		{name: "node id zero", want: wire.ReasonIncompatible, bytes: func() []byte { return other(func(h *wire.Hello) { h.Node = wire.NodeID{} }) }},
		{name: "hello of protocol 28", want: wire.ReasonIncompatible, bytes: func() []byte { return frame(helloOf28()) }},
		{name: "node id that is connected", want: wire.ReasonAlreadyConnected, bytes: func() []byte { return other(func(h *wire.Hello) { h.Node = taken() }) }},
		{name: "node id that is connected, wrong genesis", want: wire.ReasonAlreadyConnected, bytes: func() []byte {
			return other(func(h *wire.Hello) { h.Node, h.Genesis[0] = taken(), 0 })
		}},

		// Nothing is wrong with these, or nobody is left to be told.
		{name: "nothing", want: none, closes: true, bytes: func() []byte { return nil }},
		{name: "half a token", want: none, closes: true, bytes: func() []byte { return fromHex("2240") }},
		{name: "half a hello", want: none, closes: true, bytes: func() []byte { return hello()[:100] }},
		{name: "half a frame", want: none, closes: true, bytes: joined(frameHead(1<<20), fromHex("fa0ffffc13"))},
		{name: "disconnect", want: none, bytes: joined(wire.AppendFrame(nil, wire.Disconnect{Reason: wire.ReasonRequested}))},
		{name: "disconnect without a reason", want: none, bytes: joined(frame(fromHex("c101")))},
		{name: "disconnect first", want: none, bytes: func() []byte { return wire.AppendFrame(nil, wire.Disconnect{Reason: wire.ReasonTooManyPeers}) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := dialRaw(t, addr)
			p.Write(c.bytes()) // the node may close before the end of it
			if c.closes {
				p.Conn.(*net.TCPConn).CloseWrite()
			}
			got, told, err := p.end()
			switch {
			case err != nil:
				t.Error(err)
			case c.want == none && told:
				t.Errorf("the node disconnects with %#x (%v), want no word", uint64(got), got)
			case c.want != none && !told:
				t.Errorf("the node closes without a word, want %#x (%v)", uint64(c.want), c.want)
			case c.want != none && got != c.want:
				t.Errorf("the node disconnects with %#x (%v), want %#x (%v)", uint64(got), got, uint64(c.want), c.want)
			}
			p.Close()
			node.alive(t)
			healthy(t, addr, network, block.Hash)
		})
	}

	t.Run("unknown messages are passed over", func(t *testing.T) {
		p := joinRaw(t, addr, network)
		for _, payload := range []string{"c114", "c215c0", "c17f", "c31d0102", "c112", "c103", "c111"} {
			p.Write(frame(fromHex(payload)))
		}
		p.send(t, wire.Ping{})
		await[wire.Pong](t, p)
	})
	t.Run("requests for what is not there", func(t *testing.T) {
		p := joinRaw(t, addr, network)
		unknown := common.Hash{0xde, 0xad}
		p.send(t, wire.GetBlockHashes{Start: unknown, Max: 1 << 63})
		if got := await[wire.BlockHashes](t, p); got.Len() != 0 {
			t.Errorf("%d hashes of an unknown block", got.Len())
		}
		p.send(t, wire.GetBlockHashes{Start: block.Hash, Max: 0})
		if got := await[wire.BlockHashes](t, p); got.Len() != 0 {
			t.Errorf("%d hashes, want 0 as asked", got.Len())
		}
		p.send(t, wire.GetBlockHashes{Start: block.Hash, Max: 1<<64 - 1})
		if got := await[wire.BlockHashes](t, p); got.Len() != 100 || got.At(99) != genesis.Hash {
			t.Errorf("%d hashes, want 100 down to the genesis block", got.Len())
		}
		p.send(t, wire.GetBlocks{HashList: wire.AppendHash(wire.AppendHash(nil, unknown), genesis.Hash)})
		if got := await[wire.Blocks](t, p); !bytes.Equal(got.RawList, genesis.Raw()) {
			t.Errorf("%d blocks, want the genesis block", got.Len())
		}
		p.send(t, wire.GetBlocks{})
		if got := await[wire.Blocks](t, p); got.Len() != 0 {
			t.Errorf("%d blocks, want none", got.Len())
		}
	})
	t.Run("a head that does not exist", func(t *testing.T) {
		h := helloFor(t, network)
		h.TD.SetAllOne()
		h.Best = common.Hash{0xbe, 0xef}
		p := dialRaw(t, addr)
		p.send(t, h)
		q := await[wire.GetBlocks](t, p)
		if q.Len() != 1 || q.At(0) != h.Best {
			t.Errorf("the node asks for %d blocks, want the head that was claimed", q.Len())
		}
		p.send(t, wire.Blocks{})
		reason, told, err := p.end()
		if err != nil || !told || reason != wire.ReasonUselessPeer {
			t.Errorf("the node disconnects with %v (%v, %v), want %v", reason, told, err, wire.ReasonUselessPeer)
		}
	})
	t.Run("many who say nothing", func(t *testing.T) {
		for range 60 {
			dialRaw(t, addr)
		}
		healthy(t, addr, network, block.Hash)
	})

	bystander.send(t, wire.Ping{})
	if _, ok := <-pongs; !ok {
		t.Error("the node has disconnected a peer that did nothing wrong")
	}
	healthy(t, addr, network, block.Hash)
	node.alive(t)
	if mem, ok := peakMemory(node.cmd.Process.Pid); ok && mem > 1<<30 {
		t.Errorf("the node has taken %d MB of memory at its peak", mem>>20)
	}
	if found := regexp.MustCompile(`(?m)^(panic|fatal error|goroutine \d+).*`).FindString(node.all.String()); found != "" {
		t.Errorf("the node wrote %q", found)
	}
	node.interrupt(t)
	node.exits(t, exitOK)
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(export(t, dir), want) {
		t.Error("the chain is not what it was before")
	}
}

// helloOf28 is the Hello of protocol 28: eight fields, without a genesis block.
func helloOf28() []byte {
	items := []byte{0x80, 28, 0x80, 0x83, 'o', 'l', 'd', 7, 0x82, 0x76, 0x5f, 0xb8, 0x40}
	items = append(items, bytes.Repeat([]byte{0x42}, 64)...)
	items = append(items, 0x83, 2, 0, 0, 0xa0)
	items = append(items, make([]byte, 32)...)
	return append([]byte{0xf8, byte(len(items))}, items...)
}

// peakMemory is the most memory that a process has had, where the system tells.
func peakMemory(pid int) (int64, bool) {
	n, err := statusOf(pid, "VmHWM")
	return n, err == nil
}
