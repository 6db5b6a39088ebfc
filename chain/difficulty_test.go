package chain_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"
	"pgregory.net/rapid"

	"github.com/shoalnet/shoal/chain"
)

// TestDifficultyVectors runs the difficulty tests of the official test suite.
func TestDifficultyVectors(t *testing.T) {
	forks := map[string]chain.Forks{
		"Frontier":       {},
		"Homestead":      {Homestead: chain.At(0)},
		"Byzantium":      {Homestead: chain.At(0), Byzantium: chain.At(0)},
		"Constantinople": {Homestead: chain.At(0), Byzantium: chain.At(0), Constantinople: chain.At(0)},
	}
	for _, path := range sharedFiles(t, "ethereum-tests/DifficultyTests/*/*.json") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			var file map[string]map[string]json.RawMessage
			readJSON(t, path, &file)
			n := 0
			for _, parts := range file {
				for fork, raw := range parts {
					if fork == "_info" {
						continue
					}
					f, ok := forks[fork]
					if !ok {
						t.Fatalf("no rules for fork %q", fork)
					}
					net := &chain.Network{Name: fork, Format: chain.FormatFrontier, Forks: f}
					var cases map[string]map[string]string
					if err := json.Unmarshal(raw, &cases); err != nil {
						t.Fatal(err)
					}
					for name, c := range cases {
						parent := chain.Header{
							Number:     number(t, c["currentBlockNumber"]) - 1,
							Time:       number(t, c["parentTimestamp"]),
							UnclesHash: types.EmptyUncleHash,
						}
						parent.Difficulty.SetFromBig(bigNumber(t, c["parentDifficulty"]))
						if number(t, c["parentUncles"]) != 0 {
							parent.UnclesHash = common.Hash{1}
						}
						want := bigNumber(t, c["currentDifficulty"])
						if got := net.Difficulty(&parent, number(t, c["currentTimestamp"])); got.ToBig().Cmp(want) != 0 {
							t.Errorf("%s: got %s, want %s", name, got.Dec(), want)
						}
						n++
					}
				}
			}
			if t.Log(n, "vectors"); n < 2000 {
				t.Errorf("got %d vectors, want at least 2000", n)
			}
		})
	}
}

func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func bigNumber(t testing.TB, s string) *big.Int {
	t.Helper()
	x, ok := new(big.Int).SetString(strings.TrimPrefix(s, "0x"), 16)
	if !ok {
		t.Fatalf("not a number: %q", s)
	}
	return x
}

