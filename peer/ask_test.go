package peer

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/wire"
)

func blocks(ns ...int) wire.Message { return wire.Blocks{RawList: rawList(ns...)} }
func hashes(ns ...int) wire.Message { return wire.BlockHashes{HashList: hashList(ns...)} }

// asking begins with three requests in the pipe.
func asking(t *testing.T, story func(p *other)) {
	t.Helper()
	tell(t, func(p *other) {
		p.greet()
		p.session.GetBlocks(1, toyHashes(1, 2, 3))
		p.session.GetBlocks(2, toyHashes(4, 5, 6))
		p.session.GetBlocks(3, toyHashes(7, 8, 9))
		p.expect("GetBlocks 1 2 3", "GetBlocks 4 5 6", "GetBlocks 7 8 9")
		story(p)
	})
}

func TestAnswers(t *testing.T) {
	asking(t, func(p *other) {
		p.send(blocks(1, 2, 3), blocks(4, 5, 6), blocks(7, 8, 9))
		p.expectHeard("answer 1: 1 2 3, closed", "answer 2: 4 5 6, closed", "answer 3: 7 8 9, closed")
	})
	asking(t, func(p *other) { // short, empty, in another order
		p.send(blocks(2), blocks(), blocks(9, 7, 8))
		p.expectHeard("answer 1: 2, closed", "answer 2:, closed", "answer 3: 9 7 8, closed")
	})
	asking(t, func(p *other) { // an announcement closes nothing
		p.send(blocks(1000), blocks(1), blocks(1001, 1002), blocks(), blocks(7))
		p.expectHeard("announced: 1000", "answer 1: 1, closed", "announced: 1001 1002", "answer 2:, closed", "answer 3: 7, closed")
	})
	asking(t, func(p *other) { // answer and announcement in one message
		p.send(blocks(1000, 1, 1001, 3), blocks(4, 1002))
		p.expectHeard("answer 1: 1 3, closed", "announced: 1000 1001", "answer 2: 4, closed", "announced: 1002")
	})
	asking(t, func(p *other) { // two answers in one message
		p.send(blocks(6, 1, 2, 5))
		p.expectHeard("answer 1: 1 2, closed", "answer 2: 6 5, closed")
	})
	asking(t, func(p *other) { // the same block twice
		p.send(blocks(1, 1), blocks(4, 5, 6))
		p.expectHeard("answer 1: 1, closed", "announced: 1", "answer 2: 4 5 6, closed")
	})
	asking(t, func(p *other) { // after an empty answer nothing is late any more
		p.send(blocks(1), blocks(), blocks(2), blocks(7))
		p.expectHeard("answer 1: 1, closed", "answer 2:, closed", "announced: 2", "answer 3: 7, closed")
	})
	asking(t, func(p *other) { // what was missing is asked for again
		p.send(blocks(1))
		p.expectHeard("answer 1: 1, closed")
		p.session.GetBlocks(4, toyHashes(2, 3))
		p.expect("GetBlocks 2 3")
		p.send(blocks(4, 5), blocks(7, 8), blocks(2, 3))
		p.expectHeard("answer 2: 4 5, closed", "answer 3: 7 8, closed", "answer 4: 2 3, closed")
	})
}

func TestAskedTwice(t *testing.T) {
	tell(t, func(p *other) { // a hash twice in one request, and one in two
		p.greet()
		p.session.GetBlocks(1, toyHashes(1, 1, 2))
		p.session.GetBlocks(2, toyHashes(2, 3))
		p.session.GetBlocks(3, nil)
		p.expect("GetBlocks 1 1 2", "GetBlocks 2 3", "GetBlocks")
		p.send(blocks(1, 1, 2), blocks(2, 3), blocks())
		p.expectHeard("answer 1: 1 1 2, closed", "answer 2: 2 3, closed", "answer 3:, closed")
	})
}

// TestScattered: one answer in many messages.
func TestScattered(t *testing.T) {
	asking(t, func(p *other) {
		p.send(blocks(1), blocks(2), blocks(3), blocks(4), blocks(5, 6), blocks(7), blocks(), blocks(1000))
		p.expectHeard(
			"answer 1: 1, closed",
			"answer 1: 2, scattered", // from here on we know
			"answer 1: 3, scattered",
			"answer 2: 4, scattered",
			"answer 2: 5 6, closed, scattered",
			"answer 3: 7, scattered",
			"answer 3:, closed, scattered",
			"announced: 1000",
		)
	})
	asking(t, func(p *other) { // and with something new in between
		p.send(blocks(1, 2), blocks(3, 1000, 4), blocks(5), blocks(6, 7, 8, 9))
		p.expectHeard(
			"answer 1: 1 2, closed",
			"answer 1: 3, scattered", "answer 2: 4, scattered", "announced: 1000",
			"answer 2: 5, scattered",
			"answer 2: 6, closed, scattered", "answer 3: 7 8 9, closed, scattered",
		)
	})
}

