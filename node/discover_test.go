package node_test

import (
	"testing"
	"time"

	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/wire"
)

func discovering(cfg *node.Config) { cfg.Discover = true }

// connected waits until a node has so many peers.
func (m *machine) connected(n int) {
	m.w.Helper()
	for range 600 {
		if len(m.node.Peers()) == n {
			return
		}
		time.Sleep(time.Second)
	}
	m.w.Fatalf("%s has %d peers, want %d: %+v", m.name, len(m.node.Peers()), n, m.node.Peers())
}

// TestDiscover: nodes that know only one find each other, each pair one session, and
// nobody itself.
func TestDiscover(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		const others = 5
		hub := w.node("hub", nil, discovering)
		var all []*machine
		for range others {
			all = append(all, w.node("node", nil, discovering, hub.addr))
		}
		for _, m := range append(all, hub) {
			m.connected(others)
		}
		time.Sleep(10 * time.Minute)
		for _, m := range append(all, hub) {
			m.connected(others)
		}
	})
}

// TestOutboundPlaces: as many peers are looked for as there are places for them, each
// counted once.
func TestOutboundPlaces(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		hub := w.node("hub", nil, discovering)
		for range 10 { // which dial only the hub
			w.node("node", nil, func(cfg *node.Config) { cfg.Discover, cfg.MaxPeers = true, 2 }, hub.addr)
		}
		client := w.node("client", nil, func(cfg *node.Config) { cfg.Discover, cfg.MaxPeers = true, 12 }, hub.addr)
		time.Sleep(10 * time.Minute)
		out := 0
		for _, p := range client.node.Peers() {
			if !p.Inbound {
				out++
			}
		}
		if out != 6 {
			t.Errorf("%d peers were dialled, want half of 12", out)
		}
	})
}

// TestDiscoverySpeedsUp: a node that is told of one peer fetches from all that this one
// knows.
func TestDiscoverySpeedsUp(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := testbed.Grow(t, nil, 0, 1, 0, 400)
		hub := w.node("hub", c, discovering)
		hub.host.SetUpload(honestRate / 10)
		for range 4 {
			m := w.node("seed", c, discovering, hub.addr)
			m.host.SetUpload(honestRate / 10)
		}
		hub.connected(4)
		client := w.node("client", nil, discovering, hub.addr)
		client.settled(c)
		contributors := 0
		for _, p := range client.last().Peers {
			if p.Useful > 0 {
				contributors++
			}
		}
		if contributors < 4 {
			t.Errorf("the blocks came from %d peers, want at least 4 of the 5", contributors)
		}
	})
}

// TestBookSurvives: a node that is started again finds its peers although nobody names
// them, also if the one that it was told of first is gone.
func TestBookSurvives(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		hub := w.node("hub", nil, discovering)
		a := w.node("a", nil, discovering, hub.addr)
		b := w.node("b", nil, discovering, hub.addr)
		a.connected(2)
		b.stop()
		hub.stop()
		b.start(discovering)
		b.connected(1)
		a.stop()
		a.start(discovering)
		a.connected(1)
	})
}

// TestUndiscovered: without discovery nobody is told of anybody, and what peers say
// leads nowhere.
func TestUndiscovered(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		hub := w.node("hub", nil, nil)
		a := w.node("a", nil, discovering, hub.addr)
		b := w.node("b", nil, nil, hub.addr)
		time.Sleep(time.Hour)
		a.connected(1)
		b.connected(1)
		s := w.script(hub)
		s.send(wire.GetPeers{})
		if m, ok := s.next().(wire.Peers); !ok || len(m.Entries) > 0 {
			t.Errorf("answer %+v", m)
		}
	})
}

// TestRumours: what a peer says without being asked is passed over, addresses that lead
// nowhere cost a few tries, and a lie about where others are does not keep honest nodes
// from finding each other.
func TestRumours(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		v := w.node("victim", nil, discovering)
		var rumours wire.RawList
		for i := range wire.MaxPeers {
			rumours = wire.AppendPeer(rumours, wire.PeerAddr{IP: [4]byte{10, 9, byte(i >> 8), byte(i)}, Port: port, Node: wire.NodeID{9, byte(i >> 8), byte(i)}})
		}
		liar := w.script(v)
		for range 20 {
			liar.send(wire.Peers{Entries: rumours})
		}
		liar.alive()
		friend := w.node("friend", nil, discovering, v.addr)
		another := w.node("another", nil, discovering, v.addr)
		friend.connected(2)
		another.connected(2)
	})
}

// TestIdleGivesWay: when all places are taken, somebody who has done nothing for minutes
// gives way, and nobody who takes or brings blocks.
func TestIdleGivesWay(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := testbed.Grow(t, nil, 0, 1, 0, 50)
		v := w.node("victim", c, func(cfg *node.Config) { cfg.MaxPeers = 2 })
		useful := w.node("useful", nil, nil, v.addr)
		useful.settled(c)
		idle := w.script(v)
		idle.alive()
		w.script(v).refused(wire.ReasonTooManyPeers)
		end := make(chan wire.Reason, 1)
		w.wg.Go(func() {
			for { // answers pings, and nothing else
				m, err := idle.in.Next()
				if err != nil {
					close(end)
					return
				}
				switch m := m.(type) {
				case wire.Ping:
					idle.out.Write(wire.Pong{})
				case wire.Disconnect:
					end <- m.Reason
					return
				}
			}
		})
		time.Sleep(6 * time.Minute)
		late := w.script(v)
		late.alive()
		if reason := <-end; reason != wire.ReasonTooManyPeers {
			t.Errorf("who has done nothing was told %v", reason)
		}
		useful.connected(1)
		w.script(v).refused(wire.ReasonTooManyPeers)
	})
}
