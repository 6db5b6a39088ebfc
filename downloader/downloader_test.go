package downloader_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/store"
)

const ms = time.Millisecond

func TestSyncFromFourPeers(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 3000)
	inBubble(t, func(t *testing.T, w *world) {
		var peers []*actor
		for _, n := range []string{"a", "b", "c", "d"} {
			peers = append(peers, w.join(&actor{name: n, chain: c, delay: 20 * ms, rate: 1e6}))
		}
		w.settled(c)
		w.once()
		w.honest(peers...)
		for _, p := range peers {
			if p.given == 0 {
				t.Errorf("%s gave nothing", p.name)
			}
		}
	})
}

// TestAProbeIsFetchedOnce: the blocks that probe a list of hashes come long before their
// turn, so they are here already when it comes. There are two ways to be asked for early:
// as a sample of the list, and as its last one when nobody knows how it goes on.
func TestAProbeIsFetchedOnce(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 4500)
	stuck := c.Blocks[1500].Hash // of which nobody knows the parent
	tune := func(cfg *downloader.Config) { cfg.Window = 256 }
	inBubbleWith(t, tune, func(t *testing.T, w *world) {
		p := w.join(&actor{name: "a", chain: c, delay: 10 * ms, rate: 1e6, ancestry: func(start common.Hash, answer []common.Hash) []common.Hash {
			if start == stuck {
				return nil
			}
			if i := slices.Index(answer, stuck); i >= 0 {
				return answer[:i+1]
			}
			return answer
		}})
		w.settled(c)
		w.once()
		w.honest(p)
	})
}

func TestSyncFromServersOf2014(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 300)
	inBubble(t, func(t *testing.T, w *world) {
		// The C++ server answers 16 blocks and leaves nothing out; the Python
		// server 32 hashes; one of PV33 leaves out the genesis block and ends
		// with an empty list.
		cpp := w.join(&actor{name: "cpp", chain: c, delay: 20 * ms, most: 16})
		py := w.join(&actor{name: "py", chain: c, delay: 500 * ms, hashes: 32})
		pv33 := w.join(&actor{name: "pv33", chain: c, delay: 20 * ms, most: 128,
			ancestry: func(_ common.Hash, answer []common.Hash) []common.Hash {
				return slices.DeleteFunc(answer, func(h common.Hash) bool { return h == c.Blocks[0].Hash })
			}})
		w.settled(c)
		w.once()
		w.honest(cpp, py, pv33)
	})
}

func TestAShortChain(t *testing.T) {
	for _, n := range []int{1, 2, 3} {
		c := testbed.Grow(t, nil, 0, 1, 0, n)
		inBubble(t, func(t *testing.T, w *world) {
			p := w.join(&actor{name: "a", chain: c, delay: 10 * ms})
			w.settled(c)
			w.once()
			w.honest(p)
		})
	}
}

func TestNothingIsFetchedForEqualTotalDifficulty(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 50)
	inBubble(t, func(t *testing.T, w *world) {
		w.join(&actor{name: "a", chain: c})
		w.settled(c)
		other := testbed.Grow(t, c, 49, 2, 0, 1)
		other.TD = c.TD
		b := w.join(&actor{name: "b", chain: other})
		time.Sleep(time.Minute)
		if b.given+b.walked > 0 {
			t.Fatalf("a chain of the same total difficulty was asked for")
		}
	})
}

func TestTheHeavierForkWins(t *testing.T) {
	trunk := testbed.Grow(t, nil, 0, 1, 0, 200)
	light := testbed.Grow(t, trunk, 150, 2, 0, 40)
	heavy := testbed.Grow(t, trunk, 120, 3, 0, 90)
	for _, order := range [][]*testbed.Branch{{trunk, light, heavy}, {heavy, light, trunk}, {light, heavy, trunk}} {
		best := slices.MaxFunc(order, func(a, b *testbed.Branch) int { return a.TD.Cmp(&b.TD) })
		inBubble(t, func(t *testing.T, w *world) {
			for i, c := range order {
				w.honest(w.join(&actor{name: string(rune('a' + i)), chain: c, delay: 10 * ms}))
				time.Sleep(time.Second)
			}
			w.settled(best)
			w.once() // what the forks share is fetched once
		})
	}
}

