package main

import (
	"bytes"
	"context"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/wire"
)

// Who does harm in TestSoak.

const (
	// foeTime is how long a foe stays at most, maxFoes how many there are at once: they
	// shall not take all places.
	foeTime = 15 * time.Second
	maxFoes = 16
)

// foe is a connection of somebody who does harm.
type foe struct {
	*soak
	ctx   context.Context // of this foe
	conn  net.Conn
	hello wire.Hello
}

func (f *foe) write(m wire.Message) { f.conn.Write(wire.AppendFrame(nil, m)) }

// greet begins as a peer should.
func (f *foe) greet() { f.write(f.hello) }

// listen reads until the node has enough, or the foe.
func (f *foe) listen() { io.Copy(io.Discard, f.conn) }

// linger does not read.
func (f *foe) linger() { <-f.ctx.Done() }

// foes attack the nodes, one after the other, in every way there is.
func (s *soak) foes(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	slots := make(chan struct{}, maxFoes)
	ways := len(rude) + len(testbed.Attacks(s, s.base))
	for i := 0; pause(ctx, s.pace); i++ {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		all.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, min(foeTime, s.long/6))
			defer cancel()
			// Both nodes meet everybody, an odd number of ways later.
			s.attack(ctx, s.watched[(i+i/ways)%2].addr, i)
		})
	}
}

// attack plays the attack of a number, and notes who has done it.
func (s *soak) attack(ctx context.Context, addr string, i int) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		if ctx.Err() == nil {
			s.fault("%s does not take a connection: %v", addr, err)
		}
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	hello := helloFor(s, chain.Dev)
	hello.Port = uint16(foePort + i%foePorts)
	s.mu.Lock()
	s.guilty[conn.LocalAddr().String()] = true
	s.guilty[net.JoinHostPort("127.0.0.1", strconv.Itoa(int(hello.Port)))] = true
	s.mu.Unlock()
	if way := i % (len(rude) + len(testbed.Attacks(s, s.base))); way < len(rude) {
		rude[way].play(&foe{s, ctx, conn, hello})
		s.did("attack: " + rude[way].name)
	} else {
		// A chain that nobody has seen, and that is lighter than that of all.
		c := testbed.Grow(s, s.base, soakBase-30, uint64(1000+i), 0, 25)
		a := testbed.Attacks(s, c)[way-len(rude)]
		r := testbed.NewRogue(ctx, c)
		r.Seed = uint64(1000 + i)
		a.Spoil(r)
		r.TD.Lsh(&c.TD, 16) // it shall be believed, until it is found out
		r.Run(conn, false, "rogue", hello.Node, hello.Port)
		s.did("attack: " + a.Name)
	}
}

