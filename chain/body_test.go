package chain_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
)

// typedTxs returns an access list and a dynamic fee transaction, as they stand
// in a block.
func typedTxs(t testing.TB) (txs [][]byte) {
	t.Helper()
	to := common.Address{1, 2, 3}
	for _, data := range []types.TxData{
		&types.AccessListTx{ChainID: big.NewInt(1337), Nonce: 1, GasPrice: big.NewInt(7), Gas: 21000, To: &to, Value: big.NewInt(5),
			AccessList: types.AccessList{{Address: to, StorageKeys: []common.Hash{{1}}}}, V: big.NewInt(1), R: big.NewInt(2), S: big.NewInt(3)},
		&types.DynamicFeeTx{ChainID: big.NewInt(1337), Nonce: 2, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(7), Gas: 21000, To: &to,
			Data: []byte("hello"), V: new(big.Int), R: big.NewInt(2), S: big.NewInt(3)},
	} {
		env, err := types.NewTx(data).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		txs = append(txs, str(env))
	}
	return txs
}

// fullBlock is a block of the format with several transactions, in 2015 also
// typed ones, and two uncles.
func fullBlock(t testing.TB, f chain.Format) *parts {
	t.Helper()
	blocks := generate(chaingen.Config{Network: networkOf(f), Seed: 5, Blocks: 4, Txs: 3, Size: 1200, UncleEvery: 4})
	p := takeApart(t, blocks[3].Raw())
	p.uncles = append(p.uncles, blocks[1].Header.Raw())
	if f == chain.FormatFrontier {
		p.txs = append(p.txs, typedTxs(t)...)
	}
	return p.seal(t, f)
}

var formats = []chain.Format{chain.FormatFrontier, chain.FormatPoC6}

// TestTransactionCounts goes over the places where the order of the keys, which
// are rlp(index), and their length change.
func TestTransactionCounts(t *testing.T) {
	// Leaves of less than 32 bytes stand in their parent node unhashed.
	kinds := []struct {
		name string
		f    chain.Format
		tx   func(i int) []byte
	}{
		{"tiny", chain.FormatFrontier, func(i int) []byte { return list(num(uint64(i))) }},
		{"empty", chain.FormatFrontier, func(i int) []byte { return list() }},
		{"typed", chain.FormatFrontier, func(i int) []byte { return str([]byte{byte(i % 128), 0, byte(i)}) }},
		{"big", chain.FormatFrontier, func(i int) []byte { return list(num(uint64(i)), str(zeros(100))) }},
		{"mixed", chain.FormatFrontier, func(i int) []byte {
			switch i % 3 {
			case 0:
				return list(num(uint64(i)))
			case 1:
				return str([]byte{2, byte(i), 0xc0})
			}
			return list(str(zeros(i)))
		}},
		{"2014 tiny", chain.FormatPoC6, func(i int) []byte { return list(list(), str(nil), num(uint64(i))) }},
		{"2014", chain.FormatPoC6, func(i int) []byte {
			return list(list(num(uint64(i)), str(zeros(60))), str(zeros(32)), num(uint64(500*i)))
		}},
	}
	for _, n := range []int{0, 1, 2, 15, 16, 17, 18, 126, 127, 128, 129, 130, 255, 256, 257, 300, 1000} {
		for _, k := range kinds {
			p := takeApart(t, []byte(networkOf(k.f).Genesis))
			var leaves [][]byte
			for i := range n {
				tx := k.tx(i)
				p.txs = append(p.txs, tx)
				if tx[0] < 0xc0 {
					tx = tx[1:]
				}
				leaves = append(leaves, tx)
			}
			b := mustParse(t, k.f, p.seal(t, k.f).join())
			if err := networkOf(k.f).CheckBlock(b); err != nil {
				t.Errorf("%d %s transactions: %v", n, k.name, err)
			}
			i := 0
			for leaf, err := range b.Transactions() {
				if err != nil || i >= n || !bytes.Equal(leaf, leaves[i]) {
					t.Fatalf("transaction %d of %d %s: got %x, %v", i, n, k.name, leaf, err)
				}
				i++
			}
			if i != n {
				t.Errorf("got %d of %d %s transactions", i, n, k.name)
			}
			// Each of the places that are special has to count.
			for _, j := range []int{0, 1, 126, 127, 128, 129, n - 1} {
				if n > 300 || j < 0 || j >= n {
					continue
				}
				q := p.clone()
				q.txs[j] = map[bool][]byte{
					false: list(str([]byte("another")), list()),
					true:  list(str([]byte("another")), str(nil), str(nil)),
				}[k.f == chain.FormatPoC6]
				wantBody(t, k.f, q, chain.RuleTransactionsRoot)
			}
		}
	}
}

