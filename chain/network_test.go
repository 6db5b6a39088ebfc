package chain_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
)

// TestPresets holds what the world, or an older store on somebody's disk,
// relies on.
func TestPresets(t *testing.T) {
	for _, c := range []struct {
		net     *chain.Network
		name    string
		id      uint64
		genesis string
		td      string
		size    int
		items   int
	}{
		{chain.Mainnet, "mainnet", 1, "0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3", "17179869184", 540, 15},
		{chain.Sepolia, "sepolia", 11155111, "0x25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9", "131072", 0, 16},
		{chain.PoC6, "poc6", 0, "0x08436a4d33c77e6acf013e586a3333ad152f25d31df8b68749d85046810e1f4b", "131072", 173, 13},
		{chain.Dev, "dev", 1337, "0x62218e467f20ddfd569cb6d37af070a6d0fa872d89b56bcf643d364402fde83b", "131072", 0, 15},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := c.net.GenesisBlock()
			if err != nil {
				t.Fatal(err)
			}
			if c.net.Name != c.name || c.net.ID != c.id {
				t.Errorf("got network %q with id %d, want %q with %d", c.net.Name, c.net.ID, c.name, c.id)
			}
			if b.Hash.Hex() != c.genesis || b.Number != 0 || b.Parent != (common.Hash{}) {
				t.Errorf("got genesis block %s, number %d, parent %x, want %s", b.Hash.Hex(), b.Number, b.Parent, c.genesis)
			}
			if b.Items != c.items || c.size > 0 && len(b.Raw()) != c.size {
				t.Errorf("got %d header items in %d bytes, want %d in %d", b.Items, len(b.Raw()), c.items, c.size)
			}
			if err := c.net.CheckBlock(b); err != nil {
				t.Error(err)
			}
			td, err := c.net.TotalDifficulty(new(uint256.Int), b)
			if err != nil || td.Dec() != c.td {
				t.Errorf("got TD %s, %v, want %s", td.Dec(), err, c.td)
			}
			if net, err := chain.NetworkByName(c.name); net != c.net || err != nil {
				t.Errorf("by name: got %v, %v", net, err)
			}
			if net, ok := chain.NetworkByGenesis(b.Hash); net != c.net || !ok {
				t.Errorf("by genesis: got %v, %v", net, ok)
			}
		})
	}
	// All others are in order as well, and every name is there once.
	for _, n := range chain.Networks() {
		if _, err := n.GenesisBlock(); err != nil {
			t.Error(err)
		}
		if net, err := chain.NetworkByName(n.Name); net != n || err != nil {
			t.Errorf("%s: got %v, %v", n.Name, net, err)
		}
	}
}

func TestUnknownNetwork(t *testing.T) {
	for _, name := range []string{"", "Mainnet", "mainnet ", "holesky"} {
		net, err := chain.NetworkByName(name)
		if net != nil || !errors.Is(err, chain.ErrUnknownNetwork) || !strings.Contains(err.Error(), "mainnet, sepolia, poc6, dev") {
			t.Errorf("%q: got %v, %v", name, net, err)
		}
	}
	if net, ok := chain.NetworkByGenesis(common.Hash{1}); ok || net != nil {
		t.Errorf("got %v", net)
	}
	_, err := (&chain.Network{Name: "mine", Format: chain.FormatFrontier, Genesis: "x"}).GenesisBlock()
	wantFormatErrorIn(t, err)
	if !strings.Contains(err.Error(), `"mine"`) {
		t.Errorf("the network is not named: %v", err)
	}
}

func wantFormatErrorIn(t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[*chain.FormatError](err); !ok {
		t.Fatalf("got %v, want a *FormatError", err)
	}
}

func TestCheckLink(t *testing.T) {
	blocks := generate(chaingen.Config{Seed: 3, Blocks: 3})
	one, two, three := &blocks[0].Header, &blocks[1].Header, &blocks[2].Header
	numbered := func(h chain.Header, n uint64) *chain.Header { h.Number = n; return &h }
	for _, c := range []struct {
		name      string
		parent, b *chain.Header
		rule      chain.Rule
	}{
		{"child", one, two, ""},
		{"grandchild", one, three, chain.RuleParent},
		{"backwards", two, one, chain.RuleParent},
		{"itself", two, two, chain.RuleParent},
		{"number too high", one, numbered(*two, 3), chain.RuleNumber},
		{"number of the parent", one, numbered(*two, 1), chain.RuleNumber},
		{"number 0", one, numbered(*two, 0), chain.RuleNumber},
		{"last number there is", numbered(*one, math.MaxUint64-1), numbered(*two, math.MaxUint64), ""},
		{"number wraps around", numbered(*one, math.MaxUint64), numbered(*two, 0), chain.RuleNumber},
		{"number stays at the end", numbered(*one, math.MaxUint64), numbered(*two, math.MaxUint64), chain.RuleNumber},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := chain.Dev.CheckLink(c.parent, c.b)
			if c.rule == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantRuleError(t, err, c.rule, c.b)
			if c.rule.OfBody() {
				t.Errorf("%q is not about the body", c.rule)
			}
		})
	}
}

