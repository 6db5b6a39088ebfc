package chain_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
)

// block1 is the block #1 of the protocol 30 specification, section 1.4: made by
// an independent encoder and valid under the rules of 2014.
const block1 = `f8be f8ba
 a008436a4d33c77e6acf013e586a3333ad152f25d31df8b68749d85046810e1f4b a01dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347
 9400112233445566778899aabbccddeeff00112233 a09b777e8bf13ee6652dd054fb81c8235def9bf73c177863c79dbb1b3596ebf510 80
 8301ff80 01 8609184e72a000 830f3e6f 80 8454020000 89505633302064656d6f
 a00000000000000000000000000000000000000000000000000000000000051721 c0 c0`

func TestBlock1(t *testing.T) {
	b := mustParse(t, chain.FormatPoC6, unhex(t, block1))
	genesis, err := chain.PoC6.GenesisBlock()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ field, got, want string }{
		{"hash", fmt.Sprintf("%x", b.Hash), "50f045ff42d134ea5e094250d184babfd704c8c0e9d64550d588aa756e6aa290"},
		{"parent", fmt.Sprintf("%x", b.Parent), fmt.Sprintf("%x", genesis.Hash)},
		{"uncles hash", b.UnclesHash.Hex(), types.EmptyUncleHash.Hex()},
		{"coinbase", fmt.Sprintf("%x", b.Coinbase[:]), "00112233445566778899aabbccddeeff00112233"},
		{"state root", fmt.Sprintf("%x", b.StateRoot), "9b777e8bf13ee6652dd054fb81c8235def9bf73c177863c79dbb1b3596ebf510"},
		{"transactions root", fmt.Sprintf("%x", b.TxRoot[:]), fmt.Sprintf("%064x", 0)},
		{"difficulty", b.Difficulty.Dec(), "130944"},
		{"number", fmt.Sprint(b.Number), "1"},
		{"minimum gas price", b.MinGasPrice.Dec(), "10000000000000"},
		{"gas limit", fmt.Sprint(b.GasLimit), "999023"},
		{"gas used", fmt.Sprint(b.GasUsed), "0"},
		{"time", fmt.Sprint(b.Time), fmt.Sprint(0x54020000)},
		{"extra", string(b.Extra), "PV30 demo"},
		{"nonce", fmt.Sprintf("%x", b.Nonce), fmt.Sprintf("%064x", 0x51721)},
		{"items", fmt.Sprint(b.Items), "13"},
		{"format", b.Format().String(), "PoC-6"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %s, want %s", c.field, c.got, c.want)
		}
	}
	if err := chain.PoC6.CheckBlock(b); err != nil {
		t.Error(err)
	}
	if err := chain.PoC6.CheckLink(&genesis.Header, &b.Header); err != nil {
		t.Error(err)
	}
	td, err := chain.PoC6.TotalDifficulty(uint256.NewInt(131072), b)
	if err != nil || td.Dec() != "262016" {
		t.Errorf("got TD %s, %v, want 262016", td.Dec(), err)
	}
	// It is no block of 2015.
	_, err = chain.ParseBlock(chain.FormatFrontier, b.Raw())
	wantFormatError(t, err, "header: length")
	_, err = chain.ParseBlock(chain.FormatPoC6, []byte(chain.Mainnet.Genesis))
	wantFormatError(t, err, "header: length")
}

// headerFields are the items of a header by format: their name in errors and how
// many bytes they have, at most if they are numbers.
var headerFields = map[chain.Format][]struct {
	name   string
	number bool
	size   int
	empty  bool // may also be empty
}{
	chain.FormatFrontier: {
		{"parent hash", false, 32, false}, {"uncles hash", false, 32, false}, {"coinbase", false, 20, false},
		{"state root", false, 32, false}, {"transactions root", false, 32, false}, {"receipts root", false, 32, false},
		{"logs bloom", false, 256, false}, {"difficulty", true, 32, false}, {"number", true, 8, false}, {"gas limit", true, 8, false},
		{"gas used", true, 8, false}, {"timestamp", true, 8, false}, {"extra data", false, -1, false},
		{"mix digest", false, 32, false}, {"nonce", false, 8, false}, {"base fee", true, 32, false},
	},
	chain.FormatPoC6: {
		{"parent hash", false, 32, false}, {"uncles hash", false, 32, false}, {"coinbase", false, 20, false},
		{"state root", false, 32, true}, {"transactions root", false, 32, true}, {"difficulty", true, 32, false},
		{"number", true, 8, false}, {"minimum gas price", true, 32, false}, {"gas limit", true, 8, false}, {"gas used", true, 8, false},
		{"timestamp", true, 8, false}, {"extra data", false, -1, false}, {"nonce", false, 32, false},
	},
}

