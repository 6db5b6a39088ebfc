package downloader_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/downloader"
)

// The attacks that broke earlier clients, by the names under which they are known.
// In each of them honest peers serve a chain, somebody else does harm, and in the
// end the chain is here, no honest peer was dropped, and little was transferred
// twice. Sizes of messages and floods are matters of packages wire and peer.

// attack is one of them.
type attack struct {
	name string
	// spoil makes the attacker out of an honest peer.
	spoil func(a *actor)
	// guilty says what the attacker must be dropped for: nil if it need not be,
	// because what it does may be honest weakness.
	guilty *downloader.Kind
}

// more is a claim of more than the chain has.
func more(a *actor) {
	a.claim = a.chain.claim()
	a.claim.TD.AddUint64(&a.claim.TD, 1_000_000)
}

// elsewhere makes the attacker claim a head of its own, so that it is followed.
func elsewhere(a *actor, from, n int) {
	a.chain = grow(a.w, a.chain, from, 77, 1, n)
	more(a)
	a.claim.TD.Lsh(&a.claim.TD, 8)
}

func TestAttacks(t *testing.T) {
	made := func(seed uint64, n int) []common.Hash {
		r := rand.New(rand.NewPCG(seed, 1))
		out := make([]common.Hash, n)
		for i := range out {
			for j := range out[i] {
				out[i][j] = byte(r.Uint32())
			}
		}
		return out
	}
	attacks := []attack{
		{"A1 repeating hashes", func(a *actor) {
			more(a)
			a.ancestry = func(_ common.Hash, l []common.Hash) []common.Hash {
				if len(l) > 20 {
					return append(slices.Clone(l[:10]), l[:10]...)
				}
				return l
			}
		}, new(downloader.Lie)},
		{"A2 shuffled hashes", func(a *actor) {
			more(a)
			a.ancestry = func(_ common.Hash, l []common.Hash) []common.Hash {
				rand.New(rand.NewPCG(1, 2)).Shuffle(len(l), func(i, j int) { l[i], l[j] = l[j], l[i] })
				return l
			}
		}, new(downloader.Lie)},
		{"A3 made-up hashes in large batches", func(a *actor) {
			more(a)
			a.ancestry = func(s common.Hash, l []common.Hash) []common.Hash { return made(uint64(s[0]), 300) }
		}, new(downloader.Lie)},
		{"A4 made-up hashes, one at a time", func(a *actor) {
			more(a)
			a.ancestry = func(s common.Hash, l []common.Hash) []common.Hash { return made(uint64(s[0]), 1) }
		}, new(downloader.Lie)},
		{"A7 a hash too few", func(a *actor) {
			more(a)
			a.ancestry = func(_ common.Hash, l []common.Hash) []common.Hash { return slices.Delete(l, len(l)/2, len(l)/2+1) }
		}, new(downloader.Lie)},
		{"A8 back to an earlier hash", func(a *actor) {
			more(a)
			first := a.chain.blocks[len(a.chain.blocks)-5].Hash
			a.ancestry = func(_ common.Hash, l []common.Hash) []common.Hash {
				if len(l) > 100 {
					return append(l[:100], first)
				}
				return l
			}
		}, new(downloader.Lie)},
		{"A10 a claim, and no hashes", func(a *actor) {
			elsewhere(a, 0, 30)
			a.ancestry = func(common.Hash, []common.Hash) []common.Hash { return nil }
			head := a.chain.head().Hash
			a.blocks = func(_ []common.Hash, l []downloader.Block) []downloader.Block {
				return slices.DeleteFunc(l, func(b downloader.Block) bool { return b.Hash != head })
			}
		}, nil},
		{"A11 the head block is withheld", func(a *actor) {
			elsewhere(a, 0, 30)
			a.blocks = func([]common.Hash, []downloader.Block) []downloader.Block { return nil }
		}, new(downloader.Useless)},
		{"A11 another block for the head block", func(a *actor) {
			elsewhere(a, 0, 30)
			wrong := a.chain.blocks[3]
			a.blocks = func([]common.Hash, []downloader.Block) []downloader.Block {
				return []downloader.Block{{Hash: wrong.Hash, Raw: slices.Clone(wrong.Raw())}}
			}
		}, new(downloader.Useless)},
		{"A12 blocks that do not exist", func(a *actor) {
			more(a)
			a.ancestry = func(_ common.Hash, l []common.Hash) []common.Hash {
				for i := 7; i < len(l); i += 50 {
					l[i] = made(uint64(i), 1)[0]
				}
				return l
			}
		}, new(downloader.Lie)},
		{"A13 the right header and a junk body", func(a *actor) {
			a.blocks = func(_ []common.Hash, l []downloader.Block) []downloader.Block {
				for i := range l {
					l[i].Raw[len(l[i].Raw)-30] ^= 1
				}
				return l
			}
		}, new(downloader.Lie)},
		{"A14 unrequested blocks among good ones", func(a *actor) {
			extra := grow(a.w, nil, 0, 99, 0, 5)
			a.blocks = func(_ []common.Hash, l []downloader.Block) []downloader.Block {
				for _, b := range extra.blocks[1:] {
					l = append(l, downloader.Block{Hash: b.Hash, Raw: slices.Clone(b.Raw())})
				}
				return l
			}
		}, nil},
		{"A15 each block twice", func(a *actor) {
			a.blocks = func(_ []common.Hash, l []downloader.Block) []downloader.Block {
				for _, b := range l[:len(l):len(l)] {
					l = append(l, downloader.Block{Hash: b.Hash, Raw: slices.Clone(b.Raw)})
				}
				return l
			}
		}, nil},
		{"A16 empty answers", func(a *actor) {
			head := a.chain.head().Hash
			a.blocks = func(asked []common.Hash, l []downloader.Block) []downloader.Block {
				if len(asked) == 1 && asked[0] == head {
					return l
				}
				return nil
			}
		}, nil},
		{"A17 one block for each request", func(a *actor) { a.most = 1 }, nil},
		{"A18 all but the first block", func(a *actor) {
			first := a.chain.blocks[1].Hash
			a.blocks = func(_ []common.Hash, l []downloader.Block) []downloader.Block {
				return slices.DeleteFunc(l, func(b downloader.Block) bool { return b.Hash == first })
			}
		}, nil},
		{"A19 answers just before the deadline", func(a *actor) { a.delay = 950 * ms }, nil},
		{"A20 fast, then silent", func(a *actor) {
			began := time.Now()
			a.blocks = func(_ []common.Hash, l []downloader.Block) []downloader.Block {
				if time.Since(began) > time.Second {
					select {
					case <-time.After(10 * time.Hour):
					case <-a.gone:
					}
				}
				return l
			}
		}, nil},
	}
	c := grow(t, nil, 0, 1, 0, 1200)
	for _, at := range attacks {
		t.Run(at.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				liar := &actor{name: "attacker", chain: c, delay: ms, w: w}
				at.spoil(liar)
				w.join(liar)
				time.Sleep(20 * ms)
				var honest []*actor
				for _, n := range []string{"a", "b", "c"} {
					honest = append(honest, w.join(&actor{name: n, chain: c, delay: 20 * ms, rate: 100e3}))
				}
				began := time.Now()
				w.settled(c)
				t.Logf("took %v", time.Since(began).Round(ms))
				w.honest(honest...)
				if at.guilty != nil {
					w.guilty(*at.guilty, liar)
				}
				w.frugal(liar)
			})
		})
	}
}