// wantBody checks that the block parses under its old hash and breaks the rule.
func wantBody(t testing.TB, f chain.Format, p *parts, rule chain.Rule) {
	t.Helper()
	b := mustParse(t, f, p.join())
	if got, want := b.Hash, crypto.Keccak256Hash(list(p.header...)); got != want {
		t.Errorf("hash is %x, want %x", got, want)
	}
	err := networkOf(f).CheckBlock(b)
	wantRuleError(t, err, rule, &b.Header)
	if !rule.OfBody() {
		t.Errorf("%q is about the body", rule)
	}
}

// TestEmptyBody: the two formats write an empty transactions root differently.
func TestEmptyBody(t *testing.T) {
	for _, f := range formats {
		p := takeApart(t, []byte(networkOf(f).Genesis))
		b := mustParse(t, f, p.join())
		want := types.EmptyTxsHash
		if f == chain.FormatPoC6 {
			want = common.Hash{}
		}
		if b.TxRoot != want || b.UnclesHash != types.EmptyUncleHash {
			t.Errorf("%v: got transactions root %x and uncles hash %x", f, b.TxRoot, b.UnclesHash)
		}
		other := map[bool][]byte{true: str(types.EmptyTxsHash[:]), false: str(zeros(32))}
		p.header[itemTxs] = other[f == chain.FormatPoC6]
		wantBody(t, f, p, chain.RuleTransactionsRoot)
		p = takeApart(t, []byte(networkOf(f).Genesis))
		p.header[itemUncles] = str(types.EmptyTxsHash[:])
		wantBody(t, f, p, chain.RuleUnclesHash)
	}
}

// TestForeignBody gives a right header every wrong body in reach.
func TestForeignBody(t *testing.T) {
	for _, f := range formats {
		good := fullBlock(t, f)
		if err := networkOf(f).CheckBlock(mustParse(t, f, good.join())); err != nil {
			t.Fatal(err)
		}
		change := func(rule chain.Rule, name string, do func(p *parts)) {
			t.Run(fmt.Sprint(f, " ", name), func(t *testing.T) {
				p := good.clone()
				do(p)
				wantBody(t, f, p, rule)
			})
		}
		for i := range good.txs {
			change(chain.RuleTransactionsRoot, fmt.Sprint("drop transaction ", i), func(p *parts) { p.txs = slices.Delete(p.txs, i, i+1) })
			change(chain.RuleTransactionsRoot, fmt.Sprint("double transaction ", i), func(p *parts) { p.txs = slices.Insert(p.txs, i, p.txs[i]) })
			change(chain.RuleTransactionsRoot, fmt.Sprint("add transaction ", i), func(p *parts) { p.txs = append(p.txs, p.txs[i]) })
			for j := range i {
				change(chain.RuleTransactionsRoot, fmt.Sprintf("swap transactions %d and %d", i, j), func(p *parts) { p.txs[i], p.txs[j] = p.txs[j], p.txs[i] })
			}
		}
		for i := range good.uncles {
			change(chain.RuleUnclesHash, fmt.Sprint("drop uncle ", i), func(p *parts) { p.uncles = slices.Delete(p.uncles, i, i+1) })
			change(chain.RuleUnclesHash, fmt.Sprint("add uncle ", i), func(p *parts) { p.uncles = append(p.uncles, p.uncles[i]) })
		}
		change(chain.RuleUnclesHash, "swap uncles", func(p *parts) { p.uncles[0], p.uncles[1] = p.uncles[1], p.uncles[0] })
		change(chain.RuleUnclesHash, "no uncles", func(p *parts) { p.uncles = nil })
		change(chain.RuleUnclesHash, "an empty uncle", func(p *parts) { p.uncles = [][]byte{list()} })
		change(chain.RuleUnclesHash, "uncles that are not headers", func(p *parts) { p.uncles = [][]byte{str(zeros(9))} })
		change(chain.RuleTransactionsRoot, "no transactions", func(p *parts) { p.txs = nil })
		change(chain.RuleTransactionsRoot, "both wrong", func(p *parts) { p.txs, p.uncles = nil, nil })
		if f == chain.FormatFrontier {
			// The same bytes in the trie must not mean two blocks.
			change(chain.RuleTransactionsRoot, "legacy as typed", func(p *parts) { p.txs[0] = str(append([]byte{1}, p.txs[0]...)) })
		}
		parsed := mustParse(t, f, good.join())
		body := len(good.join()) - len(list(good.txs...)) - len(list(good.uncles...))
		for i := range parsed.Raw()[body:] {
			for _, flip := range []byte{0x01, 0x80, 0xff} {
				raw := bytes.Clone(parsed.Raw())
				raw[body+i] ^= flip
				inUncles := body+i >= len(raw)-len(list(good.uncles...))
				b, err := chain.ParseBlock(f, raw)
				if err == nil {
					if b.Hash != parsed.Hash {
						t.Fatalf("the body has changed the hash")
					}
					err = networkOf(f).CheckBlock(b)
				}
				re, isRule := errors.AsType[*chain.RuleError](err)
				_, isFormat := errors.AsType[*chain.FormatError](err)
				switch {
				case !isRule && !isFormat:
					t.Fatalf("%v: byte %d of the body flipped by %#x: got %v", f, i, flip, err)
				case isRule && (!re.Rule.OfBody() || (re.Rule == chain.RuleUnclesHash) != inUncles):
					t.Fatalf("%v: byte %d of the body flipped by %#x: got %v", f, i, flip, err)
				}
			}
		}
	}
}

