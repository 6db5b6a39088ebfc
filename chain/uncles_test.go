package chain_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
)

// above returns the ancestors of chain[i], youngest first, as many as
// CheckUncles looks at; genesis is the last one.
func above(genesis *chain.Block, blocks []*chain.Block, i int) (all []*chain.Block) {
	for i--; i >= 0 && len(all) < chain.UncleDepth; i-- {
		all = append(all, blocks[i])
	}
	if len(all) < chain.UncleDepth {
		all = append(all, genesis)
	}
	return all
}

// siblings returns a header beside each of the blocks: another child of its
// parent.
func siblings(genesis *chain.Block, blocks []*chain.Block, net *chain.Network, seed uint64) (all []*chain.Header) {
	for i := range blocks {
		parent := genesis
		if i > 0 {
			parent = blocks[i-1]
		}
		fork := chaingen.Config{Network: net, Seed: seed, Blocks: 1}.From(parent)
		all = append(all, &generate(fork)[0].Header)
	}
	return all
}

// withUncles returns the block with other uncles.
func withUncles(t testing.TB, b *chain.Block, uncles ...*chain.Header) *chain.Block {
	t.Helper()
	p := takeApart(t, b.Raw())
	p.uncles = nil
	for _, u := range uncles {
		p.uncles = append(p.uncles, u.Raw())
	}
	return mustParse(t, b.Format(), p.seal(t, b.Format()).join())
}

