package chain_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"
	"pgregory.net/rapid"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
)

// walker checks blocks in the order in which they come, and as much of them as
// the blocks before them allow.
type walker struct {
	net                   *chain.Network
	last                  []*chain.Block // youngest first
	blocks, links, uncles int            // that were checked
	unjudged              int            // blocks with uncles and too few ancestors
}

func (w *walker) check(t testing.TB, b *chain.Block) {
	t.Helper()
	if err := w.net.CheckBlock(b); err != nil {
		t.Fatal(err)
	}
	w.blocks++
	if len(w.last) > 0 && w.last[0].Hash == b.Parent {
		parent := w.last[0]
		detached, before := b.Header, parent.Header
		detached.Detach()
		before.Detach()
		for _, err := range []error{
			w.net.CheckLink(&parent.Header, &b.Header), w.net.CheckLink(&before, &detached), w.net.CheckHeader(&before, &b.Header),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		w.links++
	} else {
		w.last = nil
	}
	if b.HasUncles() {
		if uint64(len(w.last)) >= min(b.Number, chain.UncleDepth) {
			if err := w.net.CheckUncles(b, w.last); err != nil {
				t.Fatal(err)
			}
			w.uncles++
		} else {
			w.unjudged++
		}
	}
	w.last = slices.Insert(w.last, 0, b)
	w.last = w.last[:min(len(w.last), chain.UncleDepth)]
}

func (w *walker) want(t testing.TB, blocks, links, uncles, unjudged int) {
	t.Helper()
	got, want := fmt.Sprint(w.blocks, w.links, w.uncles, w.unjudged), fmt.Sprint(blocks, links, uncles, unjudged)
	if t.Logf("%d blocks, %d links, %d blocks with uncles, %d more without ancestors", w.blocks, w.links, w.uncles, w.unjudged); got != want {
		t.Errorf("checked %s, want %s", got, want)
	}
}

// TestRealChains checks every real block there is, next to its parent and its
// ancestors where they are at hand.
func TestRealChains(t *testing.T) {
	geth := func(name string) func(*testing.T) string {
		return func(t *testing.T) string { return gethEra1(t, name) }
	}
	shared := func(name string) func(*testing.T) string {
		return func(t *testing.T) string { return sharedFiles(t, name)[0] }
	}
	for _, c := range []struct {
		path                            func(*testing.T) string
		net                             *chain.Network
		blocks, links, uncles, unjudged int
	}{
		{shared("era1/mainnet-00000-5ec1ffb8.era1"), chain.Mainnet, 8192, 8191, 1295, 0},
		{shared("era1/sepolia-00000-643a00f7.era1"), chain.Sepolia, 8192, 8191, 0, 0},
		{geth("sepolia-00000-643a00f7.era1"), chain.Sepolia, 8192, 8191, 0, 0},
		{geth("sepolia-00021-b8814b14.era1"), chain.Sepolia, 8192, 8191, 647, 0},
		{shared("mainnet/besu-0-999.blocks"), chain.Mainnet, 1000, 999, 260, 0},
		{shared("mainnet/besu-46350-46399.blocks"), chain.Mainnet, 50, 49, 2, 1},
		{shared("mainnet/besu-badpow-1.blocks"), chain.Mainnet, 2, 1, 0, 0}, // only its seal is wrong
		{shared("poc6/chain500-pv30.hex"), chain.PoC6, 501, 500, 0, 0},
		{shared("poc6/chain6-pv30.hex"), chain.PoC6, 7, 6, 0, 0},
		{shared("poc6/py-poc6-p28-chainB-1-211.hex"), chain.PoC6, 211, 0, 0, 17}, // its hashes are of whole blocks
	} {
		path := c.path
		t.Run(fmt.Sprint(c.net.Name, " ", c.blocks), func(t *testing.T) {
			w := walker{net: c.net}
			for b := range readFile(t, path(t), c.net) {
				w.check(t, b)
			}
			w.want(t, c.blocks, c.links, c.uncles, c.unjudged)
		})
	}
	// The dense blocks stand in a file each. Classic would take those from before
	// the DAO fork, and not those after Byzantium.
	t.Run("mainnet single blocks", func(t *testing.T) {
		var blocks []*chain.Block
		for _, path := range sharedFiles(t, "mainnet/besu-block_*.blocks", "mainnet/parity-*.rlp") {
			for b := range readFile(t, path, chain.Mainnet) {
				blocks = append(blocks, b)
			}
		}
		slices.SortFunc(blocks, func(a, b *chain.Block) int { return cmp.Compare(a.Number, b.Number) })
		w := walker{net: chain.Mainnet}
		for i, b := range blocks {
			w.check(t, b)
			if len(w.last) < 2 {
				continue
			}
			err := chain.Classic.CheckLink(&blocks[i-1].Header, &b.Header)
			if old := b.Number < 1_920_000; old && err != nil {
				t.Errorf("on Classic: %v", err)
			} else if !old {
				wantRuleError(t, err, chain.RuleDifficulty, &b.Header)
			}
		}
		w.want(t, 10, 6, 0, 2)
	})
}

// TestForkFixtures checks the chains that come with a genesis file by a network
// that is made from it.
func TestForkFixtures(t *testing.T) {
	for _, path := range sharedFiles(t, "forks/*") {
		name := filepath.Base(path)
		switch {
		case filepath.Ext(name) == ".json":
			continue
		case strings.HasPrefix(name, "hive-"):
			t.Run(name, func(t *testing.T) {
				// Five of them share a genesis block; the files differ in what
				// comes after proof of work.
				net, genesis := fromGenesisFile(t, sharedFiles(t, "forks/hive-engine-genesis-9c0f.json")[0])
				td := genesis.Difficulty
				w := walker{net: net}
				for b := range readFile(t, path, net) {
					if w.blocks == 0 {
						// The state is not ours to compute, so the hash is
						// taken on trust.
						genesis.Hash = b.Parent
						w.last = []*chain.Block{{Header: *genesis}}
					}
					w.check(t, b)
					td.Add(&td, &b.Difficulty)
				}
				if w.blocks == 0 || w.links != w.blocks {
					t.Errorf("checked %d links of %d blocks", w.links, w.blocks)
				}
				// The name says what the blocks weigh without the genesis block.
				td.Sub(&td, &genesis.Difficulty)
				if !strings.Contains(name, "_td_"+td.Dec()) {
					t.Errorf("total difficulty is %s", td.Dec())
				}
			})
		case strings.HasPrefix(name, "besu-"):
			t.Run(name, func(t *testing.T) {
				// The files begin with the genesis block. Their difficulty is fixed.
				net, _ := fromGenesisFile(t, sharedFiles(t, "forks/besu-genesis-outdated.json")[0])
				net.FixedDifficulty = 100
				w := walker{net: net}
				for b := range readFile(t, path, net) {
					w.check(t, b)
				}
				if w.blocks < 2 || w.links != w.blocks-1 {
					t.Errorf("checked %d links of %d blocks", w.links, w.blocks)
				}
			})
		default:
			t.Run(name, func(t *testing.T) {
				t.Skip("there is no genesis file; the fork fixtures of package node make up for it")
			})
		}
	}
}

// fromGenesisFile returns the network that a genesis file describes, and the
// header of its genesis block as far as rules look at it.
func fromGenesisFile(t *testing.T, path string) (*chain.Network, *chain.Header) {
	t.Helper()
	var file struct {
		Config struct {
			HomesteadBlock, ByzantiumBlock, ConstantinopleBlock, MuirGlacierBlock, LondonBlock, ArrowGlacierBlock, GrayGlacierBlock *uint64
		}
		Difficulty, GasLimit, Timestamp string
	}
	readJSON(t, path, &file)
	at := func(n *uint64) (f chain.Fork) {
		if n != nil {
			f = chain.At(*n)
		}
		return f
	}
	c := file.Config
	net := &chain.Network{Name: filepath.Base(path), Format: chain.FormatFrontier, Forks: chain.Forks{
		Homestead: at(c.HomesteadBlock), Byzantium: at(c.ByzantiumBlock), Constantinople: at(c.ConstantinopleBlock),
		MuirGlacier: at(c.MuirGlacierBlock), London: at(c.LondonBlock), ArrowGlacier: at(c.ArrowGlacierBlock), GrayGlacier: at(c.GrayGlacierBlock),
	}}
	h := &chain.Header{UnclesHash: types.EmptyUncleHash, Items: 15, GasLimit: number(t, file.GasLimit), Time: number(t, file.Timestamp)}
	h.Difficulty.SetFromBig(bigNumber(t, file.Difficulty))
	if net.Forks.London.Active(0) {
		h.Items = 16
		h.BaseFee.SetUint64(1_000_000_000)
	}
	return net, h
}

// headerOf returns a header that has the given number and breaks no rule of the
// network for a header on its own, unless there is no such header.
func headerOf(net *chain.Network, number uint64) chain.Header {
	h := chain.Header{Number: number, GasLimit: 8_000_000, UnclesHash: types.EmptyUncleHash, Items: 15}
	if net == chain.PoC6 {
		h.GasLimit = 125_000 // it stays so
	}
	if h.Hash[0] = 7; net.Forks.London.Active(number) {
		h.Items = 16
	}
	if dao, ok := net.Forks.DAO.Block(); ok && !net.Forks.RefuseDAO && number >= dao && number < dao+10 {
		h.Extra = []byte("dao-hard-fork")
	}
	for _, known := range append(slices.Clone(net.Known), net.LastBlock) {
		if known.Number == number {
			h.Hash = known.Hash
		}
	}
	return h
}

// checkAlone is what CheckBlock says about a header: CheckHeader, whose other
// rules the parent is made for.
func checkAlone(net *chain.Network, h chain.Header) error {
	parent := chain.Header{Hash: h.Parent, Number: h.Number - 1, GasLimit: h.GasLimit, UnclesHash: types.EmptyUncleHash, Items: h.Items}
	if net.Forks.London.Active(h.Number) && !net.Forks.London.Active(parent.Number) {
		parent.GasLimit /= 2
	}
	parent.Difficulty.SetUint64(1 << 30)
	h.Time = 10
	h.Difficulty = net.Difficulty(&parent, h.Time)
	parent.BaseFee.SetUint64(1_000_000_000)
	h.BaseFee, _ = net.BaseFee(&parent)
	return net.CheckHeader(&parent, &h)
}

// TestHeaderRules breaks each rule for a header on its own, on the edge.
func TestHeaderRules(t *testing.T) {
	items := func(n int) func(*chain.Header) { return func(h *chain.Header) { h.Items = n } }
	extra := func(n int) func(*chain.Header) { return func(h *chain.Header) { h.Extra = zeros(n) } }
	text := func(s string) func(*chain.Header) { return func(h *chain.Header) { h.Extra = []byte(s) } }
	used := func(n uint64) func(*chain.Header) { return func(h *chain.Header) { h.GasUsed = n } }
	otherHash := func(h *chain.Header) { h.Hash[31]++ }
	nothing := func(*chain.Header) {}
	const dao = "dao-hard-fork"
	for _, c := range []struct {
		net    *chain.Network
		number uint64
		what   string
		change func(*chain.Header)
		rule   chain.Rule
	}{
		{chain.Mainnet, 1, "nothing", nothing, ""},
		{chain.Mainnet, 1, "16 items", items(16), chain.RuleItems},
		{chain.Mainnet, 12_964_999, "15 items", items(15), ""},
		{chain.Mainnet, 12_964_999, "16 items", items(16), chain.RuleItems},
		{chain.Mainnet, 12_965_000, "15 items", items(15), chain.RuleItems},
		{chain.Mainnet, 12_965_000, "16 items", items(16), ""},
		{chain.Mainnet, 12_965_001, "15 items", items(15), chain.RuleItems},
		{chain.Sepolia, 1, "15 items", items(15), chain.RuleItems},
		{chain.Classic, 20_000_000, "15 items", items(15), ""},
		{chain.Classic, 20_000_000, "16 items", items(16), chain.RuleItems},
		{chain.Dev, 7, "15 items", items(15), ""},
		{chain.Dev, 7, "16 items", items(16), ""},

		{chain.Mainnet, 1, "32 bytes", extra(32), ""},
		{chain.Mainnet, 1, "33 bytes", extra(33), chain.RuleExtraData},
		{chain.Dev, 1, "33 bytes", extra(33), chain.RuleExtraData},
		{chain.PoC6, 1, "1024 bytes", extra(1024), ""},
		{chain.PoC6, 1, "1025 bytes", extra(1025), chain.RuleExtraData},

		{chain.Mainnet, 1_919_999, "nothing", text(""), ""},
		{chain.Mainnet, 1_919_999, "mark", text(dao), ""},
		{chain.Mainnet, 1_920_000, "mark", text(dao), ""},
		{chain.Mainnet, 1_920_000, "nothing", text(""), chain.RuleDAOExtra},
		{chain.Mainnet, 1_920_000, "less", text("dao-hard-for"), chain.RuleDAOExtra},
		{chain.Mainnet, 1_920_000, "more", text(dao + "s"), chain.RuleDAOExtra},
		{chain.Mainnet, 1_920_000, "capital", text("Dao-hard-fork"), chain.RuleDAOExtra},
		{chain.Mainnet, 1_920_009, "nothing", text(""), chain.RuleDAOExtra},
		{chain.Mainnet, 1_920_009, "mark", text(dao), ""},
		{chain.Mainnet, 1_920_010, "nothing", text(""), ""},
		{chain.Classic, 1_919_999, "mark", text(dao), ""},
		{chain.Classic, 1_920_000, "mark", text(dao), chain.RuleDAOExtra},
		{chain.Classic, 1_920_000, "nothing", text(""), ""},
		{chain.Classic, 1_920_009, "mark", text(dao), chain.RuleDAOExtra},
		{chain.Classic, 1_920_009, "capital", text("Dao-hard-fork"), ""},
		{chain.Classic, 1_920_010, "mark", text(dao), ""},
		{chain.Sepolia, 1_400_000, "mark", text(dao), ""},

		{chain.Mainnet, 1, "all gas", used(8_000_000), ""},
		{chain.Mainnet, 1, "more gas", used(8_000_001), chain.RuleGasUsed},
		{chain.Mainnet, 1, "all gas there is", used(math.MaxUint64), chain.RuleGasUsed},

		{chain.Mainnet, 1_920_000, "another block", otherHash, chain.RuleKnownHash},
		{chain.Mainnet, 1_920_001, "another block", otherHash, ""},
		{chain.Classic, 1_920_000, "another block", otherHash, chain.RuleKnownHash},
		{chain.Mainnet, 15_537_392, "another block", otherHash, ""},
		{chain.Mainnet, 15_537_393, "nothing", nothing, ""},
		{chain.Mainnet, 15_537_393, "another block", otherHash, chain.RuleKnownHash},
		{chain.Mainnet, 15_537_394, "nothing", nothing, chain.RuleLastBlock},
		{chain.Mainnet, math.MaxUint64, "nothing", nothing, chain.RuleLastBlock},
		{chain.Sepolia, 1_450_407, "nothing", nothing, ""},
		{chain.Sepolia, 1_450_408, "nothing", nothing, ""},
		{chain.Sepolia, 1_450_408, "another block", otherHash, chain.RuleKnownHash},
		{chain.Sepolia, 1_450_409, "nothing", nothing, chain.RuleLastBlock},
		{chain.Classic, 15_537_394, "nothing", nothing, ""},
		{chain.Dev, math.MaxUint64, "nothing", nothing, ""},
	} {
		t.Run(fmt.Sprintf("%s/%d %s", c.net.Name, c.number, c.what), func(t *testing.T) {
			h := headerOf(c.net, c.number)
			c.change(&h)
			err := checkAlone(c.net, h)
			if c.rule == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantRuleError(t, err, c.rule, &h)
			if c.rule.OfBody() {
				t.Errorf("%q is not about the body", c.rule)
			}
		})
	}
	if mainnet, classic := headerOf(chain.Mainnet, 1_920_000), headerOf(chain.Classic, 1_920_000); mainnet.Hash == classic.Hash {
		t.Error("mainnet and Classic agree on the DAO fork")
	}
}

// TestCheckBlockHeader: CheckBlock has the rules for a header on its own, and a
// genesis block none.
func TestCheckBlockHeader(t *testing.T) {
	p := takeApart(t, generate(chaingen.Config{Seed: 1, Blocks: 1})[0].Raw())
	block := func(item int, value []byte) *chain.Block {
		q := p.clone()
		q.header[item] = value
		return mustParse(t, chain.FormatFrontier, q.join())
	}
	for _, c := range []struct {
		net   *chain.Network
		item  int
		value []byte
		rule  chain.Rule
	}{
		{chain.Dev, itemNumber, num(1), ""},
		{chain.Dev, 12, str(zeros(33)), chain.RuleExtraData},
		{chain.Dev, 9, num(0), ""},
		{chain.Dev, 10, num(math.MaxUint64), chain.RuleGasUsed},
		{chain.Sepolia, itemNumber, num(1), chain.RuleItems},
		{chain.Mainnet, itemNumber, num(1_920_003), chain.RuleDAOExtra},
		{chain.Classic, itemNumber, num(1_920_000), chain.RuleKnownHash},
		{chain.Mainnet, itemNumber, num(12_965_000), chain.RuleItems},
	} {
		b := block(c.item, c.value)
		err := c.net.CheckBlock(b)
		if c.rule == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		wantRuleError(t, err, c.rule, &b.Header)
	}
	// The header comes before the body: whoever named the hash is to blame.
	p.header[itemTxs] = str(zeros(32))
	b := block(12, str(zeros(33)))
	wantRuleError(t, chain.Dev.CheckBlock(b), chain.RuleExtraData, &b.Header)
	wantRuleError(t, b.CheckBody(), chain.RuleTransactionsRoot, &b.Header)

	g := takeApart(t, []byte(chain.Sepolia.Genesis))
	g.header = g.header[:15]
	g.header[12], g.header[10] = str(zeros(500)), num(math.MaxUint64)
	if err := chain.Sepolia.CheckBlock(mustParse(t, chain.FormatFrontier, g.join())); err != nil {
		t.Errorf("genesis block: %v", err)
	}
}

// TestLinkRules breaks each rule between a header and its parent, on the edge.
func TestLinkRules(t *testing.T) {
	for _, net := range []*chain.Network{chain.Mainnet, chain.Sepolia, chain.Classic, chain.Dev, chain.PoC6} {
		parent := headerOf(net, 5)
		parent.Time, parent.GasUsed = 1000, 4_000_000
		parent.Difficulty.SetUint64(1 << 20)
		parent.BaseFee.SetUint64(1_000_000_000)
		child := func(time uint64) chain.Header {
			h := headerOf(net, 6)
			h.Parent, h.Time = parent.Hash, time
			h.Difficulty = net.Difficulty(&parent, time)
			h.BaseFee = parent.BaseFee
			if net == chain.PoC6 {
				h.GasLimit = 129_565 // (125000*1023 + 4000000*6/5) / 1024
			}
			return h
		}
		sameTime := chain.RuleTimestamp
		if net == chain.PoC6 {
			sameTime = ""
		}
		for _, c := range []struct {
			what   string
			time   uint64
			change func(*chain.Header)
			rule   chain.Rule
		}{
			{"nothing", 1001, func(h *chain.Header) {}, ""},
			{"late", math.MaxUint64, func(h *chain.Header) {}, ""},
			{"same time", 1000, func(h *chain.Header) {}, sameTime},
			{"earlier", 999, func(h *chain.Header) {}, chain.RuleTimestamp},
			{"no time", 0, func(h *chain.Header) {}, chain.RuleTimestamp},
			{"parent", 1001, func(h *chain.Header) { h.Parent[5]++ }, chain.RuleParent},
			{"number", 1001, func(h *chain.Header) { h.Number++ }, chain.RuleNumber},
			{"more difficulty", 1001, func(h *chain.Header) { h.Difficulty.AddUint64(&h.Difficulty, 1) }, chain.RuleDifficulty},
			{"less difficulty", 1001, func(h *chain.Header) { h.Difficulty.SubUint64(&h.Difficulty, 1) }, chain.RuleDifficulty},
			{"no difficulty", 1001, func(h *chain.Header) { h.Difficulty.Clear() }, chain.RuleDifficulty},
			{"all difficulty", 1001, func(h *chain.Header) { h.Difficulty.SetAllOne() }, chain.RuleDifficulty},
			{"difficulty of another time", 1001, func(h *chain.Header) { h.Difficulty = net.Difficulty(&parent, 1020) }, chain.RuleDifficulty},
			{"no gas", 1001, func(h *chain.Header) { h.GasLimit = 0 }, chain.RuleGasLimit},
			{"all gas", 1001, func(h *chain.Header) { h.GasLimit = math.MaxUint64 }, chain.RuleGasLimit},
		} {
			t.Run(net.Name+" "+c.what, func(t *testing.T) {
				h := child(c.time)
				c.change(&h)
				err := net.CheckLink(&parent, &h)
				if c.rule == "" {
					if err != nil {
						t.Error(err)
					}
					return
				}
				wantRuleError(t, err, c.rule, &h)
			})
		}
	}
	// A network that follows the parent does not change its mind.
	parent, h := headerOf(chain.Dev, 5), headerOf(chain.Dev, 6)
	parent.Difficulty.SetUint64(131072)
	h.Parent, h.Time, h.Items = parent.Hash, 20, 16
	h.Difficulty = parent.Difficulty
	wantRuleError(t, chain.Dev.CheckLink(&parent, &h), chain.RuleItems, &h)
	parent.Items = 16
	if err := chain.Dev.CheckLink(&parent, &h); err != nil {
		t.Error(err)
	}
	h.BaseFee.SetOne()
	wantRuleError(t, chain.Dev.CheckLink(&parent, &h), chain.RuleBaseFee, &h)
	// A fee that no header can hold.
	parent.BaseFee.SetAllOne()
	parent.GasUsed, h.BaseFee = parent.GasLimit, parent.BaseFee
	wantRuleError(t, chain.Dev.CheckLink(&parent, &h), chain.RuleBaseFee, &h)
}

// TestGasLimit goes to both edges of what is allowed.
func TestGasLimit(t *testing.T) {
	for _, c := range []struct {
		net         *chain.Network
		number      uint64 // of the block
		parent      uint64
		used        uint64 // by the parent
		least, most uint64 // 0, 0: no limit will do
	}{
		{chain.Mainnet, 1, 5000, 0, 5000, 5003}, // less than 4 more, and no less
		{chain.Mainnet, 10, 5003, 0, 5000, 5006},
		{chain.Mainnet, 10, 5004, 0, 5001, 5007},
		{chain.Mainnet, 10, 8_000_000, 0, 7_992_189, 8_007_811},
		{chain.Mainnet, 10, 8_000_000, 8_000_000, 7_992_189, 8_007_811},
		{chain.Mainnet, 10, 1024_000, 0, 1023_001, 1024_999},
		{chain.Mainnet, 10, 4999, 0, 5000, 5002},
		{chain.Mainnet, 10, 4997, 0, 5000, 5000},
		{chain.Mainnet, 10, 4996, 0, 0, 0}, // never again
		{chain.Mainnet, 10, 1023, 0, 0, 0},
		{chain.Mainnet, 10, 0, 0, 0, 0},
		{chain.Mainnet, 10, math.MaxInt64, 0, math.MaxInt64 - 9007199254740991 + 1, math.MaxInt64},
		{chain.Mainnet, 10, math.MaxUint64, 0, 0, 0},
		{chain.Classic, 12_965_000, 8_000_000, 0, 7_992_189, 8_007_811},
		// The London block: twice the parent's.
		{chain.Mainnet, 12_964_999, 15_000_000, 0, 14_985_353, 15_014_647},
		{chain.Mainnet, 12_965_000, 15_000_000, 0, 29_970_705, 30_029_295},
		{chain.Mainnet, 12_965_001, 15_000_000, 0, 14_985_353, 15_014_647},
		{chain.Mainnet, 12_965_000, math.MaxInt64, 0, 0, 0},
		{chain.Mainnet, 12_965_000, math.MaxUint64, 0, 0, 0},
		{chain.Sepolia, 1, 30_000_000, 0, 29_970_705, 30_029_295}, // London all along
		// 2014: exactly (1023 * parent + 6/5 * used) / 1024, and 125000 at least.
		{chain.PoC6, 1, 1_000_000, 0, 999_023, 999_023},
		{chain.PoC6, 2, 1_000_000, 500_000, 999_609, 999_609},
		{chain.PoC6, 2, 1_000_000, 7, 999_023, 999_023},
		{chain.PoC6, 2, 125_000, 0, 125_000, 125_000},
		{chain.PoC6, 2, 0, 0, 125_000, 125_000},
		{chain.PoC6, 2, math.MaxUint64, 0, 18428729675200069631, 18428729675200069631},
		{chain.PoC6, 2, math.MaxUint64, math.MaxUint64, 0, 0},
	} {
		t.Run(fmt.Sprintf("%s/%d after %d", c.net.Name, c.number, c.parent), func(t *testing.T) {
			check := func(limit uint64) bool {
				parent := chain.Header{Number: c.number - 1, GasLimit: c.parent, GasUsed: c.used, UnclesHash: types.EmptyUncleHash}
				parent.Difficulty.SetUint64(1 << 40)
				parent.BaseFee.SetUint64(100)
				h := chain.Header{Number: c.number, Time: 5, GasLimit: limit, Items: 16}
				h.Difficulty = c.net.Difficulty(&parent, 5)
				h.BaseFee, _ = c.net.BaseFee(&parent)
				err := c.net.CheckLink(&parent, &h)
				if err != nil {
					wantRuleError(t, err, chain.RuleGasLimit, &h)
				}
				return err == nil
			}
			if c.most == 0 {
				for _, limit := range []uint64{0, 1, c.parent / 2, c.parent - 1, c.parent, c.parent + 1, c.parent * 2, 5000, 125000, math.MaxInt64, math.MaxUint64} {
					if check(limit) {
						t.Errorf("%d is accepted", limit)
					}
				}
				return
			}
			for _, limit := range []uint64{c.least, c.least + (c.most-c.least)/2, c.most} {
				if !check(limit) {
					t.Errorf("%d is refused", limit)
				}
			}
			for _, limit := range []uint64{0, 1, c.least - 1, c.most + 1, math.MaxUint64} {
				if check(limit) {
					t.Errorf("%d is accepted", limit)
				}
			}
		})
	}
}

func TestBaseFee(t *testing.T) {
	huge := new(uint256.Int).Lsh(uint256.NewInt(1), 255)
	for _, c := range []struct {
		net         *chain.Network
		parent      uint64 // its number
		fee         *uint256.Int
		limit, used uint64
		want        string // "" is over 256 bits
	}{
		{chain.Mainnet, 12_964_999, uint256.NewInt(0), 15_000_000, 15_000_000, "1000000000"},
		{chain.Mainnet, 12_964_998, uint256.NewInt(5), 15_000_000, 1, "1000000000"},
		// The cases of go-ethereum's own test.
		{chain.Mainnet, 12_965_000, uint256.NewInt(1_000_000_000), 20_000_000, 10_000_000, "1000000000"},
		{chain.Mainnet, 12_965_000, uint256.NewInt(1_000_000_000), 20_000_000, 9_000_000, "987500000"},
		{chain.Mainnet, 12_965_000, uint256.NewInt(1_000_000_000), 20_000_000, 11_000_000, "1012500000"},
		// By an eighth at most.
		{chain.Mainnet, 12_965_000, uint256.NewInt(1_000_000_000), 20_000_000, 0, "875000000"},
		{chain.Sepolia, 1, uint256.NewInt(1_000_000_000), 30_000_000, 30_000_000, "1125000000"},
		{chain.Sepolia, 1, uint256.NewInt(1_000_000_000), 30_000_001, 30_000_001, "1125000008"},
		// Down it stops at 7, where an eighth is nothing; up it is 1 at least.
		{chain.Sepolia, 1, uint256.NewInt(8), 30_000_000, 0, "7"},
		{chain.Sepolia, 1, uint256.NewInt(7), 30_000_000, 0, "7"},
		{chain.Sepolia, 1, uint256.NewInt(7), 30_000_000, 15_000_001, "8"},
		{chain.Sepolia, 1, uint256.NewInt(0), 30_000_000, 15_000_001, "1"},
		{chain.Sepolia, 1, uint256.NewInt(0), 30_000_000, 0, "0"},
		{chain.Dev, 1, uint256.NewInt(1000), 30_000_000, 30_000_000, "1125"},
		// What no valid parent has.
		{chain.Sepolia, 1, uint256.NewInt(9), 0, 5, "9"},
		{chain.Sepolia, 1, uint256.NewInt(9), 1, 5, "9"},
		{chain.Sepolia, 1, huge, 30_000_000, 30_000_000, new(uint256.Int).Add(huge, new(uint256.Int).Rsh(huge, 3)).Dec()},
		{chain.Sepolia, 1, new(uint256.Int).SetAllOne(), 30_000_000, 30_000_000, ""},
		{chain.Sepolia, 1, new(uint256.Int).SetAllOne(), 2, math.MaxUint64, ""},
		{chain.Sepolia, 1, new(uint256.Int).SetAllOne(), 30_000_000, 15_000_000, new(uint256.Int).SetAllOne().Dec()},
	} {
		parent := chain.Header{Number: c.parent, BaseFee: *c.fee, GasLimit: c.limit, GasUsed: c.used}
		got, ok := c.net.BaseFee(&parent)
		if ok != (c.want != "") || ok && got.Dec() != c.want {
			t.Errorf("%s after block %d, %s of %d gas for %d: got %s, %v, want %s", c.net.Name, c.parent, c.fee.Dec(), c.limit, c.used, got.Dec(), ok, c.want)
		}
	}

	// Against the formula with integers that do not end.
	rapid.Check(t, func(rt *rapid.T) {
		parent := chain.Header{
			Number:   rapid.Uint64Range(12_965_000, 16_000_000).Draw(rt, "number"),
			GasLimit: rapid.OneOf(rapid.Uint64Range(5000, 60_000_000), rapid.Uint64()).Draw(rt, "limit"),
			GasUsed:  rapid.OneOf(rapid.Uint64Range(0, 60_000_000), rapid.Uint64()).Draw(rt, "used"),
		}
		parent.BaseFee.SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(rt, "fee"))
		fee, target := parent.BaseFee.ToBig(), new(big.Int).SetUint64(parent.GasLimit/2)
		want := new(big.Int).Set(fee)
		if used := new(big.Int).SetUint64(parent.GasUsed); target.Sign() > 0 && used.Cmp(target) != 0 {
			delta := new(big.Int).Sub(used, target)
			up := delta.Sign() > 0
			delta.Mul(delta.Abs(delta), fee).Div(delta, target).Div(delta, big.NewInt(8))
			if up && delta.Sign() == 0 {
				delta.SetInt64(1)
			}
			if !up {
				delta.Neg(delta)
			}
			want.Add(want, delta)
		}
		got, ok := chain.Mainnet.BaseFee(&parent)
		if ok != (want.BitLen() <= 256) || ok && got.ToBig().Cmp(want) != 0 {
			rt.Errorf("got %s, %v, want %s", got.Dec(), ok, want)
		}
	})
}

