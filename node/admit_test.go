package node_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/shoalnet/shoal/internal/memnet"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/wire"
)

// refused fails if a node does not end the session with that reason.
func (s *script) refused(want wire.Reason) {
	s.w.Helper()
	if reason, told := s.end(); !told || reason != want {
		s.w.Errorf("%s: the session ended with %v, %v; want %v", s.ip, reason, told, want)
	}
}

// alive fails if the session does not answer a ping.
func (s *script) alive() {
	s.w.Helper()
	s.send(wire.Ping{})
	for s.next().ID() != wire.IDPong {
	}
}

// ban has a node ban the host, by breaking the protocol often enough.
func (w *world) ban(host *memnet.Host, by *machine) {
	w.Helper()
	w.offend(func(id wire.NodeID) *script { return w.scriptFrom(host, id, by) })
}

// offend breaks the protocol so often that it means a ban, each time as another node.
func (w *world) offend(come func(wire.NodeID) *script) {
	w.Helper()
	for i := range 4 {
		s := come(wire.NodeID{0: 3, 63: byte(i)})
		s.send(wire.Hello{Node: wire.NodeID{1}}) // a second one
		s.refused(wire.ReasonBadProtocol)
		s.conn.Close()
		time.Sleep(time.Second)
	}
}

// TestAnIDIsAdmittedOnce: whoever else bears the id of a peer that is connected is
// refused, and goes on being refused, whatever those do who say they bear it.
func TestAnIDIsAdmittedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		v := w.node("victim", nil, nil)
		first := w.script(v)
		id := wire.NodeID{0: 2, 63: byte(w.hosts)}
		banned, _ := w.host()
		w.ban(banned, v)
		again := func() *script {
			host, _ := w.host()
			return w.scriptFrom(host, id, v)
		}
		again().refused(wire.ReasonAlreadyConnected)
		w.scriptFrom(banned, id, v).refused(wire.ReasonUselessPeer)
		time.Sleep(5 * time.Second) // until these sessions are closed
		again().refused(wire.ReasonAlreadyConnected)
		first.alive()

		// Its place is free when it has left.
		first.conn.Close()
		time.Sleep(time.Second)
		again().alive()
	})
}

// TestPlacesAreBounded: a node has as many sessions as it has memory for, and no
// more when somebody is refused under the id of one who is there.
func TestPlacesAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		v := w.node("victim", nil, func(cfg *node.Config) { cfg.Memory = node.MinMemory })
		banned, _ := w.host()
		w.ban(banned, v)
		var in []*script
		for {
			s := w.script(v)
			s.send(wire.Ping{})
			m, err := s.in.Next()
			if err != nil {
				t.Fatal(err)
			}
			if d, ok := m.(wire.Disconnect); ok {
				if d.Reason != wire.ReasonTooManyPeers {
					t.Errorf("refused for %v", d.Reason)
				}
				break
			}
			in = append(in, s)
			w.scriptFrom(banned, wire.NodeID{0: 2, 63: byte(w.hosts)}, v).refused(wire.ReasonUselessPeer)
			time.Sleep(5 * time.Second) // until that is closed
			if len(in) > 100 {
				t.Fatal("there is no end of places")
			}
		}
		if len(in) < 4 {
			t.Errorf("there are %d places", len(in))
		}
		for _, s := range in {
			s.alive()
		}
		in[0].conn.Close()
		time.Sleep(time.Second)
		w.script(v).alive()
	})
}

// TestOneHostCannotTakeAllPlaces: nor those of strangers, who say nothing.
func TestOneHostCannotTakeAllPlaces(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 100)
	inBubble(t, func(t *testing.T, w *world) {
		v := w.node("victim", c, nil)
		host, _ := w.host()
		closed := 0
		for range 300 {
			conn, err := host.Dial(w.ctx, v.addr)
			if err != nil {
				t.Fatal(err)
			}
			context.AfterFunc(w.ctx, func() { conn.Close() })
			conn.SetReadDeadline(time.Now().Add(ms))
			// Our Hello comes to all that are let in.
			if _, err := conn.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
				closed++
			}
		}
		if closed < 250 {
			t.Errorf("%d of 300 connections were closed at once", closed)
		}
		other := w.node("other", nil, nil, v.addr)
		other.settled(c)
		other.fair()
	})
}

// TestNobodyTalksToHimself: a node that dials its own address notices, and blames
// nobody for it.
func TestNobodyTalksToHimself(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 100)
	inBubble(t, func(t *testing.T, w *world) {
		a := w.honest("a", c, honestRate)
		// Hosts are numbered: its own address is the next one.
		v := w.node("victim", nil, nil, a.addr, "10.0.0.3:30303")
		if v.addr != "10.0.0.3:30303" {
			t.Fatalf("the node listens on %s", v.addr)
		}
		v.settled(c)
		time.Sleep(time.Minute)
		v.fair(v.ip)
		if st := v.blames(v.ip); len(st.Evidence) > 0 {
			t.Errorf("it blames itself: %v", st.Evidence)
		}
	})
}
