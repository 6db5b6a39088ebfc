package peer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoalnet/shoal/wire"
)

func TestPingIsAnsweredAtOnce(t *testing.T) {
	tell(t, func(p *other) {
		begun := time.Now()
		p.greet()
		for range 100 { // one every two seconds, as eth-go does
			p.send(wire.Ping{})
			p.expect("Pong")
		}
		if took := time.Since(begun); took != 0 {
			p.Errorf("took %v", took)
		}
	})
}

func TestWePingAndGiveUp(t *testing.T) {
	tell(t, func(p *other) {
		p.greet()
		for range 3 { // at 15, 30 and 45 seconds
			p.expectSilence(15*time.Second - 1)
			p.expect("Ping")
		}
		p.expectSilence(15*time.Second - 1)
		p.expectDisconnect(wire.ReasonUselessPeer)
		p.endedBy(ErrTimeout)
	})
}

func TestPongsKeepAlive(t *testing.T) {
	tell(t, func(p *other) {
		begun := time.Now()
		p.greet()
		for range 100 {
			p.expect("Ping")
			p.send(wire.Pong{})
		}
		if took := time.Since(begun); took < 100*15*time.Second || took > 100*20*time.Second {
			p.Errorf("100 pings in %v", took)
		}
	})
}

func TestStalledLink(t *testing.T) {
	tell(t, func(p *other) {
		p.greet()
		p.session.conn.(*memConn).stall(true)
		p.send(wire.GetPeers{})
		p.expect("Ping", "Ping", "Ping")
		p.session.conn.(*memConn).stall(false)
		p.expect("Peers")
		p.expectSilence(15*time.Second - 1)
	})
}

// TestTrickleIsAlive: a big answer comes in over three minutes.
func TestTrickleIsAlive(t *testing.T) {
	tell(t, func(p *other) {
		p.greet()
		p.session.GetBlocks(1, toyHashes(1))
		p.expect("GetBlocks 1")
		frame := wire.AppendFrame(nil, wire.Blocks{RawList: toyBlock(1, 18_000)})
		before, answered := p.session.Received(), p.session.Answered()
		for len(frame) > 0 {
			n := min(1000, len(frame))
			p.sendRaw(frame[:n])
			frame = frame[n:]
			p.expectSilence(10 * time.Second)
		}
		if got := p.session.Received() - before; got < 18_000 {
			p.Errorf("received %d bytes", got)
		}
		if got := p.session.Answered() - answered; got < 18_000 {
			p.Errorf("%d bytes were of answers", got)
		}
		p.expectHeard("answer 1: 1, closed")
	})
}

// TestWhoOnlyAsksDoesNotAnswer: what turns out to be no answer is not counted as one.
func TestWhoOnlyAsksDoesNotAnswer(t *testing.T) {
	tell(t, func(p *other) {
		p.greet()
		before := p.session.Answered()
		for range 10 {
			p.send(wire.GetPeers{})
			p.expect("Peers")
		}
		if got := p.session.Answered(); got != before {
			p.Errorf("%d bytes were of answers", got-before)
		}
	})
}

// TestSlowReaderIsAlive: our answer takes longer than the idle timeout to go out,
// and the other side has nothing to say in the meantime.
func TestSlowReaderIsAlive(t *testing.T) {
	scene{room: 4 << 10, chain: toyChain{top: 40, pad: 100_000}}.tell(t, func(p *other) {
		p.greet()
		p.send(wire.GetBlocks{HashList: hashList(1, 2, 3, 4, 5, 6, 7, 8)})
		begun := time.Now()
		p.in = wire.NewReader(&slowly{p.conn})
		p.expect("Blocks 1 2 3 4 5 6 7 8") // at 8 kB/s
		if took := time.Since(begun); took < 90*time.Second {
			p.Fatalf("answer took %v only", took)
		}
		p.expect("Ping")
		p.send(wire.Pong{})
		p.expect("Ping")
		p.expectNothingHeard()
		if sent := p.session.Sent(); sent < 800_000 {
			p.Errorf("sent %d bytes", sent)
		}
	})
}

// slowly reads 4 KiB in half a second.
type slowly struct{ conn *memConn }

func (s *slowly) Read(b []byte) (int, error) {
	time.Sleep(500 * time.Millisecond)
	return s.conn.Read(b)
}

// TestWhoDoesNotReadIsLeft: an answer that is not read at all.
func TestWhoDoesNotReadIsLeft(t *testing.T) {
	scene{room: 4 << 10, chain: toyChain{top: 40, pad: 100_000}}.tell(t, func(p *other) {
		p.greet()
		p.send(wire.GetBlocks{HashList: hashList(1, 2)})
		begun := time.Now()
		for range 11 { // it does talk
			time.Sleep(5 * time.Second)
			p.send(wire.Pong{})
		}
		p.endedBy(ErrTimeout)
		if took := time.Since(begun); took < writeTimeout || took > writeTimeout+closeTimeout {
			p.Errorf("took %v", took)
		}
	})
}

