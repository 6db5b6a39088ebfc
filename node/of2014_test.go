package node_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/internal/memnet"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/wire"
)

// The clients of 2014 as they were measured, message by message: C++ of 30 August and
// Python of 3 September, both of protocol 30, and the oddities of others of the time.

// server2014 serves a chain as one of them did.
type server2014 struct {
	name       string
	inclusive  bool          // lists of hashes begin with the hash that was asked for (Go)
	noGenesis  bool          // the genesis block is left out, and then there is an empty list
	hashes     int           // the most in an answer
	blocks     int           // the most in an answer
	reversed   bool          // blocks in an answer, the last one first
	scattered  bool          // each block of an answer in a message of its own
	withheld   int           // how often each tenth block is left out before it is given
	pause      time.Duration // before each answer (Python, Go: half a second)
	lateHello  time.Duration
	chatter    bool // Ping and GetPeers right behind Hello, before ours is here (C++)
	mute       bool // pings are not answered
	refuses    int  // connections that are closed without a word at first (C++, Python)
	diesOnFork bool // a hash that it does not know ends its thread (Python): no more answers
	announces  bool // the last blocks are sent again when a sync is over (C++)

	chain *testbed.Branch
	host  *memnet.Host
	left  map[common.Hash]int
	asked []common.Hash // blocks, in order
}

// serve accepts connections, one after the other, until the world ends.
func (s *server2014) serve(w *world) string {
	host, ip := w.host()
	s.host, s.left = host, map[common.Hash]int{}
	host.SetDelay(5 * ms)
	l, err := host.Listen(port)
	if err != nil {
		w.Fatal(err)
	}
	context.AfterFunc(w.ctx, func() { l.Close() })
	w.wg.Go(func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(w.ctx, func() { conn.Close() })
			if n >= s.refuses {
				if err := s.session(w, conn); err != nil && !errors.Is(err, io.EOF) && w.ctx.Err() == nil {
					w.Errorf("%s: %v", s.name, err)
				}
			}
			stop()
			conn.Close()
		}
	})
	return ip + ":30303"
}

func (s *server2014) session(w *world, conn net.Conn) error {
	in, out := wire.NewReader(conn), wire.NewWriter(conn)
	wait := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-w.ctx.Done():
		}
	}
	wait(s.lateHello)
	err := out.Write(wire.Hello{
		Version: 30, Client: "Ethereum(++)/v0.6.8/Release/linux", Caps: 7, Port: port, Node: wire.NodeID{0: 4, 63: byte(len(s.name))},
		Network: *uint256.NewInt(s.chain.Network.ID), TD: s.chain.TD, Best: s.chain.Head().Hash, Genesis: s.chain.Blocks[0].Hash,
	})
	if s.chatter && err == nil {
		err = errors.Join(out.Write(wire.Ping{}), out.Write(wire.GetPeers{}), out.Write(wire.GetTransactions{}))
	}
	dead, announced := false, false
	for err == nil {
		var m wire.Message
		if m, err = in.Next(); err != nil {
			return err
		}
		if dead {
			continue
		}
		switch m := m.(type) {
		case wire.Ping:
			if !s.mute {
				err = out.Write(wire.Pong{})
			}
		case wire.GetBlockHashes:
			wait(s.pause)
			list := s.ancestors(m.Start, int(min(m.Max, 1<<20)))
			if list == nil && s.diesOnFork {
				dead = true
				continue
			}
			err = out.Write(wire.BlockHashes{HashList: wire.HashListOf(list)})
		case wire.GetBlocks:
			wait(s.pause)
			raws := s.answer(slices.Collect(m.All()))
			if !s.scattered || len(raws) == 0 {
				err = out.Write(wire.Blocks{RawList: slices.Concat(raws...)})
			} else {
				for _, raw := range raws {
					if err == nil {
						err = out.Write(wire.Blocks{RawList: raw})
					}
				}
			}
			if n := len(s.chain.Blocks); s.announces && !announced && slices.Contains(s.asked, s.chain.Blocks[1].Hash) && err == nil {
				announced = true
				err = out.Write(wire.Blocks{RawList: slices.Concat(s.chain.Blocks[n-1].Raw(), s.chain.Blocks[n-2].Raw())})
			}
		}
	}
	return err
}

// ancestors returns the hashes of an answer, nil if the block is unknown.
func (s *server2014) ancestors(start common.Hash, most int) []common.Hash {
	i, ok := s.chain.At[start]
	if !ok {
		return nil
	}
	if s.hashes > 0 {
		most = min(most, s.hashes)
	}
	list := []common.Hash{}
	if s.inclusive {
		list = append(list, start)
	}
	for i--; i >= 0 && len(list) < most; i-- {
		if i > 0 || !s.noGenesis {
			list = append(list, s.chain.Blocks[i].Hash)
		}
	}
	return list
}

