package chaingen

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoalnet/shoal/chain"
)

// verify checks that blocks is a chain of the network on top of parent.
func verify(t testing.TB, net *chain.Network, parent *chain.Block, blocks []*chain.Block) {
	t.Helper()
	for _, b := range blocks {
		if err := net.CheckBlock(b); err != nil {
			t.Fatal(err)
		}
		if err := net.CheckLink(&parent.Header, &b.Header); err != nil {
			t.Fatal(err)
		}
		if b.Time <= parent.Time {
			t.Fatalf("block %d: time is %d, that of its parent %d", b.Number, b.Time, parent.Time)
		}
		if b.GasUsed > b.GasLimit {
			t.Fatalf("block %d: gas used is %d of %d", b.Number, b.GasUsed, b.GasLimit)
		}
		if b.Difficulty.IsZero() {
			t.Fatalf("block %d has no difficulty", b.Number)
		}
		if b.Items != parent.Items {
			t.Fatalf("block %d has %d header items, its parent %d", b.Number, b.Items, parent.Items)
		}
		for uncle, err := range b.Uncles() {
			if err != nil {
				t.Fatal(err)
			}
			if uncle.Parent != parent.Parent || uncle.Number != parent.Number || uncle.Hash == parent.Hash {
				t.Fatalf("block %d: its uncle is no sibling of its parent", b.Number)
			}
		}
		parent = b
	}
}