// TestHeaderFields puts every wrong value in every place.
func TestHeaderFields(t *testing.T) {
	ones := func(n int) []byte { return bytes.Repeat([]byte{1}, n) }
	for _, f := range formats {
		good := fullBlock(t, f)
		if f == chain.FormatFrontier {
			good.header = append(good.header, num(7)) // London
		}
		for i, field := range headerFields[f] {
			type variant struct {
				what  string
				value []byte
				item  string // "": accepted
			}
			name := "header: " + field.name
			all := []variant{
				{"list", list(), name},
				{"list of a value", list(ones(1)), name},
				{"not canonical size", append([]byte{0xb8, 32}, ones(32)...), "header"},
				{"not canonical byte", []byte{0x81, 5}, "header"},
				{"size too big", []byte{0xbf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "header"},
			}
			accept := func(ok bool) string {
				if ok {
					return ""
				}
				return name
			}
			switch {
			case field.number:
				all = append(all,
					variant{"zero", []byte{0x80}, ""},
					variant{"one", []byte{1}, ""},
					variant{"zero as a byte", []byte{0}, name},
					variant{"leading zero", []byte{0x82, 0, 5}, name},
					variant{"biggest", str(bytes.Repeat([]byte{0xff}, field.size)), ""},
					variant{"too big", str(ones(field.size + 1)), name},
					variant{"all zeros", str(zeros(field.size)), name},
				)
			case field.size < 0:
				all = append(all,
					variant{"empty", str(nil), ""},
					variant{"zero", []byte{0}, ""},
					variant{"1024 bytes", str(ones(1024)), ""},
					variant{"1 MiB", str(zeros(1 << 20)), ""},
					variant{"over 1 MiB", str(zeros(1<<20 + 1)), name},
				)
			default:
				all = append(all,
					variant{"zeros", str(zeros(field.size)), ""},
					variant{"empty", str(nil), accept(field.empty)},
					variant{"one byte", str(ones(1)), name},
					variant{"one short", str(ones(field.size - 1)), name},
					variant{"one long", str(ones(field.size + 1)), name},
				)
			}
			for _, v := range all {
				t.Run(fmt.Sprint(f, " ", field.name, " ", v.what), func(t *testing.T) {
					p := good.clone()
					p.header[i] = v.value
					h, herr := chain.ParseHeader(f, list(p.header...))
					b, err := chain.ParseBlock(f, p.join())
					if v.item != "" {
						wantFormatError(t, err, v.item)
						wantFormatError(t, herr, v.item)
						return
					}
					if err != nil || herr != nil {
						t.Fatal(err, herr)
					}
					if b.Hash != h.Hash || b.Hash != crypto.Keccak256Hash(list(p.header...)) {
						t.Errorf("got hashes %x and %x", b.Hash, h.Hash)
					}
				})
			}
		}
	}
}

// TestStructure puts together what is not a block.
func TestStructure(t *testing.T) {
	for _, f := range formats {
		good := fullBlock(t, f)
		header, txs, uncles := list(good.header...), list(good.txs...), list(good.uncles...)
		rest := bytes.Join([][]byte{header, txs, uncles}, nil)
		head := rlpHead(0xc0, len(rest))
		withHeader := func(items ...[]byte) []byte { return list(list(items...), txs, uncles) }
		for _, c := range []struct {
			name string
			raw  []byte
			item string
		}{
			{"nothing", nil, "block"},
			{"a byte", []byte{5}, "block"},
			{"a string", str(good.join()), "block"},
			{"a byte after it", append(good.join(), 0), "block"},
			{"two blocks", append(good.join(), good.join()...), "block"},
			{"one byte short", good.join()[:len(good.join())-1], "block"},
			{"size with a leading zero", slices.Concat([]byte{head[0] + 1, 0}, head[1:], rest), "block"},
			{"size too small", slices.Concat(rlpHead(0xc0, len(rest)-1), rest), "block"},
			{"size too big", slices.Concat(rlpHead(0xc0, len(rest)+1), rest), "block"},
			{"size beyond all", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3}, "block"},
			{"empty", list(), "header"},
			{"a header that is a string", list(str(header), txs, uncles), "header"},
			{"a header with a long size", list(append([]byte{0xfa, 0}, header[1:]...), txs, uncles), "header"},
			{"an empty header", withHeader(), "header: length"},
			{"a header of one item", withHeader(str(zeros(32))), "header: length"},
			{"a header without its last item", withHeader(good.header[:len(good.header)-1]...), "header: length"},
			{"a header and two items", withHeader(append(slices.Clone(good.header), num(1), num(2))...), "header: length"},
			{"a header and four items", withHeader(append(slices.Clone(good.header), num(1), str(zeros(32)), num(1), num(2))...), "header: length"},
			{"header only", list(header), "transactions"},
			{"transactions that are a string", list(header, str(txs), uncles), "transactions"},
			{"transactions that are a byte", list(header, num(0), uncles), "transactions"},
			{"transactions with a long size", list(header, append([]byte{0xf8, 1}, 1), uncles), "transactions"},
			{"transactions beyond the block", list(header, []byte{0xc9}), "transactions"},
			{"no uncles", list(header, txs), "uncles"},
			{"uncles that are a string", list(header, txs, str(uncles)), "uncles"},
			{"uncles with a long size", list(header, txs, []byte{0xf8, 0}), "uncles"},
			{"uncles beyond the block", list(header, txs, []byte{0xc9}), "uncles"},
			{"withdrawals", list(header, txs, uncles, list()), "block"},
			{"a withdrawal", list(header, txs, uncles, list(list(num(1), num(2), str(zeros(20)), num(3)))), "block"},
			{"a fourth item", list(header, txs, uncles, num(1)), "block"},
			{"five items", list(header, txs, uncles, list(), list()), "block"},
		} {
			t.Run(fmt.Sprint(f, " ", c.name), func(t *testing.T) {
				b, err := chain.ParseBlock(f, c.raw)
				if b != nil {
					t.Error("a block came with the error")
				}
				wantFormatError(t, err, c.item)
			})
		}
		for _, raw := range [][]byte{nil, {5}, str(header), append(slices.Clone(header), 0), header[:len(header)-1]} {
			h, err := chain.ParseHeader(f, raw)
			if h != nil {
				t.Error("a header came with the error")
			}
			wantFormatError(t, err, "header")
		}
	}
	// 13 items are 2014, 15 Frontier, 16 London; nothing else is proof of work.
	for n := range 24 {
		for _, f := range formats {
			p := fullBlock(t, f)
			for len(p.header) < n {
				p.header = append(p.header, num(1))
			}
			p.header = p.header[:n]
			b, err := chain.ParseBlock(f, p.join())
			if f == chain.FormatPoC6 && n == 13 || f == chain.FormatFrontier && (n == 15 || n == 16) {
				if err != nil || b.Items != n {
					t.Errorf("%v with %d header items: %v", f, n, err)
				}
				continue
			}
			wantFormatError(t, err, "header: length")
		}
	}
}