func TestCheckTime(t *testing.T) {
	now := time.Date(2022, 9, 15, 6, 42, 42, 999_999_999, time.UTC)
	at := uint64(now.Unix())
	for _, c := range []struct {
		time uint64
		now  time.Time
		ok   bool
	}{
		{at, now, true},
		{0, now, true},
		{at + 15, now, true},
		{at + 16, now, false},
		{at + 1000, now, false},
		{math.MaxInt64, now, false},
		{math.MaxUint64, now, false},
		{0, time.Unix(-1000, 0), true},
		{1, time.Unix(-1000, 0), false},
		{5, time.Unix(-10, 0), true},
		{6, time.Unix(-10, 0), false},
	} {
		for _, net := range chain.Networks() {
			h := chain.Header{Number: 5, Time: c.time}
			err := net.CheckTime(&h, c.now)
			if c.ok && err != nil {
				t.Error(err)
			} else if !c.ok {
				wantRuleError(t, err, chain.RuleFuture, &h)
			}
		}
	}
}

// TestTerminalDifficulty: the first block to reach it is the last one.
func TestTerminalDifficulty(t *testing.T) {
	end := uint256.NewInt(17_000_000_000_000_000)
	below := new(uint256.Int).SubUint64(end, 1)
	b := mustGenesis(t, chain.Sepolia)
	if td, err := chain.Sepolia.TotalDifficulty(below, b); err != nil || !td.Gt(end) {
		t.Errorf("got %s, %v", td.Dec(), err)
	}
	for _, parent := range []*uint256.Int{end, new(uint256.Int).AddUint64(end, 1), new(uint256.Int).SetAllOne()} {
		_, err := chain.Sepolia.TotalDifficulty(parent, b)
		wantRuleError(t, err, chain.RuleLastBlock, &b.Header)
	}
	if got := chain.Mainnet.TerminalDifficulty.Dec(); got != "58750000000000000000000" {
		t.Errorf("mainnet ends at %s", got)
	}
	for _, net := range []*chain.Network{chain.Classic, chain.Dev, chain.PoC6} {
		if !net.TerminalDifficulty.IsZero() || net.LastBlock != (chain.Checkpoint{}) {
			t.Errorf("%s ends", net.Name)
		}
	}
}