func TestARestartFetchesNothingAgain(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 2000)
	inBubble(t, func(t *testing.T, w *world) {
		for round := 0; ; round++ {
			w.join(&actor{name: "a", chain: c, delay: 10 * ms, rate: 200e3, hashes: 100})
			w.join(&actor{name: "b", chain: c, delay: 30 * ms, rate: 100e3, hashes: 150})
			time.Sleep(1500 * ms)
			if w.store.Head().Hash == c.Head().Hash {
				break
			}
			if round > 100 {
				t.Fatalf("not done after %d rounds", round)
			}
			before := w.store.Blocks()
			w.stop()
			w.start()
			if w.store.Blocks() < before {
				t.Fatal("blocks are lost")
			}
			// What was stored is not to be served again.
			for _, b := range c.Blocks {
				held, err := w.store.Has(b.Hash)
				if err != nil {
					t.Fatal(err)
				}
				if !held {
					w.mu.Lock()
					delete(w.served, b.Hash) // it was on its way
					w.mu.Unlock()
				}
			}
		}
		w.settled(c)
		w.once()
	})
}

func TestTheWalkGoesOnWhenItsSourceDies(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 2000)
	inBubble(t, func(t *testing.T, w *world) {
		a := w.join(&actor{name: "a", chain: c, delay: 50 * ms, hashes: 100, rate: 100e3})
		time.Sleep(300 * ms)
		b := w.join(&actor{name: "b", chain: c, delay: 50 * ms, hashes: 100, rate: 100e3, claim: downloader.Claim{Head: c.Blocks[0].Hash}})
		time.Sleep(300 * ms)
		a.leave()
		w.settled(c)
		w.honest(b)
	})
}

// TestF4AllPeersVanish: five minutes later somebody is back.
func TestF4AllPeersVanish(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 1000)
	inBubble(t, func(t *testing.T, w *world) {
		a := w.join(&actor{name: "a", chain: c, rate: 100e3, hashes: 200})
		time.Sleep(2 * time.Second)
		a.leave()
		time.Sleep(5 * time.Minute)
		w.join(&actor{name: "b", chain: c, rate: 100e3, hashes: 200})
		w.settled(c)
	})
}

func TestAHeadThatIsWithheld(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 100)
	inBubble(t, func(t *testing.T, w *world) {
		claim := claimOf(c)
		claim.TD.AddUint64(&claim.TD, 1000)
		claim.Head = common.Hash{1}
		liar := w.join(&actor{name: "liar", chain: c, claim: claim, delay: 10 * ms})
		mute := w.join(&actor{name: "mute", chain: c, claim: claim, delay: 10 * time.Hour})
		a := w.join(&actor{name: "a", chain: c, delay: 10 * ms})
		w.settled(c)
		w.guilty(downloader.Useless, liar)
		w.honest(a)
		time.Sleep(time.Minute)
		w.guilty(downloader.Useless, mute)
	})
}

func TestAJunkBodyConvictsItsServer(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 500)
	inBubble(t, func(t *testing.T, w *world) {
		liar := w.join(&actor{name: "liar", chain: c, delay: ms,
			blocks: func(_ []common.Hash, answer []downloader.Block) []downloader.Block {
				for i := range answer {
					if raw := answer[i].Raw; c.At[answer[i].Hash]%7 == 3 {
						raw[len(raw)-20] ^= 1 // in the last transaction
					}
				}
				return answer
			}})
		a := w.join(&actor{name: "a", chain: c, delay: 30 * ms, rate: 1e5})
		w.settled(c)
		w.guilty(downloader.Lie, liar)
		w.honest(a)
	})
}