func number(t testing.TB, s string) uint64 {
	t.Helper()
	x, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestDifficultyAtForks goes over the edges of every fork. The difficulty of the
// parent is 2048 * 10^9, so that a step is 10^9. The bomb stands as the power of
// two that it adds, -1 for none.
func TestDifficultyAtForks(t *testing.T) {
	const step = 1_000_000_000
	for _, c := range []struct {
		net    *chain.Network
		number uint64 // of the block
		late   uint64
		uncles bool // of the parent
		steps  int64
		bomb   int
	}{
		// Frontier: 13 seconds; the first bomb.
		{chain.Mainnet, 1, 12, false, 1, -1},
		{chain.Mainnet, 1, 13, false, -1, -1},
		{chain.Mainnet, 1, 100000, false, -1, -1},
		{chain.Mainnet, 100_000, 1, false, 1, -1},
		{chain.Mainnet, 199_999, 1, false, 1, -1},
		{chain.Mainnet, 200_000, 1, false, 1, 0},
		{chain.Mainnet, 299_999, 1, false, 1, 0},
		{chain.Mainnet, 300_000, 1, false, 1, 1},
		// Homestead.
		{chain.Mainnet, 1_149_999, 12, false, 1, 9},
		{chain.Mainnet, 1_149_999, 13, false, -1, 9},
		{chain.Mainnet, 1_150_000, 9, false, 1, 9},
		{chain.Mainnet, 1_150_000, 10, false, 0, 9},
		{chain.Mainnet, 1_150_000, 19, true, 0, 9},
		{chain.Mainnet, 1_150_001, 20, false, -1, 9},
		{chain.Mainnet, 1_150_001, 999, false, -98, 9},
		{chain.Mainnet, 1_150_001, 1000, false, -99, 9},
		{chain.Mainnet, 1_150_001, 1010, false, -99, 9},
		{chain.Mainnet, 1_150_001, math.MaxUint64 - 1000, false, -99, 9},
		// Byzantium: uncles, and 3,000,000 blocks of delay.
		{chain.Mainnet, 4_369_999, 9, true, 1, 41},
		{chain.Mainnet, 4_370_000, 8, false, 1, 11},
		{chain.Mainnet, 4_370_000, 9, false, 0, 11},
		{chain.Mainnet, 4_370_000, 8, true, 2, 11},
		{chain.Mainnet, 4_370_000, 9, true, 1, 11},
		{chain.Mainnet, 4_370_001, 18, false, -1, 11},
		{chain.Mainnet, 4_370_001, 899, false, -98, 11},
		{chain.Mainnet, 4_370_001, 900, false, -99, 11},
		{chain.Mainnet, 4_370_001, 900, true, -98, 11},
		{chain.Mainnet, 4_370_001, 909, true, -99, 11},
		{chain.Mainnet, 4_370_001, math.MaxUint64 - 1000, true, -99, 11},
		// Constantinople: 5,000,000.
		{chain.Mainnet, 7_279_999, 1, false, 1, 40},
		{chain.Mainnet, 7_280_000, 1, false, 1, 20},
		{chain.Mainnet, 7_280_001, 1, true, 2, 20},
		// Muir Glacier: 9,000,000.
		{chain.Mainnet, 9_199_999, 1, false, 1, 39},
		{chain.Mainnet, 9_200_000, 1, false, 1, 0},
		{chain.Mainnet, 9_200_001, 1, false, 1, 0},
		{chain.Mainnet, 9_300_000, 1, false, 1, 1},
		// London: 9,700,000.
		{chain.Mainnet, 12_964_999, 1, false, 1, 37},
		{chain.Mainnet, 12_965_000, 1, false, 1, 30},
		{chain.Mainnet, 12_965_001, 1, false, 1, 30},
		// Arrow Glacier: 10,700,000.
		{chain.Mainnet, 13_772_999, 1, false, 1, 38},
		{chain.Mainnet, 13_773_000, 1, false, 1, 28},
		{chain.Mainnet, 13_773_001, 1, false, 1, 28},
		// Gray Glacier: 11,400,000, to the end.
		{chain.Mainnet, 15_049_999, 1, false, 1, 41},
		{chain.Mainnet, 15_050_000, 1, false, 1, 34},
		{chain.Mainnet, 15_050_001, 1, false, 1, 34},
		{chain.Mainnet, 15_537_393, 1, false, 1, 39},

		// Sepolia has it all from the start, and is too short for a bomb.
		{chain.Sepolia, 1, 8, false, 1, -1},
		{chain.Sepolia, 1, 9, false, 0, -1},
		{chain.Sepolia, 1, 8, true, 2, -1},
		{chain.Sepolia, 1_450_408, 1, false, 1, -1},

		// Classic is mainnet up to Homestead; then the bomb pauses, goes on and
		// ends, and Atlantis brings the uncles.
		{chain.Classic, 1_149_999, 13, false, -1, 9},
		{chain.Classic, 1_150_000, 13, false, 0, 9},
		{chain.Classic, 2_999_999, 1, false, 1, 27},
		{chain.Classic, 3_000_000, 1, false, 1, 28},
		{chain.Classic, 3_000_001, 1, false, 1, 28},
		{chain.Classic, 4_370_000, 9, true, 1, 28},
		{chain.Classic, 4_999_999, 1, false, 1, 28},
		{chain.Classic, 5_000_000, 1, false, 1, 28},
		{chain.Classic, 5_099_999, 1, false, 1, 28},
		{chain.Classic, 5_100_000, 1, false, 1, 29},
		{chain.Classic, 5_899_999, 1, false, 1, 36},
		{chain.Classic, 5_900_000, 1, false, 1, -1},
		{chain.Classic, 5_900_001, 1, false, 1, -1},
		{chain.Classic, 8_771_999, 9, true, 1, -1},
		{chain.Classic, 8_772_000, 9, false, 0, -1},
		{chain.Classic, 8_772_000, 9, true, 1, -1},
		{chain.Classic, 8_772_001, 18, false, -1, -1},
		{chain.Classic, 20_000_000, 8, true, 2, -1},

		// Dev is Frontier without a bomb.
		{chain.Dev, 1, 12, true, 1, -1},
		{chain.Dev, 50_000_000, 13, true, -1, -1},
	} {
		name := fmt.Sprintf("%s/%d,%d,%v", c.net.Name, c.number, c.late, c.uncles)
		parent := chain.Header{Number: c.number - 1, Time: 1000, UnclesHash: types.EmptyUncleHash}
		parent.Difficulty.SetUint64(2048 * step)
		if c.uncles {
			parent.UnclesHash = common.Hash{1}
		}
		want := uint64(int64(2048*step) + c.steps*step)
		if c.bomb >= 0 {
			want += 1 << c.bomb
		}
		if got := c.net.Difficulty(&parent, 1000+c.late); !got.IsUint64() || got.Uint64() != want {
			t.Errorf("%s: got %s, want %d", name, got.Dec(), want)
		}
	}

	// 2014: steps of 1/1024, five seconds, no floor.
	for _, c := range []struct{ parent, late, want uint64 }{
		{131072, 4, 131200},
		{131072, 5, 130944},
		{131072, 0, 131200},
		{1024, 5, 1023},
		{1023, 5, 1023},
		{1023, 4, 1023},
		{0, 0, 0},
	} {
		parent := chain.Header{Number: 10, Time: 50, Difficulty: *uint256.NewInt(c.parent)}
		if got := chain.PoC6.Difficulty(&parent, 50+c.late); got.Uint64() != c.want {
			t.Errorf("2014, %d after %d s: got %s, want %d", c.parent, c.late, got.Dec(), c.want)
		}
	}
}

// A network with a fixed difficulty has it whatever the times and forks are, and a
// block with another one breaks the rule.
func TestFixedDifficulty(t *testing.T) {
	n := *chain.Mainnet
	n.FixedDifficulty = 100
	for _, number := range []uint64{0, 1_150_000, 4_370_000, 15_000_000} {
		parent := &chain.Header{Number: number, Time: 1000, Difficulty: *uint256.NewInt(0x10000)}
		for _, time := range []uint64{0, 1000, 1001, 1_000_000} {
			if d := n.Difficulty(parent, time); d != *uint256.NewInt(100) {
				t.Errorf("block %d at time %d: difficulty %v, want 100", number+1, time, &d)
			}
		}
	}
}

func TestDifficultyExtremes(t *testing.T) {
	most := new(uint256.Int).SetAllOne()
	for _, net := range chain.Networks() {
		for _, n := range []uint64{0, 1, 1 << 32, 30_000_000, 26_000_000_000, math.MaxUint64 - 1, math.MaxUint64} {
			for _, d := range []*uint256.Int{new(uint256.Int), uint256.NewInt(1), uint256.NewInt(131072), most} {
				parent := chain.Header{Number: n, Time: 1 << 63, Difficulty: *d, UnclesHash: types.EmptyUncleHash}
				early := net.Difficulty(&parent, 5)
				if same := net.Difficulty(&parent, parent.Time); early != same {
					t.Errorf("%s, parent %d: got %s for a time before the parent's, %s for the parent's", net.Name, n, early.Dec(), same.Dec())
				}
				late := net.Difficulty(&parent, math.MaxUint64)
				if late.Gt(&early) {
					t.Errorf("%s, parent %d: difficulty rises with time", net.Name, n)
				}
				if net != chain.PoC6 && late.LtUint64(131072) {
					t.Errorf("%s, parent %d: got %s, below the minimum", net.Name, n, late.Dec())
				}
			}
		}
		top := chain.Header{Number: 5, Difficulty: *most, UnclesHash: types.EmptyUncleHash}
		if got := net.Difficulty(&top, 1); got != *most {
			t.Errorf("%s: got %s over the top", net.Name, got.Hex())
		}
	}
	// The bomb alone fills 256 bits, and more.
	for _, n := range []uint64{25_699_999, 25_700_000, 25_799_998, 25_799_999, 26_000_000, math.MaxUint64} {
		frontier := &chain.Network{Format: chain.FormatFrontier}
		parent := chain.Header{Number: n, Difficulty: *uint256.NewInt(131072)}
		got := frontier.Difficulty(&parent, 1)
		if want := reference(frontierBook, &parent, 1); got.ToBig().Cmp(want) != 0 {
			t.Errorf("after block %d: got %s, want %x", n, got.Hex(), want)
		}
	}
}

// A book is the rules of a network as they are published, for the reference
// implementation: a list of what the EIPs say, in the order of blocks.
type book []struct {
	from  uint64
	rule  string
	delay int64 // of the bomb, in blocks; -1 is no bomb, -2 is ECIP-1010's pause
}

var (
	frontierBook = book{{0, "frontier", 0}}
	books        = map[*chain.Network]book{
		chain.Mainnet: {
			{0, "frontier", 0}, {1150000, "eip-2", 0}, {4370000, "eip-100", 3000000}, {7280000, "eip-100", 5000000},
			{9200000, "eip-100", 9000000}, {12965000, "eip-100", 9700000}, {13773000, "eip-100", 10700000}, {15050000, "eip-100", 11400000},
		},
		chain.Classic: {
			{0, "frontier", 0}, {1150000, "eip-2", 0}, {3000000, "eip-2", -2}, {5000000, "eip-2", 2000000}, {5900000, "eip-2", -1}, {8772000, "eip-100", -1},
		},
		chain.Sepolia: {{0, "eip-100", 9700000}},
		chain.Dev:     {{0, "frontier", -1}},
		chain.PoC6:    {{0, "2014", -1}},
	}
)

// reference computes difficulty in the words of the EIPs, with integers that do
// not end.
func reference(b book, parent *chain.Header, time uint64) *big.Int {
	n := new(big.Int).SetUint64(parent.Number)
	n.Add(n, big.NewInt(1))
	i := 0
	for i+1 < len(b) && n.Cmp(new(big.Int).SetUint64(b[i+1].from)) >= 0 {
		i++
	}
	d := parent.Difficulty.ToBig()
	late := new(big.Int).SetUint64(time - min(time, parent.Time))
	floorDiv := func(a *big.Int, by int64) *big.Int { return new(big.Int).Div(a, big.NewInt(by)) }
	maxOf := func(a, b *big.Int) *big.Int {
		if a.Cmp(b) > 0 {
			return a
		}
		return b
	}
	least := big.NewInt(131072)
	x, shift := new(big.Int), int64(2048)
	switch b[i].rule {
	case "2014":
		shift, least = 1024, new(big.Int)
		if x.SetInt64(1); late.Cmp(big.NewInt(5)) >= 0 {
			x.SetInt64(-1)
		}
	case "frontier":
		if x.SetInt64(1); late.Cmp(big.NewInt(13)) >= 0 {
			x.SetInt64(-1)
		}
	case "eip-2":
		x = maxOf(x.Sub(big.NewInt(1), floorDiv(late, 10)), big.NewInt(-99))
	case "eip-100":
		y := int64(1)
		if parent.UnclesHash != types.EmptyUncleHash {
			y = 2
		}
		x = maxOf(x.Sub(big.NewInt(y), floorDiv(late, 9)), big.NewInt(-99))
	}
	d.Add(d, x.Mul(x, floorDiv(d, shift)))
	d = maxOf(d, least)
	if b[i].delay != -1 {
		period := big.NewInt(30) // where ECIP-1010 stops it
		if b[i].delay != -2 {
			period = floorDiv(maxOf(new(big.Int).Sub(n, big.NewInt(b[i].delay)), new(big.Int)), 100000)
		}
		if period.Cmp(big.NewInt(1)) > 0 {
			if period.Cmp(big.NewInt(1000)) > 0 {
				period.SetInt64(1000)
			}
			d.Add(d, new(big.Int).Lsh(big.NewInt(1), uint(period.Int64()-2)))
		}
	}
	if d.BitLen() > 256 { // what Shoal makes of it
		return new(uint256.Int).SetAllOne().ToBig()
	}
	return d
}

// TestDifficultyAgainstReference compares with the reference anywhere, and most
// of all around the forks.
func TestDifficultyAgainstReference(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		net := rapid.SampledFrom(chain.Networks()).Draw(rt, "network")
		b := books[net]
		if b == nil {
			rt.Fatalf("no book for %s", net.Name)
		}
		near := rapid.Custom(func(t *rapid.T) uint64 {
			return max(rapid.SampledFrom(b).Draw(t, "fork").from, 3) + rapid.Uint64Range(0, 6).Draw(t, "off") - 3
		})
		parent := chain.Header{
			Number: rapid.OneOf(near, rapid.Uint64Range(0, 30_000_000), rapid.Uint64Range(0, math.MaxUint64-1)).Draw(rt, "number"),
			Time:   rapid.Uint64().Draw(rt, "time"),
		}
		if parent.UnclesHash = types.EmptyUncleHash; rapid.Bool().Draw(rt, "uncles") {
			parent.UnclesHash = common.Hash{1}
		}
		parent.Difficulty.SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(rt, "difficulty"))
		time := parent.Time + rapid.OneOf(rapid.Uint64Range(0, 40), rapid.Uint64Range(0, 2000), rapid.Uint64()).Draw(rt, "late")
		got := net.Difficulty(&parent, time)
		if want := reference(b, &parent, time); got.ToBig().Cmp(want) != 0 {
			rt.Errorf("%s: got %s, want %s", net.Name, got.Dec(), want)
		}
	})
}

func BenchmarkDifficulty(b *testing.B) {
	parent := chain.Header{Number: 15_100_000, Time: 5, Difficulty: *uint256.NewInt(12_000_000_000_000_000)}
	for b.Loop() {
		chain.Mainnet.Difficulty(&parent, 18)
	}
}
