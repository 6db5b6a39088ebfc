package chain_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
)

// sameAsGeth checks a valid Frontier block, field by field, against the
// decoding of go-ethereum. It returns the number of transactions, and of typed
// ones.
func sameAsGeth(t testing.TB, net *chain.Network, b *chain.Block) (txs, typed int) {
	t.Helper()
	var g types.Block
	if err := rlp.DecodeBytes(b.Raw(), &g); err != nil {
		t.Fatalf("block %d: go-ethereum refuses it: %v", b.Number, err)
	}
	got, want := describe(&b.Header), describeGeth(g.Header())
	if got != want {
		t.Fatalf("block %d: got %s\nwant %s", b.Number, got, want)
	}
	if b.Hash != g.Hash() {
		t.Fatalf("block %d: got hash %x, want %x", b.Number, b.Hash, g.Hash())
	}
	uncles := 0
	for u, err := range b.Uncles() {
		if err != nil {
			t.Fatal(err)
		}
		if got, want := describe(u), describeGeth(g.Uncles()[uncles]); got != want || u.Hash != g.Uncles()[uncles].Hash() {
			t.Fatalf("block %d, uncle %d: got %s\nwant %s", b.Number, uncles, got, want)
		}
		uncles++
	}
	if uncles != len(g.Uncles()) {
		t.Fatalf("block %d: got %d uncles, want %d", b.Number, uncles, len(g.Uncles()))
	}
	for leaf, err := range b.Transactions() {
		if err != nil {
			t.Fatal(err)
		}
		if got, want := crypto.Keccak256Hash(leaf), g.Transactions()[txs].Hash(); got != want {
			t.Fatalf("block %d: transaction %d is %x, want %x", b.Number, txs, got, want)
		}
		if leaf[0] < 0xc0 {
			typed++
		}
		txs++
	}
	if txs != len(g.Transactions()) {
		t.Fatalf("block %d: got %d transactions, want %d", b.Number, txs, len(g.Transactions()))
	}
	if err := net.CheckBlock(b); err != nil && !ofHeader(err) {
		t.Fatal(err)
	}
	if root := types.DeriveSha(g.Transactions(), trie.NewStackTrie(nil)); root != b.TxRoot {
		t.Fatalf("block %d: got transactions root %x, want %x", b.Number, b.TxRoot, root)
	}
	if h := types.CalcUncleHash(g.Uncles()); h != b.UnclesHash {
		t.Fatalf("block %d: got uncles hash %x, want %x", b.Number, b.UnclesHash, h)
	}
	return txs, typed
}

// ofHeader reports whether an error of CheckBlock is about a rule for headers:
// then the body was not looked at.
func ofHeader(err error) bool {
	e, ok := errors.AsType[*chain.RuleError](err)
	return ok && !e.Rule.OfBody()
}

const description = "hash %x parent %x uncles %x coinbase %x state %x txs %x receipts %x difficulty %s number %s gas %d of %d time %d extra %x mix %x nonce %x fee %s"

func describe(h *chain.Header) string {
	fee := "none"
	if h.Items == 16 {
		fee = h.BaseFee.Dec()
	}
	return fmt.Sprintf(description, h.Hash, h.Parent, h.UnclesHash, h.Coinbase[:], h.StateRoot, h.TxRoot, h.ReceiptRoot,
		h.Difficulty.Dec(), fmt.Sprint(h.Number), h.GasUsed, h.GasLimit, h.Time, h.Extra, h.MixDigest, h.Nonce, fee)
}

func describeGeth(h *types.Header) string {
	fee := "none"
	if h.BaseFee != nil {
		fee = h.BaseFee.String()
	}
	return fmt.Sprintf(description, h.Hash(), h.ParentHash, h.UncleHash, h.Coinbase[:], h.Root, h.TxHash, h.ReceiptHash,
		h.Difficulty, h.Number.String(), h.GasUsed, h.GasLimit, h.Time, h.Extra, h.MixDigest, h.Nonce[:], fee)
}