// TestScatteredAndEager: one answer in many messages, to one who asks for what is
// missing at once, as the C++ client did: it must come to be known all the same.
func TestScatteredAndEager(t *testing.T) {
	const all = 16
	var (
		wanted = map[common.Hash]bool{}
		queue  [][]common.Hash // what the server has to answer
		known  bool            // that it scatters
	)
	ask := func(s *Session) {
		var rest []common.Hash
		for n := range all {
			if h := toyHash(n); wanted[h] {
				rest = append(rest, h)
			}
		}
		if len(rest) > 0 {
			s.GetBlocks(uint64(len(rest)), rest)
			queue = append(queue, rest)
		}
	}
	for n := range all {
		wanted[toyHash(n)] = true
	}
	scene{then: func(s *Session, a *Answer) {
		if a == nil {
			return
		}
		for _, b := range a.Blocks {
			delete(wanted, b.Hash)
		}
		if known = known || a.Scattered; a.Closed && !known {
			ask(s)
		}
	}}.tell(t, func(p *other) {
		p.greet()
		ask(p.session)
		for ; len(queue) > 0; queue = queue[1:] {
			for _, h := range queue[0] {
				p.send(blocks(numbers[h]))
				synctest.Wait()
			}
		}
		if !known || len(wanted) > 0 {
			p.Errorf("scattered is %v, %d blocks are missing", known, len(wanted))
		}
		for len(p.heard.heard) > 0 {
			<-p.heard.heard
		}
	})
}

func TestAnnouncementsAreBounded(t *testing.T) {
	tell(t, func(p *other) {
		p.greet()
		var many []int
		for i := range 100 {
			many = append(many, 1000+i)
		}
		p.send(blocks(many...))
		p.expectHeard("announced:" + showHashes(toyHashes(many[:announceBlocks]...)))
	})
}

// TestSmallMessageInBigBuffer: what the handler owns does not hold on to a buffer
// that is much bigger than what it was given.
func TestSmallMessageInBigBuffer(t *testing.T) {
	const times = 30 // below chatterBurst altogether
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var kept []Block
	before := heap()
	scene{then: func(_ *Session, a *Answer) {
		if a != nil {
			kept = append(kept, a.Blocks...)
		}
	}}.tell(t, func(p *other) {
		p.greet()
		big := wire.Transactions{RawList: wire.RawList(toyBlock(1, 900_000))}
		for range times {
			p.session.GetBlocks(1, toyHashes(1))
			p.expect("GetBlocks 1")
			p.send(big, blocks(1))
			p.expectHeard("answer 1: 1, closed")
		}
	})
	if grown := int64(heap() - before); len(kept) != times || grown > times*900_000/2 {
		t.Errorf("%d blocks of 6 bytes hold %d bytes", len(kept), grown)
	}
	runtime.KeepAlive(kept)
}

func TestHashes(t *testing.T) {
	tell(t, func(p *other) {
		p.greet()
		for _, tt := range []struct {
			answer wire.Message
			want   string
		}{
			{hashes(9, 8, 7), " 9 8 7"},
			{hashes(10, 9, 8), " 9 8"}, // begins with what was asked about
			{hashes(10), ""},
			{hashes(), ""},
			{hashes(9), " 9"},
			{hashes(9, 10), " 9 10"}, // only the first is taken away
		} {
			p.session.GetHashes(toyHash(10), 3)
			p.expect("GetBlockHashes 10 3")
			p.send(tt.answer)
			p.expectHeard("hashes below 10:" + tt.want)
		}
		p.session.GetHashes(toyHash(10), 1) // several at once, in order
		p.session.GetHashes(toyHash(20), 2)
		p.expect("GetBlockHashes 10 1", "GetBlockHashes 20 2")
		p.send(hashes(), hashes(19, 18))
		p.expectHeard("hashes below 10:", "hashes below 20: 19 18")
		p.session.GetHashes(toyHash(10), 1<<40)
		p.expect("GetBlockHashes 10 8192")
		p.send(hashes(9))
		p.expectHeard("hashes below 10: 9")
	})
}

func TestTooManyHashes(t *testing.T) {
	tell(t, func(p *other) {
		p.greet()
		p.session.GetHashes(toyHash(10), 2)
		p.expect("GetBlockHashes 10 2")
		p.send(hashes(9, 8, 7))
		p.expectDisconnect(wire.ReasonBadProtocol)
		p.endedBy(violation(wire.ReasonBadProtocol, "3 hashes in answer to a request for 2"))
	})
}

func TestUnsolicited(t *testing.T) {
	for _, m := range []wire.Message{hashes(9, 8), hashes(), blocks()} {
		tell(t, func(p *other) {
			p.greet()
			for range maxUnsolicited {
				p.send(m, wire.Ping{})
				p.expect("Pong") // tolerated
			}
			p.expectNothingHeard()
			p.send(m)
			p.expectDisconnect(wire.ReasonUselessPeer)
			p.endedBy(violation(wire.ReasonUselessPeer, "nobody asked for"))
		})
	}
}

func TestAnnounce(t *testing.T) {
	scene{room: 300}.tell(t, func(p *other) {
		p.greet()
		p.session.Announce(toyBlock(40, 0))
		p.expect("Blocks 40")
		big := toyBlock(1000, 10_000)
		p.session.Announce(big) // does not fit into the connection
		synctest.Wait()
		p.session.GetHashes(toyHash(9), 1)
		for n := range 100 {
			p.session.Announce(toyBlock(n, 0))
		}
		p.session.GetHashes(toyHash(9), 2)
		time.Sleep(time.Second)
		if m, err := p.in.Next(); err != nil || wire.FrameSize(m) < len(big) {
			p.Fatal(m, err)
		}
		p.expect("GetBlockHashes 9 1")
		for n := 100 - maxAnnounced; n < 100; n++ { // the youngest
			p.expect(fmt.Sprintf("Blocks %d", n))
		}
		p.expect("GetBlockHashes 9 2")
		p.expectSilence(10 * time.Second)
	})
}
