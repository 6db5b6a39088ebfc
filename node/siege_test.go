package node_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/peer"
	"github.com/shoalnet/shoal/wire"
)

// The attacks of many, and of one who comes back.

// rogues makes an attacker of each attack, all listening.
func (w *world) rogues(c *testbed.Branch, list []testbed.Attack) (all []*rogue, addrs []string) {
	for i, a := range list {
		r := w.rogue(fmt.Sprint("attacker ", i), c)
		a.Spoil(r.Rogue)
		all = append(all, r.listen())
		addrs = append(addrs, r.addr)
	}
	return all, addrs
}

// TestOneHonestPeerIsEnough: one slow honest peer among nine who each do something
// else.
func TestOneHonestPeerIsEnough(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 600)
	const rate = 20_000 // bytes a second; the chain is 20 s long
	names := []string{
		"A1 repeating hashes", "A4 made-up hashes, one at a time", "A7 a hash too few", "A10 a claim, and no hashes",
		"A11 the head block is withheld", "A13 true headers without their transactions", "A16 empty answers",
		"A18 all but the first block", "A21 a bad difficulty in the middle",
	}
	inBubble(t, func(t *testing.T, w *world) {
		liars, addrs := w.rogues(c, slices.DeleteFunc(testbed.Attacks(t, c), func(a testbed.Attack) bool { return !slices.Contains(names, a.Name) }))
		if len(liars) != len(names) {
			t.Fatalf("there are %d liars", len(liars))
		}
		slow := w.honest("slow", c, rate)
		began := time.Now()
		v := w.node("victim", nil, nil, append(addrs, slow.addr)...)
		v.settled(c)
		took := v.reached(c.Head().Hash).Sub(began)
		t.Logf("the chain took %v, settling %v", took.Round(ms), time.Since(began).Round(ms))
		if took > time.Minute {
			t.Errorf("the chain took %v", took)
		}
		var guilty []string
		for _, r := range liars {
			guilty = append(guilty, r.ip)
		}
		v.fair(guilty...)
		v.frugal()
		v.bounded()
	})
}

// mute makes a rogue shake hands, answer pings, and nothing else.
func (r *rogue) mute() {
	l, err := r.host.Listen(port)
	if err != nil {
		r.w.Fatal(err)
	}
	context.AfterFunc(r.w.ctx, func() { l.Close() })
	serve := func(conn net.Conn) {
		stop := context.AfterFunc(r.w.ctx, func() { conn.Close() })
		defer stop()
		defer conn.Close()
		in, out := wire.NewReader(conn), wire.NewWriter(conn)
		err := out.Write(wire.Hello{
			Version: wire.Version, Network: *uint256.NewInt(r.w.net.ID), Client: r.name, Caps: wire.CapChain, Port: port,
			Node: r.node(), TD: r.TD, Best: r.Best, Genesis: r.Root,
		})
		for err == nil {
			var m wire.Message
			if m, err = in.Next(); err == nil && m.ID() == wire.IDPing {
				err = out.Write(wire.Pong{})
			}
		}
	}
	r.w.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.w.wg.Go(func() { serve(conn) })
		}
	})
}

// TestA24NineStallersAndOneSlowHonestPeer: half of the stallers are dead but for
// their TCP, the others answer pings. All claim what is true.
func TestA24NineStallersAndOneSlowHonestPeer(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 600)
	inBubble(t, func(t *testing.T, w *world) {
		var addrs, guilty []string
		for i := range 9 {
			r := w.rogue(fmt.Sprint("staller ", i), c)
			if i%2 == 0 {
				r.mute()
			} else {
				r.Pause = func() { r.Sleep(10 * time.Hour) }
				r.Ancestry = func(_ common.Hash, l []common.Hash) []common.Hash {
					r.Pause()
					return l
				}
				r.listen()
			}
			addrs, guilty = append(addrs, r.addr), append(guilty, r.ip)
		}
		slow := w.honest("slow", c, 20_000)
		began := time.Now()
		v := w.node("victim", nil, nil, append(addrs, slow.addr)...)
		v.settled(c)
		took := time.Since(began)
		t.Logf("took %v", took.Round(ms))
		// 20 kB/s bring the chain in 20 s; the rest is finding out.
		if took > 2*time.Minute {
			t.Errorf("took %v", took)
		}
		v.fair(guilty...)
		v.frugal()
		v.bounded()
	})
}

