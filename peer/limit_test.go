package peer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoalnet/shoal/wire"
)

// unknownHashes is a request for hashes that nobody has, of n look-ups.
func unknownHashes(n int) wire.GetBlocks {
	var list wire.HashList
	for range n {
		list = wire.AppendHash(list, toyHash(999))
	}
	return wire.GetBlocks{HashList: list}
}

// TestWorkIsPaced: who asks for more look-ups than serveWork a second waits for them;
// who asks for less does not, and pings are answered meanwhile.
func TestWorkIsPaced(t *testing.T) {
	request := unknownHashes(4000 - requestWork)
	tell(t, func(p *other) {
		p.greet()
		began := time.Now()
		for range serveBurst / 4000 {
			p.send(request)
			p.expect("Blocks")
		}
		if took := time.Since(began); took > 0 {
			p.Errorf("the burst took %v", took)
		}
		for range serveWork / 4000 {
			p.send(request)
		}
		p.send(wire.Ping{})
		p.expect("Pong")
		if took := time.Since(began); took > 0 {
			p.Errorf("the pong came after %v, behind what has to wait", took)
		}
		for range serveWork / 4000 {
			p.expect("Blocks")
		}
		if took := time.Since(began); took < time.Second-time.Millisecond || took > time.Second+time.Millisecond {
			p.Errorf("a second of work took %v", took)
		}
	})
}

// TestRequestsArePaced: small requests are limited by their number.
func TestRequestsArePaced(t *testing.T) {
	tell(t, func(p *other) {
		p.greet()
		began := time.Now()
		const each, rounds = 100, 50
		for range rounds {
			for range each {
				p.send(wire.GetPeers{})
			}
			for range each {
				p.expect("Peers")
			}
		}
		want := time.Duration(each*rounds*requestWork-serveBurst) * time.Second / serveWork
		if took := time.Since(began).Round(time.Millisecond); took != want {
			p.Errorf("%d requests took %v, want %v", each*rounds, took, want)
		}
	})
}

// TestChatterIsBounded: what nobody asked for is passed over up to the limit, and
// ends the session beyond it.
func TestChatterIsBounded(t *testing.T) {
	message := wire.Transactions{RawList: wire.RawList(toyBlock(1, 1<<20-chatterCost-100))}
	cost := wire.FrameSize(message) + chatterCost
	fits := chatterBurst / cost
	t.Run("at the limit", func(t *testing.T) {
		tell(t, func(p *other) {
			p.greet()
			for range fits {
				p.send(message)
			}
			for range 10 { // and as much as is granted in the time
				time.Sleep(time.Duration(cost) * time.Second / chatterRate)
				p.send(message)
			}
			p.send(wire.Ping{})
			p.expect("Pong")
		})
	})
	t.Run("over it", func(t *testing.T) {
		tell(t, func(p *other) {
			p.greet()
			for range fits {
				p.send(message)
			}
			synctest.Wait()
			p.flood(1, message)
			p.expectDisconnect(wire.ReasonUselessPeer)
			p.endedBy(violation(wire.ReasonUselessPeer, "nobody asked for"))
		})
	})
	t.Run("pings", func(t *testing.T) {
		tell(t, func(p *other) {
			p.greet()
			n := p.flood(chatterBurst/chatterCost+1, wire.Ping{})
			if n < chatterBurst/(chatterCost+20)-1000 {
				p.Errorf("the session ended after %d pings", n)
			}
			p.endedBy(violation(wire.ReasonUselessPeer, "nobody asked for"))
		})
	})
}
