package peer

import (
	"errors"
	"testing"
	"time"

	"github.com/shoalnet/shoal/wire"
)

func TestBothSayHelloAtOnce(t *testing.T) {
	tell(t, func(p *other) {
		got := p.expectHello() // although we have said nothing
		if got.Version != 30 || got.Caps != 7 || got.Port != 30303 || got.Node != ourNode || got.Client != "shoal/test" ||
			got.Best != toyHash(40) || got.Genesis != toyHash(0) || !got.Network.IsZero() {
			p.Errorf("Hello is %+v", got)
		}
		p.session.GetHashes(toyHash(9), 3)
		p.session.Announce(toyBlock(40, 0))
		p.expectSilence(5 * time.Second) // nothing but Hello before the other one
		p.send(hello())
		p.expect("GetBlockHashes 9 3", "Blocks 40")
		p.expectHeard("joined")
		if h := p.session.Hello(); h.Node != theirNode || h.Client != hello().Client || !p.session.Inbound() {
			p.Errorf("session says the other is %+v", h)
		}
	})
}

// TestHello: what is wrong with a Hello, in the order in which it is looked at.
func TestHello(t *testing.T) {
	with := func(changes ...func(*wire.Hello)) []byte {
		h := hello()
		for _, change := range changes {
			change(&h)
		}
		return wire.AppendFrame(nil, h)
	}
	frame := func(ms ...wire.Message) (b []byte) {
		for _, m := range ms {
			b = wire.AppendFrame(b, m)
		}
		return b
	}
	short := func(payload string) []byte {
		b := unhex(payload)
		return append([]byte{0x22, 0x40, 0x08, 0x91, 0, 0, 0, byte(len(b))}, b...)
	}
	zero := func(h *wire.Hello) { h.Node = wire.NodeID{} }
	twin := func(h *wire.Hello) { h.Node = wire.NodeID{7} }
	genesis := func(h *wire.Hello) { h.Genesis = toyHash(1) }
	version := func(h *wire.Hello) { h.Version = 29 }
	network := func(h *wire.Hello) { h.Network.SetUint64(1) }
	wide := func(h *wire.Hello) { h.Network.SetBytes(toyHash(1).Bytes()) }

	for _, tt := range []struct {
		name   string
		bytes  []byte
		reason wire.Reason
		what   string
	}{
		{"zero node id", with(zero), 7, "node id is zero"},
		{"duplicate", with(twin), 5, "twin"},
		{"other genesis", with(genesis), 6, "genesis"},
		{"version 29", with(version), 7, "protocol 29"},
		{"version 31", with(func(h *wire.Hello) { h.Version = 31 }), 7, "protocol 31"},
		{"network 1", with(network), 7, "network id is 1"},
		{"network of 256 bits", with(wide), 7, "network id"},

		{"zero before genesis", with(zero, genesis, version), 7, "node id is zero"},
		{"duplicate before genesis", with(twin, genesis), 5, "twin"},
		{"genesis before version", with(genesis, version, network), 6, "genesis"},
		{"version before network", with(version, network), 7, "protocol 29"},

		{"9 items, PoC-5", short("c9 80 1b 80 80 07 80 80 80 80"), 7, "protocol 27 or 28"},
		{"7 items", short("c7 80 1b 80 80 07 80 80"), 7, "PoC-5"},
		{"6 items, split", short("c6 80 02 80 c0 80 80"), 7, "split"},
		{"split by its list", short("cb 80 02 80 c0 80 80 80 80 80 80 80"), 7, "split"},
		{"Ping first", frame(wire.Ping{}, hello()), 2, "not Hello"},
		{"GetPeers first", frame(wire.GetPeers{}, hello()), 2, "not Hello"},
		{"unknown first", short("c1 7f"), 2, "not Hello"},
		{"wrong token", []byte("GET / HTTP/1.1\r\n\r\n"), 2, "malformed"},
		{"empty list", short("c0"), 2, "malformed"},
		{"4 GiB", unhex("22400891 ffffffff"), 2, "malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scene{config: func(c *Config) {
				c.Admit = func(s *Session) error {
					if s.Hello().Node == (wire.NodeID{7}) {
						return violation(wire.ReasonAlreadyConnected, "twin")
					}
					return nil
				}
			}}.tell(t, func(p *other) {
				p.sendRaw(tt.bytes)
				p.expectHello()
				p.expectDisconnect(tt.reason)
				p.endedBy(violation(tt.reason, tt.what))
			})
		})
	}
}

func TestAdmit(t *testing.T) {
	refuse := &Disconnected{Reason: wire.ReasonTooManyPeers}
	scene{config: func(c *Config) { c.Admit = func(*Session) error { return refuse } }}.tell(t, func(p *other) {
		p.send(hello())
		p.expectHello()
		p.expectDisconnect(wire.ReasonTooManyPeers)
		p.endedBy(refuse)
	})
}

func TestOwnIDClosesQuietly(t *testing.T) {
	asked := false
	scene{config: func(c *Config) {
		c.Admit = func(*Session) error { asked = true; return nil }
	}}.tell(t, func(p *other) {
		h := hello()
		h.Node, h.Genesis = ourNode, toyHash(1)
		p.expectHello()
		p.send(h)
		p.expectEnd()
		p.endedBy(ErrSelf)
	})
	if asked {
		t.Error("Admit was asked about ourselves")
	}
}

func TestExtraHelloItems(t *testing.T) {
	tell(t, func(p *other) {
		h := hello()
		h.Extra = unhex("80 c20102 83616263")
		p.send(h)
		p.expectHello()
		p.expectHeard("joined")
		p.send(wire.Ping{})
		p.expect("Pong")
		if extra := p.session.Hello().Extra; extra != nil {
			p.Errorf("Hello keeps %x, a view of a buffer that is used again", extra)
		}
	})
}

