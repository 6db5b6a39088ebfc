package archive

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/testbed"
)

func TestRealEra1(t *testing.T) {
	for _, c := range []struct {
		name     string
		path     func(testing.TB) string
		net      *chain.Network
		first, n uint64
		head, td string
		txs      int
	}{
		{
			"sepolia-00000", func(t testing.TB) string { return testbed.Era1(t, "sepolia-00000-643a00f7.era1") },
			chain.Sepolia, 0, 8192, "0x8e3e7dc9ef199c05683417b4aa572f0b7a8bcfafca7edb6045baabc01aa4fb0c", "14255663800", -1,
		},
		{
			"sepolia-00021", func(t testing.TB) string { return testbed.Era1(t, "sepolia-00021-b8814b14.era1") },
			chain.Sepolia, 172032, 8192, "", "", 93,
		},
		{
			"mainnet-00000", func(t testing.TB) string { return sharedData(t, "era1", "mainnet-00000-5ec1ffb8.era1") },
			chain.Mainnet, 0, 8192, "0xa6860fefa339c963e1bb622526cc8dd4344eedd2a9b969e74de5cccc445fbed4", "1344623723034024", 0,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := Open(c.path(t), c.net, Options{Receipts: true})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			var head Block
			n, txs := uint64(0), 0
			for b, err := range r.Blocks() {
				if err != nil {
					t.Fatal(err)
				}
				if b.Number != c.first+n {
					t.Fatalf("got block %d, want %d", b.Number, c.first+n)
				}
				for range b.Transactions() {
					txs++
				}
				if len(b.Receipts) == 0 {
					t.Fatalf("block %d has no receipts", b.Number)
				}
				head = b
				n++
			}
			if n != c.n {
				t.Errorf("got %d blocks, want %d", n, c.n)
			}
			if c.head != "" && (head.Hash.Hex() != c.head || head.TD.Dec() != c.td) {
				t.Errorf("head is %s with TD %s, want %s with %s", head.Hash.Hex(), head.TD.Dec(), c.head, c.td)
			}
			if c.txs >= 0 && txs != c.txs {
				t.Errorf("got %d transactions, want %d", txs, c.txs)
			}
			if read, size := r.Progress(); read != size || size == 0 {
				t.Errorf("progress at the end is %d of %d bytes", read, size)
			}
		})
	}
}

func TestRealPoC6(t *testing.T) {
	var td uint256.Int
	n := 0
	for b, err := range Blocks(sharedData(t, "poc6", "chain500-pv30.hex"), chain.PoC6) {
		if err != nil {
			t.Fatal(err)
		}
		if b.TD != nil {
			t.Fatal("a hex file has no TD")
		}
		if td, err = chain.PoC6.TotalDifficulty(&td, b.Block); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 501 || td.Dec() != "84414393" {
		t.Errorf("got %d blocks of TD %s, want genesis and 500 blocks of 84414393", n, td.Dec())
	}
}

// TestRealStreams reads everything that other clients left us.
func TestRealStreams(t *testing.T) {
	// hive's chains have every rule up to London from the start.
	first := chain.At(0)
	hive := &chain.Network{Name: "hive", Format: chain.FormatFrontier, Forks: chain.Forks{
		Homestead: first, Byzantium: first, Constantinople: first, MuirGlacier: first, London: first,
	}}
	// The other forks have a difficulty of their own making.
	unlinked := Options{SkipLinks: true}
	for _, c := range []struct {
		path string
		net  *chain.Network
		opts Options
		n    int // blocks
	}{
		{"mainnet/besu-0-999.blocks", chain.Mainnet, Options{}, 1000},
		{"mainnet/besu-46350-46399.blocks", chain.Mainnet, Options{}, 50},
		{"mainnet/besu-badpow-1.blocks", chain.Mainnet, Options{}, 2}, // only the seal is wrong
		{"mainnet/besu-block_300005.blocks", chain.Mainnet, Options{}, 1},
		{"mainnet/besu-block_300006.blocks", chain.Mainnet, Options{}, 1},
		{"mainnet/besu-block_1200000.blocks", chain.Mainnet, Options{}, 1},
		{"mainnet/besu-block_1200001.blocks", chain.Mainnet, Options{}, 1},
		{"mainnet/besu-block_4400000.blocks", chain.Mainnet, Options{}, 1},
		{"mainnet/besu-block_4400001.blocks", chain.Mainnet, Options{}, 1},
		{"mainnet/besu-block_4400002.blocks", chain.Mainnet, Options{}, 1},
		{"mainnet/parity-8481474.rlp", chain.Mainnet, Options{}, 1},
		{"mainnet/parity-8481475.rlp", chain.Mainnet, Options{}, 1},
		{"mainnet/parity-8481476.rlp", chain.Mainnet, Options{}, 1},
		{"forks/besu-fork-common.blocks", chain.Mainnet, unlinked, 7},
		{"forks/besu-fork-outdated.blocks", chain.Mainnet, unlinked, 11},
		{"forks/besu-fork-upgraded.blocks", chain.Mainnet, unlinked, 11},
		{"forks/ej-sync-main-b1-b10.hex", chain.Mainnet, unlinked, 10},
		{"forks/ej-sync-fork-b1-b5-b8.hex", chain.Mainnet, unlinked, 8},
		{"forks/hive-blocks_1024_td_135112316.rlp", hive, Options{}, 1024},
		{"poc6/chain6-pv30.hex", chain.PoC6, Options{}, 7},
		// Its blocks name their parents by another hash than ours.
		{"poc6/py-poc6-p28-chainB-1-211.hex", chain.PoC6, Options{SkipLinks: true}, 211},
	} {
		t.Run(c.path, func(t *testing.T) {
			r, err := Open(sharedData(t, strings.Split(c.path, "/")...), c.net, c.opts)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			n := 0
			for _, err := range r.Blocks() {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			if n != c.n {
				t.Errorf("got %d blocks, want %d", n, c.n)
			}
		})
	}
	small, _ := filepath.Glob(filepath.Join(filepath.Dir(sharedData(t, "forks", "hive-blocks_1_td_196416.rlp")), "hive-blocks_*.rlp"))
	for _, path := range small {
		t.Run(filepath.Base(path), func(t *testing.T) {
			for _, err := range Blocks(path, hive) {
				if err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	t.Run("wrong network", func(t *testing.T) {
		data, err := os.ReadFile(sharedData(t, "poc6", "chain6-pv30.hex"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = readAll(t, data, chain.Mainnet, Options{})
		e := wantError(t, err)
		if e.NumberKnown || e.Offset != 0 {
			t.Errorf("got %v", e)
		}
	})
}