// compareWithGeth reads any bytes with both. Where only one of the two takes
// them, the reason must be one of these, each of which is on purpose:
//
//   - we refuse headers of more than 16 items and blocks of more than 3:
//     Shanghai and later, which are not proof of work;
//   - we refuse numbers over 64 bits, difficulties and base fees over 256 bits,
//     extra data over 1 MiB;
//   - we do not look into transactions and uncles: go-ethereum refuses what it
//     cannot decode there, with us the header has to commit to it.
func compareWithGeth(t testing.TB, raw []byte) {
	t.Helper()
	var g types.Block
	gerr := rlp.DecodeBytes(raw, &g)
	b, err := chain.ParseBlock(chain.FormatFrontier, raw)
	switch {
	case err == nil && gerr == nil:
		if got, want := describe(&b.Header), describeGeth(g.Header()); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
		err := chain.Dev.CheckBlock(b)
		if ofHeader(err) {
			return
		}
		if _, ok := errors.AsType[*chain.FormatError](err); ok {
			t.Errorf("go-ethereum reads this body: %v", err)
		}
		roots := types.DeriveSha(g.Transactions(), trie.NewStackTrie(nil)) == g.TxHash() && types.CalcUncleHash(g.Uncles()) == g.UncleHash()
		if ok := err == nil; ok != roots {
			t.Errorf("CheckBlock says %v, go-ethereum's roots are right: %v", err, roots)
		}
	case err == nil:
		// Without its body go-ethereum must take it.
		if gerr := rlp.DecodeBytes(list(b.Header.Raw(), list(), list()), &g); gerr != nil {
			t.Errorf("go-ethereum refuses the header: %v", gerr)
		} else if got, want := describe(&b.Header), describeGeth(g.Header()); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	case gerr == nil:
		h := g.Header()
		blockItems, headerItems := len(items(t, raw)), len(items(t, items(t, raw)[0]))
		switch {
		case headerItems > 16, blockItems > 3:
		case h.Number.BitLen() > 64, h.Difficulty.BitLen() > 256, h.BaseFee != nil && h.BaseFee.BitLen() > 256:
		case len(h.Extra) > 1<<20:
		default:
			t.Errorf("go-ethereum reads it, we say: %v", err)
		}
	}
}

func TestRealBlocksAgainstGeth(t *testing.T) {
	for _, path := range sharedFiles(t, "mainnet/*.blocks", "mainnet/*.rlp", "forks/*.blocks", "forks/*.rlp", "forks/*.hex", "era1/mainnet-*.era1") {
		// Forks are of private networks, of several sets of rules.
		net := chain.Dev
		if filepath.Base(filepath.Dir(path)) != "forks" {
			net = chain.Mainnet
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			n, txs, typed := 0, 0, 0
			for b := range readFile(t, path, net) {
				if err := net.CheckBlock(b); err != nil {
					t.Fatal(err)
				}
				a, c := sameAsGeth(t, net, b)
				n, txs, typed = n+1, txs+a, typed+c
			}
			if n == 0 {
				t.Error("no blocks")
			}
			t.Logf("%d blocks, %d transactions, %d of them typed", n, txs, typed)
		})
	}
}

func TestRealSepoliaAgainstGeth(t *testing.T) {
	for _, name := range []string{"sepolia-00000-643a00f7.era1", "sepolia-00021-b8814b14.era1"} {
		t.Run(name, func(t *testing.T) {
			n, txs, typed := 0, 0, 0
			for b := range readFile(t, gethEra1(t, name), chain.Sepolia) {
				if err := chain.Sepolia.CheckBlock(b); err != nil {
					t.Fatal(err)
				}
				a, c := sameAsGeth(t, chain.Sepolia, b)
				n, txs, typed = n+1, txs+a, typed+c
			}
			if n != 8192 {
				t.Errorf("got %d blocks, want 8192", n)
			}
			t.Logf("%d blocks, %d transactions, %d of them typed", n, txs, typed)
		})
	}
}

func TestGeneratedAgainstGeth(t *testing.T) {
	for _, net := range []*chain.Network{chain.Mainnet, chain.Sepolia, chain.Dev} {
		for b := range chaingen.Generate(chaingen.Config{Network: net, Seed: 11, Blocks: 60, UncleEvery: 3,
			Shape: func(n uint64) (int, int) { return int(n * 5), int(n * 700) }}) {
			sameAsGeth(t, net, b)
			if err := net.CheckBlock(b); err != nil {
				t.Fatal(err)
			}
		}
		b, err := net.GenesisBlock()
		if err != nil {
			t.Fatal(err)
		}
		sameAsGeth(t, net, b)
	}
	b := mustParse(t, chain.FormatFrontier, fullBlock(t, chain.FormatFrontier).join())
	if txs, typed := sameAsGeth(t, chain.Dev, b); txs != 5 || typed != 2 {
		t.Errorf("got %d transactions, %d typed, want 5 and 2", txs, typed)
	}
}