// TestBadEntries: entries of the transaction list that no trie holds.
func TestBadEntries(t *testing.T) {
	for _, c := range []struct {
		name  string
		f     chain.Format
		entry []byte
	}{
		{"empty string", chain.FormatFrontier, []byte{0x80}},
		{"one small byte", chain.FormatFrontier, []byte{0x02}},
		{"one big byte", chain.FormatFrontier, []byte{0x81, 0xf8}},
		{"one byte, not canonical", chain.FormatFrontier, []byte{0x81, 0x02}},
		{"type above 0x7f", chain.FormatFrontier, str([]byte{0x80, 1, 2})},
		{"a legacy transaction in a string", chain.FormatFrontier, str(list(num(1), num(2)))},
		{"long form of a short list", chain.FormatFrontier, []byte{0xf8, 0x01, 0x01}},
		{"long form of a short string", chain.FormatFrontier, []byte{0xb8, 0x02, 0x02, 0xc0}},
		{"size with a leading zero", chain.FormatFrontier, append([]byte{0xb9, 0, 60, 2}, zeros(59)...)},
		{"longer than the list", chain.FormatFrontier, []byte{0xc5, 1}},
		{"size of eight bytes", chain.FormatFrontier, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		{"2014: a string", chain.FormatPoC6, str([]byte{1, 2, 3})},
		{"2014: two items", chain.FormatPoC6, list(list(), str(nil))},
		{"2014: four items", chain.FormatPoC6, list(list(), str(nil), str(nil), str(nil))},
		{"2014: empty", chain.FormatPoC6, list()},
		{"2014: items that are not", chain.FormatPoC6, []byte{0xc3, 0x81, 0x00, 0x01}},
	} {
		t.Run(c.name, func(t *testing.T) {
			good := map[chain.Format][]byte{chain.FormatFrontier: list(), chain.FormatPoC6: list(list(), str(nil), str(nil))}[c.f]
			for _, txs := range [][][]byte{{c.entry}, {good, c.entry}, {c.entry, good}} {
				p := takeApart(t, []byte(networkOf(c.f).Genesis))
				p.txs = txs
				b := mustParse(t, c.f, p.join())
				wantFormatError(t, networkOf(c.f).CheckBlock(b), "transactions")
				var last error
				n := 0
				for _, last = range b.Transactions() {
					n++
				}
				wantFormatError(t, last, "transactions")
				if n > len(txs) {
					t.Error("it went on after the error")
				}
			}
			// The next block must not suffer from what this one has left behind.
			b := mustParse(t, c.f, fullBlock(t, c.f).join())
			if err := networkOf(c.f).CheckBlock(b); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUncleHeaders(t *testing.T) {
	for _, f := range formats {
		p := fullBlock(t, f)
		b := mustParse(t, f, p.join())
		i := 0
		for u, err := range b.Uncles() {
			if err != nil {
				t.Fatal(err)
			}
			if u.Hash != crypto.Keccak256Hash(p.uncles[i]) || !bytes.Equal(u.Raw(), p.uncles[i]) {
				t.Errorf("%v: uncle %d is %x", f, i, u.Hash)
			}
			i++
		}
		if i != 2 {
			t.Errorf("%v: got %d uncles, want 2", f, i)
		}
		for range b.Uncles() {
			break // must not go on
		}
		for range b.Transactions() {
			break
		}
		// Good ones come before the error, nothing after it.
		p.uncles = [][]byte{p.uncles[0], list(), p.uncles[1]}
		var errs []error
		for _, err := range mustParse(t, f, p.join()).Uncles() {
			errs = append(errs, err)
		}
		if len(errs) != 2 || errs[0] != nil {
			t.Fatalf("%v: got %v", f, errs)
		}
		wantFormatError(t, errs[1], "uncles")
		p.uncles = [][]byte{{0x81, 0x01}}
		for _, err := range mustParse(t, f, p.join()).Uncles() {
			wantFormatError(t, err, "uncles")
		}
	}
}