func mustGenesis(t testing.TB, net *chain.Network) *chain.Block {
	t.Helper()
	b, err := net.GenesisBlock()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCheckUncles(t *testing.T) {
	for _, net := range []*chain.Network{chain.Dev, chain.PoC6} {
		genesis := mustGenesis(t, net)
		blocks := generate(chaingen.Config{Network: net, Seed: 1, Blocks: 20, UncleEvery: 14})
		side, other, third := siblings(genesis, blocks, net, 2), siblings(genesis, blocks, net, 3), siblings(genesis, blocks, net, 4)
		const at = 16
		block := blocks[at]
		listed := func() *chain.Header { // by block 14, which is blocks[13]
			for u := range blocks[13].Uncles() {
				return u
			}
			panic("block 14 has no uncle")
		}()
		stranger := &generate(chaingen.Config{Network: net, Seed: 9, Blocks: 16})[15].Header
		// changed is a sibling of the parent with another header item.
		changed := func(item int, value []byte) []*chain.Header {
			h := items(t, side[at-1].Raw())
			h[item] = value
			u, err := chain.ParseHeader(net.Format, list(h...))
			if err != nil {
				t.Fatal(err)
			}
			return []*chain.Header{u}
		}
		type place struct{ difficulty, number, limit, used, time, extra int }
		at15 := place{7, 8, 9, 10, 11, 12}
		if net == chain.PoC6 {
			at15 = place{5, 6, 8, 9, 10, 11}
		}
		u := side[at-1]
		plusOne := new(uint256.Int).AddUint64(&u.Difficulty, 1)
		all := func(h ...*chain.Header) []*chain.Header { return h }
		for _, c := range []struct {
			name   string
			uncles []*chain.Header
			rule   chain.Rule
			cause  chain.Rule // of RuleUncleHeader
		}{
			{"none", nil, "", ""},
			{"depth 1", all(side[at-1]), "", ""},
			{"depth 2", all(side[at-2]), "", ""},
			{"depth 6", all(side[at-6]), "", ""},
			{"depth 7", all(side[at-7]), chain.RuleUncleDepth, ""},
			{"depth 10", all(side[at-10]), chain.RuleUncleDepth, ""},
			{"a brother", all(side[at]), chain.RuleUncleDepth, ""},
			{"a nephew", all(side[at+1]), chain.RuleUncleDepth, ""},
			{"a stranger", all(stranger), chain.RuleUncleDepth, ""},
			{"two", all(side[at-1], other[at-1]), "", ""},
			{"two of different depth", all(side[at-6], other[at-1]), "", ""},
			{"a good one and a bad one", all(side[at-6], other[at-7]), chain.RuleUncleDepth, ""},
			{"a bad one and a good one", all(other[at-7], side[at-6]), chain.RuleUncleDepth, ""},
			{"twice the same", all(side[at-1], side[at-1]), chain.RuleUncleTwice, ""},
			{"listed before", all(listed), chain.RuleUncleTwice, ""},
			{"parent", all(&blocks[at-1].Header), chain.RuleUncleAncestor, ""},
			{"grandparent", all(&blocks[at-2].Header), chain.RuleUncleAncestor, ""},
			{"seventh ancestor", all(&blocks[at-7].Header), chain.RuleUncleAncestor, ""},
			{"eighth ancestor", all(&blocks[at-8].Header), chain.RuleUncleDepth, ""},
			{"the genesis block", all(&genesis.Header), chain.RuleUncleDepth, ""},
			{"number", changed(at15.number, num(u.Number+1)), chain.RuleUncleHeader, chain.RuleNumber},
			{"timestamp", changed(at15.time, num(blocks[at-2].Time-1)), chain.RuleUncleHeader, chain.RuleTimestamp},
			{"difficulty", changed(at15.difficulty, str(plusOne.Bytes())), chain.RuleUncleHeader, chain.RuleDifficulty},
			{"gas limit", changed(at15.limit, num(u.GasLimit*2)), chain.RuleUncleHeader, chain.RuleGasLimit},
			{"gas used", changed(at15.used, num(u.GasLimit+1)), chain.RuleUncleHeader, chain.RuleGasUsed},
			{"extra data", changed(at15.extra, str(zeros(1025))), chain.RuleUncleHeader, chain.RuleExtraData},
		} {
			t.Run(net.Name+" "+c.name, func(t *testing.T) {
				b := withUncles(t, block, c.uncles...)
				if err := net.CheckBlock(b); err != nil {
					t.Fatal(err)
				}
				if b.HasUncles() != (len(c.uncles) > 0) {
					t.Error("HasUncles does not know")
				}
				ancestors := above(genesis, blocks, at)
				err := net.CheckUncles(b, ancestors)
				// More ancestors than needed change nothing.
				if more := net.CheckUncles(b, append(slices.Clip(ancestors), blocks[at-8])); fmt.Sprint(more) != fmt.Sprint(err) {
					t.Errorf("with eight ancestors: got %v, want %v", more, err)
				}
				if c.rule == "" {
					if err != nil {
						t.Error(err)
					}
					return
				}
				wantRuleError(t, err, c.rule, &b.Header)
				e, _ := errors.AsType[*chain.RuleError](err)
				inner, ok := errors.AsType[*chain.RuleError](e.Err)
				if ok != (c.cause != "") || ok && (inner.Rule != c.cause || inner.Hash != c.uncles[0].Hash) {
					t.Errorf("got cause %v, want %q", e.Err, c.cause)
				}
				if c.rule.OfBody() {
					t.Error("the hash is not blamed")
				}
			})
		}

		// Frontier has a limit, and 2014 had none.
		three := withUncles(t, block, side[at-1], other[at-2], third[at-3])
		if err := net.CheckUncles(three, above(genesis, blocks, at)); net == chain.PoC6 {
			if err != nil {
				t.Error(err)
			}
		} else {
			wantRuleError(t, err, chain.RuleUncleCount, &three.Header)
		}

		// Near the genesis block there are fewer ancestors.
		for i := range 9 {
			for depth := 1; depth <= i; depth++ {
				b := withUncles(t, blocks[i], side[i-depth])
				err := net.CheckUncles(b, above(genesis, blocks, i))
				if depth <= 6 && err != nil {
					t.Errorf("block %d, depth %d: %v", i+1, depth, err)
				} else if depth > 6 {
					wantRuleError(t, err, chain.RuleUncleDepth, &b.Header)
				}
			}
		}

		// An uncle that is no header is the block's fault.
		p := takeApart(t, block.Raw())
		p.uncles = [][]byte{u.Raw(), list()}
		b := mustParse(t, net.Format, p.seal(t, net.Format).join())
		wantFormatError(t, net.CheckUncles(b, above(genesis, blocks, at)), "uncles")

		// Wrong ancestors are the caller's.
		good := above(genesis, blocks, at)
		broken := takeApart(t, blocks[at-2].Raw())
		broken.uncles = [][]byte{list()}
		notHeaders := mustParse(t, net.Format, broken.seal(t, net.Format).join())
		notHeaders.Hash = good[1].Hash
		b = withUncles(t, block, u)
		for name, ancestors := range map[string][]*chain.Block{
			"none":       nil,
			"too few":    good[:6],
			"a gap":      append(slices.Clone(good[:3]), good[4:]...),
			"upside":     {good[6], good[5], good[4], good[3], good[2], good[1], good[0]},
			"no parent":  above(genesis, blocks, at-1),
			"unreadable": append([]*chain.Block{good[0], notHeaders}, good[2:]...),
		} {
			err := net.CheckUncles(b, ancestors)
			_, isRule := errors.AsType[*chain.RuleError](err)
			_, isFormat := errors.AsType[*chain.FormatError](err)
			if err == nil || isRule || isFormat || !strings.HasPrefix(err.Error(), "chain: ") {
				t.Errorf("%s: %s: got %v, want an error about the call", net.Name, name, err)
			}
		}
		if err := net.CheckUncles(block, nil); err != nil {
			t.Errorf("without uncles: %v", err)
		}
	}
}

// TestGeneratedUncles: what chaingen makes is in order.
func TestGeneratedUncles(t *testing.T) {
	for _, net := range []*chain.Network{chain.Dev, chain.PoC6} {
		for every := range uint64(4) {
			genesis := mustGenesis(t, net)
			blocks := generate(chaingen.Config{Network: net, Seed: every, Blocks: 40, UncleEvery: every, Txs: 2})
			for i, b := range blocks {
				if err := net.CheckUncles(b, above(genesis, blocks, i)); err != nil {
					t.Errorf("%s, every %d: %v", net.Name, every, err)
				}
			}
		}
	}
}