// TestOddBlocksAgainstGeth holds the list of compareWithGeth against examples
// of each of its cases.
func TestOddBlocksAgainstGeth(t *testing.T) {
	good := fullBlock(t, chain.FormatFrontier)
	for name, change := range map[string]func(p *parts){
		"good":             func(p *parts) {},
		"withdrawals":      func(p *parts) { p.more = [][]byte{list()} },
		"17 items":         func(p *parts) { p.header = append(p.header, num(1), str(zeros(32))) },
		"big number":       func(p *parts) { p.header[itemNumber] = str(bytes.Repeat([]byte{1}, 9)) },
		"big difficulty":   func(p *parts) { p.header[itemDifficulty] = str(bytes.Repeat([]byte{1}, 33)) },
		"big fee":          func(p *parts) { p.header = append(p.header, str(bytes.Repeat([]byte{1}, 33))) },
		"big extra":        func(p *parts) { p.header[12] = str(bytes.Repeat([]byte{1}, 1<<20+1)) },
		"tx not readable":  func(p *parts) { p.txs[1] = list() },
		"unknown tx type":  func(p *parts) { p.txs[1] = str([]byte{0x7f, 1}) },
		"uncle unreadable": func(p *parts) { p.uncles[1] = num(7) },
		"other txs":        func(p *parts) { p.txs = p.txs[1:] },
		"other uncles":     func(p *parts) { p.uncles = p.uncles[1:] },
	} {
		t.Run(name, func(t *testing.T) {
			p := good.clone()
			change(p)
			compareWithGeth(t, p.join())
		})
	}
	raw := good.join()
	for i := range raw {
		for _, x := range []byte{1, 0xff} {
			changed := bytes.Clone(raw)
			changed[i] ^= x
			compareWithGeth(t, changed)
		}
	}
}

// TestEthereumTests reads the blocks of the official tests of July 2015, among
// them those with invalid RLP.
func TestEthereumTests(t *testing.T) {
	for _, path := range sharedFiles(t, "ethereum-tests/2015-07-29-olympic/BlockchainTests/*.json", "ethereum-tests/2015-07-29-olympic/BlockchainTests/*/*.json") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var all map[string]struct {
				GenesisRLP string `json:"genesisRLP"`
				Blocks     []struct {
					RLP    string `json:"rlp"`
					Header *struct {
						Hash string `json:"hash"`
					} `json:"blockHeader"`
				} `json:"blocks"`
			}
			if err := json.Unmarshal(data, &all); err != nil {
				t.Fatal(err)
			}
			valid, invalid := 0, 0
			for name, test := range all {
				for i, blk := range test.Blocks {
					raw, err := hex.DecodeString(strings.TrimPrefix(blk.RLP, "0x"))
					if err != nil {
						continue // the test is of a hex decoder
					}
					compareWithGeth(t, raw)
					if blk.Header == nil {
						invalid++
						continue
					}
					valid++
					b, err := chain.ParseBlock(chain.FormatFrontier, raw)
					if err != nil {
						t.Errorf("%s, block %d: %v", name, i, err)
						continue
					}
					if b.Hash != common.HexToHash(blk.Header.Hash) {
						t.Errorf("%s, block %d: got hash %x, want %s", name, i, b.Hash, blk.Header.Hash)
					}
					sameAsGeth(t, chain.Dev, b)
				}
			}
			t.Logf("%d blocks, and %d that are not to be accepted", valid, invalid)
		})
	}
}

// poc6Block is an independent reading of the 2014 format.
type poc6Block struct {
	Header  poc6Header
	Entries []rlp.RawValue
	Uncles  []poc6Header
}

type poc6Header struct {
	Parent, Uncles      common.Hash
	Coinbase            common.Address
	StateRoot, TxRoot   []byte
	Difficulty          *uint256.Int
	Number              uint64
	MinGasPrice         *uint256.Int
	GasLimit, Used, Now uint64
	Extra               []byte
	Nonce               [32]byte
}

