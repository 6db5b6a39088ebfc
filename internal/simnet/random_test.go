package simnet

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoalnet/shoal/pool"
)

// drawScenario makes up a small network of random peers that do whatever they like.
func drawScenario(t *rapid.T) *Scenario {
	pick := func(name string, low, high int) float64 { return float64(rapid.IntRange(low, high).Draw(t, name)) }
	interval := func(name string, low, high int) Range {
		a := pick(name, low, high)
		return Range{a, a + pick(name+" more", 0, high)}
	}
	s := &Scenario{
		Name:   "random",
		Blocks: rapid.IntRange(1, 3000).Draw(t, "blocks"),
		Bytes:  interval("bytes", 1, 4000),
		Walk:   rapid.SampledFrom([]int{0, 0, 1, 100, 8192}).Draw(t, "walk"),
		Window: rapid.SampledFrom([]int{0, 1, 50}).Draw(t, "window"),
	}
	if s.Walk == 1 {
		s.Blocks = min(s.Blocks, 100)
	}
	if rapid.Bool().Draw(t, "linked") {
		s.LinkMbit = pick("link", 1, 20)
	}
	if rapid.Bool().Draw(t, "disk") {
		s.CheckMB = pick("check", 1, 5)
	}
	for range rapid.IntRange(0, 6).Draw(t, "groups") {
		g := Group{
			Count:  rapid.IntRange(1, 4).Draw(t, "count"),
			Mbit:   interval("mbit", 1, 50),
			RTT:    interval("rtt", 0, 500),
			Jitter: pick("jitter", 0, 3),
			Items:  int(pick("items", 0, 20)),
			Join:   interval("join", 0, 2),
		}
		switch rapid.IntRange(0, 6).Draw(t, "kind") {
		case 0:
			stall := interval("stall", 0, 1)
			g.Stall = &stall
		case 1:
			slow := interval("slow", 0, 1)
			g.Slow, g.SlowTo = &slow, pick("to", 1, 300)/100
		case 2:
			g.Think = interval("think", 0, 10_000)
		case 3:
			g.Junk = pick("junk", 1, 100) / 100
		case 4:
			g.Holds = pick("holds", 1, 100) / 100
		case 5:
			g.Up, g.Down = interval("up", 1, 20), interval("down", 1, 20)
		}
		s.Peers = append(s.Peers, g)
	}
	return s
}

// auditor stands between a world and the policy shoal, lets some peers answer
// wildly, and checks the promises of the pool at each step.
type auditor struct {
	*shoal
	net    Network
	cfg    pool.Config
	wild   map[int]bool
	rand   *rand.Rand
	open   map[uint64]*asked // requests that are neither answered nor given up
	here   map[int]bool
	late   map[int]uint64 // by peer, what the pool said last
	broken error
}

type asked struct {
	peer   int
	blocks []int
}

func (a *auditor) complain(format string, args ...any) {
	if a.broken == nil {
		a.broken = fmt.Errorf(format, args...)
	}
}

// Send checks that nobody holds too much, and passes the request on.
func (a *auditor) Send(peer int, id uint64, blocks []int) {
	a.forgetLate()
	for _, b := range blocks {
		if a.here[b] {
			a.complain("block %d is here and asked of peer %d", b, peer)
		}
		holders := 1
		for _, r := range a.open {
			for _, x := range r.blocks {
				if x == b && r.peer == peer {
					a.complain("block %d is asked of peer %d twice", b, peer)
				} else if x == b {
					holders++
				}
			}
		}
		if holders > 2 {
			a.complain("block %d is in flight at %d peers", b, holders)
		}
	}
	a.open[id] = &asked{peer, append([]int(nil), blocks...)}
	a.net.Send(peer, id, blocks)
}

// forgetLate drops the requests of peers that have been late since.
func (a *auditor) forgetLate() {
	for peer, p := range a.peers {
		if p == nil {
			continue
		}
		s, _ := a.pool.PeerStats(a.now, peer)
		if s.Late > a.late[peer] {
			a.late[peer] = s.Late
			if s.InFlight == 0 {
				a.forget(peer)
			}
		}
	}
}

func (a *auditor) forget(peer int) {
	for id, r := range a.open {
		if r.peer == peer {
			delete(a.open, id)
		}
	}
}

func (a *auditor) Drop(peer int)           { a.net.Drop(peer) }
func (a *auditor) Received(peer int) int64 { return a.net.Received(peer) }