func genesis(t testing.TB, net *chain.Network) *chain.Block {
	t.Helper()
	b, err := net.GenesisBlock()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func count[V any](t testing.TB, items func(func(V, error) bool)) (n int) {
	t.Helper()
	for _, err := range items {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestValidOnEveryNetwork(t *testing.T) {
	for _, net := range chain.Networks() {
		for _, c := range []Config{
			{},
			{Txs: 1},
			{Txs: 130, UncleEvery: 3}, // past the odd place of key 0 in the trie
			{Size: 20000, UncleEvery: 1},
			{Size: 90000, Txs: 1}, // a list header of four bytes
			{Size: 300, Interval: 1},
			{Shape: func(n uint64) (int, int) { return int(n % 5), int(n * 100) }},
		} {
			t.Run(fmt.Sprintf("%s/%d,%d,%d", net.Name, c.Txs, c.Size, c.UncleEvery), func(t *testing.T) {
				c.Network, c.Seed, c.Blocks = net, 7, 40
				blocks := slices.Collect(Generate(c))
				if len(blocks) != 40 {
					t.Fatalf("got %d blocks, want 40", len(blocks))
				}
				verify(t, net, genesis(t, net), blocks)
				for _, b := range blocks {
					if got := count(t, b.Transactions()); c.Txs > 0 && got != c.Txs {
						t.Fatalf("block %d has %d transactions, want %d", b.Number, got, c.Txs)
					}
					want := 0
					if c.UncleEvery > 0 && b.Number%c.UncleEvery == 0 && b.Number > 1 {
						want = 1
					}
					if got := count(t, b.Uncles()); got != want {
						t.Fatalf("block %d has %d uncles, want %d", b.Number, got, want)
					}
				}
			})
		}
	}
}

func TestSize(t *testing.T) {
	for _, net := range []*chain.Network{chain.Dev, chain.PoC6} {
		for _, size := range []int{1000, 1500, 5000, 20000, 100000, 1000000} {
			for b := range Generate(Config{Network: net, Size: size, Blocks: 3}) {
				// The documented "few bytes for each transaction".
				slack := 20 + 8*count(t, b.Transactions())
				if got := len(b.Raw()); got < size-slack || got > size+slack {
					t.Errorf("%s: block of %d bytes, want %d give or take %d", net.Name, got, size, slack)
				}
			}
		}
	}
}

func TestSeed(t *testing.T) {
	raws := func(c Config) (all []byte) {
		c.Blocks, c.Size, c.UncleEvery = 50, 2000, 7
		for b := range Generate(c) {
			all = append(all, b.Raw()...)
		}
		return all
	}
	if !bytes.Equal(raws(Config{Seed: 1}), raws(Config{Seed: 1})) {
		t.Error("the same seed made two chains")
	}
	if bytes.Equal(raws(Config{Seed: 1}), raws(Config{Seed: 2})) {
		t.Error("two seeds made the same chain")
	}
	// Tests elsewhere may rely on a seed for ever: then this hash stays.
	var head *chain.Block
	for b := range Generate(Config{Seed: 1, Blocks: 100, Size: 3000, UncleEvery: 10}) {
		head = b
	}
	const want = "0xe2a16bb3797c4edc35fabb205c3b0f74f56a123bcf4aca5f91aeaeedf547e90b"
	if got := head.Hash.Hex(); got != want {
		t.Errorf("block 100 of seed 1 is %s, want %s", got, want)
	}
}

func TestForksShareTheTrunk(t *testing.T) {
	trunk := Config{Seed: 1, Blocks: 60, Txs: 2, UncleEvery: 4}
	main := slices.Collect(Generate(trunk))
	at := main[29]

	// The same seed goes on as before.
	rest := trunk.From(at)
	rest.Blocks = 30
	for i, b := range slices.Collect(Generate(rest)) {
		if want := main[30+i]; b.Hash != want.Hash {
			t.Fatalf("continued at block 30, block %d is %x, want %x", b.Number, b.Hash, want.Hash)
		}
	}
	// Another one does not, and shorter intervals make a heavier branch.
	fork := trunk.From(at)
	fork.Seed, fork.Interval, fork.Blocks = 2, 5, 30
	branch := slices.Collect(Generate(fork))
	verify(t, chain.Dev, at, branch)
	if branch[0].Number != 31 || branch[0].Hash == main[30].Hash {
		t.Errorf("the branch starts with block %d (%x)", branch[0].Number, branch[0].Hash)
	}
	if !branch[29].Difficulty.Gt(&main[59].Difficulty) {
		t.Errorf("difficulty is %s on the fast branch, %s on the slow", branch[29].Difficulty.Dec(), main[59].Difficulty.Dec())
	}
}

func TestAnyShape(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		net := rapid.SampledFrom(chain.Networks()).Draw(rt, "network")
		c := Config{
			Network:    net,
			Seed:       rapid.Uint64().Draw(rt, "seed"),
			Blocks:     rapid.Uint64Range(1, 8).Draw(rt, "blocks"),
			Txs:        rapid.IntRange(0, 300).Draw(rt, "txs"),
			Size:       rapid.IntRange(0, 70000).Draw(rt, "size"),
			UncleEvery: rapid.Uint64Range(0, 3).Draw(rt, "uncle every"),
			Interval:   rapid.Uint64Range(0, 100).Draw(rt, "interval"),
		}
		verify(t, net, genesis(t, net), slices.Collect(Generate(c)))
	})
}

func TestValidate(t *testing.T) {
	poc6 := genesis(t, chain.PoC6)
	for _, c := range []Config{
		{Parent: poc6}, // on Dev
		{Txs: -1},
		{Size: -1},
		{Network: &chain.Network{Name: "broken", Format: chain.FormatFrontier, Genesis: "x"}},
		{Network: &chain.Network{Name: "broken"}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

func Example() {
	for b := range Generate(Config{Seed: 1, Blocks: 3, Txs: 2}) {
		fmt.Println(b.Number, b.Difficulty.Dec(), b.GasUsed)
	}
	// Output:
	// 1 131072 42000
	// 2 131072 42000
	// 3 131072 42000
}

func BenchmarkGenerate(b *testing.B) {
	for _, c := range []struct {
		name string
		Config
	}{
		{"empty", Config{}},
		{"20kB", Config{Size: 20000}},
		{"20kB-100txs", Config{Size: 20000, Txs: 100}},
		{"poc6-empty", Config{Network: chain.PoC6}},
	} {
		b.Run(c.name, func(b *testing.B) {
			g, err := New(c.Config)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			var n int64
			for b.Loop() {
				n += int64(len(g.Next().Raw()))
			}
			b.SetBytes(n / int64(b.N))
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blocks/s")
		})
	}
}
