package chain_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
)

// FuzzParseBlock (Z1): no bytes make it panic. What parses is the same bytes when it
// is joined again, has the hash that HashOf says, and differs from what
// go-ethereum reads only where compareWithGeth says so.
// The flag chooses the 2014 format.
func FuzzParseBlock(f *testing.F) {
	for _, net := range chain.Networks() {
		f.Add(net.Format == chain.FormatPoC6, []byte(net.Genesis))
	}
	for _, format := range formats {
		old := format == chain.FormatPoC6
		f.Add(old, fullBlock(f, format).join())
		for _, b := range generate(chaingen.Config{Network: networkOf(format), Seed: 2, Blocks: 3, Txs: 2, UncleEvery: 2}) {
			f.Add(old, b.Raw())
		}
		p := takeApart(f, []byte(networkOf(format).Genesis))
		for i := range 130 {
			p.txs = append(p.txs, list(num(uint64(i)), list(), list()))
		}
		f.Add(old, p.seal(f, format).join())
	}
	p := fullBlock(f, chain.FormatFrontier)
	p.header = append(p.header, num(7))
	f.Add(false, p.join())
	p.more = [][]byte{list()}
	f.Add(false, p.join())
	f.Add(true, unhex(f, block1))

	f.Fuzz(func(t *testing.T, old bool, raw []byte) {
		format := chain.FormatFrontier
		if old {
			format = chain.FormatPoC6
		} else {
			compareWithGeth(t, raw)
		}
		before := bytes.Clone(raw)
		hash, hashErr := chain.HashOf(raw)
		b, err := chain.ParseBlock(format, raw)
		if err != nil {
			if _, ok := errors.AsType[*chain.FormatError](err); !ok || b != nil {
				t.Fatalf("got %v, %v", b, err)
			}
			return
		}
		if hashErr != nil || hash != b.Hash || hash != crypto.Keccak256Hash(b.Header.Raw()) {
			t.Fatalf("HashOf: got %x, %v, want %x", hash, hashErr, b.Hash)
		}
		if !bytes.Equal(b.Raw(), before) || !bytes.Equal(raw, before) {
			t.Fatal("the bytes have changed")
		}
		h, err := chain.ParseHeader(format, b.Header.Raw())
		if err != nil || describe(h) != describe(&b.Header) {
			t.Fatalf("the header on its own: got %v, %v", h, err)
		}
		rejoin(t, b)
		checkErr := networkOf(format).CheckBlock(b)
		_, isFormat := errors.AsType[*chain.FormatError](checkErr)
		_, isRule := errors.AsType[*chain.RuleError](checkErr)
		if checkErr != nil && !isFormat && !isRule {
			t.Fatalf("CheckBlock says %v", checkErr)
		}
		networkOf(format).TotalDifficulty(new(uint256.Int), b)
	})
}

// rejoin builds the block anew from what the view of it yields.
func rejoin(t testing.TB, b *chain.Block) {
	t.Helper()
	var txs, uncles, leaves [][]byte
	readable := true
	for leaf, err := range b.Transactions() {
		if err != nil {
			readable = false
			break
		}
		leaves = append(leaves, leaf)
		if leaf[0] < 0xc0 {
			leaf = str(leaf)
		}
		txs = append(txs, leaf)
	}
	for u, err := range b.Uncles() {
		if err != nil {
			readable = false
			break
		}
		uncles = append(uncles, u.Raw())
	}
	if !readable {
		return
	}
	if again := list(b.Header.Raw(), list(txs...), list(uncles...)); !bytes.Equal(again, b.Raw()) {
		t.Fatalf("joined again it is %x, not %x", again, b.Raw())
	}
	// All is readable: then the rules say yes or no for the right reason.
	root := naiveRoot(leaves)
	if b.Format() == chain.FormatPoC6 && len(leaves) == 0 {
		root = [32]byte{}
	}
	want := root == b.TxRoot && crypto.Keccak256Hash(list(uncles...)) == b.UnclesHash
	if err := networkOf(b.Format()).CheckBlock(b); !ofHeader(err) && (err == nil) != want {
		t.Fatalf("CheckBlock says %v, the roots are right: %v", err, want)
	}
}
