package peer

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoalnet/shoal/wire"
)

var quitting = &Disconnected{Reason: wire.ReasonQuitting}

func TestCancel(t *testing.T) {
	t.Run("before Hello", func(t *testing.T) {
		tell(t, func(p *other) {
			p.expectHello()
			p.cancel(nil)
			p.expectDisconnect(wire.ReasonQuitting)
			p.endedBy(quitting)
		})
	})
	t.Run("idle", func(t *testing.T) {
		tell(t, func(p *other) {
			begun := time.Now()
			p.greet()
			p.cancel(nil)
			p.expectDisconnect(wire.ReasonQuitting)
			p.endedBy(quitting)
			if took := time.Since(begun); took != 0 {
				p.Errorf("took %v", took)
			}
		})
	})
	t.Run("busy handler", func(t *testing.T) {
		scene{busy: true}.tell(t, func(p *other) {
			p.greet() // the handler is in joined
			p.cancel(nil)
			p.expectDisconnect(wire.ReasonQuitting)
			p.endedBy(quitting)
		})
	})
	t.Run("inside of a frame", func(t *testing.T) {
		tell(t, func(p *other) {
			p.greet()
			p.sendRaw(wire.AppendFrame(nil, blocks(1000))[:10])
			p.cancel(nil)
			p.expectDisconnect(wire.ReasonQuitting)
			p.endedBy(quitting)
		})
	})
	t.Run("a cause of the caller's", func(t *testing.T) {
		tell(t, func(p *other) {
			p.greet()
			p.cancel(&Disconnected{Reason: wire.ReasonTooManyPeers})
			p.expectDisconnect(wire.ReasonTooManyPeers)
			p.endedBy(&Disconnected{Reason: wire.ReasonTooManyPeers})
		})
	})
	t.Run("frame goes out whole", func(t *testing.T) {
		scene{room: 1000, chain: toyChain{top: 40, pad: 200_000}}.tell(t, func(p *other) {
			p.greet()
			p.send(wire.GetBlocks{HashList: hashList(1, 2)}, wire.GetBlocks{HashList: hashList(3)})
			synctest.Wait()
			p.cancel(nil)
			p.expect("Blocks 1 2") // it was on its way
			p.expectDisconnect(wire.ReasonQuitting)
			p.endedBy(quitting)
		})
	})
}

// TestEndIsSoon: whatever the other side does, or not, and whatever is on its way,
// the session is over when the time for it is.
func TestEndIsSoon(t *testing.T) {
	for _, tt := range []struct {
		name string
		room int
		p    func(p *other) // what the other side does
	}{
		{"nothing", 1000, func(p *other) {}},
		{"nothing, no room", 64, func(p *other) {}},
		{"talks and does not read", 1000, func(p *other) {
			go p.flood(1<<20, wire.Pong{})
		}},
		{"reads slowly", 200_000, func(p *other) {
			go func() {
				b := make([]byte, 200_000)
				for {
					time.Sleep(1900 * time.Millisecond) // each part is just in time
					if _, err := p.conn.Read(b); err != nil {
						return
					}
				}
			}()
		}},
		{"reads and does not close", 1 << 20, func(p *other) {
			go func() {
				for {
					if _, err := p.in.Next(); err != nil {
						return
					}
				}
			}()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scene{room: tt.room, chain: toyChain{top: 40, pad: 300_000}}.tell(t, func(p *other) {
				p.greet()
				p.send(wire.GetBlocks{HashList: hashList(1, 2, 3, 4, 5, 6, 7)})
				synctest.Wait()
				tt.p(p)
				begun := time.Now()
				p.session.Disconnect(wire.ReasonTooManyPeers)
				p.endedBy(&Disconnected{Reason: wire.ReasonTooManyPeers})
				if took := time.Since(begun); took > closeTimeout {
					p.Errorf("took %v", took)
				}
				p.conn.Close()
				time.Sleep(2 * time.Second) // the other side notices
			})
		})
	}
}

// TestRemoteEndIsSooner: nobody waits to say goodbye to one who has left.
func TestRemoteEndIsSooner(t *testing.T) {
	scene{room: 1000, chain: toyChain{top: 40, pad: 300_000}}.tell(t, func(p *other) {
		p.greet()
		p.send(wire.GetBlocks{HashList: hashList(1, 2, 3)})
		synctest.Wait()
		begun := time.Now()
		p.send(wire.Disconnect{Reason: wire.ReasonQuitting})
		p.endedBy(&Disconnected{Reason: wire.ReasonQuitting, Remote: true})
		if took := time.Since(begun); took != 0 {
			p.Errorf("took %v", took)
		}
	})
}

