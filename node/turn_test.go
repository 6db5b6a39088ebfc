package node_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/memnet"
	"github.com/shoalnet/shoal/internal/testbed"
)

// Chains that only one peer has are fetched in turns with the others: such a peer may
// be a liar who lets a worthless chain drip, or the only one who has the best.

// TestManyChainsThatDrip: nine liars, each with a chain of its own that nobody else
// has, which it serves as slowly as it may.
func TestManyChainsThatDrip(t *testing.T) { // high TD starvation
	c := testbed.Grow(t, nil, 0, 1, 0, 1200)
	inBubble(t, func(t *testing.T, w *world) {
		var addrs, guilty []string
		for i := range 9 {
			r := w.rogue(fmt.Sprint("attacker ", i), c)
			r.Chain = testbed.Grow(t, nil, 0, 100+uint64(i), 1, 300)
			r.Best = r.Chain.Head().Hash
			r.TD.Lsh(&c.TD, 8)
			r.Most = 1
			r.Pause = func() { r.Sleep(900 * ms) }
			addrs, guilty = append(addrs, r.listen().addr), append(guilty, r.ip)
		}
		a := w.honest("a", c, honestRate) // for eight seconds
		began := time.Now()
		v := w.node("victim", nil, nil, append(addrs, a.addr)...)
		v.until("the honest chain", isHead(c))
		took := time.Since(began)
		t.Logf("the chain took %v", took.Round(ms))
		// Each has a first turn before the honest one, and one or two short ones
		// more.
		if took > 2*time.Minute {
			t.Errorf("the chain took %v", took)
		}
		v.fair(guilty...)
		v.frugal()
		v.bounded()
	})
}

// isHead returns whether an event says that a chain has become ours.
func isHead(c *testbed.Branch) func(any) bool {
	return func(e any) bool {
		h, ok := e.(downloader.HeadMoved)
		return ok && h.New.Hash == c.Head().Hash
	}
}

// TestAFastLiarDoesNotStarveASlowPeer: its chain is long, in order, and lighter than it
// says, and nobody brings as much as it does.
func TestAFastLiarDoesNotStarveASlowPeer(t *testing.T) {
	long := testbed.Grow(t, nil, 0, 7, 0, 12_000)
	c := testbed.Grow(t, nil, 0, 1, 0, 150)
	inBubble(t, func(t *testing.T, w *world) {
		liar := w.rogue("attacker", long)
		liar.host.SetUpload(50e3) // for two and a half minutes
		liar.ClaimMore()
		a := w.honest("a", c, 10e3) // for 9 s, which is an eighth of the time at the least
		began := time.Now()
		v := w.node("victim", nil, nil, liar.listen().addr, a.addr)
		v.until("the honest chain", func(e any) bool {
			f, ok := e.(downloader.Finished)
			return ok && f.Head == c.Head().Hash
		})
		t.Logf("the chain took %v", time.Since(began).Round(ms))
		v.settled(long) // it is the heaviest after all
		took := time.Since(began)
		t.Logf("all took %v", took.Round(ms))
		if took > 4*time.Minute {
			t.Errorf("both chains took %v", took)
		}
		v.fair(liar.ip)
		v.frugal()
	})
}

// TestTheHeaviestChainIsSlowAndAlone: others have a lighter chain and are fast. The
// heaviest wins, whoever comes first.
func TestTheHeaviestChainIsSlowAndAlone(t *testing.T) {
	trunk := testbed.Grow(t, nil, 0, 1, 0, 200)
	light := testbed.Grow(t, trunk, 200, 2, 0, 500)
	heavy := testbed.Grow(t, trunk, 200, 3, 5, 550)
	if !heavy.TD.Gt(&light.TD) {
		t.Fatal("the chains do not weigh what they should")
	}
	for _, first := range []string{"slow", "fast"} {
		t.Run(first, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				slow := w.honest("slow", heavy, memnet.BytesPerSec(4e3)) // for a minute and a half
				addrs := []string{slow.addr}
				for i := range 3 {
					a := w.honest(fmt.Sprint("fast ", i), light, honestRate)
					if first == "fast" {
						addrs = append([]string{a.addr}, addrs...)
					} else {
						addrs = append(addrs, a.addr)
					}
				}
				began := time.Now()
				v := w.node("victim", nil, nil, addrs...)
				v.settled(heavy)
				t.Logf("took %v, the lighter chain %v", time.Since(began).Round(ms), v.reached(light.Head().Hash).Sub(began).Round(ms))
				v.fair()
				v.frugal()
				if s := v.last().Pool; s.DuplicateBytes > 0 {
					t.Errorf("%d bytes came twice", s.DuplicateBytes)
				}
				if want, got := uint64(1+700+550), v.store.Blocks(); got != want {
					t.Errorf("%d blocks are here, want %d", got, want)
				}
			})
		})
	}
}