func TestAListThatSkipsOrInsertsAHash(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 500)
	spoils := map[string]func(common.Hash, []common.Hash) []common.Hash{
		"skips one": func(_ common.Hash, l []common.Hash) []common.Hash {
			if len(l) > 50 {
				return slices.Delete(l, 20, 21)
			}
			return l
		},
		"inserts one": func(_ common.Hash, l []common.Hash) []common.Hash {
			if len(l) > 50 {
				return slices.Insert(l, 20, common.Hash{7})
			}
			return l
		},
		"goes in a circle": func(start common.Hash, l []common.Hash) []common.Hash {
			if len(l) > 50 {
				return append(l[:50], c.Head().Hash)
			}
			return l
		},
		"never ends": func(start common.Hash, l []common.Hash) []common.Hash {
			out := make([]common.Hash, 100)
			for i := range out {
				out[i] = start
				out[i][0]++
				out[i][1] = byte(i)
			}
			return out
		},
		"replaces one": func(_ common.Hash, l []common.Hash) []common.Hash {
			if len(l) > 50 {
				l[20] = common.Hash{7}
			}
			return l
		},
		"swaps two": func(_ common.Hash, l []common.Hash) []common.Hash {
			if len(l) > 50 {
				l[20], l[30] = l[30], l[20]
			}
			return l
		},
	}
	for name, spoil := range spoils {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				liar := w.join(&actor{name: "liar", chain: c, delay: ms, ancestry: spoil})
				time.Sleep(100 * ms)
				var honest []*actor
				for _, n := range []string{"a", "b", "c"} {
					honest = append(honest, w.join(&actor{name: n, chain: c, delay: 20 * ms, rate: 200e3}))
				}
				w.settled(c)
				w.honest(honest...)
				w.guilty(downloader.Lie, liar)
			})
		})
	}
}

func TestAPeerThatOverstatesItsChainChangesNothing(t *testing.T) {
	good := testbed.Grow(t, nil, 0, 1, 0, 200)
	weak := testbed.Grow(t, good, 100, 2, 0, 20)
	inBubble(t, func(t *testing.T, w *world) {
		w.join(&actor{name: "a", chain: good, delay: 5 * ms})
		w.settled(good)
		claim := claimOf(weak)
		claim.TD.AddUint64(&good.TD, 1)
		w.join(&actor{name: "b", chain: weak, claim: claim, delay: 5 * ms})
		w.until("the weak chain", func(e downloader.Event) bool {
			f, ok := e.(downloader.Finished)
			return ok && f.Head == weak.Head().Hash && !f.Moved
		})
		if w.store.Head().Hash != good.Head().Hash {
			t.Fatal("the head has moved to a weaker chain")
		}
	})
}

func TestAnAnnouncedBlockIsTaken(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 50)
	longer := testbed.Grow(t, c, 50, 1, 0, 5)
	inBubble(t, func(t *testing.T, w *world) {
		a := w.join(&actor{name: "a", chain: c, delay: 5 * ms})
		b := w.join(&actor{name: "b", chain: c, delay: 5 * ms})
		w.settled(c)
		a.chain = longer
		head := longer.Head()
		w.down.Announced(w.ctx, a, []downloader.Block{{Hash: head.Hash, Raw: slices.Clone(head.Raw())}})
		w.settled(longer)
		w.once()
		if w.served[head.Hash] > 0 {
			t.Error("the announced block was fetched too")
		}
		w.honest(a, b)
		if len(a.told) > 0 {
			t.Error("the block was announced to the peer that it came from")
		}
		if !slices.Equal(b.told, []common.Hash{head.Hash}) {
			t.Errorf("the other peer was told of %x", b.told)
		}
	})
}

