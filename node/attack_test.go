package node_test

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/memnet"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/peer"
)

// The attacks that broke earlier clients, by the names under which they are known,
// against a real node over real sessions. In each of them honest nodes serve a chain,
// somebody else does harm, and in the end the chain is here to the byte, nobody
// honest was dropped or blamed, and little was transferred twice.

// madeUp returns hashes of nothing.
func madeUp(seed uint64, n int) []common.Hash {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24), 1})
	out := make([]common.Hash, n)
	for i := range out {
		r.Read(out[i][:])
	}
	return out
}

// remade returns a block with another header and the same body.
func remade(t testing.TB, b *chain.Block, change func(*types.Header)) *chain.Block {
	t.Helper()
	var whole struct {
		Header      types.Header
		Txs, Uncles rlp.RawValue
	}
	if err := rlp.DecodeBytes(b.Raw(), &whole); err != nil {
		t.Fatal(err)
	}
	change(&whole.Header)
	raw, err := rlp.EncodeToBytes(&whole)
	if err != nil {
		t.Fatal(err)
	}
	x, err := chain.Dev.ParseBlock(raw)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// spoilt returns a chain with another header at a number. All blocks above are linked
// to it and otherwise as they were.
func spoilt(t testing.TB, c *testbed.Branch, at int, change func(*types.Header)) *testbed.Branch {
	t.Helper()
	blocks := []*chain.Block{remade(t, c.Blocks[at], change)}
	for _, b := range c.Blocks[at+1:] {
		parent := blocks[len(blocks)-1].Hash
		blocks = append(blocks, remade(t, b, func(h *types.Header) { h.ParentHash = parent }))
	}
	if at == 0 {
		s := &testbed.Branch{Network: c.Network, Blocks: blocks, At: map[common.Hash]int{}, TD: c.TD}
		for i, b := range blocks {
			s.At[b.Hash] = i
		}
		return s
	}
	return testbed.NewBranch(t, c.Network, c, at-1, blocks)
}

// withBody returns the bytes of a block with another body.
func withBody(t testing.TB, raw []byte, change func(txs, uncles []byte) (_, _ []byte)) []byte {
	t.Helper()
	var parts struct{ Header, Txs, Uncles rlp.RawValue }
	if err := rlp.DecodeBytes(raw, &parts); err != nil {
		t.Fatal(err)
	}
	parts.Txs, parts.Uncles = change(parts.Txs, parts.Uncles)
	out, err := rlp.EncodeToBytes(&parts)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var emptyList = []byte{0xc0}

// attack is one of them.
type attack struct {
	name  string
	spoil func(r *rogue) // makes the attacker out of an honest peer
	// guilty is what the attacker must be dropped for; nil: it need not be,
	// because what it does may be honest weakness.
	guilty *downloader.Kind
	// seals are checked by this; nil: there are none.
	sealer downloader.Sealer
	rate   memnet.BytesPerSec // of the honest links; 0: honestRate
	within time.Duration      // until the chain must be here; 0: soon
}

// soon is when a chain must be here whatever a single rogue does: the honest peers
// bring it in two seconds, and finding out may take ten more.
const soon = 13 * time.Second

// attacks returns those that a spoilt chain can play, against a chain.
func attacks(t testing.TB, c *testbed.Branch) []attack {
	lie, useless := new(downloader.Lie), new(downloader.Useless)
	// of makes an attack out of a change to what is said of ancestors.
	of := func(change func(r *rogue, start common.Hash, l []common.Hash) []common.Hash) func(*rogue) {
		return func(r *rogue) {
			r.claimMore()
			r.ancestry = func(s common.Hash, l []common.Hash) []common.Hash { return change(r, s, l) }
		}
	}
	// body makes one out of a change to a block's body.
	body := func(change func(txs, uncles []byte) (_, _ []byte)) func(*rogue) {
		return func(r *rogue) {
			r.block = func(_ common.Hash, raw []byte) []byte {
				if raw == nil {
					return nil
				}
				return withBody(t, raw, change)
			}
		}
	}
	// header makes one out of a change to a header in the middle.
	header := func(change func(*types.Header)) func(*rogue) {
		return func(r *rogue) {
			r.chain = spoilt(t, c, len(c.Blocks)/2, change)
			r.best = r.chain.Head().Hash
			r.claimMore()
		}
	}
	// drip makes one out of a chain that nobody else has, and a pause before each block.
	drip := func(pause time.Duration) func(*rogue) {
		return func(r *rogue) {
			r.elsewhere(0, 300)
			r.most = 1
			r.pause = func() { r.sleep(pause) }
		}
	}
	falseSeals := &testbed.Notary{}

	return []attack{
		{name: "A1 repeating hashes", guilty: lie, spoil: of(func(_ *rogue, _ common.Hash, l []common.Hash) []common.Hash {
			return append(slices.Clone(l[:min(len(l), 10)]), l[:min(len(l), 10)]...)
		})},
		{name: "A2 shuffled hashes", guilty: lie, spoil: of(func(_ *rogue, _ common.Hash, l []common.Hash) []common.Hash {
			rand.New(rand.NewPCG(1, 2)).Shuffle(len(l), func(i, j int) { l[i], l[j] = l[j], l[i] })
			return l
		})},
		{name: "A3 made-up hashes in large batches", guilty: lie, spoil: of(func(_ *rogue, s common.Hash, _ []common.Hash) []common.Hash {
			return madeUp(uint64(s[0]), 300)
		})},
		{name: "A4 made-up hashes, one at a time", guilty: lie, spoil: of(func(_ *rogue, s common.Hash, _ []common.Hash) []common.Hash {
			return madeUp(uint64(s[0]), 1)
		})},
		{name: "A7 a hash too few", guilty: lie, spoil: of(func(_ *rogue, _ common.Hash, l []common.Hash) []common.Hash {
			if len(l) < 2 {
				return l
			}
			return slices.Delete(l, len(l)/2, len(l)/2+1)
		})},
		{name: "A7 a hash too many", guilty: lie, spoil: of(func(_ *rogue, _ common.Hash, l []common.Hash) []common.Hash {
			return slices.Insert(l, len(l)/2, madeUp(7, 1)...)
		})},
		{name: "A8 back to an earlier hash", guilty: lie, spoil: of(func(r *rogue, _ common.Hash, l []common.Hash) []common.Hash {
			if len(l) > 100 {
				return append(l[:100], r.chain.Blocks[len(r.chain.Blocks)-5].Hash)
			}
			return l
		})},
		{name: "A9 a list that ends at another genesis block", guilty: lie, spoil: func(r *rogue) {
			r.chain = spoilt(t, c, 0, func(h *types.Header) { h.Extra = []byte("ours") })
			r.best = r.chain.Head().Hash
			r.claimMore()
		}},
		{name: "A10 a claim, and no hashes", spoil: func(r *rogue) {
			r.elsewhere(0, 30)
			r.ancestry = func(common.Hash, []common.Hash) []common.Hash { return nil }
			r.block = func(h common.Hash, raw []byte) []byte {
				if h != r.best {
					return nil
				}
				return raw
			}
		}},
		{name: "A11 the head block is withheld", guilty: useless, spoil: func(r *rogue) {
			r.elsewhere(0, 30)
			r.block = func(common.Hash, []byte) []byte { return nil }
		}},
		{name: "A11 another block for the head block", spoil: func(r *rogue) {
			r.elsewhere(0, 30)
			wrong := r.chain.Blocks[3].Raw()
			r.block = func(common.Hash, []byte) []byte { return slices.Clone(wrong) }
		}},
		{name: "A12 blocks that do not exist", guilty: lie, spoil: of(func(_ *rogue, _ common.Hash, l []common.Hash) []common.Hash {
			for i := 7; i < len(l); i += 50 {
				l[i] = madeUp(uint64(i), 1)[0]
			}
			return l
		})},
		{name: "A13 true headers without their transactions", guilty: lie, spoil: body(func(_, uncles []byte) (_, _ []byte) { return emptyList, uncles })},
		{name: "A13 true headers with uncles that are not theirs", guilty: lie, spoil: body(func(txs, _ []byte) (_, _ []byte) {
			uncle, _, _ := rlp.SplitList(c.Blocks[3].Raw())
			_, _, rest, _ := rlp.Split(uncle)
			list, err := rlp.EncodeToBytes([]rlp.RawValue{uncle[:len(uncle)-len(rest)]})
			if err != nil {
				t.Error(err)
			}
			return txs, list
		})},
		{name: "A14 unrequested blocks among good ones", spoil: func(r *rogue) {
			extra := testbed.Grow(t, nil, 0, 99, 0, 3)
			r.block = func(_ common.Hash, raw []byte) []byte {
				if raw == nil {
					return nil
				}
				for _, b := range extra.Blocks[1:] {
					raw = append(raw, b.Raw()...)
				}
				return raw
			}
		}},
		{name: "A15 each block twice", spoil: func(r *rogue) {
			r.block = func(_ common.Hash, raw []byte) []byte { return append(raw, raw...) }
		}},
		{name: "A15 what others were asked for", spoil: func(r *rogue) {
			r.joined = func(ctx context.Context, s *peer.Session) {
				for _, b := range r.chain.Blocks[1:] {
					if ctx.Err() != nil {
						return
					}
					s.Announce(b.Raw())
					r.sleep(5 * ms)
				}
			}
		}},
		{name: "A16 empty answers", spoil: func(r *rogue) {
			r.block = func(h common.Hash, raw []byte) []byte {
				if h != r.best {
					return nil
				}
				return raw
			}
		}},
		{name: "A17 one block for each request", spoil: func(r *rogue) {
			r.most = 1
		}},
		{name: "A18 all but the first block", spoil: func(r *rogue) {
			first := r.chain.Blocks[1].Hash
			r.block = func(h common.Hash, raw []byte) []byte {
				if h == first {
					return nil
				}
				return raw
			}
		}},
		{name: "A19 answers just before the deadline", spoil: func(r *rogue) {
			r.pause = func() { r.sleep(950 * ms) }
		}},
		{name: "A20 fast for 30 seconds, then silent", rate: 1e3, within: 3 * time.Minute, spoil: func(r *rogue) {
			r.host.SetUpload(4e3)
			began := time.Now()
			r.pause = func() {
				if time.Since(began) > 30*time.Second {
					r.sleep(10 * time.Hour)
				}
			}
		}},
		{name: "high TD starvation, a block every 25 seconds", spoil: drip(25 * time.Second)},
		{name: "high TD starvation, a block every 0.9 seconds", spoil: drip(900 * ms)},
		{name: "A21 a false seal in the middle", guilty: lie, sealer: falseSeals, spoil: func(r *rogue) {
			header(func(h *types.Header) { h.Extra = []byte("false") })(r)
			falseSeals.Refuse(r.chain.Blocks[len(c.Blocks)/2].Hash)
		}},
		{name: "A21 a wrong number in the middle", guilty: lie, spoil: header(func(h *types.Header) { h.Number.SetUint64(7) })},
		{name: "A21 a block from the future in the middle", guilty: lie, spoil: header(func(h *types.Header) {
			h.Time = uint64(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).Unix())
		})},
		{name: "A21 a bad difficulty in the middle", guilty: lie, spoil: header(func(h *types.Header) { h.Difficulty.SetUint64(1 << 40) })},
	}
}

func TestAttacks(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 500)
	for _, a := range attacks(t, c) {
		t.Run(a.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				r := w.rogue("attacker", c)
				a.spoil(r)
				addrs := []string{r.listen().addr}
				for _, name := range []string{"a", "b", "c"} {
					addrs = append(addrs, w.honest(name, c, cmp.Or(a.rate, honestRate)).addr)
				}
				v := w.node("victim", nil, func(cfg *node.Config) { cfg.Sealer = a.sealer }, addrs...)
				began := time.Now()
				v.settled(c)
				took := v.reached(c.Head().Hash).Sub(began)
				t.Logf("the chain took %v, settling %v", took.Round(ms), time.Since(began).Round(ms))
				if took > cmp.Or(a.within, soon) {
					t.Errorf("the chain took %v", took)
				}
				v.fair(r.ip)
				v.frugal()
				v.bounded()
				if a.guilty != nil {
					v.convicted(*a.guilty, r.ip)
				}
			})
		})
	}
}
