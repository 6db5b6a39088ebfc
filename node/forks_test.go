package node_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/testbed"
)

// Chains that compete, as other clients have left them, each offered by another peer
// in every order: the node always ends on the heaviest.

// forkData returns the path of a file of the optional fork data beside the
// repository, and skips the test if it is not there.
func forkData(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join("..", "..", "shared", "data", "forks", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("real chain data is optional, and %s is not there", path)
	}
	return path
}

// genesisFile is a genesis block as geth and its relatives describe it.
type genesisFile struct {
	Config struct {
		HomesteadBlock, ByzantiumBlock, ConstantinopleBlock, MuirGlacierBlock, LondonBlock *uint64
		Ethash                                                                             struct{ FixedDifficulty uint64 }
	}
	Alloc map[common.UnprefixedAddress]struct {
		Balance string // decimal or hexadecimal
		Nonce   hexutil.Uint64
		Code    hexutil.Bytes
		Storage map[string]string
	}
	Nonce, Timestamp, Difficulty, GasLimit, ExtraData string
}

// number reads decimal and hexadecimal numbers.
func number(t testing.TB, s string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(s, 0)
	if !ok {
		t.Fatalf("%q is no number", s)
	}
	return n
}

// rootOf returns the root of a trie of values under the hashes of their keys.
func rootOf(t testing.TB, values map[common.Hash][]byte) common.Hash {
	t.Helper()
	var keys []common.Hash
	for k := range values {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, common.Hash.Cmp)
	tree := trie.NewStackTrie(nil)
	for _, k := range keys {
		if err := tree.Update(k[:], values[k]); err != nil {
			t.Fatal(err)
		}
	}
	return tree.Hash()
}

func encoded(t testing.TB, x any) []byte {
	t.Helper()
	raw, err := rlp.EncodeToBytes(x)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// network is the network that a genesis file describes.
func (f *genesisFile) network(t testing.TB, name string) *chain.Network {
	t.Helper()
	accounts := make(map[common.Hash][]byte)
	for address, a := range f.Alloc {
		storage := make(map[common.Hash][]byte)
		for k, v := range a.Storage {
			key, value := common.HexToHash(k), common.HexToHash(v)
			storage[crypto.Keccak256Hash(key[:])] = encoded(t, common.TrimLeftZeroes(value[:]))
		}
		balance := new(uint256.Int)
		if a.Balance != "" {
			balance.SetFromBig(number(t, a.Balance))
		}
		accounts[crypto.Keccak256Hash(address[:])] = encoded(t, &types.StateAccount{
			Nonce: uint64(a.Nonce), Balance: balance, Root: rootOf(t, storage), CodeHash: crypto.Keccak256(a.Code),
		})
	}
	at := func(n *uint64) (f chain.Fork) {
		if n != nil {
			f = chain.At(*n)
		}
		return f
	}
	c := &f.Config
	net := &chain.Network{
		Name: name, ID: 1, Format: chain.FormatFrontier, FixedDifficulty: c.Ethash.FixedDifficulty,
		Forks: chain.Forks{
			Homestead: at(c.HomesteadBlock), Byzantium: at(c.ByzantiumBlock), Constantinople: at(c.ConstantinopleBlock),
			MuirGlacier: at(c.MuirGlacierBlock), London: at(c.LondonBlock),
		},
	}
	h := &types.Header{
		UncleHash: types.EmptyUncleHash, TxHash: types.EmptyTxsHash, ReceiptHash: types.EmptyReceiptsHash, Root: rootOf(t, accounts),
		Number: new(big.Int), Difficulty: number(t, f.Difficulty), GasLimit: number(t, f.GasLimit).Uint64(),
		Time: number(t, f.Timestamp).Uint64(), Extra: common.FromHex(f.ExtraData), Nonce: types.EncodeNonce(number(t, f.Nonce).Uint64()),
	}
	if net.Forks.London.Active(0) {
		h.BaseFee = big.NewInt(1_000_000_000)
	}
	net.Genesis = string(encoded(t, []any{h, []any{}, []any{}}))
	return net
}

// readBranch reads a chain with or without its genesis block.
func readBranch(t testing.TB, net *chain.Network, file string) *testbed.Branch {
	t.Helper()
	g, err := net.GenesisBlock()
	if err != nil {
		t.Fatal(err)
	}
	var blocks []*chain.Block
	for b, err := range archive.Blocks(forkData(t, file), net) {
		if err != nil {
			t.Fatal(err)
		}
		// A block of an archive is good until the next one.
		own, err := net.ParseBlock(slices.Clone(b.Raw()))
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, own)
	}
	if blocks[0].Number == 0 {
		if blocks[0].Hash != g.Hash {
			t.Fatalf("%s begins with %x, the genesis file with %x", file, blocks[0].Hash, g.Hash)
		}
		blocks = blocks[1:]
	}
	if blocks[0].Parent != g.Hash {
		t.Fatalf("%s stands on %x, the genesis block is %x", file, blocks[0].Parent, g.Hash)
	}
	return testbed.NewBranch(t, net, nil, 0, blocks)
}