// rude are those who do not keep to the protocol, or to what is decent.
var rude = []struct {
	name string
	play func(f *foe)
}{
	{"silence", (*foe).listen},
	{"garbage first", func(f *foe) {
		f.conn.Write(bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 100))
		f.listen()
	}},
	{"garbage after hello", func(f *foe) {
		f.greet()
		f.conn.Write(bytes.Repeat([]byte{0xaa, 0x55}, 5000))
		f.listen()
	}},
	{"half a hello", func(f *foe) {
		b := wire.AppendFrame(nil, f.hello)
		f.conn.Write(b[:len(b)/2])
		f.listen()
	}},
	{"half a frame", func(f *foe) {
		f.greet()
		f.conn.Write(append(frameHead(1<<20), 0xfa, 0x0f, 0xff, 0xfc, 0x13))
		f.listen()
	}},
	{"a frame that drips", func(f *foe) {
		f.greet()
		b := wire.AppendFrame(nil, wire.Blocks{RawList: f.base.Head().Raw()})
		for i := 0; i < len(b) && pause(f.ctx, 200*time.Millisecond); i++ {
			if _, err := f.conn.Write(b[i : i+1]); err != nil {
				return
			}
		}
	}},
	{"4 GiB", func(f *foe) {
		f.greet()
		f.conn.Write(frameHead(math.MaxUint32))
		f.listen()
	}},
	{"a list that is longer than its frame", func(f *foe) {
		f.greet()
		f.conn.Write(frame([]byte{0xc2, 0x02}))
		f.listen()
	}},
	{"a block that is none", func(f *foe) {
		f.greet()
		f.conn.Write(frame([]byte{0xc6, 0x13, 0xc4, 0xc3, 1, 2, 3}))
		f.listen()
	}},
	{"a block with another body", func(f *foe) {
		f.greet()
		raw := bytes.Clone(f.base.Head().Raw())
		raw[len(raw)-10] ^= 1
		f.write(wire.Blocks{RawList: raw})
		f.listen()
	}},
	{"the end right after hello", func(f *foe) {
		f.conn.(*net.TCPConn).SetLinger(0) // a reset
		f.greet()
	}},
	{"another genesis block", func(f *foe) {
		f.hello.Genesis[7] ^= 1
		f.greet()
		f.listen()
	}},
	{"twice the same node", func(f *foe) {
		f.greet()
		var d net.Dialer
		if again, err := d.DialContext(f.ctx, "tcp", f.conn.RemoteAddr().String()); err == nil {
			defer again.Close()
			again.Write(wire.AppendFrame(nil, f.hello))
			again.SetReadDeadline(time.Now().Add(foeTime))
			io.Copy(io.Discard, again)
		}
	}},
	{"a flood of pings", func(f *foe) {
		f.greet()
		f.conn.Write(bytes.Repeat(wire.AppendFrame(nil, wire.Ping{}), 20_000))
		f.linger()
	}},
	{"a flood of requests for blocks", func(f *foe) {
		f.greet()
		var list wire.HashList
		for _, b := range f.base.Blocks[1:] {
			list = wire.AppendHash(list, b.Hash)
		}
		for range 100 {
			f.write(wire.GetBlocks{HashList: list})
		}
		f.linger()
	}},
	{"a flood of requests for hashes", func(f *foe) {
		f.greet()
		for range 2000 {
			f.write(wire.GetBlockHashes{Start: f.base.Head().Hash, Max: math.MaxUint64})
		}
		f.linger()
	}},
	{"a flood of requests for peers", func(f *foe) {
		f.greet()
		f.conn.Write(bytes.Repeat(wire.AppendFrame(nil, wire.GetPeers{}), 5000))
		f.linger()
	}},
	{"answers to nothing", func(f *foe) {
		f.greet()
		f.conn.Write(bytes.Repeat(wire.AppendFrame(nil, wire.BlockHashes{}), 100))
		f.listen()
	}},
	{"blocks that everybody has", func(f *foe) {
		f.greet()
		var list wire.RawList
		for _, b := range f.base.Blocks[1:] {
			list = append(list, b.Raw()...)
		}
		f.write(wire.Blocks{RawList: list})
		f.write(wire.Blocks{RawList: list})
		f.listen()
	}},
	{"blocks of no chain", func(f *foe) {
		f.greet()
		lost := testbed.Remade(f, f.base.Head(), func(h *types.Header) {
			h.ParentHash = testbed.MadeUp(rand.Uint64(), 1)[0]
			h.Time = uint64(time.Now().Unix())
		})
		f.write(wire.Blocks{RawList: lost.Raw()})
		f.listen()
	}},
	{"junk for transactions", func(f *foe) {
		f.greet()
		var list wire.RawList
		for i := range 300 {
			raw := payment(f, uint64(i))
			for k := range 31 { // of s
				raw[len(raw)-1-k] = 0xff
			}
			list = append(list, raw...)
			list = append(list, 0xc1, byte(i%128))
		}
		f.write(wire.Transactions{RawList: list})
		f.listen()
	}},
	{"made-up addresses", func(f *foe) {
		f.greet()
		for range 4 {
			var list wire.RawList
			for range wire.MaxPeers {
				ip := [4]byte{127, byte(rand.Uint32()), byte(rand.Uint32()), byte(1 + rand.IntN(250))}
				list = wire.AppendPeer(list, wire.PeerAddr{IP: ip, Port: uint16(foePort + rand.IntN(foePorts)), Node: helloFor(f, chain.Dev).Node})
			}
			f.write(wire.Peers{Entries: list})
		}
		f.listen()
	}},
	{"a claim, and nothing else", func(f *foe) {
		f.hello.TD.Lsh(uint256.NewInt(1), 200)
		f.hello.Best = testbed.MadeUp(rand.Uint64(), 1)[0]
		f.greet()
		f.listen()
	}},
	{"millions of hashes, and megabytes of blocks", func(f *foe) {
		h := newHoarder(f, f.base.Head(), 20_000_000+rand.Uint64N(1e6))
		h.hello.Node, h.hello.Port = f.hello.Node, f.hello.Port
		h.serve(f.conn)
	}},
}

// payment is a transaction that is signed and pays nothing.
func payment(t testing.TB, nonce uint64) []byte {
	return testbed.Sign(t, chain.Dev, &types.LegacyTx{Nonce: nonce, GasPrice: new(big.Int), Gas: 21000, To: &common.Address{1}})
}