// TestANewHeadIsFetchedOnce: a head that is told by its hash, by several, travels once,
// and is told on to those that do not have it.
func TestANewHeadIsFetchedOnce(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 50)
	longer := testbed.Grow(t, c, 50, 1, 0, 5)
	inBubble(t, func(t *testing.T, w *world) {
		actors := map[string]*actor{}
		for _, name := range []string{"a", "b", "lags"} {
			claim := downloader.Claim{TD: c.TD, Head: c.Head().Hash, Content: true}
			actors[name] = w.join(&actor{name: name, chain: c, claim: claim, delay: 5 * ms})
		}
		w.settled(c)
		now := downloader.Claim{TD: longer.TD, Head: longer.Head().Hash}
		for _, name := range []string{"a", "b"} {
			actors[name].chain = longer
			w.down.Claims(w.ctx, actors[name], now)
		}
		w.settled(longer)
		w.once()
		for _, b := range longer.Blocks[51:] {
			if n := w.served[b.Hash]; n != 1 {
				t.Errorf("block %d was fetched %d times", b.Number, n)
			}
		}
		for name, a := range actors {
			if told := slices.Contains(a.told, now.Head); told != (name == "lags") {
				t.Errorf("%s was told of the new head: %v", name, told)
			}
		}
	})
}

// TestAHeadThatMovesByItself: what another part of the program has added is told.
func TestAHeadThatMovesByItself(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 50)
	longer := testbed.Grow(t, c, 50, 1, 0, 1)
	inBubble(t, func(t *testing.T, w *world) {
		a := w.join(&actor{name: "a", chain: c, claim: downloader.Claim{TD: c.TD, Head: c.Head().Hash, Content: true}})
		old := w.join(&actor{name: "of 2014", chain: c})
		w.settled(c)
		b := longer.Head()
		if _, err := w.store.Put([]store.Record{{Hash: b.Hash, Number: b.Number, Raw: b.Raw()}}); err != nil {
			t.Fatal(err)
		}
		move, err := w.store.Link([]store.Link{{Hash: b.Hash, Parent: b.Parent, Number: b.Number, TD: longer.TD}})
		if err != nil {
			t.Fatal(err)
		}
		w.down.HeadMoved(w.ctx, move)
		w.settled(longer)
		for _, x := range []*actor{a, old} {
			if !slices.Equal(x.told, []common.Hash{b.Hash}) {
				t.Errorf("%s was told of %x", x.name, x.told)
			}
		}
	})
}

// TestAShiftingClaim: who claims another head before anybody could see the last one holds
// nobody up.
func TestAShiftingClaim(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 200)
	inBubble(t, func(t *testing.T, w *world) {
		claim := downloader.Claim{TD: c.TD, Head: common.Hash{1}, Content: true}
		claim.TD.AddUint64(&claim.TD, 1000)
		shifty := w.join(&actor{name: "shifty", chain: c, claim: claim, delay: 10 * time.Hour})
		w.join(&actor{name: "honest", chain: c, delay: 5 * ms})
		for i := byte(2); w.store.Head().Hash != c.Head().Hash; i++ {
			if i == 20 {
				t.Fatal("the honest chain is not here after 6 seconds\n" + w.story())
			}
			claim.Head = common.Hash{i}
			w.down.Claims(w.ctx, shifty, claim)
			time.Sleep(300 * ms)
		}
	})
}

func TestASilentPeerDoesNotHoldUpTheEnd(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 1000)
	inBubble(t, func(t *testing.T, w *world) {
		a := w.join(&actor{name: "a", chain: c, delay: 10 * ms, rate: 300e3})
		b := w.join(&actor{name: "b", chain: c, delay: 10 * ms, rate: 300e3})
		mute := w.join(&actor{name: "mute", chain: c, delay: 10 * time.Hour})
		began := time.Now()
		w.settled(c)
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("took %v", took)
		}
		w.honest(a, b, mute) // slowness is no offence while there is work for others
	})
}

func TestABlockThatRotsOnDiskIsFetchedAgain(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 1000)
	inBubble(t, func(t *testing.T, w *world) {
		w.join(&actor{name: "a", chain: c, rate: 100e3, hashes: 50, delay: 20 * ms})
		time.Sleep(3 * time.Second)
		if n := w.store.Blocks(); n < 100 || n > 900 {
			t.Fatalf("%d blocks are stored, want some", n)
		}
		w.stop()
		w.damage("chain/segments/000001.seg")
		w.start()
		w.join(&actor{name: "a", chain: c, rate: 100e3})
		w.settled(c)
	})
}

