package node_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/node"
)

// The faults of a network, with real sessions. Nobody means harm: in each of them the
// chain arrives, and nobody is dropped or banned.

// blameless fails if the machine has blamed anybody.
func (m *machine) blameless() {
	m.w.Helper()
	for _, e := range eventsOf[downloader.Dropped](m) {
		m.w.Errorf("%s has dropped %s: %v", m.name, e.Peer, e.Offence)
	}
	for _, e := range eventsOf[node.Banned](m) {
		m.w.Errorf("%s has banned %s", m.name, e.Who)
	}
}

// TestF1ConnectionCutAtAnyTime resets all connections of the only peer at many moments
// of a sync, at first a few milliseconds apart; in between are handshakes and parts of
// messages.
func TestF1ConnectionCutAtAnyTime(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 150)
	step := 5 * ms
	if testing.Short() {
		step = 150 * ms
	}
	for after := step; after < 1500*ms; after += max(step, after/12) {
		inBubble(t, func(t *testing.T, w *world) {
			server := w.honest("server", c, honestRate)
			client := w.node("client", nil, nil, server.addr)
			time.Sleep(after)
			server.host.Cut()
			time.Sleep(after)
			server.host.Cut()
			client.settled(c)
			client.blameless()
			server.blameless()
		})
	}
}

// TestF2SlowlorisServer: a peer with the heaviest claim sends a byte a second.
func TestF2SlowlorisServer(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 300)
	inBubble(t, func(t *testing.T, w *world) {
		slow := w.honest("slow", c, 1)
		good := w.honest("good", c, honestRate)
		client := w.node("client", nil, nil, slow.addr, good.addr)
		began := time.Now()
		client.settled(c)
		if took := client.reached(c.Head().Hash).Sub(began); took > time.Minute {
			t.Errorf("took %v", took)
		}
		client.blameless()
	})
}

// TestF2SlowReader: a peer that asks for everything and reads a byte a second does not
// keep the others from being served, and its session ends.
func TestF2SlowReader(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 1500)
	inBubble(t, func(t *testing.T, w *world) {
		server := w.honest("server", c, 0)
		slow := w.node("slow", nil, nil)
		slow.stop()
		slow.host.SetDownload(1)
		slow.start(nil, server.addr)
		time.Sleep(10 * time.Second)
		client := w.node("client", nil, nil, server.addr)
		began := time.Now()
		client.settled(c)
		if took := client.reached(c.Head().Hash).Sub(began); took > 30*time.Second {
			t.Errorf("took %v", took)
		}
		client.blameless()
		server.blameless()
	})
}

// TestF2HalfOpen: a peer vanishes without a word in the middle of a sync, at several
// moments. The others go on, and when it is back it is welcome.
func TestF2HalfOpen(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 600)
	for _, after := range []time.Duration{30 * ms, 200 * ms, time.Second} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				gone := w.honest("gone", c, honestRate)
				stays := w.honest("stays", c, honestRate)
				client := w.node("client", nil, nil, gone.addr, stays.addr)
				time.Sleep(after)
				gone.host.Silence()
				began := time.Now()
				client.settled(c)
				if took := client.reached(c.Head().Hash).Sub(began); took > time.Minute {
					t.Errorf("took %v", took)
				}
				gone.host.Heal()
				time.Sleep(5 * time.Minute)
				joined, left := len(eventsOf[downloader.Joined](client)), len(eventsOf[downloader.Left](client))
				if joined-left != 2 {
					t.Errorf("%d peers joined and %d left, want two of them connected", joined, left)
				}
				client.blameless()
			})
		})
	}
}

// TestF5ClockSetBack: our clock says that the head blocks of all peers are from the
// future. That is nobody's lie, and when the clock is right the chain comes.
func TestF5ClockSetBack(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 300)
	inBubble(t, func(t *testing.T, w *world) {
		var addrs []string
		for _, name := range []string{"a", "b", "c"} {
			addrs = append(addrs, w.honest(name, c, honestRate).addr)
		}
		wrong := time.Since(time.Unix(int64(c.Blocks[100].Time), 0))
		var back atomic.Int64
		back.Store(int64(wrong))
		v := w.node("victim", nil, func(cfg *node.Config) {
			cfg.Clock = func() time.Time { return time.Now().Add(-time.Duration(back.Load())) }
		}, addrs...)
		time.Sleep(time.Minute)
		if h := v.store.Head(); h.Number > 0 {
			t.Errorf("the head is block %d, from the future", h.Number)
		}
		for _, d := range eventsOf[downloader.Dropped](v) {
			if d.Kind == downloader.Lie {
				t.Errorf("%s was dropped as a liar: %v", d.Peer, d.Offence)
			}
		}
		back.Store(0)
		v.settled(c)
		if b := eventsOf[node.Banned](v); len(b) > 0 {
			t.Errorf("%s was banned for our clock", b[0].Who)
		}
	})
}

// TestF4AllPeersVanish: nobody can be reached for five minutes.
func TestF4AllPeersVanish(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 600)
	inBubble(t, func(t *testing.T, w *world) {
		servers := []*machine{w.honest("a", c, honestRate), w.honest("b", c, honestRate)}
		client := w.node("client", nil, nil, servers[0].addr, servers[1].addr)
		time.Sleep(time.Second)
		for _, s := range servers {
			s.host.Silence()
		}
		time.Sleep(5 * time.Minute)
		for _, s := range servers {
			s.host.Heal()
		}
		client.settled(c)
		client.blameless()
	})
}