func TestClassic(t *testing.T) {
	if net, err := chain.NetworkByName("classic"); err != nil || net != chain.Classic {
		t.Errorf("by name: got %v, %v", net, err)
	}
	g := mustGenesis(t, chain.Classic)
	if net, ok := chain.NetworkByGenesis(g.Hash); !ok || net != chain.Mainnet {
		t.Errorf("by genesis: got %v, %v, want mainnet", net, ok)
	}
	if chain.Classic.ID != 1 || chain.Classic.Genesis != chain.Mainnet.Genesis {
		t.Error("Classic has neither mainnet's id nor its genesis block")
	}
}

func TestFork(t *testing.T) {
	var never chain.Fork
	if _, ok := never.Block(); ok || never.Active(0) || never.Active(math.MaxUint64) || never.String() != "never" {
		t.Error("never is at some time")
	}
	for _, n := range []uint64{0, 1, 1_150_000, math.MaxUint64 - 1} {
		f := chain.At(n)
		if got, ok := f.Block(); !ok || got != n || !f.Active(n) || !f.Active(n+1) || !f.Active(math.MaxUint64) || n > 0 && f.Active(n-1) {
			t.Errorf("At(%d) is at %d, %v", n, got, ok)
		}
		if f.String() != fmt.Sprint(n) {
			t.Errorf("At(%d) is %q", n, f)
		}
	}
}

