package peer

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/wire"
)

func TestServeHashes(t *testing.T) {
	chain := toyChain{top: 8500, missing: map[int]bool{12: true}}
	scene{chain: chain}.tell(t, func(p *other) {
		p.greet()
		for _, tt := range []struct {
			start int
			max   uint64
			want  string
		}{
			{9, 3, " 8 7 6"}, // the parent first
			{3, 3, " 2 1 0"},
			{3, 99, " 2 1 0"}, // genesis last
			{1, 99, " 0"},
			{0, 99, ""},
			{9, 0, ""},
			{12, 5, ""}, // not held
			{8800, 5, ""},
			{2, 1 << 63, " 1 0"},
		} {
			p.send(wire.GetBlockHashes{Start: toyHash(tt.start), Max: tt.max})
			p.expect("BlockHashes" + tt.want)
		}
		for _, max := range []uint64{8192, 8193, 1 << 40} {
			p.send(wire.GetBlockHashes{Start: toyHash(8500), Max: max})
			m, err := p.in.Next()
			if err != nil {
				p.Fatal(err)
			}
			list, ok := m.(wire.BlockHashes)
			if !ok || list.Len() != 8192 || list.At(0) != toyHash(8499) || list.At(8191) != toyHash(308) {
				p.Errorf("asked for %d hashes, got %d", max, list.Len())
			}
		}
	})
}

// TestServeHashesWide: a max over 64 bits is none (A11).
func TestServeHashesWide(t *testing.T) {
	tell(t, func(p *other) {
		p.greet()
		p.sendHex(fmt.Sprintf("eb 17 a0%x 89010000000000000000", toyHash(9)))
		p.expectDisconnect(wire.ReasonBadProtocol)
		p.endedBy(violation(wire.ReasonBadProtocol, "malformed"))
	})
}

func TestServeBlocks(t *testing.T) {
	tell(t, func(p *other) {
		p.greet()
		for _, tt := range []struct {
			want   []int
			answer string
		}{
			{[]int{1, 2, 3}, " 1 2 3"},
			{[]int{3, 1, 2}, " 3 1 2"}, // in the order of the request
			{[]int{0}, " 0"},
			{[]int{1000, 1, 1001, 2, 1002}, " 1 2"}, // unknown ones are skipped
			{[]int{5, 5, 4, 5}, " 5 5 4 5"},         // asked twice, sent twice
			{[]int{1000, 1001}, ""},
			{nil, ""},
		} {
			p.send(wire.GetBlocks{HashList: hashList(tt.want...)})
			p.expect("Blocks" + tt.answer)
		}
		// Exactly one answer for each request, in order.
		p.send(wire.GetBlocks{}, wire.GetBlocks{HashList: hashList(7)}, wire.GetBlocks{HashList: hashList(1000)},
			wire.GetBlocks{HashList: hashList(8)}, wire.GetPeers{})
		p.expect("Blocks", "Blocks 7", "Blocks", "Blocks 8", "Peers")
		p.expectSilence(15*time.Second - 1)
	})
}

func TestServeBlocksBytes(t *testing.T) {
	for _, tt := range []struct{ pad, want int }{
		{100, 41},           // all
		{2<<20/10 - 20, 10}, // ten just fit
		{2<<20/10 + 20, 9},  // and here they do not
		{1<<20 + 1, 1},      // a second one would be too much
		{3 << 20, 1},        // at least one, however big
	} {
		t.Run(fmt.Sprint(tt.pad), func(t *testing.T) {
			scene{chain: toyChain{top: 40, pad: tt.pad}}.tell(t, func(p *other) {
				p.greet()
				all := []int{1000} // not held
				for n := range 41 {
					all = append(all, n)
				}
				p.send(wire.GetBlocks{HashList: hashList(all...)}, wire.GetBlocks{HashList: hashList(7)})
				p.expect("Blocks"+showHashes(toyHashes(all[1:1+tt.want]...)), "Blocks 7")
			})
		})
	}
}

func TestServeBlocksCount(t *testing.T) {
	scene{chain: toyChain{top: 8500}}.tell(t, func(p *other) {
		p.greet()
		var all wire.HashList
		for n := range 8192 {
			all = append(all, hashList(n)...)
		}
		p.send(wire.GetBlocks{HashList: all})
		m, err := p.in.Next()
		if err != nil {
			p.Fatal(err)
		}
		blocks, ok := m.(wire.Blocks)
		if !ok || blocks.Len() != 1024 || !strings.HasSuffix(show(m), " 1021 1022 1023") {
			p.Errorf("got %d blocks", blocks.Len())
		}
	})
}

// brokenChain fails to read.
type brokenChain struct{ toyChain }

var errDisk = errors.New("the disk is gone")

func (brokenChain) AppendBlocks([]byte, []common.Hash, int, int) ([]byte, error) { return nil, errDisk }
func (brokenChain) AppendAncestors([]common.Hash, common.Hash, int) ([]common.Hash, error) {
	return nil, errDisk
}

