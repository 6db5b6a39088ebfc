package node_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/memnet"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/link"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/wire"
)

func newKey(t testing.TB) *link.Key {
	t.Helper()
	k, err := link.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// journal is a log that a test looks into while it is written.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// linkPort is where encrypted links are opened if there is a listener in plain too.
const linkPort = 30304

// sealedOff makes a node speak over encrypted links only, with those that have these keys.
func sealedOff(k *link.Key, allow ...link.ID) func(*node.Config) {
	return func(cfg *node.Config) {
		cfg.Links = node.Links{Key: k, Listener: cfg.Listener, Allow: allow, Only: true}
		cfg.Listener = nil
	}
}

func pinned(m *machine, at int, k *link.Key) string {
	return link.Addr{HostPort: fmt.Sprintf("%s:%d", m.ip, at), ID: k.ID()}.String()
}

// TestLinks: nodes that know each other's keys sync over encrypted links as others do in
// plain. Those that dial each other need not be named a second time.
func TestLinks(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 1200)
	inBubble(t, func(t *testing.T, w *world) {
		ka, kb, kc := newKey(t), newKey(t), newKey(t)
		a := w.node("a", c, sealedOff(ka, kc.ID()))
		b := w.node("b", c, sealedOff(kb, kc.ID()), pinned(a, port, ka))
		v := w.node("v", nil, sealedOff(kc), pinned(a, port, ka), pinned(b, port, kb))
		v.settled(c)
		v.fair()
		v.frugal()
		for _, p := range v.node.Peers() {
			if want := map[bool]link.ID{true: ka.ID(), false: kb.ID()}[hostOf(p.Name) == a.ip]; p.Key != want {
				t.Errorf("%s has proved to be %v, want %v", p.Name, p.Key, want)
			}
		}
		if in := a.node.Peers(); len(in) != 1 || in[0].Key != kc.ID() || !in[0].Inbound {
			t.Errorf("a has let in %+v, want v alone: b is not allowed there", in)
		}
		x := w.node("x", nil, sealedOff(ka), pinned(v, port, kc)) // whom v dials
		x.connected(1)
	})
}

// TestLinksRefused: who has no business here is told, or told of, in a sentence, on both
// sides.
func TestLinksRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		ka, kb := newKey(t), newKey(t)
		var log journal
		a := w.node("a", nil, func(cfg *node.Config) {
			sealedOff(ka, kb.ID())(cfg)
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		plain := w.node("plain", nil, nil)
		for _, x := range []struct {
			name       string
			tune       func(*node.Config)
			peer       string
			want, told string
		}{
			{"a stranger", sealedOff(newKey(t)), pinned(a, port, ka), "does not let our key in", "is not one of those that are let in"},
			{"who expects somebody else", sealedOff(kb), pinned(a, port, kb), "the key there is " + ka.ID().String(), "bad certificate"},
			{"who dials in plain", nil, a.addr, "", "does not speak TLS"},
			{"who is listened for in plain", sealedOff(kb), pinned(plain, port, ka), "does not speak TLS", ""},
		} {
			before := len(log.String())
			m := w.node(x.name, nil, x.tune, x.peer)
			m.until("a dial that fails", func(e any) bool {
				f, ok := e.(node.DialFailed)
				if ok && !strings.Contains(f.Err.Error(), x.want) {
					t.Errorf("%s hears %v, want %q", x.name, f.Err, x.want)
				}
				return ok
			})
			m.stop()
			if told := log.String()[before:]; !strings.Contains(told, x.told) || strings.Contains(told, "refusing a link") != (x.told != "") {
				t.Errorf("of %s this is told: %q, want %q", x.name, told, x.told)
			}
		}
		if len(a.node.Peers())+len(plain.node.Peers()) > 0 {
			t.Error("somebody has come in")
		}
	})
}

// TestNoDowngrade: a peer that is met over encrypted links is never dialled in plain, whoever
// tells its address, and not let in if it dials in plain itself.
func TestNoDowngrade(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		kHub, kClient := newKey(t), newKey(t)
		both := func(k *link.Key, allow ...link.ID) func(*node.Config) {
			return func(cfg *node.Config) {
				l, err := w.sea.Host(hostOf(cfg.Listener.Addr().String())).Listen(linkPort)
				if err != nil {
					t.Fatal(err)
				}
				cfg.Discover, cfg.Links = true, node.Links{Key: k, Listener: l, Allow: allow}
			}
		}
		hub := w.node("hub", nil, both(kHub)) // which does not let the client in
		gossip := w.node("gossip", nil, discovering, hub.addr)
		gossip.connected(1)
		client := w.node("client", nil, both(kClient), pinned(hub, linkPort, kHub), gossip.addr)
		other := w.node("other", nil, discovering, gossip.addr) // hears of the hub at the same time
		other.connected(3)                                      // gossip, hub, client
		time.Sleep(10 * time.Minute)
		for _, p := range client.node.Peers() {
			if hostOf(p.Name) == hub.ip && !p.Inbound {
				t.Errorf("the client has dialled %+v", p)
			}
		}

		// Whom the client has met over an encrypted link has a name, from then on.
		kSecret := newKey(t)
		v := w.node("v", nil, both(kClient, kSecret.ID()))
		secret := w.node("secret", nil, func(cfg *node.Config) { cfg.Links.Key = kSecret }, pinned(v, linkPort, kClient))
		v.connected(1)
		id := w.script(secret).node
		secret.stop()
		v.connected(0)
		host, _ := w.host()
		began := time.Now()
		w.scriptFrom(host, id, v).refused(wire.ReasonUselessPeer)
		if time.Since(began) > time.Second {
			t.Error("it was let in, and did nothing")
		}
	})
}