func TestTotalDifficulty(t *testing.T) {
	max256 := new(uint256.Int).SetAllOne()
	uncle := func(difficulty []byte) []byte {
		h := takeApart(t, []byte(chain.PoC6.Genesis)).header
		h[5] = difficulty
		return list(h...)
	}
	frontierUncle := func(difficulty uint64) []byte {
		h := takeApart(t, []byte(chain.Dev.Genesis)).header
		h[itemDifficulty] = num(difficulty)
		return list(h...)
	}
	for _, c := range []struct {
		name       string
		net        *chain.Network
		difficulty []byte
		uncles     [][]byte
		parent     *uint256.Int
		td         string
	}{
		{"frontier", chain.Dev, num(5), nil, uint256.NewInt(100), "105"},
		{"frontier does not count uncles", chain.Dev, num(5), [][]byte{frontierUncle(70), frontierUncle(80)}, uint256.NewInt(100), "105"},
		{"frontier does not read uncles", chain.Dev, num(5), [][]byte{{0x80}}, uint256.NewInt(100), "105"},
		{"2014", chain.PoC6, num(5), nil, uint256.NewInt(100), "105"},
		{"2014 counts uncles", chain.PoC6, num(5), [][]byte{uncle(num(70)), uncle(num(800))}, uint256.NewInt(100), "975"},
		{"no difficulty", chain.Dev, num(0), nil, uint256.NewInt(100), "100"},
		{"up to the limit", chain.Dev, str(max256.Bytes()), nil, new(uint256.Int), max256.Dec()},
		{"over the limit", chain.Dev, str(max256.Bytes()), nil, uint256.NewInt(1), string(chain.RuleTotalDifficulty)},
		{"full already", chain.Dev, num(1), nil, max256, string(chain.RuleTotalDifficulty)},
		{"an uncle up to the limit", chain.PoC6, num(1), [][]byte{uncle(num(1))}, new(uint256.Int).SubUint64(max256, 2), max256.Dec()},
		{"an uncle over the limit", chain.PoC6, num(1), [][]byte{uncle(num(1)), uncle(num(1))}, new(uint256.Int).SubUint64(max256, 2), string(chain.RuleTotalDifficulty)},
		{"2014 with an uncle that is none", chain.PoC6, num(5), [][]byte{uncle(num(1)), {0x80}}, uint256.NewInt(100), "uncles"},
		{"2014 with a header of 2015", chain.PoC6, num(5), [][]byte{frontierUncle(70)}, uint256.NewInt(100), "uncles"},
		{"2014 with a broken uncle", chain.PoC6, num(5), [][]byte{uncle([]byte{0x81, 5})}, uint256.NewInt(100), "uncles"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := takeApart(t, []byte(c.net.Genesis))
			p.header[map[bool]int{false: itemDifficulty, true: 5}[c.net == chain.PoC6]] = c.difficulty
			p.uncles = c.uncles
			b := mustParse(t, c.net.Format, p.seal(t, c.net.Format).join())
			if err := c.net.CheckBlock(b); err != nil {
				t.Fatal(err)
			}
			before := *c.parent
			td, err := c.net.TotalDifficulty(c.parent, b)
			if *c.parent != before {
				t.Error("the parent's TD was changed")
			}
			switch {
			case c.td == string(chain.RuleTotalDifficulty):
				wantRuleError(t, err, chain.RuleTotalDifficulty, &b.Header)
			case strings.Trim(c.td, "0123456789") != "":
				wantFormatError(t, err, c.td)
			case err != nil || td.Dec() != c.td:
				t.Errorf("got %s, %v, want %s", td.Dec(), err, c.td)
			}
		})
	}
}

func TestOfBody(t *testing.T) {
	for rule, want := range map[chain.Rule]bool{
		chain.RuleTransactionsRoot: true,
		chain.RuleUnclesHash:       true,
		chain.RuleParent:           false,
		chain.RuleNumber:           false,
		chain.RuleTotalDifficulty:  false,
	} {
		if rule.OfBody() != want {
			t.Errorf("%q: got %v, want %v", rule, rule.OfBody(), want)
		}
	}
}