func (a *auditor) Leave(now time.Duration, peer int) {
	a.forget(peer)
	delete(a.late, peer)
	a.shoal.Leave(now, peer)
}

// Deliver garbles what a wild peer sends: another order, items twice, items that
// nobody has ever heard of, items that are missing.
func (a *auditor) Deliver(now time.Duration, in Answer) []bool {
	out := in
	if a.wild[in.Peer] {
		out.Blocks, out.Sizes = nil, nil
		for i := range in.Blocks {
			for range 1 + a.rand.IntN(3) {
				out.Blocks, out.Sizes = append(out.Blocks, in.Blocks[i]), append(out.Sizes, in.Sizes[i])
			}
			if a.rand.IntN(3) == 0 {
				out.Blocks, out.Sizes = append(out.Blocks, a.Blocks+a.rand.IntN(1000)), append(out.Sizes, 1+a.rand.IntN(1000))
			}
		}
		a.rand.Shuffle(len(out.Blocks), func(i, j int) {
			out.Blocks[i], out.Blocks[j] = out.Blocks[j], out.Blocks[i]
			out.Sizes[i], out.Sizes[j] = out.Sizes[j], out.Sizes[i]
		})
		out.Blocks = out.Blocks[:a.rand.IntN(len(out.Blocks)+1)]
		if a.rand.IntN(4) == 0 {
			out.ID += uint64(a.rand.IntN(3)) // perhaps to another request
		}
	}
	if r := a.open[out.ID]; r != nil && r.peer == in.Peer {
		delete(a.open, out.ID)
	}
	took := map[int]bool{}
	for i, useful := range a.shoal.Deliver(now, out) {
		if useful {
			if took[out.Blocks[i]] {
				a.complain("block %d is useful twice", out.Blocks[i])
			}
			took[out.Blocks[i]] = true
		}
	}
	useful := make([]bool, len(in.Blocks))
	for i, b := range in.Blocks {
		useful[i] = took[b]
		if took[b] {
			a.here[b] = true
			delete(took, b)
		}
	}
	for b := range took {
		a.complain("block %d is of use, and nobody has ever wanted it", b)
	}
	return useful
}

func (a *auditor) Checked(now time.Duration, peer int, blocks []int, ok bool) {
	for _, b := range blocks {
		a.here[b] = ok
	}
	a.shoal.Checked(now, peer, blocks, ok)
}

// Step checks the limits after each step.
func (a *auditor) Step(now time.Duration) {
	a.shoal.Step(now)
	a.forgetLate()
	s := a.pool.Stats()
	if s.DuplicateTokens < 0 {
		a.complain("the budget for duplicates is overdrawn by %d bytes", -s.DuplicateTokens)
	}
	var sum int64
	peers := int64(0)
	for peer, p := range a.peers {
		if p == nil {
			continue
		}
		peers++
		ps, _ := a.pool.PeerStats(a.now, peer)
		sum += ps.InFlightBytes
		// A pipe that is a third empty takes a whole request.
		if most := a.cfg.PeerBytes*3/2 + 9*maxBlock; ps.InFlightBytes > most {
			a.complain("%d bytes are in flight at peer %d, want %d at most", ps.InFlightBytes, peer, most)
		}
	}
	if sum != s.InFlightBytes {
		a.complain("%d bytes are in flight, the peers have %d", s.InFlightBytes, sum)
	}
	if most := a.cfg.TotalBytes + peers*(a.cfg.PeerBytes+9*maxBlock); sum > most {
		a.complain("%d bytes are in flight, want %d at most", sum, most)
	}
}

// maxBlock is what a block of drawScenario weighs at the most.
const maxBlock = 8000