func TestFirstCauseWins(t *testing.T) {
	tell(t, func(p *other) {
		p.greet()
		p.session.Fail(&Violation{Reason: wire.ReasonUselessPeer, What: "bad block"})
		p.session.Disconnect(wire.ReasonTooManyPeers)
		p.cancel(nil)
		p.expectDisconnect(wire.ReasonUselessPeer)
		p.endedBy(violation(wire.ReasonUselessPeer, "bad block"))
		p.session.Disconnect(wire.ReasonTooManyPeers) // after the end: nothing
		p.session.GetHashes(toyHash(1), 1)
		p.session.GetBlocks(1, toyHashes(1))
		p.session.Announce(toyBlock(1, 0))
	})
}

// TestEndFromHandler: the handler ends the session itself; what came behind is not
// handed to it.
func TestEndFromHandler(t *testing.T) {
	scene{then: func(s *Session, a *Answer) {
		if a != nil {
			s.Fail(&Violation{Reason: wire.ReasonBadProtocol, What: "I do not like it"})
		}
	}}.tell(t, func(p *other) {
		p.greet()
		p.session.GetBlocks(1, toyHashes(1))
		p.expect("GetBlocks 1")
		p.send(blocks(1), blocks(1001), wire.Disconnect{Reason: 8})
		p.expectHeard("answer 1: 1, closed")
		p.expectDisconnect(wire.ReasonBadProtocol)
		p.endedBy(violation(wire.ReasonBadProtocol, "I do not like it"))
	})
}

// TestDeadlineOfContext: a context that runs out is one that is cancelled.
func TestDeadlineOfContext(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		ours, theirs := memPipe(1 << 20)
		defer theirs.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		cause := New(ours, false, testConfig(ourNode, toyChain{}, nil)).Run(ctx)
		if d, ok := errors.AsType[*Disconnected](cause); !ok || *d != *quitting {
			t.Errorf("ended by %v", cause)
		}
	})
}

// TestOverNetPipe: a connection without buffers that cannot be half closed.
func TestOverNetPipe(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		here, there := net.Pipe()
		a := &listener{heard: make(chan string, 100)}
		b := &listener{heard: make(chan string, 100)}
		one := New(here, false, testConfig(ourNode, toyChain{top: 40}, a))
		two := New(there, true, testConfig(theirNode, toyChain{top: 40}, b))
		results := make(chan error, 2)
		go func() { results <- one.Run(t.Context()) }()
		go func() { results <- two.Run(t.Context()) }()
		for _, l := range []*listener{a, b} {
			if got := <-l.heard; got != "joined" {
				t.Fatal(got)
			}
		}
		one.GetBlocks(1, toyHashes(3, 2))
		two.GetHashes(toyHash(5), 2)
		if got := <-a.heard; got != "answer 1: 3 2, closed" {
			t.Error(got)
		}
		if got := <-b.heard; got != "hashes below 5: 4 3" {
			t.Error(got)
		}
		two.Disconnect(wire.ReasonTooManyPeers)
		for range 2 {
			cause := <-results
			if d, ok := errors.AsType[*Disconnected](cause); !ok || d.Reason != wire.ReasonTooManyPeers {
				t.Errorf("ended by %v", cause)
			}
		}
	})
}

// TestNobodyReadsNetPipe: our Hello is never read, although theirs was good.
func TestNobodyReadsNetPipe(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		here, there := net.Pipe()
		l := &listener{heard: make(chan string, 100)}
		begun := time.Now()
		result := make(chan error, 1)
		go func() { result <- New(here, false, testConfig(ourNode, toyChain{}, l)).Run(t.Context()) }()
		there.Write(wire.AppendFrame(nil, hello()))
		if cause := <-result; !errors.Is(cause, ErrTimeout) {
			t.Errorf("ended by %v", cause)
		}
		if took := time.Since(begun); took > writeTimeout+closeTimeout {
			t.Errorf("took %v", took)
		}
		there.Close()
	})
}

func TestSilentLogger(t *testing.T) {
	if (&Config{}).logger() == nil || (&Config{}).idleTimeout() != time.Minute {
		t.Error("zero Config has no defaults")
	}
}