// frugal fails if the honest peers have sent more than one block in a hundred
// twice.
func (w *world) frugal(attackers ...*actor) {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	twice := 0
	for _, n := range w.honestly {
		twice += max(0, n-1)
	}
	if most := len(w.honestly) / 100; twice > most {
		w.Errorf("%d of %d blocks were sent more than once by honest peers", twice, len(w.honestly))
	}
}

func TestA9AnotherGenesisBlock(t *testing.T) {
	c := grow(t, nil, 0, 1, 0, 300)
	// The same chain, but the walk ends at a block of number 0 that is not ours.
	inBubble(t, func(t *testing.T, w *world) {
		liar := &actor{name: "attacker", chain: c, delay: ms, w: w}
		more(liar)
		liar.ancestry = func(_ common.Hash, l []common.Hash) []common.Hash {
			if len(l) > 0 {
				l[len(l)-1] = common.Hash{9}
			}
			return l
		}
		w.join(liar)
		time.Sleep(20 * ms)
		a := w.join(&actor{name: "a", chain: c, delay: 20 * ms})
		w.settled(c)
		w.honest(a)
	})
}

// TestA5AnEndlessChain: the number of the head bounds the list, and the clock the
// number.
func TestA5AnEndlessChain(t *testing.T) {
	c := grow(t, nil, 0, 1, 0, 300)
	inBubble(t, func(t *testing.T, w *world) {
		liar := &actor{name: "attacker", chain: c, delay: ms, w: w}
		more(liar)
		n := byte(0)
		liar.ancestry = func(s common.Hash, l []common.Hash) []common.Hash {
			out := make([]common.Hash, 8192)
			for i := range out {
				n++
				out[i] = common.Hash{1, n, byte(i), byte(i >> 8)}
			}
			return out
		}
		w.join(liar)
		a := w.join(&actor{name: "a", chain: c, delay: 20 * ms})
		w.settled(c)
		w.honest(a)
		w.guilty(downloader.Lie, liar)
	})
}