func TestPrefixes(t *testing.T) {
	for _, f := range formats {
		for _, raw := range [][]byte{[]byte(networkOf(f).Genesis), fullBlock(t, f).join()} {
			for n := range raw {
				b, err := chain.ParseBlock(f, raw[:n:n])
				if b != nil {
					t.Fatalf("%v: %d of %d bytes are a block", f, n, len(raw))
				}
				wantFormatError(t, err, "block")
				if _, err := chain.HashOf(raw[:n:n]); err == nil {
					t.Fatalf("%v: %d of %d bytes have a hash", f, n, len(raw))
				}
			}
			header := mustParse(t, f, raw).Header.Raw()
			for n := range header {
				_, err := chain.ParseHeader(f, header[:n:n])
				wantFormatError(t, err, "header")
			}
		}
	}
}

// TestMutations changes every byte in many ways. Whatever comes out is refused,
// or is another block, or has another body than its header says.
func TestMutations(t *testing.T) {
	for _, f := range formats {
		net := networkOf(f)
		good := mustParse(t, f, fullBlock(t, f).join())
		for i := range good.Raw() {
			for _, x := range []byte{1, 0x20, 0x80, 0xff, good.Raw()[i], 0x80 ^ good.Raw()[i], 0xc0 ^ good.Raw()[i]} {
				if x == 0 {
					continue
				}
				raw := bytes.Clone(good.Raw())
				raw[i] ^= x
				b, err := chain.ParseBlock(f, raw)
				if err != nil {
					if _, ok := errors.AsType[*chain.FormatError](err); !ok {
						t.Fatalf("byte %d: %v", i, err)
					}
					continue
				}
				err = net.CheckBlock(b)
				if err == nil && b.Hash == good.Hash {
					t.Fatalf("%v: byte %d is %#x instead of %#x, and nobody notices", f, i, raw[i], good.Raw()[i])
				}
				if h, err := chain.HashOf(raw); err != nil || h != b.Hash {
					t.Fatalf("HashOf says %x, %v, want %x", h, err, b.Hash)
				}
				for range b.Uncles() {
				}
			}
		}
	}
}

