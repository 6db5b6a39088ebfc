package peer

import (
	"testing"
	"time"

	"github.com/shoalnet/shoal/wire"
)

// toyDirectory knows one address, and notes what it hears.
type toyDirectory struct{ *listener }

func toyAddr(n byte) wire.PeerAddr {
	return wire.PeerAddr{IP: [4]byte{10, 0, 0, n}, Port: 30303, Node: wire.NodeID{n}}
}

func (d toyDirectory) Peers(*Session) []wire.PeerAddr { return []wire.PeerAddr{toyAddr(7)} }

func (d toyDirectory) Heard(s *Session, list []wire.PeerAddr) {
	text := "peers:"
	for _, p := range list {
		text += " " + p.AddrPort().String()
	}
	d.note(s.ctx, s, nil, "%s", text)
}

// TestDirectory: addresses are told to who asks, and heard from who was asked, once for
// each question; an entry that is none does not spoil the others (A31).
func TestDirectory(t *testing.T) {
	scene{config: func(cfg *Config) { cfg.Directory = toyDirectory{cfg.Handler.(*listener)} }}.tell(t, func(p *other) {
		p.send(hello())
		p.expectHello()
		p.expectHeard("joined")
		p.send(wire.GetPeers{})
		if m, err := p.in.Next(); err != nil {
			p.Fatal(err)
		} else if m, ok := m.(wire.Peers); !ok || string(m.Entries) != string(wire.AppendPeer(nil, toyAddr(7))) {
			p.Errorf("told %+v", m)
		}
		answer := wire.Peers{Entries: wire.AppendPeer(append(wire.AppendPeer(nil, toyAddr(1)), 0xc1, 0x80), toyAddr(2))}
		p.send(answer) // nobody asked
		p.expectSilence(time.Second)
		p.session.GetPeers()
		p.session.GetPeers() // the first one is not answered yet
		p.expect("GetPeers")
		p.send(answer, answer)
		p.expectHeard("peers: 10.0.0.1:30303 10.0.0.2:30303")
		p.expectSilence(time.Second)
		p.session.GetPeers()
		p.expect("GetPeers")
		p.expectSilence(10 * time.Second)
	})
}
