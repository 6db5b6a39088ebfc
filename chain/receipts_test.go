package chain_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
)

// randomReceipts makes n receipts of all kinds.
func randomReceipts(r *rand.Rand, n int) types.Receipts {
	fill := func(b []byte) []byte {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	all := make(types.Receipts, n)
	gas := uint64(0)
	for i := range all {
		gas += 21000 + r.Uint64()%1e6
		rec := &types.Receipt{Type: uint8(r.IntN(3)), Status: uint64(r.IntN(2)), CumulativeGasUsed: gas}
		if rec.Type == 0 && r.IntN(2) == 0 {
			rec.PostState = fill(make([]byte, 32))
		}
		fill(rec.Bloom[:])
		for range r.IntN(4) {
			log := &types.Log{Topics: make([]common.Hash, r.IntN(5)), Data: fill(make([]byte, r.IntN(100)))}
			fill(log.Address[:])
			for j := range log.Topics {
				fill(log.Topics[j][:])
			}
			rec.Logs = append(rec.Logs, log)
		}
		all[i] = rec
	}
	return all
}

func encodeReceipts(t testing.TB, all types.Receipts) []byte {
	t.Helper()
	raw, err := rlp.EncodeToBytes(all)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// The root of receipts of every kind, and of any number, is go-ethereum's.
func TestReceiptsRoot(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 3, 16, 17, 127, 128, 129, 300} {
		all := randomReceipts(r, n)
		raw := encodeReceipts(t, all)
		want := types.DeriveSha(all, trie.NewStackTrie(nil))
		if got, err := chain.ReceiptsRoot(raw); err != nil || got != want {
			t.Fatalf("%d receipts: %x, %v; want %x", n, got, err, want)
		}
		h := chain.Header{Items: 15, Number: 7, ReceiptRoot: want}
		if err := h.CheckReceipts(raw); err != nil || h.HasReceipts() != (n > 0) {
			t.Fatalf("%d receipts: %v, has receipts: %v", n, err, h.HasReceipts())
		}
		h.ReceiptRoot[5] ^= 1
		broken, ok := errors.AsType[*chain.RuleError](h.CheckReceipts(raw))
		if !ok || broken.Rule != chain.RuleReceiptsRoot || broken.Number != 7 || broken.Want != want.Hex() {
			t.Fatalf("%d receipts under another root: %v", n, broken)
		}
	}
	old := chain.Header{Items: 13}
	if err := old.CheckReceipts([]byte{0xc0}); err != nil || old.HasReceipts() {
		t.Fatalf("a header of 2014: %v, has receipts: %v", err, old.HasReceipts())
	}
}

// Generated blocks have receipts.
func TestGeneratedReceipts(t *testing.T) {
	for _, b := range generate(chaingen.Config{Seed: 2, Blocks: 9, Shape: func(n uint64) (int, int) { return int(n % 4), 0 }}) {
		raw := chaingen.Receipts(b)
		if err := b.CheckReceipts(raw); err != nil || b.HasReceipts() != (b.Number%4 > 0) {
			t.Fatalf("block %d: %v, has receipts: %v", b.Number, err, b.HasReceipts())
		}
	}
}

// Everything that is not exactly as the format says is refused.
func TestReceiptsFormat(t *testing.T) {
	bloom := str(zeros(256))
	log := func(topics ...[]byte) []byte { return list(str(zeros(20)), list(topics...), str([]byte("data"))) }
	topic := str(zeros(32))
	receipt := func(fields ...[]byte) []byte { return list(fields...) }
	good := receipt(num(1), num(21000), bloom, list(log(topic, topic, topic, topic)))
	typed := func(typ byte, payload []byte) []byte { return str(append([]byte{typ}, payload...)) }
	for name, raw := range map[string][]byte{
		"none":         list(),
		"success":      list(good),
		"failure":      list(receipt(num(0), num(21000), bloom, list())),
		"state root":   list(receipt(topic, num(21000), bloom, list(log()))),
		"access list":  list(good, typed(1, good)),
		"dynamic fee":  list(typed(2, good)),
		"more than 55": list(good, good, typed(1, good)),
	} {
		if _, err := chain.ReceiptsRoot(raw); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := func(b []byte) []byte { // the same list with its size in one byte more
		content, _, err := rlp.SplitList(b)
		if err != nil {
			t.Fatal(err)
		}
		return append([]byte{0xfa, 0, byte(len(content) >> 8), byte(len(content))}, content...)
	}
	for name, raw := range map[string][]byte{
		"nothing":                    {},
		"a string":                   str([]byte("receipts")),
		"bytes after the list":       append(list(good), 0),
		"cut":                        list(good)[:100],
		"size not canonical":         long(list(good)),
		"receipt not canonical":      list(long(good)),
		"legacy in a string":         list(str(good)),
		"type 0":                     list(typed(0, good)),
		"type 3":                     list(typed(3, good)),
		"type alone":                 list(str([]byte{1})),
		"type and bytes":             list(typed(1, append(slices.Clone(good), 0))),
		"typed string":               list(typed(1, str(zeros(50)))),
		"typed with state root":      list(typed(1, receipt(topic, num(1), bloom, list()))),
		"status 2":                   list(receipt(num(2), num(1), bloom, list())),
		"status in two bytes":        list(receipt(str([]byte{0, 1}), num(1), bloom, list())),
		"status zero byte":           list(receipt([]byte{0}, num(1), bloom, list())),
		"status a list":              list(receipt(list(), num(1), bloom, list())),
		"gas with leading zero":      list(receipt(num(1), str([]byte{0, 1}), bloom, list())),
		"gas of nine bytes":          list(receipt(num(1), str([]byte("123456789")), bloom, list())),
		"bloom too short":            list(receipt(num(1), num(1), str(zeros(255)), list())),
		"no bloom":                   list(receipt(num(1), num(1), list())),
		"three fields":               list(receipt(num(1), num(1), bloom)),
		"five fields":                list(receipt(num(1), num(1), bloom, list(), num(1))),
		"logs a string":              list(receipt(num(1), num(1), bloom, str(nil))),
		"log a string":               list(receipt(num(1), num(1), bloom, list(str(nil)))),
		"log address too long":       list(receipt(num(1), num(1), bloom, list(list(topic, list(), num(1))))),
		"log without data":           list(receipt(num(1), num(1), bloom, list(list(str(zeros(20)), list())))),
		"log with more":              list(receipt(num(1), num(1), bloom, list(list(str(zeros(20)), list(), num(1), num(1))))),
		"topic too short":            list(receipt(num(1), num(1), bloom, list(log(str(zeros(31)))))),
		"five topics":                list(receipt(num(1), num(1), bloom, list(log(topic, topic, topic, topic, topic)))),
		"second receipt broken":      list(good, list()),
		"a receipt behind good ones": list(good, typed(2, good), str(nil)),
	} {
		_, err := chain.ReceiptsRoot(raw)
		if _, ok := errors.AsType[*chain.FormatError](err); !ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzReceipts: what is accepted is what go-ethereum reads and writes as the same bytes,
// with its root; and the other way round, but for what no block can have.
func FuzzReceipts(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{0, 1, 2, 5, 130} {
		f.Add(encodeReceipts(f, randomReceipts(r, n)))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		root, err := chain.ReceiptsRoot(raw)
		if !bytes.Equal(raw, before) {
			t.Fatal("the bytes have changed")
		}
		var theirs types.Receipts
		theirErr := rlp.DecodeBytes(raw, &theirs)
		if err != nil {
			if _, ok := errors.AsType[*chain.FormatError](err); !ok {
				t.Fatal(err)
			}
			if theirErr == nil && possible(theirs) && bytes.Equal(encodeReceipts(t, theirs), raw) {
				t.Fatalf("go-ethereum reads it: %v", err)
			}
			return
		}
		if theirErr != nil {
			t.Fatalf("go-ethereum does not read it: %v", theirErr)
		}
		if again := encodeReceipts(t, theirs); !bytes.Equal(again, raw) {
			t.Fatalf("go-ethereum writes it as %x", again)
		}
		if want := types.DeriveSha(theirs, trie.NewStackTrie(nil)); root != want {
			t.Fatalf("root %x, want %x", root, want)
		}
	})
}

// possible reports whether a block before the merge can have these receipts.
func possible(all types.Receipts) bool {
	for _, r := range all {
		if r.Type > types.DynamicFeeTxType || r.Type > 0 && len(r.PostState) > 0 {
			return false
		}
		for _, l := range r.Logs {
			if len(l.Topics) > 4 {
				return false
			}
		}
	}
	return true
}

// BenchmarkReceiptsRoot compares with decoding by go-ethereum and its stack trie.
func BenchmarkReceiptsRoot(b *testing.B) {
	for _, n := range []int{2, 100} {
		raw := encodeReceipts(b, randomReceipts(rand.New(rand.NewPCG(5, 6)), n))
		b.Run(fmt.Sprintf("ours/%d", n), func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if _, err := chain.ReceiptsRoot(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("geth/%d", n), func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				var all types.Receipts
				if err := rlp.DecodeBytes(raw, &all); err != nil {
					b.Fatal(err)
				}
				types.DeriveSha(all, trie.NewStackTrie(nil))
			}
		})
	}
}