// cut returns the first blocks of a chain, up to a number.
func cut(t testing.TB, b *testbed.Branch, number int) *testbed.Branch {
	return testbed.NewBranch(t, b.Network, b, number, nil)
}

// orders returns all orders of n things if there are few, and some by seed if not.
func orders(n int) (all [][]int) {
	const few, some = 4, 4
	if n > few {
		for seed := range uint64(some) {
			all = append(all, rand.New(rand.NewPCG(seed, 1)).Perm(n))
		}
		return all
	}
	var permute func(done, left []int)
	permute = func(done, left []int) {
		if len(left) == 0 {
			all = append(all, slices.Clone(done))
		}
		for i, x := range left {
			permute(append(done, x), slices.Delete(slices.Clone(left), i, i+1))
		}
	}
	left := make([]int, n)
	for i := range left {
		left[i] = i
	}
	permute(nil, left)
	return all
}

// compete offers the chains in every order, all at once and one after another has
// settled.
func compete(t *testing.T, chains map[string]*testbed.Branch) {
	t.Helper()
	names := slices.Sorted(maps.Keys(chains))
	for _, at := range []struct {
		name    string
		patient bool
	}{{"at once", false}, {"one after another", true}} {
		t.Run(at.name, func(t *testing.T) {
			inBubbleOf(t, chains[names[0]].Network, func(t *testing.T, w *world) {
				for _, order := range orders(len(names)) {
					var list []*testbed.Branch
					for _, i := range order {
						list = append(list, chains[names[i]])
					}
					w.race(list, at.patient)
				}
			})
		})
	}
}

// race lets a new node meet chains in an order, each served by a session that has
// this chain only.
func (w *world) race(chains []*testbed.Branch, patient bool) {
	w.Helper()
	v := w.node("victim", nil, nil)
	defer func() {
		v.stop()
		v.store.Close()
		w.nodes = w.nodes[:len(w.nodes)-1]
	}()
	var heaviest uint256.Int // so far
	for i, c := range chains {
		r := w.rogue("honest", c)
		r.host.SetDelay(5 * ms)
		w.wg.Go(func() { r.dial(v) })
		before := v.store.Head()
		if c.TD.Gt(&heaviest) {
			heaviest = c.TD
		}
		if !patient {
			time.Sleep(3 * ms)
			if i < len(chains)-1 {
				continue
			}
		}
		v.until(fmt.Sprintf("the heaviest of the first %d", i+1), func(any) bool {
			return v.store.Head().TD == heaviest
		})
		time.Sleep(time.Minute)
		// First seen stays.
		if h := v.store.Head(); h.TD != heaviest || h.TD == before.TD && h.Hash != before.Hash {
			w.Fatalf("after %d of %s the head is block %d, %x of %v, want %v", i+1, order(chains), h.Number, h.Hash[:4], &h.TD, &heaviest)
		}
	}
	h := v.store.Head()
	for _, c := range chains {
		if c.Head().Hash == h.Hash {
			v.has(c)
		}
	}
	// What they share is fetched once, and nothing else more often.
	if s := v.last().Pool; s.DuplicateBytes > 0 {
		w.Errorf("%s: %d bytes came twice", order(chains), s.DuplicateBytes)
	}
	v.fair()
}

// order is the order of chains, for a test that fails.
func order(chains []*testbed.Branch) (s string) {
	for _, c := range chains {
		s += fmt.Sprintf("%x ", c.Head().Hash[:4])
	}
	return s
}