// newAudited makes a world with an auditor in it.
func newAudited(t *rapid.T, s *Scenario) (*world, *auditor) {
	seed := rapid.Uint64().Draw(t, "seed")
	w, err := newWorld(s, Options{Policy: Shoal, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	a := &auditor{
		net:  w,
		cfg:  pool.Config{PeerBytes: 64 << 10, TotalBytes: 256 << 10, HeldBytes: 128 << 10, Rand: rand.New(rand.NewPCG(seed, 7))},
		wild: map[int]bool{}, rand: rand.New(rand.NewPCG(seed, 8)),
		open: map[uint64]*asked{}, here: map[int]bool{}, late: map[int]uint64{},
	}
	a.shoal = newShoal(Setup{Network: a, Rand: a.cfg.Rand, Blocks: s.Blocks, Window: s.window()}).(*shoal)
	a.pool = pool.New[int, key](a.cfg)
	w.policy = a
	return w, a
}

// anyPeers: whatever random peers do, if there is one honest peer that has everything
// and stays, the download ends with everything delivered once, within all limits.
func anyPeers(t *rapid.T) {
	s := drawScenario(t)
	honest := Group{
		Count: 1,
		Mbit:  Range{float64(rapid.IntRange(1, 20).Draw(t, "honest mbit")), 20},
		RTT:   Range{10, float64(rapid.IntRange(10, 1000).Draw(t, "honest rtt"))},
		Items: rapid.IntRange(0, 200).Draw(t, "honest items"),
	}
	s.Peers = append([]Group{honest}, s.Peers...)
	w, a := newAudited(t, s)
	for i := 1; i < len(w.peers); i++ {
		a.wild[i] = rapid.IntRange(0, 3).Draw(t, "wild") == 0
	}
	// In an hour the slowest honest peer brings a hundred times what there is.
	err := w.run(t.Context(), time.Hour)
	switch {
	case err != nil:
		t.Fatal(err)
	case a.broken != nil:
		t.Fatal(a.broken)
	case w.done != w.Blocks:
		t.Fatalf("at %v there are %d of %d blocks: %+v", w.now, w.done, w.Blocks, a.pool.Stats())
	case a.pool.Len() != 0:
		t.Fatalf("all is here, and the pool still knows %d keys", a.pool.Len())
	}
}

func TestAnyPeers(t *testing.T) { rapid.Check(t, anyPeers) }

func FuzzAnyPeers(f *testing.F) { f.Fuzz(rapid.MakeFuzz(anyPeers)) }

// TestRestingPeersDoNotBlockTheEnd: peers that have next to nothing look fast by the
// little that they bring. The end is not left to them while they rest.
func TestRestingPeersDoNotBlockTheEnd(t *testing.T) {
	s := &Scenario{Name: "resting", Blocks: 85, Bytes: Range{54, 54}, Peers: []Group{
		{Count: 1, Mbit: Range{1, 1}, RTT: Range{23, 23}},
		{Count: 10, Mbit: Range{1, 18}, Items: 1, Holds: 0.02},
	}}
	for seed := range uint64(20) {
		w, err := newWorld(s, Options{Policy: Shoal, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range w.peers[1:] {
			p.crowd = 1 << 30 // it has no block for sure
		}
		if err := w.run(t.Context(), 5*time.Second); err != nil {
			t.Fatal(err)
		}
		if w.done != w.Blocks {
			t.Errorf("seed %d: %d of %d blocks after %v", seed, w.done, w.Blocks, w.now)
		}
	}
}

// TestNobodyHelps: without an honest peer the download does not end, and the pool says
// of each peer what it waits for.
func TestNobodyHelps(t *testing.T) {
	never := &Range{0, 0}
	tests := []struct {
		name  string
		group Group
		want  []pool.Why
	}{
		{"all stall", Group{Stall: never}, []pool.Why{pool.WhyLate, pool.WhyTransferring}},
		{"all lack most", Group{Holds: 0.01}, []pool.Why{pool.WhyLacking}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := tt.group
			g.Count, g.Mbit, g.RTT = 3, Range{8, 8}, Range{50, 50}
			s := &Scenario{Name: tt.name, Blocks: 600, Bytes: Range{5000, 5000}, Peers: []Group{g}}
			w, err := newWorld(s, Options{Policy: Shoal})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range w.peers {
				p.crowd = 1 << 30 // no block has a peer that holds it for sure
			}
			if err := w.run(t.Context(), 8*time.Second); err != nil {
				t.Fatal(err)
			}
			if w.done == w.Blocks {
				t.Fatal("it ended without anybody to help")
			}
			for _, p := range w.peers {
				stats, ok := w.policy.(*shoal).pool.PeerStats(epoch.Add(w.now), int(p.id))
				found := false
				for _, why := range tt.want {
					found = found || stats.Why == why
				}
				if !ok || !found {
					t.Errorf("peer %d (connected: %t) does no more because of: %v, want one of %v", p.id, p.on, stats.Why, tt.want)
				}
			}
		})
	}
}