// TestA22ABannedChainIsOfferedAgain: under a new node id from the same address, where
// nobody is let in; and from a new address, where nobody is asked for it.
func TestA22ABannedChainIsOfferedAgain(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 400)
	bad := testbed.Spoilt(t, c, 200, func(h *types.Header) { h.Difficulty.SetUint64(1 << 40) })
	inBubble(t, func(t *testing.T, w *world) {
		first := w.rogue("attacker", bad)
		first.ClaimMore()
		a := w.honest("a", c, honestRate)
		v := w.node("victim", nil, nil, first.listen().addr, a.addr)
		v.settled(c)
		v.convicted(downloader.Lie, first.ip)
		if s := v.blames(first.ip); !s.Banned(time.Now()) || len(s.Evidence) == 0 {
			t.Errorf("the attacker is not banned: %+v", s)
		}

		first.again.Add(1)
		before := len(eventsOf[downloader.Joined](v))
		if err := first.dial(v); err == nil {
			t.Error("no end to a session with a banned host")
		}
		second := w.rogue("attacker", bad)
		second.ClaimMore()
		w.wg.Go(func() { second.dial(v) })
		time.Sleep(5 * time.Minute)
		if n := len(eventsOf[downloader.Joined](v)) - before; n != 1 {
			t.Errorf("%d have joined, want the one from a new address", n)
		}
		if served, _ := second.Count(); served > 0 {
			t.Errorf("%d blocks of a chain that was found to be false were fetched again", served)
		}
		v.has(c)
		v.fair(first.ip, second.ip)
	})
}

// TestA23ALiarIsFirstAndComesBackAgainAndAgain: with new node ids, ten times a second.
func TestA23ALiarIsFirstAndComesBackAgainAndAgain(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 1200)
	inBubble(t, func(t *testing.T, w *world) {
		r := w.rogue("attacker", c)
		r.ClaimMore()
		r.Ancestry = func(s common.Hash, _ []common.Hash) []common.Hash { return testbed.MadeUp(uint64(s[0]), 300) }
		addrs := []string{r.listen().addr}
		var honest []*machine
		for _, name := range []string{"a", "b"} {
			h := w.honest(name, c, honestRate)
			h.host.Silence()
			honest, addrs = append(honest, h), append(addrs, h.addr)
		}
		began := time.Now()
		v := w.node("victim", nil, nil, addrs...)
		var tries atomic.Int32
		w.wg.Go(func() {
			for w.ctx.Err() == nil {
				tries.Add(1)
				r.again.Add(1)
				r.dial(v)
				r.Sleep(100 * ms)
			}
		})
		time.Sleep(3 * time.Second)
		for _, h := range honest {
			h.host.Heal()
		}
		v.settled(c)
		took := v.reached(c.Head().Hash).Sub(began)
		t.Logf("the chain took %v; %d tries", took.Round(ms), tries.Load())
		if took > 2*soon {
			t.Errorf("the chain took %v", took)
		}
		v.convicted(downloader.Lie, r.ip)
		joined, started := 0, len(eventsOf[downloader.Started](v))
		for _, j := range eventsOf[downloader.Joined](v) {
			if hostOf(j.Peer) == r.ip {
				joined++
			}
		}
		// It may have come in while its first session was being judged.
		if joined > 2 || started > 4 {
			t.Errorf("it was let in %d times, and %d chains were begun", joined, started)
		}
		if n := tries.Load(); n < 20 {
			t.Errorf("it has tried %d times only", n)
		}
		v.fair(r.ip)
		v.frugal()
	})
}

// TestNobodyHonestIsFramed: a head block says a number that is not its own, and stands on a
// block that all have. Its claimant says no more, so that honest peers name the rest of
// the hashes, and meet the genesis block where it must not be.
func TestNobodyHonestIsFramed(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 300)
	for _, tt := range []struct {
		name string
		has  *testbed.Branch // of the victim
	}{{"the victim has the chain", c}, {"the victim has nothing", nil}} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				r := w.rogue("attacker", testbed.Spoilt(t, c, 300, func(h *types.Header) { h.Number.SetUint64(1000) }))
				r.Ancestry = func(start common.Hash, l []common.Hash) []common.Hash {
					if start != r.Best {
						r.Sleep(time.Minute)
						return nil
					}
					return l[:1]
				}
				r.ClaimMore()
				a, b := w.honest("a", c, honestRate), w.honest("b", c, honestRate)
				v := w.node("victim", tt.has, nil, a.addr, b.addr, r.listen().addr)
				v.convicted(downloader.Lie, r.ip)
				v.settled(c)
				v.fair(r.ip)
			})
		})
	}
}