func TestHashOf(t *testing.T) {
	for _, f := range formats {
		p := fullBlock(t, f)
		want := crypto.Keccak256Hash(list(p.header...))
		header := list(p.header...)
		for _, raw := range [][]byte{
			p.join(),
			list(header),
			list(header, []byte("junk")),
			list(header, []byte{0xff, 0xff}),
			list(header, list(), list(), list()),
		} {
			if h, err := chain.HashOf(raw); err != nil || h != want {
				t.Errorf("%v: got %x, %v, want %x", f, h, err, want)
			}
		}
		for _, c := range []struct {
			raw  []byte
			item string
		}{
			{nil, "block"},
			{[]byte{5}, "block"},
			{str(p.join()), "block"},
			{append(p.join(), 0xc0), "block"},
			{p.join()[:100], "block"},
			{list(), "header"},
			{list(num(1)), "header"},
			{list(str(header)), "header"},
			{list([]byte{0xf8, 1, 1}), "header"},
			{list(header[:len(header)-1]), "header"},
		} {
			h, err := chain.HashOf(c.raw)
			wantFormatError(t, err, c.item)
			if h != (common.Hash{}) {
				t.Errorf("hash %x came with the error", h)
			}
		}
	}
}

// TestViews: nothing is copied, and nothing is written to.
func TestViews(t *testing.T) {
	for _, f := range formats {
		raw := fullBlock(t, f).join()
		before := bytes.Clone(raw)
		b := mustParse(t, f, raw)
		if err := networkOf(f).CheckBlock(b); err != nil {
			t.Fatal(err)
		}
		if &b.Raw()[0] != &raw[0] || len(b.Raw()) != len(raw) {
			t.Error("Raw is a copy")
		}
		// The header stands behind the block's list header, in the same bytes.
		if at := bytes.Index(raw, b.Header.Raw()); at < 0 || &raw[at] != &b.Header.Raw()[0] {
			t.Error("the header is a copy")
		}
		if !bytes.Equal(raw, before) {
			t.Error("the bytes have changed")
		}
	}
}

// TestConcurrent checks the same and other blocks, good and bad, from many
// goroutines, which share tries and hash states.
func TestConcurrent(t *testing.T) {
	type sample struct {
		net *chain.Network
		b   *chain.Block
		bad bool
	}
	var samples []sample
	for _, f := range formats {
		for _, b := range generate(chaingen.Config{Network: networkOf(f), Seed: 8, Blocks: 10, UncleEvery: 2,
			Shape: func(n uint64) (int, int) { return int(n * n), 0 }}) {
			samples = append(samples, sample{networkOf(f), b, false})
			p := takeApart(t, b.Raw())
			p.txs[0] = list(list(), list(), list())
			samples = append(samples, sample{networkOf(f), mustParse(t, f, p.join()), true})
			p.txs[0] = []byte{0x80} // ends in the middle of the trie
			samples = append(samples, sample{networkOf(f), mustParse(t, f, p.join()), true})
		}
	}
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 3 * len(samples) {
				s := samples[(i*7+g)%len(samples)]
				if err := s.net.CheckBlock(s.b); (err != nil) != s.bad {
					t.Errorf("block %d of %s: got %v", s.b.Number, s.net.Name, err)
				}
				if _, err := s.net.TotalDifficulty(new(uint256.Int), s.b); err != nil {
					t.Error(err)
				}
				if h, err := chain.HashOf(s.b.Raw()); err != nil || h != s.b.Hash {
					t.Errorf("got %x, %v", h, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestKeccak256(t *testing.T) {
	// The digest of nothing, with the padding of before the standard.
	const empty = "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
	if got := chain.Keccak256().Hex(); got != empty {
		t.Errorf("got %s, want %s", got, empty)
	}
	data := zeros(1000)
	for n := range data {
		data[n] = byte(n)
		if got, want := chain.Keccak256(data[:n/3], data[n/3:n]), crypto.Keccak256Hash(data[:n]); got != want {
			t.Fatalf("%d bytes: got %x, want %x", n, got, want)
		}
	}
}
