package testbed

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/peer"
)

// Attack is one of those that broke earlier clients, by the name under which it is known.
type Attack struct {
	Name  string
	Spoil func(r *Rogue) // makes the attacker out of an honest peer
	// Guilty is what the attacker must be dropped for; nil: it need not be,
	// because what it does may be honest weakness.
	Guilty *downloader.Kind
	// Sealer checks seals; nil: there are none.
	Sealer downloader.Sealer
	// Rate and Upload are how many bytes a second the links of the honest peers and that
	// of the attacker carry; 0: as many as usual.
	Rate, Upload int
	Within       time.Duration // until the chain must be here; 0: as soon as usual
}

// Attacks returns those that a spoilt chain can play, against a chain.
func Attacks(t testing.TB, c *Branch) []Attack {
	lie, useless := new(downloader.Lie), new(downloader.Useless)
	// of makes an attack out of a change to what is said of ancestors.
	of := func(change func(r *Rogue, start common.Hash, l []common.Hash) []common.Hash) func(*Rogue) {
		return func(r *Rogue) {
			r.ClaimMore()
			r.Ancestry = func(s common.Hash, l []common.Hash) []common.Hash { return change(r, s, l) }
		}
	}
	// body makes one out of a change to a block's body.
	body := func(change func(txs, uncles []byte) (_, _ []byte)) func(*Rogue) {
		return func(r *Rogue) {
			r.Block = func(_ common.Hash, raw []byte) []byte {
				if raw == nil {
					return nil
				}
				return withBody(t, raw, change)
			}
		}
	}
	// header makes one out of a change to a header in the middle.
	header := func(change func(*types.Header)) func(*Rogue) {
		return func(r *Rogue) {
			r.Chain = Spoilt(t, c, len(c.Blocks)/2, change)
			r.Best = r.Chain.Head().Hash
			r.ClaimMore()
		}
	}
	// drip makes one out of a chain that nobody else has, and a pause before each block.
	drip := func(pause time.Duration) func(*Rogue) {
		return func(r *Rogue) {
			r.Elsewhere(t, 0, 300)
			r.Most = 1
			r.Pause = func() { r.Sleep(pause) }
		}
	}
	falseSeals := &Notary{}

	return []Attack{
		{Name: "A1 repeating hashes", Guilty: lie, Spoil: of(func(_ *Rogue, _ common.Hash, l []common.Hash) []common.Hash {
			return append(slices.Clone(l[:min(len(l), 10)]), l[:min(len(l), 10)]...)
		})},
		{Name: "A2 shuffled hashes", Guilty: lie, Spoil: of(func(_ *Rogue, _ common.Hash, l []common.Hash) []common.Hash {
			rand.New(rand.NewPCG(1, 2)).Shuffle(len(l), func(i, j int) { l[i], l[j] = l[j], l[i] })
			return l
		})},
		{Name: "A3 made-up hashes in large batches", Guilty: lie, Spoil: of(func(_ *Rogue, s common.Hash, _ []common.Hash) []common.Hash {
			return MadeUp(uint64(s[0]), 300)
		})},
		{Name: "A4 made-up hashes, one at a time", Guilty: lie, Spoil: of(func(_ *Rogue, s common.Hash, _ []common.Hash) []common.Hash {
			return MadeUp(uint64(s[0]), 1)
		})},
		{Name: "A7 a hash too few", Guilty: lie, Spoil: of(func(_ *Rogue, _ common.Hash, l []common.Hash) []common.Hash {
			if len(l) < 2 {
				return l
			}
			return slices.Delete(l, len(l)/2, len(l)/2+1)
		})},
		{Name: "A7 a hash too many", Guilty: lie, Spoil: of(func(_ *Rogue, _ common.Hash, l []common.Hash) []common.Hash {
			return slices.Insert(l, len(l)/2, MadeUp(7, 1)...)
		})},
		{Name: "A7 a hash too few, and honest peers shall go on", Spoil: of(func(r *Rogue, s common.Hash, l []common.Hash) []common.Hash {
			if s != r.Best {
				r.Sleep(time.Minute)
				return nil
			}
			return l[1:2]
		})},
		{Name: "A8 back to an earlier hash", Guilty: lie, Spoil: of(func(r *Rogue, _ common.Hash, l []common.Hash) []common.Hash {
			if len(l) > 100 {
				return append(l[:100], r.Chain.Blocks[len(r.Chain.Blocks)-5].Hash)
			}
			return l
		})},
		{Name: "A9 a list that ends at another genesis block", Guilty: lie, Spoil: func(r *Rogue) {
			r.Chain = Spoilt(t, c, 0, func(h *types.Header) { h.Extra = []byte("ours") })
			r.Best = r.Chain.Head().Hash
			r.ClaimMore()
		}},
		{Name: "A10 a claim, and no hashes", Spoil: func(r *Rogue) {
			r.Elsewhere(t, 0, 30)
			r.Ancestry = func(common.Hash, []common.Hash) []common.Hash { return nil }
			r.Block = func(h common.Hash, raw []byte) []byte {
				if h != r.Best {
					return nil
				}
				return raw
			}
		}},
		{Name: "A11 the head block is withheld", Guilty: useless, Spoil: func(r *Rogue) {
			r.Elsewhere(t, 0, 30)
			r.Block = func(common.Hash, []byte) []byte { return nil }
		}},
		{Name: "A11 another block for the head block", Spoil: func(r *Rogue) {
			r.Elsewhere(t, 0, 30)
			wrong := r.Chain.Blocks[3].Raw()
			r.Block = func(common.Hash, []byte) []byte { return slices.Clone(wrong) }
		}},
		{Name: "A12 blocks that do not exist", Guilty: lie, Spoil: of(func(_ *Rogue, _ common.Hash, l []common.Hash) []common.Hash {
			for i := 7; i < len(l); i += 50 {
				l[i] = MadeUp(uint64(i), 1)[0]
			}
			return l
		})},
		{Name: "A13 true headers without their transactions", Guilty: lie, Spoil: body(func(_, uncles []byte) (_, _ []byte) { return emptyList, uncles })},
		{Name: "A13 true headers with uncles that are not theirs", Guilty: lie, Spoil: body(func(txs, _ []byte) (_, _ []byte) {
			uncle, _, _ := rlp.SplitList(c.Blocks[3].Raw())
			_, _, rest, _ := rlp.Split(uncle)
			list, err := rlp.EncodeToBytes([]rlp.RawValue{uncle[:len(uncle)-len(rest)]})
			if err != nil {
				t.Error(err)
			}
			return txs, list
		})},
		{Name: "A14 unrequested blocks among good ones", Spoil: func(r *Rogue) {
			extra := Grow(t, nil, 0, 99, 0, 3)
			r.Block = func(_ common.Hash, raw []byte) []byte {
				if raw == nil {
					return nil
				}
				for _, b := range extra.Blocks[1:] {
					raw = append(raw, b.Raw()...)
				}
				return raw
			}
		}},
		{Name: "A15 each block twice", Spoil: func(r *Rogue) {
			r.Block = func(_ common.Hash, raw []byte) []byte { return append(raw, raw...) }
		}},
		{Name: "A15 what others were asked for", Spoil: func(r *Rogue) {
			r.Joined = func(ctx context.Context, s *peer.Session) {
				for _, b := range r.Chain.Blocks[1:] {
					if ctx.Err() != nil {
						return
					}
					s.Announce(b.Raw())
					r.Sleep(5 * time.Millisecond)
				}
			}
		}},
		{Name: "A16 empty answers", Spoil: func(r *Rogue) {
			r.Block = func(h common.Hash, raw []byte) []byte {
				if h != r.Best {
					return nil
				}
				return raw
			}
		}},
		{Name: "A17 one block for each request", Spoil: func(r *Rogue) {
			r.Most = 1
		}},
		{Name: "A18 all but the first block", Spoil: func(r *Rogue) {
			first := r.Chain.Blocks[1].Hash
			r.Block = func(h common.Hash, raw []byte) []byte {
				if h == first {
					return nil
				}
				return raw
			}
		}},
		{Name: "A19 answers just before the deadline", Spoil: func(r *Rogue) {
			r.Pause = func() { r.Sleep(950 * time.Millisecond) }
		}},
		{Name: "A20 fast for 30 seconds, then silent", Rate: 1e3, Upload: 4e3, Within: 3 * time.Minute, Spoil: func(r *Rogue) {
			began := time.Now()
			r.Pause = func() {
				if time.Since(began) > 30*time.Second {
					r.Sleep(10 * time.Hour)
				}
			}
		}},
		{Name: "high TD starvation, a block every 25 seconds", Spoil: drip(25 * time.Second)},
		{Name: "high TD starvation, a block every 0.9 seconds", Spoil: drip(900 * time.Millisecond)},
		{Name: "A21 a false seal in the middle", Guilty: lie, Sealer: falseSeals, Spoil: func(r *Rogue) {
			header(func(h *types.Header) { h.Extra = []byte("false") })(r)
			falseSeals.Refuse(r.Chain.Blocks[len(c.Blocks)/2].Hash)
		}},
		{Name: "A21 a wrong number in the middle", Guilty: lie, Spoil: header(func(h *types.Header) { h.Number.SetUint64(7) })},
		{Name: "A21 a block from the future in the middle", Guilty: lie, Spoil: header(func(h *types.Header) {
			h.Time = uint64(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).Unix())
		})},
		{Name: "A21 a bad difficulty in the middle", Guilty: lie, Spoil: header(func(h *types.Header) { h.Difficulty.SetUint64(1 << 40) })},
	}
}