// rottenChain serves what is no block.
type rottenChain struct{ toyChain }

func (rottenChain) AppendBlocks(dst []byte, _ []common.Hash, _, _ int) ([]byte, error) {
	return append(dst, 0xff, 1, 2), nil
}

// TestOwnErrors: what fails on our side is not blamed on the peer, who is told
// that we quit.
func TestOwnErrors(t *testing.T) {
	for _, request := range []wire.Message{wire.GetBlocks{HashList: hashList(1)}, wire.GetBlockHashes{Start: toyHash(3), Max: 3}} {
		scene{chain: brokenChain{toyChain{top: 40}}}.tell(t, func(p *other) {
			p.greet()
			p.send(request)
			p.expectDisconnect(wire.ReasonQuitting)
			p.endedBy(errDisk)
		})
	}
	scene{chain: rottenChain{toyChain{top: 40}}}.tell(t, func(p *other) {
		p.greet()
		p.send(wire.GetBlocks{HashList: hashList(1)})
		p.expectDisconnect(wire.ReasonQuitting)
		if _, ok := errors.AsType[*Violation](p.ended()); ok || errors.Is(p.ended(), ErrClosed) {
			p.Errorf("ended by %v", p.ended())
		}
	})
}

// TestRequestFlood: one that asks and asks and does not read.
func TestRequestFlood(t *testing.T) {
	var many wire.HashList
	for n := range 1000 {
		many = append(many, hashList(n)...)
	}
	for _, request := range []wire.Message{
		wire.GetPeers{},
		wire.GetTransactions{},
		wire.GetBlockHashes{Start: toyHash(8500), Max: 8192},
		wire.GetBlocks{HashList: hashList(1, 2, 3)},
		wire.GetBlocks{HashList: many},
	} {
		t.Run(fmt.Sprintf("%v of %d bytes", request.ID(), wire.FrameSize(request)), func(t *testing.T) {
			scene{room: 4 << 10, chain: toyChain{top: 8500, pad: 1000}}.tell(t, func(p *other) {
				p.greet()
				begun := time.Now()
				// More would be read, but to nowhere, while the session closes.
				p.flood(2*maxPending, request)
				p.endedBy(violation(wire.ReasonUselessPeer, "more requests than it reads answers"))
				if took := time.Since(begun); took > closeTimeout {
					p.Errorf("took %v", took)
				}
				p.session.mu.Lock()
				if n := len(p.session.mu.serve); n > maxPending+1 || p.session.mu.serveBytes > maxPendingBytes+wire.FrameSize(request) {
					p.Errorf("%d requests of %d bytes wait", n, p.session.mu.serveBytes)
				}
				p.session.mu.Unlock()
			})
		})
	}
}

// TestFloodIsTold: one that first writes all and only then reads comes to know
// why it is left.
func TestFloodIsTold(t *testing.T) {
	scene{room: 4 << 10, chain: toyChain{top: 40, pad: 10_000}}.tell(t, func(p *other) {
		p.greet()
		if n := p.flood(3000, wire.GetBlocks{HashList: hashList(1, 2, 3)}); n != 3000 {
			p.Fatalf("closed after %d requests", n)
		}
		for {
			m, err := p.in.Next()
			if err != nil {
				p.Fatal(err)
			}
			if m == (wire.Disconnect{Reason: wire.ReasonUselessPeer}) {
				break
			}
		}
		p.expectEnd()
	})
}

// TestFullPipes: two sessions that ask each other for much, over a connection that
// holds little.
func TestFullPipes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const requests, each = 300, 4
		here, there := memPipe(1000)
		var sessions [2]*Session
		var listeners [2]*listener
		results := make(chan error, 2)
		for i, end := range []*memConn{here, there} {
			node := []wire.NodeID{ourNode, theirNode}[i]
			l := &listener{heard: make(chan string, 1<<14)}
			closed := 0
			l.then = func(s *Session, a *Answer) {
				if a == nil { // joined
					for id := range requests {
						s.GetBlocks(uint64(id), toyHashes(id, id+1, id+2, id+3))
					}
					return
				}
				if a.ID != uint64(closed) || len(a.Blocks) != each || !a.Closed || a.Scattered {
					t.Errorf("answer %d is %d blocks of request %d", closed, len(a.Blocks), a.ID)
				}
				if closed++; closed == requests {
					l.heard <- "done"
				}
			}
			listeners[i] = l
			sessions[i] = New(end, i == 0, testConfig(node, toyChain{top: 400, pad: 3000}, l))
			go func() { results <- sessions[i].Run(t.Context()) }()
		}
		for _, l := range listeners {
			for event := range l.heard {
				if event == "done" {
					break
				}
			}
		}
		sessions[0].Disconnect(wire.ReasonRequested)
		for range 2 {
			d, ok := errors.AsType[*Disconnected](<-results)
			if !ok || d.Reason != wire.ReasonRequested {
				t.Errorf("ended by %v", d)
			}
		}
		synctest.Wait()
	})
}