// answer returns the blocks of an answer.
func (s *server2014) answer(hashes []common.Hash) (raws [][]byte) {
	most := len(hashes)
	if s.blocks > 0 {
		most = min(most, s.blocks)
	}
	for _, h := range hashes {
		i, ok := s.chain.At[h]
		if !ok || len(raws) == most {
			continue
		}
		s.asked = append(s.asked, h)
		if i%10 == 3 && s.left[h] < s.withheld {
			s.left[h]++
			continue
		}
		raws = append(raws, s.chain.Blocks[i].Raw())
	}
	if s.reversed {
		slices.Reverse(raws)
	}
	return raws
}

// poc6 is a chain of the network of 2014.
func poc6(t testing.TB, blocks int) *testbed.Branch {
	t.Helper()
	g := chaingen.Generate(chaingen.Config{Network: chain.PoC6, Seed: 1, Blocks: uint64(blocks), Txs: 1})
	return testbed.NewBranch(t, chain.PoC6, nil, 0, slices.Collect(g))
}

// TestServersOf2014: from each of them, alone, all is fetched, and none is blamed for what
// it was.
func TestServersOf2014(t *testing.T) {
	c := poc6(t, 120)
	for _, s := range []server2014{
		{name: "C++", blocks: 16, chatter: true, announces: true},
		{name: "Python", hashes: 32, blocks: 200, pause: 500 * ms},
		{name: "inclusive", inclusive: true, hashes: 50},
		{name: "genesis left out", noGenesis: true, hashes: 50, blocks: 16},
		{name: "five hashes at a time", hashes: 5, blocks: 16},
		{name: "blocks reversed", reversed: true},
		{name: "one block at a time", blocks: 1},
		{name: "a block withheld twice", withheld: 2, blocks: 16},
		{name: "an answer in many messages", scattered: true, blocks: 16},
		{name: "no Pong", mute: true},
		{name: "Hello three seconds late", lateHello: 3 * time.Second},
		{name: "refuses twice without a word", refuses: 2},
	} {
		t.Run(s.name, func(t *testing.T) {
			inBubbleOf(t, chain.PoC6, func(t *testing.T, w *world) {
				s.chain = c
				v := w.node("client", nil, nil, s.serve(w))
				v.settled(c)
				if s.refuses == 0 { // which is noted as a connection that failed
					v.fair()
				}
				twice := map[common.Hash]int{}
				for _, h := range s.asked {
					twice[h]++
				}
				for h, n := range twice {
					most := 1 + s.withheld
					if s.scattered {
						most++ // until that is found out, what has not come seems to be lacking
					}
					if n > most {
						t.Errorf("block %d was asked for %d times", c.At[h], n)
					}
				}
			})
		})
	}
}

// TestServersOf2014Together: a crowd of all of them, one of which dies at a hash that it
// does not know, as the Python client did.
func TestServersOf2014Together(t *testing.T) {
	c := poc6(t, 400)
	short := testbed.NewBranch(t, chain.PoC6, c, 300, nil)
	inBubbleOf(t, chain.PoC6, func(t *testing.T, w *world) {
		crowd := []*server2014{
			{name: "1", blocks: 16, chatter: true, chain: c},
			{name: "22", hashes: 32, blocks: 200, pause: 500 * ms, chain: c},
			{name: "333", hashes: 32, blocks: 200, pause: 500 * ms, diesOnFork: true, chain: short},
			{name: "4444", noGenesis: true, blocks: 16, chain: c},
			{name: "55555", scattered: true, blocks: 16, chain: c},
		}
		var addrs []string
		for _, s := range crowd {
			addrs = append(addrs, s.serve(w))
		}
		v := w.node("client", nil, nil, addrs...)
		began := time.Now()
		v.until("the head", func(e any) bool {
			m, ok := e.(downloader.HeadMoved)
			return ok && m.New.Hash == c.Head().Hash
		})
		if took := time.Since(began); took > time.Minute {
			t.Errorf("took %v", took)
		}
		v.has(c)
	})
}

// client2014 syncs from a node as one of them did.
type client2014 struct {
	name    string
	early   bool          // asks for peers and pings before it has read our Hello (C++)
	hashes  uint64        // asks for so many at a time
	blocks  int           // asks for so many at a time
	sorted  bool          // blocks in the order of the bytes of their hashes (C++)
	ordered bool          // blocks must come as they were asked for, without gaps (Python)
	pause   time.Duration // before all that it sends (Python)
}