// readGenesis returns the network of a genesis file.
func readGenesis(t testing.TB, file string) *chain.Network {
	t.Helper()
	raw, err := os.ReadFile(forkData(t, file))
	if err != nil {
		t.Fatal(err)
	}
	var f genesisFile
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return f.network(t, file)
}

// TestForksOfHive: chains of up to 1024 blocks on one genesis block, five of them of
// the same weight. Their names say what they weigh.
func TestForksOfHive(t *testing.T) {
	net := readGenesis(t, "hive-engine-genesis-9c0f.json")
	paths, err := filepath.Glob(filepath.Join(filepath.Dir(forkData(t, "hive-blocks_1_td_196416.rlp")), "hive-blocks_*.rlp"))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]*testbed.Branch)
	for _, p := range paths {
		b := readBranch(t, net, filepath.Base(p))
		td := new(uint256.Int).Sub(&b.TD, &b.Blocks[0].Difficulty)
		if name := filepath.Base(p); !strings.Contains(name, "_td_"+td.Dec()) {
			t.Errorf("%s has total difficulty %v", name, td)
		} else {
			all[name] = b
		}
	}
	few := maps.Clone(all)
	maps.DeleteFunc(few, func(name string, _ *testbed.Branch) bool {
		return !slices.Contains([]string{
			"hive-blocks_1_td_196704.rlp", "hive-blocks_2_td_393120.rlp", "hive-blocks_10_td_1971072_1.rlp", "hive-blocks_10_td_1971072_2.rlp",
		}, name)
	})
	t.Run("four in every order", func(t *testing.T) { compete(t, few) })
	t.Run("all of them", func(t *testing.T) { compete(t, all) })
}

// TestForksOfBesu: two chains of the same weight on a trunk of six blocks. Cut to
// different lengths they weigh more or less.
func TestForksOfBesu(t *testing.T) {
	net := readGenesis(t, "besu-genesis-outdated.json")
	if other := readGenesis(t, "besu-genesis-upgraded.json"); other.Genesis != net.Genesis {
		t.Fatal("the genesis blocks differ")
	}
	outdated := readBranch(t, net, "besu-fork-outdated.blocks")
	upgraded := readBranch(t, net, "besu-fork-upgraded.blocks")
	t.Run("of the same weight", func(t *testing.T) {
		compete(t, map[string]*testbed.Branch{"common": readBranch(t, net, "besu-fork-common.blocks"), "outdated": outdated, "upgraded": upgraded})
	})
	for _, lengths := range [][4]int{{8, 10, 9, 7}, {7, 9, 8, 10}} {
		t.Run(fmt.Sprint(lengths), func(t *testing.T) {
			compete(t, map[string]*testbed.Branch{
				"outdated": cut(t, outdated, lengths[0]), "more outdated": cut(t, outdated, lengths[1]),
				"upgraded": cut(t, upgraded, lengths[2]), "more upgraded": cut(t, upgraded, lengths[3]),
			})
		})
	}
}

// TestForksOfEthereumJ: a chain of ten blocks and one that leaves it after the fifth
// and ends with the eighth. They come without their genesis block, which is known
// from the client's source: three rich accounts, and a difficulty of 16 that stays.
// That it has the hash of their parent shows that it is the one.
func TestForksOfEthereumJ(t *testing.T) {
	var f genesisFile
	rich := new(big.Int).Lsh(big.NewInt(1), 200).String()
	err := json.Unmarshal(fmt.Appendf(nil, `{
		"alloc": {
			"5db10750e8caff27f906b41c71b3471057dd2004": {"balance": %[1]q},
			"31e2e1ed11951c7091dfba62cd4b7145e947219c": {"balance": %[1]q},
			"ee0250c19ad59305b2bdb61f34b45b72fe37154f": {"balance": %[1]q}
		},
		"config": {"ethash": {"fixeddifficulty": 16}},
		"nonce": "0x0", "timestamp": "0x0", "difficulty": "0x10", "gasLimit": "0x1000000000",
		"extraData": "0x11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa"
	}`, rich), &f)
	if err != nil {
		t.Fatal(err)
	}
	net := f.network(t, "ethereumj")
	long := readBranch(t, net, "ej-sync-main-b1-b10.hex")
	short := readBranch(t, net, "ej-sync-fork-b1-b5-b8.hex")
	compete(t, map[string]*testbed.Branch{"main": long, "fork": short, "main up to 7": cut(t, long, 7), "trunk": cut(t, long, 5)})
}