// TestPingFlood: the pongs that wait are bounded, and nobody is thrown out.
func TestPingFlood(t *testing.T) {
	scene{room: 100}.tell(t, func(p *other) {
		p.greet()
		if n := p.flood(10_000, wire.Ping{}); n != 10_000 {
			p.Fatalf("closed after %d pings", n)
		}
		synctest.Wait()
		p.session.mu.Lock()
		if n := p.session.mu.pongs; n > maxPongs {
			p.Errorf("%d pongs wait", n)
		}
		p.session.mu.Unlock()
		p.send(wire.GetPeers{})
		pongs := 0
		for {
			m, err := p.in.Next()
			if err != nil {
				p.Fatal(err)
			}
			if m.ID() != wire.IDPong {
				break
			}
			pongs++
		}
		if pongs < maxPongs || pongs > maxPongs+20 { // those in the connection, too
			p.Errorf("%d pongs", pongs)
		}
	})
}

// TestBusyHandler: while the handler is busy nothing more is read, what was read
// is served, and the peer is not blamed for a silence that is ours.
func TestBusyHandler(t *testing.T) {
	scene{busy: true, room: 2000}.tell(t, func(p *other) {
		p.send(hello())
		p.expectHello()
		p.expectHeard("joined")
		p.heard.busy <- struct{}{}
		p.send(wire.GetBlockHashes{Start: toyHash(3), Max: 9}, wire.Blocks{RawList: rawList(1000)}, wire.GetPeers{})
		p.expectHeard("announced: 1000")
		p.expect("BlockHashes 2 1 0")
		p.session.GetHashes(toyHash(9), 1)
		p.expect("GetBlockHashes 9 1") // what we want goes out, too
		p.expectSilence(5 * time.Minute)
		p.heard.busy <- struct{}{}
		p.expect("Peers")

		// Back-pressure: what cannot be read stays with the sender.
		p.send(wire.Blocks{RawList: rawList(1001)})
		p.expectHeard("announced: 1001")
		p.conn.SetWriteDeadline(time.Now().Add(time.Minute))
		if n := p.flood(10_000, wire.Transactions{RawList: wire.RawList(toyBlock(1, 90))}); n > 100 {
			p.Errorf("%d messages were read", n)
		}
		p.heard.busy <- struct{}{}
	})
}

func TestRightAfterHello(t *testing.T) {
	tell(t, func(p *other) { // as cpp-ethereum does
		p.send(hello(), wire.Ping{}, wire.GetPeers{}, wire.GetTransactions{})
		p.expectHello()
		p.expectHeard("joined")
		p.expect("Pong")
		for _, want := range []string{"2240089100000002c111", "2240089100000002c112"} {
			m, err := p.in.Next()
			if err != nil {
				p.Fatal(err)
			}
			if got := wire.AppendFrame(nil, m); string(got) != string(unhex(want)) {
				p.Errorf("got %x, want %s", got, want)
			}
		}
	})
}

func TestIgnored(t *testing.T) {
	tell(t, func(p *other) {
		p.greet()
		p.sendHex("c114")     // GetChain
		p.sendHex("c3158001") // NotInChain
		p.sendHex("c47fc28080")
		p.sendHex("ca89010203040506070809"[:2] + "88ffffffffffffffff80") // an id of 64 bits
		p.send(wire.Pong{}, wire.Peers{}, wire.Transactions{}, wire.Ping{})
		p.expect("Pong")
		p.expectNothingHeard()
	})
}

func TestMalformed(t *testing.T) {
	for _, payload := range []string{
		"", "c0", "80", "c20280", "c10280", // nothing, no id, no list, ping with an item, trailing byte
		"c21380",   // a block that is no list
		"c213c0",   // a block without a header
		"c313c180", // a header that is no list
		"c20100"[:4], "e317" + "a0" + "00", "c417c3a00120",
		"c11900",
	} {
		t.Run(payload, func(t *testing.T) {
			tell(t, func(p *other) {
				p.greet()
				p.sendHex(payload)
				p.expectDisconnect(wire.ReasonBadProtocol)
				p.endedBy(violation(wire.ReasonBadProtocol, ""))
			})
		})
	}
	t.Run("token", func(t *testing.T) {
		tell(t, func(p *other) {
			p.greet()
			p.sendRaw([]byte("GET /"))
			p.expectDisconnect(wire.ReasonBadProtocol)
			p.endedBy(violation(wire.ReasonBadProtocol, "malformed"))
		})
	})
	t.Run("11 MiB", func(t *testing.T) {
		tell(t, func(p *other) {
			p.greet()
			p.sendRaw(unhex("22400891 00b00000 fab00000"))
			p.expectDisconnect(wire.ReasonBadProtocol)
			p.endedBy(violation(wire.ReasonBadProtocol, "malformed"))
		})
	})
}
