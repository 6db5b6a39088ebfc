package node_test

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/peer"
	"github.com/shoalnet/shoal/wire"
)

// TestA27MessagesAtAndOverTheLimit: what is over a limit ends the session before the
// message is here, and what is at the limit does not. Meanwhile a sync goes on.
func TestA27MessagesAtAndOverTheLimit(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 600)
	million := wire.HashListOf(testbed.MadeUp(1, 1_000_000))
	hashes := func(n int) wire.HashList { return million[:33*n] }
	frame := func(m wire.Message) []byte { return wire.AppendFrame(nil, m) }
	// An item of a length that makes a frame's payload so long.
	blob := func(payload int) wire.RawList {
		n := payload - 4 - 1 - 4 // heads of the message and of the item, id
		item := append([]byte{0xf9 + 1, byte(n >> 16), byte(n >> 8), byte(n)}, make([]byte, n)...)
		return item
	}
	empty := slices.Repeat([]byte{0xc0}, wire.MaxBlocks+1)
	for _, a := range []struct {
		name  string
		frame []byte
		bad   bool
	}{
		{"a million hashes", frame(wire.BlockHashes{HashList: million}), true},
		{"a hash too many", frame(wire.BlockHashes{HashList: hashes(wire.MaxHashes + 1)}), true},
		{"as many hashes as there may be", frame(wire.BlockHashes{HashList: hashes(wire.MaxHashes)}), false},
		{"no hashes", frame(wire.BlockHashes{}), false},
		{"a request for 100,000 blocks", frame(wire.GetBlocks{HashList: hashes(100_000)}), true},
		{"a request for a block too many", frame(wire.GetBlocks{HashList: hashes(wire.MaxHashes + 1)}), true},
		{"a request for as many blocks as may be asked for", frame(wire.GetBlocks{HashList: hashes(wire.MaxHashes)}), false},
		{"a request for no blocks", frame(wire.GetBlocks{}), false},
		{"no blocks", frame(wire.Blocks{}), false},
		{"a message that is too long by a byte", frame(wire.Blocks{RawList: blob(wire.MaxFrame + 1)}), true},
		{"junk of the greatest length", frame(wire.Blocks{RawList: blob(wire.MaxFrame)}), true},
		{"a block too many", frame(wire.Blocks{RawList: empty}), true},
		{"the length of a frame that does not come", binary.BigEndian.AppendUint32([]byte{0x22, 0x40, 0x08, 0x91}, math.MaxUint32), true},
		{"a ping with 60,000 items", frame(wire.Unknown{Kind: wire.IDPing, Items: slices.Repeat([]byte{0x80}, 60_000)}), true},
	} {
		t.Run(a.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				honest := w.honest("a", c, honestRate)
				v := w.node("victim", nil, nil, honest.addr)
				s := w.script(v)
				before := heap()
				measured := make(chan struct{})
				w.wg.Go(func() {
					most := len(a.frame) - 1
					if _, err := s.conn.Write(a.frame[:most]); err == nil {
						<-measured
						s.conn.Write(a.frame[most:])
					}
				})
				// One message at its limit may be here, but for its last byte, in a
				// buffer that has grown by doubling.
				if grown := heap() - before; grown > 2*wire.MaxFrame {
					t.Errorf("the heap grew by %d bytes", grown)
				}
				close(measured)
				if a.bad {
					reason, told := s.end()
					if !told || reason != wire.ReasonBadProtocol {
						t.Errorf("the session ended with %v, %v", reason, told)
					}
				} else {
					time.Sleep(time.Second)
					s.send(wire.Ping{})
					for s.next().ID() != wire.IDPong {
					}
				}
				v.settled(c)
				if !a.bad {
					v.fair()
					return
				}
				time.Sleep(5 * time.Second) // the session was still being closed
				v.fair(s.ip)
				if len(v.blames(s.ip).Evidence) == 0 {
					t.Error("nothing of it is remembered")
				}
			})
		})
	}
}

// TestA28AskForEverything: whatever a request says, an answer has its limit.
func TestA28AskForEverything(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, wire.MaxHashes+500)
	inBubble(t, func(t *testing.T, w *world) {
		v := w.node("victim", c, nil)
		s := w.script(v)
		s.send(wire.GetBlockHashes{Start: c.Head().Hash, Max: math.MaxUint64})
		answer, ok := s.next().(wire.BlockHashes)
		if !ok || answer.Len() != wire.MaxHashes || answer.At(0) != c.Head().Parent {
			t.Errorf("got %d hashes", answer.Len())
		}
		var all []common.Hash
		for _, b := range c.Blocks[:wire.MaxHashes] {
			all = append(all, b.Hash)
		}
		s.send(wire.GetBlocks{HashList: wire.HashListOf(all)})
		blocks, ok := s.next().(wire.Blocks)
		if n := blocks.Len(); !ok || n == 0 || n > wire.MaxBlocks || len(blocks.RawList) > 2<<20+len(c.Head().Raw()) {
			t.Errorf("got %d blocks of %d bytes", n, len(blocks.RawList))
		}
		// The same block a thousand times is a thousand blocks at the most.
		s.send(wire.GetBlocks{HashList: wire.HashListOf(slices.Repeat([]common.Hash{c.Head().Hash}, wire.MaxHashes))})
		if blocks, ok = s.next().(wire.Blocks); !ok || blocks.Len() > wire.MaxBlocks {
			t.Errorf("got %d blocks", blocks.Len())
		}
	})
}

// TestA28AFloodOfRequests: peers that ask and do not read. They cost what a session
// may cost, lose it, and another one is served all the while.
func TestA28AFloodOfRequests(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 2000)
	var all []common.Hash
	for _, b := range c.Blocks[1:1025] {
		all = append(all, b.Hash)
	}
	const flooders, requests = 4, 2000
	for _, a := range []struct {
		name    string
		request wire.Message
		bad     bool // for the answers do not fit into the buffers between the two
	}{
		{"GetBlocks of a thousand", wire.GetBlocks{HashList: wire.HashListOf(all)}, true},
		{"GetBlocks of one", wire.GetBlocks{HashList: wire.HashListOf(all[:1])}, true},
		{"GetBlockHashes", wire.GetBlockHashes{Start: c.Head().Hash, Max: math.MaxUint64}, true},
		{"GetPeers", wire.GetPeers{}, false},
		{"Ping", wire.Ping{}, false},
	} {
		t.Run(a.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				v := w.node("victim", c, nil)
				v.host.SetDelay(ms)
				before := heap()
				var ips []string
				ctx, cancel := context.WithCancel(w.ctx)
				defer cancel()
				for range flooders {
					s := w.script(v)
					ips = append(ips, s.ip)
					w.sea.Host(s.ip).SetUpload(10e6)
					w.wg.Go(func() {
						for range requests {
							if ctx.Err() != nil || s.out.Write(a.request) != nil {
								return
							}
						}
					})
				}
				time.Sleep(time.Second)
				if grown := heap() - before; grown > flooders*peer.Memory {
					t.Errorf("the heap grew by %d bytes", grown)
				}
				began := time.Now()
				other := w.node("other", nil, nil, v.addr)
				other.settled(c)
				if took := time.Since(began); took > soon {
					t.Errorf("another one's sync took %v", took)
				}
				other.fair()
				time.Sleep(2 * time.Minute)
				for _, ip := range ips {
					if a.bad && len(v.blames(ip).Evidence) == 0 {
						t.Errorf("nothing of the flood from %s is remembered", ip)
					}
				}
				v.fair(ips...)
			})
		})
	}
}