// TestA25ClaimsThatRiseEverySecond: new targets do not stop the one that is being
// fetched, however they are made known.
func TestA25ClaimsThatRiseEverySecond(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 1000)
	fork := testbed.Grow(t, nil, 0, 55, 0, 400)
	for _, tt := range []struct {
		name  string
		rises func(r *rogue, v *machine)
	}{
		{"by announcing", func(r *rogue, v *machine) {
			r.Joined = func(ctx context.Context, s *peer.Session) {
				for _, b := range fork.Blocks[200:] {
					if ctx.Err() != nil {
						return
					}
					s.Announce(b.Raw())
					r.Sleep(time.Second)
				}
			}
			r.w.wg.Go(func() { r.dial(v) })
		}},
		{"by connecting again", func(r *rogue, v *machine) {
			r.Joined = func(_ context.Context, s *peer.Session) {
				r.Sleep(time.Second)
				s.Disconnect(wire.ReasonRequested)
			}
			r.w.wg.Go(func() {
				for _, b := range fork.Blocks[200:] {
					if r.w.ctx.Err() != nil {
						return
					}
					r.Best = b.Hash
					r.TD.Lsh(&r.TD, 1)
					began := time.Now()
					r.dial(v)
					r.Sleep(time.Second - time.Since(began)) // in case it was refused
				}
			})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				a := w.honest("a", c, 20_000) // for half a minute
				v := w.node("victim", nil, nil, a.addr)
				r := w.rogue("attacker", fork)
				r.TD.AddUint64(&c.TD, 1)
				began := time.Now()
				tt.rises(r, v)
				v.settled(c)
				took := v.reached(c.Head().Hash).Sub(began)
				t.Logf("the chain took %v", took.Round(ms))
				if took > 2*time.Minute {
					t.Errorf("the chain took %v", took)
				}
				v.fair(r.ip)
				v.frugal()
			})
		})
	}
}

// TestA26AHeavierChainAppears: all peers are on a fork, and somebody comes with a
// heavier one, in the middle of the sync or after it. What the two share is fetched
// once, and so is the rest.
func TestA26AHeavierChainAppears(t *testing.T) {
	trunk := testbed.Grow(t, nil, 0, 1, 0, 600)
	light := testbed.Grow(t, trunk, 600, 2, 0, 300)
	heavy := testbed.Grow(t, trunk, 600, 3, 5, 350)
	if !heavy.TD.Gt(&light.TD) {
		t.Fatal("the chains do not weigh what they should")
	}
	for name, after := range map[string]time.Duration{"in the middle": 2 * time.Second, "at the end": time.Minute} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				var addrs []string
				for _, name := range []string{"a", "b", "c"} {
					addrs = append(addrs, w.honest(name, light, honestRate).addr)
				}
				v := w.node("victim", nil, nil, addrs...)
				time.Sleep(after)
				late := w.node("late", heavy, nil, v.addr)
				late.host.SetUpload(honestRate)
				v.settled(heavy)
				late.fair()
				v.fair()
				s := v.last().Pool
				if s.DuplicateBytes > 0 || s.UnrequestedBytes > 0 {
					t.Errorf("%d bytes came twice, %d unasked", s.DuplicateBytes, s.UnrequestedBytes)
				}
				if want, got := uint64(1+900+350), v.store.Blocks(); got != want {
					t.Errorf("%d blocks are here, want %d", got, want)
				}
				// Useful does not count the two heads, which come first.
				if want := uint64(900 + 350 - 2); s.Useful != want {
					t.Errorf("%d blocks were fetched, want %d", s.Useful, want)
				}
				for _, m := range eventsOf[downloader.HeadMoved](v) {
					if m.Reorged && m.Ancestor != 600 {
						t.Errorf("the head has moved from block %d to %d over block %d", m.Old.Number, m.New.Number, m.Ancestor)
					}
				}
			})
		})
	}
}

// TestHandshakesOfOthers: who is of another chain, version or network never comes to
// ask or to be asked.
func TestHandshakesOfOthers(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 100)
	inBubble(t, func(t *testing.T, w *world) {
		r := w.rogue("of another chain", c)
		r.ClaimMore()
		r.Root = common.Hash{9} // A9
		a := w.honest("a", c, honestRate)
		v := w.node("victim", nil, nil, r.listen().addr, a.addr)
		v.settled(c)
		if served, sessions := r.Count(); served+sessions > 0 {
			t.Errorf("it served %d blocks in %d sessions", served, sessions)
		}
		for _, j := range eventsOf[downloader.Joined](v) {
			if hostOf(j.Peer) == r.ip {
				t.Error("a peer of another chain has joined")
			}
		}
		v.fair(r.ip)
	})
}