// TestLinksKeepPlaces: whoever is known by a key gets in, whether strangers hold all places
// in plain, or knock at the door for links in droves and say nothing, or too much.
func TestLinksKeepPlaces(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		ka, kb := newKey(t), newKey(t)
		var log journal
		a := w.node("a", nil, func(cfg *node.Config) {
			l, err := w.sea.Host(hostOf(cfg.Listener.Addr().String())).Listen(linkPort)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Discover, cfg.MaxPeers, cfg.Links = true, 4, node.Links{Key: ka, Listener: l, Allow: []link.ID{kb.ID()}}
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		for range 2 {
			w.script(a).alive() // it is let in, so that the next one finds no place
		}
		w.script(a).refused(wire.ReasonTooManyPeers)
		at := fmt.Sprintf("%s:%d", a.ip, linkPort)
		knock := func(host *memnet.Host, says []byte) {
			conn, err := host.Dial(w.ctx, at)
			if err != nil {
				return
			}
			w.wg.Go(func() {
				defer conn.Close()
				conn.Write(says)
				io.Copy(io.Discard, conn)
			})
		}
		for range 60 {
			host, _ := w.host()
			for range 5 {
				knock(host, nil)
			}
		}
		time.Sleep(6 * time.Second)
		for range 60 {
			host, _ := w.host()
			knock(host, bytes.Repeat([]byte{22, 3, 1, 0x40, 0}, 10_000))
		}
		b := w.node("b", nil, sealedOff(kb), pinned(a, linkPort, ka))
		began := time.Now()
		b.connected(1)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		time.Sleep(time.Second)
		if lines := strings.Count(log.String(), "refusing a link"); lines < 16 || lines > 20 {
			t.Errorf("%d strangers are told of", lines)
		}
	})
}

// TestBansGoByKey: who is known by a key is banned by it, wherever it comes from next, and
// nobody else is punished who comes from there. Nor is it for what others did in plain.
func TestBansGoByKey(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		kv, kLiar, kOther := newKey(t), newKey(t), newKey(t)
		v := w.node("v", nil, func(cfg *node.Config) {
			l, err := w.sea.Host(hostOf(cfg.Listener.Addr().String())).Listen(linkPort)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Links = node.Links{Key: kv, Listener: l, Allow: []link.ID{kLiar.ID(), kOther.ID()}}
		})
		ids := byte(0)
		over := func(k *link.Key, host *memnet.Host) *script {
			conn, err := host.Dial(w.ctx, fmt.Sprintf("%s:%d", v.ip, linkPort))
			if err != nil {
				t.Fatal(err)
			}
			c, err := k.Client(w.ctx, conn, kv.ID())
			if err != nil {
				t.Fatal(err)
			}
			ids++
			return w.scriptOn(c, wire.Hello{Node: wire.NodeID{0: 4, 63: ids}, Caps: wire.CapChain})
		}
		plain := func(host *memnet.Host) *script {
			ids++
			return w.scriptFrom(host, wire.NodeID{0: 5, 63: ids}, v)
		}

		shared, _ := w.host()
		w.offend(func(wire.NodeID) *script { return over(kLiar, shared) })
		if s := v.blames(kLiar.ID().String()); !s.Banned(time.Now()) || len(s.Evidence) != 4 {
			t.Errorf("the key has this standing: %+v", s)
		}
		elsewhere, _ := w.host()
		over(kLiar, elsewhere).refused(wire.ReasonUselessPeer)
		over(kOther, shared).alive()
		plain(shared).alive()

		bad, ip := w.host()
		w.ban(bad, v)
		plain(bad).refused(wire.ReasonUselessPeer)
		over(kOther, bad).alive()
		v.fair(kLiar.ID().String(), ip)
	})
}

// TestLinksConfig: what cannot be meant is refused.
func TestLinksConfig(t *testing.T) {
	k := newKey(t)
	hub := link.Addr{HostPort: "192.0.2.1:1", ID: k.ID()}.String()
	sea := memnet.New()
	l, err := sea.Host("10.0.0.1").Listen(1)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for want, cfg := range map[string]node.Config{
		"":              {Peers: []string{hub, "192.0.2.1:2"}, Links: node.Links{Key: k}},
		"not host:port": {Peers: []string{"x"}},
		"both in plain": {Peers: []string{hub, "192.0.2.1:1"}, Links: node.Links{Key: k}},
		"need a key":    {Peers: []string{hub}},
		"links need":    {Links: node.Links{Listener: l}},
		"need a key of": {Links: node.Links{Only: true}},
		"links only":    {Links: node.Links{Key: k, Only: true}, Listener: l},
		"only there":    {Links: node.Links{Key: k, Only: true}, Peers: []string{"192.0.2.1:2"}},
		"no discovery":  {Links: node.Links{Key: k, Only: true}, Discover: true},
	} {
		cfg.Network, cfg.Store = chain.Dev, openStore(t, chain.Dev, vfs.NewMem())
		if _, err := node.New(cfg); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if err := cfg.Store.Close(); err != nil {
			t.Error(err)
		}
	}
}