// TestAStallIsToldAndEnds: the only peer has nothing for a while. The watchdog tells,
// and the download goes on when the peer does.
func TestAStallIsToldAndEnds(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 300)
	inBubble(t, func(t *testing.T, w *world) {
		began := time.Now()
		w.join(&actor{name: "a", chain: c, delay: 20 * ms, blocks: func(asked []common.Hash, l []downloader.Block) []downloader.Block {
			if d := time.Since(began); asked[0] != c.Head().Hash && d < 20*time.Second {
				return nil
			}
			return l
		}})
		w.until("a stall", func(e downloader.Event) bool {
			s, ok := e.(downloader.Stalled)
			return ok && slices.Equal(s.Idle, []string{"a"}) && s.Wanted == c.Head().Hash && s.Waiting != ""
		})
		w.settled(c)
	})
}

// TestTheBestClaimIsAListOfHashes: of a chain that nobody has a block of, its head apart.
// Everybody says so at once, so it costs some round trips.
func TestTheBestClaimIsAListOfHashes(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 1000)
	long := testbed.Grow(t, nil, 0, 77, 1, 3000)
	alone := func(t *testing.T, attackers int) (took time.Duration) {
		inBubble(t, func(t *testing.T, w *world) {
			for range attackers {
				a := &actor{name: "attacker", chain: long, delay: 20 * ms, claim: claimOf(long)}
				a.claim.TD.Lsh(&c.TD, 8)
				a.blocks = func(_ []common.Hash, l []downloader.Block) []downloader.Block {
					return slices.DeleteFunc(l, func(b downloader.Block) bool { return b.Hash != long.Head().Hash })
				}
				w.join(a)
			}
			began := time.Now()
			var honest []*actor
			for i := range 4 {
				honest = append(honest, w.join(&actor{name: fmt.Sprint("peer ", i), chain: c, delay: 20 * ms, rate: 100e3}))
			}
			w.until("the honest chain", func(e downloader.Event) bool {
				f, ok := e.(downloader.Finished)
				return ok && f.Head == c.Head().Hash
			})
			took = time.Since(began)
			w.honest(honest...)
		})
		return took
	}
	without, with := alone(t, 0), alone(t, 1)
	t.Logf("with a liar it took %v, without %v", with, without)
	if with > without+500*ms {
		t.Errorf("with a liar it took %v, without %v", with, without)
	}
}

// TestTheBestClaimWithNothingBehindIt: the peer that claims most has the head block
// of its chain and nothing else. That costs the wait for what it does not send,
// once; afterwards its turn comes later and later.
func TestTheBestClaimWithNothingBehindIt(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 1000)
	alone := func(t *testing.T, attackers int) (took time.Duration) {
		inBubble(t, func(t *testing.T, w *world) {
			for range attackers {
				a := &actor{w: w, name: "attacker", chain: c, delay: 20 * ms}
				a.chain = testbed.Grow(t, nil, 0, 77, 1, 30)
				a.claim = claimOf(a.chain)
				a.claim.TD.Lsh(&c.TD, 8)
				head := a.chain.Head().Hash
				a.ancestry = func(common.Hash, []common.Hash) []common.Hash { return nil }
				a.blocks = func(_ []common.Hash, l []downloader.Block) []downloader.Block {
					return slices.DeleteFunc(l, func(b downloader.Block) bool { return b.Hash != head })
				}
				w.join(a)
			}
			began := time.Now()
			b := w.join(&actor{name: "b", chain: c, delay: 20 * ms, rate: 100e3})
			w.until("the honest chain", func(e downloader.Event) bool {
				f, ok := e.(downloader.Finished)
				return ok && f.Head == c.Head().Hash
			})
			took = time.Since(began)
			w.honest(b)
		})
		return took
	}
	without, with := alone(t, 0), alone(t, 1)
	if with > without+3500*ms {
		t.Errorf("with a liar it took %v, without %v", with, without)
	}
}