// sync fetches the chain of a node, and fails where the client would have died.
func (c client2014) sync(w *world, from *machine, want *testbed.Branch) {
	w.Helper()
	host, _ := w.host()
	conn, err := host.Dial(w.ctx, from.addr)
	if err != nil {
		w.Fatal(err)
	}
	defer conn.Close()
	in, out := wire.NewReader(conn), wire.NewWriter(conn)
	send := func(list ...wire.Message) {
		w.Helper()
		for _, m := range list {
			time.Sleep(c.pause)
			if err := out.Write(m); err != nil {
				w.Fatal(err)
			}
		}
	}
	// next returns the next message that answers something.
	next := func() wire.Message {
		w.Helper()
		for {
			m, err := in.Next()
			if err != nil {
				w.Fatalf("%s: %v", c.name, err)
			}
			switch m := m.(type) {
			case wire.Ping:
				send(wire.Pong{})
			case wire.GetPeers, wire.GetTransactions, wire.Pong, wire.Peers, wire.Transactions:
			case wire.Unknown, wire.GetContent, wire.Content, wire.Head:
				w.Fatalf("%s: got %v, which ends the session", c.name, m.ID())
			default:
				return m
			}
		}
	}
	genesis := want.Blocks[0]
	send(wire.Hello{
		Version: 30, Client: c.name, Caps: 7, Node: wire.NodeID{0: 5, 63: byte(w.hosts)}, Network: *uint256.NewInt(w.net.ID),
		TD: genesis.Difficulty, Best: genesis.Hash, Genesis: genesis.Hash,
	})
	if c.early {
		send(wire.Ping{}, wire.GetPeers{})
	}
	hello, ok := next().(wire.Hello)
	if !ok || hello.TD != want.TD {
		w.Fatalf("%s: got %+v", c.name, hello)
	}
	send(wire.GetTransactions{})
	hashes := []common.Hash{hello.Best}
	for hashes[len(hashes)-1] != genesis.Hash {
		send(wire.GetBlockHashes{Start: hashes[len(hashes)-1], Max: c.hashes})
		m, ok := next().(wire.BlockHashes)
		if !ok || m.Len() == 0 {
			w.Fatalf("%s: the list of hashes ends after %d, %v", c.name, len(hashes), ok)
		}
		hashes = slices.AppendSeq(hashes, m.All())
	}
	missing := hashes[:len(hashes)-1] // all but the genesis block
	slices.Reverse(missing)
	got := 0
	for len(missing) > 0 {
		ask := slices.Clone(missing[:min(c.blocks, len(missing))])
		if c.sorted {
			sort.Slice(ask, func(i, j int) bool { return ask[i].Cmp(ask[j]) < 0 })
		}
		send(wire.GetBlocks{HashList: wire.HashListOf(ask)})
		m, ok := next().(wire.Blocks)
		if !ok || m.Len() == 0 {
			w.Fatalf("%s: no blocks after %d", c.name, got)
		}
		i := 0
		for raw := range m.All() {
			h, err := chain.HashOf(raw)
			if err != nil {
				w.Fatal(err)
			}
			if c.ordered && h != ask[i] || !slices.Contains(ask, h) {
				w.Fatalf("%s: block %x came in the place of %x", c.name, h, ask[i])
			}
			if string(raw) != string(want.Blocks[want.At[h]].Raw()) {
				w.Fatalf("%s: block %d is not what is held", c.name, want.At[h])
			}
			missing = slices.DeleteFunc(missing, func(x common.Hash) bool { return x == h })
			i++
			got++
		}
	}
	if got != len(want.Blocks)-1 {
		w.Errorf("%s: %d blocks came, want %d", c.name, got, len(want.Blocks)-1)
	}
	// It has nothing to be told after that, and is pushed no block that it has (A12, A13).
	send(wire.Ping{})
}

// TestClientsOf2014: each of them is served to the end, as it must be so that it lives.
func TestClientsOf2014(t *testing.T) {
	c := poc6(t, 300)
	for _, client := range []client2014{
		{name: "C++", early: true, hashes: 32, blocks: 16, sorted: true},
		{name: "Python", hashes: 2000, blocks: 200, ordered: true, pause: 500 * ms},
		{name: "Go, if it had spoken protocol 30", hashes: 200, blocks: 100},
	} {
		t.Run(client.name, func(t *testing.T) {
			inBubbleOf(t, chain.PoC6, func(t *testing.T, w *world) {
				v := w.node("server", c, nil)
				time.Sleep(time.Second)
				client.sync(w, v, c)
			})
		})
	}
}