// TestA6ACheapChainWithALargeClaim: the claim is held against the difficulties of
// blocks chosen in secret, and the chain is given up before it is fetched.
func TestA6ACheapChainWithALargeClaim(t *testing.T) {
	if testing.Short() {
		t.Skip("70,000 blocks")
	}
	cheap := grow(t, nil, 0, 5, 0, 70_000)
	good := grow(t, nil, 0, 1, 0, 300)
	inBubble(t, func(t *testing.T, w *world) {
		liar := &actor{name: "attacker", chain: cheap, delay: ms, rate: 2e6, w: w}
		liar.claim = cheap.claim()
		liar.claim.TD.Mul(&liar.claim.TD, uint256.NewInt(1000))
		w.join(liar)
		w.until("the attacker's end", func(e downloader.Event) bool {
			d, ok := e.(downloader.Dropped)
			return ok && d.Peer == "attacker" && d.Kind == downloader.Lie
		})
		if n := w.store.Blocks(); n > 40_000 {
			t.Errorf("%d blocks of it were fetched", n)
		}
		a := w.join(&actor{name: "a", chain: good, delay: 20 * ms})
		w.settled(good)
		w.honest(a)
	})
}

// TestA24: one is enough.
func TestA24NineStallersAndOneSlowHonestPeer(t *testing.T) {
	c := grow(t, nil, 0, 1, 0, 600)
	inBubble(t, func(t *testing.T, w *world) {
		for range 9 {
			w.join(&actor{name: "staller", chain: c, delay: 10 * time.Hour})
		}
		slow := w.join(&actor{name: "slow", chain: c, delay: 50 * ms, rate: 20e3})
		began := time.Now()
		w.settled(c)
		t.Logf("took %v", time.Since(began).Round(ms))
		w.honest(slow)
		// 20 kB/s bring the chain in 24 s; the rest is finding out.
		if took := time.Since(began); took > time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

// TestA25ClaimsThatRiseAllTheTime: new targets do not stop the one that is being
// fetched.
func TestA25ClaimsThatRiseAllTheTime(t *testing.T) {
	c := grow(t, nil, 0, 1, 0, 1000)
	fork := grow(t, nil, 0, 55, 0, 300)
	inBubble(t, func(t *testing.T, w *world) {
		liar := w.join(&actor{name: "attacker", chain: fork, delay: ms})
		a := w.join(&actor{name: "a", chain: c, delay: 20 * ms, rate: 100e3})
		for i := range 100 {
			b := fork.blocks[200+i]
			w.down.Announced(w.ctx, liar, []downloader.Block{{Hash: b.Hash, Raw: slices.Clone(b.Raw())}})
			time.Sleep(time.Second)
		}
		w.settled(c)
		w.honest(a)
	})
}

// TestTheBestClaimWithNothingBehindIt: the peer that claims most has the head block
// of its chain and nothing else. That costs the wait for what it does not send,
// once; afterwards its turn comes later and later.
func TestTheBestClaimWithNothingBehindIt(t *testing.T) {
	c := grow(t, nil, 0, 1, 0, 1000)
	alone := func(t *testing.T, attackers int) (took time.Duration) {
		inBubble(t, func(t *testing.T, w *world) {
			for range attackers {
				a := &actor{w: w, name: "attacker", chain: c, delay: 20 * ms}
				elsewhere(a, 0, 30)
				head := a.chain.head().Hash
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
				return ok && f.Head == c.head().Hash
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