// TestGeneratedChains: what chaingen makes on Dev and in the format of 2014 is in
// order, with a base fee and without.
func TestGeneratedChains(t *testing.T) {
	late := takeApart(t, []byte(chain.Dev.Genesis))
	late.header = append(late.header, num(1_000_000_000))
	london := *chain.Dev
	london.Genesis = string(late.join())
	for _, net := range []*chain.Network{chain.Dev, &london, chain.PoC6} {
		for _, c := range []chaingen.Config{{}, {Txs: 1}, {Txs: 300, UncleEvery: 3}, {Interval: 1}, {Interval: 90, UncleEvery: 1}, {Size: 9000}} {
			c.Network, c.Seed, c.Blocks = net, 3, 120
			w := walker{net: net}
			w.check(t, mustGenesis(t, net))
			for _, b := range generate(c) {
				w.check(t, b)
			}
			if w.links != 120 || c.UncleEvery == 3 && w.uncles != 40 {
				t.Errorf("%s: checked %d links and %d blocks with uncles", net.Name, w.links, w.uncles)
			}
		}
	}
}

// FuzzRules: no header and no parent make a rule panic, and what passes keeps
// what every chain keeps.
func FuzzRules(f *testing.F) {
	f.Add(byte(0), uint64(12_964_999), uint64(1000), uint64(15_000_000), uint64(7), []byte{1, 0, 0, 0, 0}, []byte{59, 154, 202, 0}, false, uint64(13), uint64(30_000_000), uint64(0), uint64(0), []byte("dao-hard-fork"))
	f.Add(byte(1), uint64(1), uint64(0), uint64(30_000_000), uint64(30_000_000), []byte{2, 0, 0}, []byte{7}, true, uint64(1), uint64(30_000_000), uint64(5), uint64(1), []byte{})
	f.Add(byte(2), uint64(math.MaxUint64), uint64(math.MaxUint64), uint64(math.MaxUint64), uint64(math.MaxUint64), bytes.Repeat([]byte{255}, 32), bytes.Repeat([]byte{255}, 32), true, uint64(math.MaxUint64), uint64(math.MaxUint64), uint64(math.MaxUint64), uint64(math.MaxUint64), bytes.Repeat([]byte{1}, 40))
	f.Add(byte(3), uint64(0), uint64(0), uint64(0), uint64(0), []byte{}, []byte{}, false, uint64(0), uint64(0), uint64(0), uint64(0), []byte{})
	f.Add(byte(4), uint64(2_999_999), uint64(5), uint64(4_700_000), uint64(1), []byte{9, 9, 9, 9}, []byte{}, false, uint64(30), uint64(4_700_000), uint64(1), uint64(0), []byte{})
	f.Fuzz(func(t *testing.T, which byte, number, at, limit, used uint64, difficulty, fee []byte, uncles bool, late, nextLimit, nextUsed, skew uint64, extra []byte) {
		net := chain.Networks()[int(which)%len(chain.Networks())]
		parent := chain.Header{Hash: common.Hash{1}, Number: number, Time: at, GasLimit: limit, GasUsed: used, UnclesHash: types.EmptyUncleHash, Items: 15}
		parent.Difficulty.SetBytes(difficulty)
		parent.BaseFee.SetBytes(fee)
		if uncles {
			parent.UnclesHash = common.Hash{2}
		}
		if net.Forks.London.Active(number) || len(fee)%2 == 1 {
			parent.Items = 16
		}
		h := headerOf(net, number+1+skew)
		h.Parent, h.Time, h.GasLimit, h.GasUsed, h.Extra, h.Items = parent.Hash, at+late, nextLimit, nextUsed, extra, parent.Items
		h.Difficulty = net.Difficulty(&parent, h.Time)
		h.BaseFee, _ = net.BaseFee(&parent)

		if net != chain.PoC6 && h.Difficulty.LtUint64(131072) {
			t.Fatalf("difficulty %s", h.Difficulty.Dec())
		}
		if again := net.Difficulty(&parent, h.Time); again != h.Difficulty {
			t.Fatalf("difficulty %s, and then %s", h.Difficulty.Dec(), again.Dec())
		}
		net.CheckTime(&h, time.Unix(int64(late), 0))
		link, all := net.CheckLink(&parent, &h), net.CheckHeader(&parent, &h)
		for _, err := range []error{link, all} {
			if e, ok := errors.AsType[*chain.RuleError](err); err != nil && (!ok || e.Rule == chain.RuleDifficulty || e.Have == e.Want) {
				t.Fatalf("got %v", err)
			}
		}
		if link != nil {
			if all == nil || all.Error() != link.Error() {
				t.Fatalf("CheckHeader says %v, CheckLink %v", all, link)
			}
			return
		}
		if h.Number != number+1 || h.Time < at || net != chain.PoC6 && (h.Time == at || h.GasLimit < 5000 || h.GasLimit > math.MaxInt64) {
			t.Fatalf("accepted %+v after %+v", h, parent)
		}
		if all == nil && (h.GasUsed > h.GasLimit || len(h.Extra) > 1024 || net.LastBlock.Number != 0 && h.Number > net.LastBlock.Number) {
			t.Fatalf("accepted %+v", h)
		}
		// Anything else in the place of what is derived is refused.
		h.Difficulty.Xor(&h.Difficulty, uint256.NewInt(skew|1))
		wantRuleError(t, net.CheckLink(&parent, &h), chain.RuleDifficulty, &h)
	})
}