func samePoC6(t testing.TB, b *chain.Block) (txs, uncles int) {
	t.Helper()
	var w poc6Block
	if err := rlp.DecodeBytes(b.Raw(), &w); err != nil {
		t.Fatalf("block %d: %v", b.Number, err)
	}
	same := func(h *chain.Header, w *poc6Header) {
		t.Helper()
		enc, err := rlp.EncodeToBytes(w)
		if err != nil {
			t.Fatal(err)
		}
		const format = "%x %x %x %x %x %x %s %d %s %d %d %d %x %x"
		got := fmt.Sprintf(format, h.Hash, h.Parent, h.UnclesHash, h.Coinbase[:], h.StateRoot, h.TxRoot, h.Difficulty.Dec(), h.Number,
			h.MinGasPrice.Dec(), h.GasLimit, h.GasUsed, h.Time, h.Extra, h.Nonce)
		want := fmt.Sprintf(format, crypto.Keccak256Hash(enc), w.Parent, w.Uncles, w.Coinbase[:], common.BytesToHash(w.StateRoot),
			common.BytesToHash(w.TxRoot), w.Difficulty.Dec(), w.Number, w.MinGasPrice.Dec(), w.GasLimit, w.Used, w.Now, w.Extra, w.Nonce)
		if got != want {
			t.Fatalf("block %d: got %s\nwant %s", b.Number, got, want)
		}
	}
	same(&b.Header, &w.Header)
	for u, err := range b.Uncles() {
		if err != nil {
			t.Fatal(err)
		}
		same(u, &w.Uncles[uncles])
		uncles++
	}
	var leaves [][]byte
	for leaf, err := range b.Transactions() {
		if err != nil || !bytes.Equal(leaf, w.Entries[txs]) {
			t.Fatalf("block %d, entry %d: got %x, %v", b.Number, txs, leaf, err)
		}
		leaves = append(leaves, leaf)
		txs++
	}
	if txs != len(w.Entries) || uncles != len(w.Uncles) {
		t.Fatalf("block %d: got %d transactions and %d uncles, want %d and %d", b.Number, txs, uncles, len(w.Entries), len(w.Uncles))
	}
	if err := chain.PoC6.CheckBlock(b); err != nil {
		t.Fatal(err)
	}
	if root := naiveRoot(leaves); txs > 0 && root != b.TxRoot || (txs == 0) != (len(w.Header.TxRoot) == 0) {
		t.Fatalf("block %d: got transactions root %x of %d entries, want %x", b.Number, w.Header.TxRoot, txs, root)
	}
	return txs, uncles
}

func TestRealPoC6(t *testing.T) {
	for _, c := range []struct {
		file, td string
		n        int
	}{
		{"chain500-pv30.hex", "84414393", 501},
		{"chain6-pv30.hex", "", 7},
		{"py-poc6-p28-chainB-1-211.hex", "", 211},
	} {
		t.Run(c.file, func(t *testing.T) {
			path := sharedFiles(t, "poc6/"+c.file)[0]
			linked := !strings.Contains(c.file, "p28") // its hashes are of whole blocks
			var last *chain.Block
			var td, sum uint256.Int
			n, txs, uncles := 0, 0, 0
			for b := range readFile(t, path, chain.PoC6) {
				a, u := samePoC6(t, b)
				n, txs, uncles = n+1, txs+a, uncles+u
				var err error
				if td, err = chain.PoC6.TotalDifficulty(&td, b); err != nil {
					t.Fatal(err)
				}
				sum.Add(&sum, &b.Difficulty)
				if linked && last != nil {
					if err := chain.PoC6.CheckLink(&last.Header, &b.Header); err != nil {
						t.Fatal(err)
					}
				}
				if linked && last == nil && b.Hash.Hex() != "0x08436a4d33c77e6acf013e586a3333ad152f25d31df8b68749d85046810e1f4b" {
					t.Errorf("genesis is %x", b.Hash)
				}
				last = b
			}
			if n != c.n || c.td != "" && td.Dec() != c.td {
				t.Errorf("got %d blocks of TD %s, want %d of %s", n, td.Dec(), c.n, c.td)
			}
			if (uncles > 0) != td.Gt(&sum) {
				t.Errorf("TD %s, without uncles %s, with %d uncles", td.Dec(), sum.Dec(), uncles)
			}
			t.Logf("%d blocks, %d transactions, %d uncles, TD %s", n, txs, uncles, td.Dec())
		})
	}
}

func TestGeneratedPoC6(t *testing.T) {
	for b := range chaingen.Generate(chaingen.Config{Network: chain.PoC6, Seed: 12, Blocks: 60, UncleEvery: 3,
		Shape: func(n uint64) (int, int) { return int(n * 5), 0 }}) {
		if txs, _ := samePoC6(t, b); txs != int(b.Number*5) {
			t.Fatalf("got %d transactions, want %d", txs, b.Number*5)
		}
	}
	samePoC6(t, mustParse(t, chain.FormatPoC6, unhex(t, block1)))
	samePoC6(t, mustParse(t, chain.FormatPoC6, fullBlock(t, chain.FormatPoC6).join()))
}