func TestSecondHello(t *testing.T) {
	tell(t, func(p *other) {
		p.greet()
		p.send(hello())
		p.expectDisconnect(wire.ReasonBadProtocol)
		p.endedBy(violation(wire.ReasonBadProtocol, "second Hello"))
	})
}

func TestHandshakeTimeout(t *testing.T) {
	t.Run("silence", func(t *testing.T) {
		tell(t, func(p *other) {
			begun := time.Now()
			p.expectHello()
			p.expectDisconnect(wire.ReasonUselessPeer)
			p.endedBy(ErrTimeout)
			if took := time.Since(begun); took != 10*time.Second {
				p.Errorf("gave up after %v", took)
			}
		})
	})
	t.Run("trickle", func(t *testing.T) {
		tell(t, func(p *other) {
			p.expectHello()
			for _, b := range wire.AppendFrame(nil, hello())[:11] {
				p.sendRaw([]byte{b})
				time.Sleep(time.Second)
			}
			p.expect("Disconnect 0x3")
			p.endedBy(ErrTimeout)
		})
	})
	t.Run("late", func(t *testing.T) {
		tell(t, func(p *other) { // pyethereum takes its time
			time.Sleep(9 * time.Second)
			p.greet()
			p.expectSilence(14 * time.Second) // the handshake's deadline is gone
			p.send(wire.Ping{})
			p.expect("Pong")
		})
	})
}

func TestRefusals(t *testing.T) {
	t.Run("bare EOF", func(t *testing.T) {
		tell(t, func(p *other) {
			p.expectHello()
			p.conn.Close()
			p.endedBy(ErrClosed)
		})
	})
	t.Run("reset", func(t *testing.T) {
		tell(t, func(p *other) {
			time.Sleep(time.Second)
			p.conn.Close() // with our Hello unread
			p.endedBy(ErrClosed)
		})
	})
	t.Run("EOF in Hello", func(t *testing.T) {
		tell(t, func(p *other) {
			p.sendRaw(wire.AppendFrame(nil, hello())[:50])
			p.expectHello()
			p.conn.Close()
			p.endedBy(ErrClosed)
		})
	})
	t.Run("EOF after Hello", func(t *testing.T) {
		tell(t, func(p *other) {
			p.greet()
			p.conn.Close()
			p.endedBy(ErrClosed)
		})
	})
	for _, tt := range []struct {
		payload string
		reason  wire.Reason
	}{{"c20104", 4}, {"c20180", 0}, {"c20100", 0}, {"c101", 0}, {"c20110", 0x10}} {
		t.Run("Disconnect "+tt.payload, func(t *testing.T) {
			tell(t, func(p *other) { // in place of Hello
				p.expectHello()
				p.sendHex(tt.payload)
				p.endedBy(&Disconnected{Reason: tt.reason, Remote: true})
				p.expectEnd() // no answer
			})
			tell(t, func(p *other) { // and after it
				p.greet()
				p.sendHex(tt.payload)
				p.endedBy(&Disconnected{Reason: tt.reason, Remote: true})
				p.expectEnd()
			})
		})
	}
}

// TestReasonBeforeBrokenPipe: the writer finds the connection closed before the
// reader has found out why.
func TestReasonBeforeBrokenPipe(t *testing.T) {
	scene{busy: true}.tell(t, func(p *other) {
		p.greet()
		p.send(wire.Ping{}, wire.Disconnect{Reason: wire.ReasonTooManyPeers})
		p.conn.Close()
		p.session.GetHashes(toyHash(9), 1) // the writer fails while the handler is busy
		time.Sleep(time.Second)
		p.heard.busy <- struct{}{}
		p.endedBy(&Disconnected{Reason: wire.ReasonTooManyPeers, Remote: true})
	})
}

func TestEndedBeforeRun(t *testing.T) {
	scene{before: func(s *Session) { s.Disconnect(wire.ReasonTooManyPeers) }}.tell(t, func(p *other) {
		p.expectHello()
		p.expectDisconnect(wire.ReasonTooManyPeers)
		p.endedBy(&Disconnected{Reason: wire.ReasonTooManyPeers})
	})
}

// TestHelloMeetsCancel: the session is cancelled at the very end of the handshake,
// while its Hello is stuck.
func TestHelloMeetsCancel(t *testing.T) {
	var p *other
	scene{room: 64, config: func(c *Config) {
		c.Admit = func(s *Session) error {
			p.cancel(nil)
			time.Sleep(time.Second) // the cut is done when the handshake is over
			return nil
		}
	}}.tell(t, func(q *other) {
		p = q
		begun := time.Now()
		p.send(hello()) // but we do not read theirs
		p.endedBy(&Disconnected{Reason: wire.ReasonQuitting})
		if took := time.Since(begun); took > closeTimeout {
			p.Errorf("took %v", took)
		}
		if p.heard.joined+p.heard.left != 0 {
			p.Error("joined")
		}
	})
}

func TestViolationText(t *testing.T) {
	cause := errors.New("cause")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&Violation{What: "it sang"}, "peer: it sang"},
		{&Violation{What: "it sang", Err: cause}, "peer: it sang: cause"},
		{&Disconnected{Reason: wire.ReasonTooManyPeers}, "peer: we disconnected: too many peers"},
		{&Disconnected{Reason: wire.ReasonTooManyPeers, Remote: true}, "peer: it disconnected: too many peers"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	if !errors.Is(&Violation{Err: cause}, cause) {
		t.Error("Violation hides its cause")
	}
}
