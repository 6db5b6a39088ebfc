package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
)

// verify verifies files of the given names, and returns what it says of the last one.
func verify(t testing.TB, v *Verifier, name string, data []byte, opts Options) (Verified, error) {
	t.Helper()
	opts.Receipts = true
	r, err := NewReader(name, bytes.NewReader(data), v.net, opts)
	if err != nil {
		return Verified{}, err
	}
	return v.Verify(t.Context(), r)
}

// parts makes a chain with uncles and receipts, cut into era1 files at the numbers.
func parts(t testing.TB, seed uint64, cuts ...int) (blocks []*chain.Block, files [][]byte) {
	t.Helper()
	n := cuts[len(cuts)-1]
	blocks = append(generated(t, chain.Dev, 0), slices.Collect(chaingen.Generate(chaingen.Config{
		Network: chain.Dev, Seed: seed, Blocks: uint64(n - 1), UncleEvery: 3,
		Shape: func(n uint64) (int, int) { return int(n % 3), 0 },
	}))...)
	var td uint256.Int
	from := 0
	for _, to := range cuts {
		data, _ := era1File(t, chain.Dev, td, blocks[from:to])
		for _, b := range blocks[from:to] {
			td.Add(&td, &b.Difficulty)
		}
		files = append(files, data)
		from = to
	}
	return blocks, files
}

func TestVerifyFilesInOrder(t *testing.T) {
	blocks, files := parts(t, 1, 20, 31, 50)
	v := NewVerifier(chain.Dev)
	var td uint256.Int
	from := 0
	for i, to := range []int{20, 31, 50} {
		got, err := verify(t, v, "test", files[i], Options{})
		for _, b := range blocks[from:to] {
			td.Add(&td, &b.Difficulty)
		}
		want := Verified{
			Kind: Era1, First: uint64(from), Last: uint64(to - 1), Head: blocks[to-1].Hash, Blocks: uint64(to - from),
			Receipts: true, TD: td.Clone(), Root: got.Root, Follows: i > 0,
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("file %d: %+v, %v; want %+v", i, got, err, want)
		}
		from = to
	}

	t.Log("# in another order, each on its own, and of another branch")
	_, other := parts(t, 2, 20, 31)
	_, err := verify(t, v, "test", files[1], Options{})
	e := wantError(t, err)
	if broken, ok := errors.AsType[*chain.RuleError](err); !ok || broken.Rule != chain.RuleParent && broken.Rule != chain.RuleNumber ||
		e.Number != 20 || e.Offset != 8 || !strings.Contains(err.Error(), "does not continue the file before it") {
		t.Fatal(err)
	}
	if got, err := verify(t, v, "test", files[2], Options{}); err != nil || got.Follows {
		t.Fatalf("after an error a file begins anew: %+v, %v", got, err)
	}
	v = NewVerifier(chain.Dev)
	if _, err := verify(t, v, "test", files[0], Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(t, v, "test", other[1], Options{}); !strings.Contains(fmt.Sprint(err), "does not continue the file before it") {
		t.Fatal(err)
	}

	t.Log("# streams have no total difficulty of their own")
	v = NewVerifier(chain.Dev)
	got, err := verify(t, v, "test", stream(blocks[30:]), Options{})
	if err != nil || got.Kind != RLP || got.TD != nil || got.Receipts || got.Last != 49 {
		t.Fatalf("%+v, %v", got, err)
	}
	got, err = verify(t, NewVerifier(chain.Dev), "test", stream(blocks), Options{})
	if err != nil || got.TD == nil || !got.TD.Eq(&td) {
		t.Fatalf("%+v, %v", got, err)
	}
}

// Each part of a file is damaged in turn, and the sentence says what and where.
func TestVerifyTellsWhatIsDamaged(t *testing.T) {
	blocks, files := parts(t, 1, 12)
	good := files[0]
	_, starts := era1File(t, chain.Dev, uint256.Int{}, blocks)
	acc := starts[12]
	index := acc + 8 + 32
	const b = 9 // has an uncle; the block before it has two transactions
	// entry returns where the i-th entry of block n is: header, body, receipts, TD.
	entry := func(n, i int) int {
		at := starts[n]
		for range i {
			at += 8 + int(good[at+2]) + int(good[at+3])<<8
		}
		return at
	}
	// again writes the file with another tuple for block n.
	again := func(n int, header, body, receipts []byte) []byte {
		var e e2store
		var td uint256.Int
		for _, b := range blocks[:n+1] {
			td.Add(&td, &b.Difficulty)
		}
		e.data = slices.Clone(good[:starts[n]])
		e.tuple(header, body, receipts, &td)
		return append(e.data, good[starts[n+1]:]...)
	}
	change := func(at int) []byte {
		bad := slices.Clone(good)
		bad[at] ^= 0x10
		return bad
	}
	h := func(n int) []byte { return blocks[n].Header.Raw() }
	last := len(blocks) - 1
	for _, c := range []struct {
		what string
		data []byte
		at   int // offset
		want string
	}{
		{"version", change(4), 0, "first block, at offset 0: corrupted: version entry of"},
		{"entry header", change(starts[b] + 6), starts[b], "block 9, at offset %d: corrupted: not an entry"},
		{"entry type", change(entry(b, 2)), entry(b, 2), "block 9, at offset %d: corrupted: entry of type 0x0015 where the receipts entry should be"},
		{"compressed header", change(starts[b] + 60), starts[b], "block 9, at offset %d: corrupted: header entry: snappy"},
		{"compressed body", change(entry(b, 1) + 40), entry(b, 1), "block 9, at offset %d: corrupted: body entry: snappy"},
		{"compressed receipts", change(entry(b-1, 2) + 40), entry(b-1, 2), "block 8, at offset %d: corrupted: receipts entry: snappy"},
		{"other header", again(b, h(b-1), body(t, blocks[b-1]), chaingen.Receipts(blocks[b-1])), starts[b], "block 9, at offset %d: does not continue the block before it: chain: block 8"},
		{"other transactions", again(b-1, h(b-1), body(t, blocks[b-2]), chaingen.Receipts(blocks[b-1])), starts[b-1], "block 8, at offset %d: corrupted: body and header do not match: chain: block 8 (.*): transactions root is"},
		{"other uncles", again(b, h(b), body(t, blocks[b-3]), chaingen.Receipts(blocks[b])), starts[b], "block 9, at offset %d: corrupted: body and header do not match: chain: block 9 (.*): uncles hash is"},
		{"other receipts", again(b-1, h(b-1), body(t, blocks[b-1]), chaingen.Receipts(blocks[b-2])), -1, "block 8, at offset %d: corrupted: receipts and header do not match: chain: block 8 (.*): receipts root is"},
		{"no receipts", again(b-1, h(b-1), body(t, blocks[b-1]), nil), -1, "block 8, at offset %d: corrupted: receipts and header do not match: chain: receipts: not a canonical RLP list"},
		{"TD", change(entry(b, 3) + 9), entry(b, 3), "block 9, at offset %d: wrong total difficulty: chain: block 9 (.*): total difficulty is"},
		{"accumulator", change(acc + 20), acc, "behind block 11, at offset %d: corrupted: accumulator root is"},
		{"first number of the index", change(index + 8), index, "behind block 11, at offset %d: corrupted: block index: the number of the first block is 16, want 0"},
		{"offset in the index", change(index + 8 + 8 + 3*8), index, "behind block 11, at offset %d: corrupted: block index: the offset of block 3 is"},
		{"number of blocks", change(len(good) - 8), index, "behind block 11, at offset %d: corrupted: block index: the number of blocks is 28, want 12"},
		{"length of the index", change(index + 2), index, "behind block 11, at offset %d: corrupted: block index of"},
		{"more", append(slices.Clone(good), 1), len(good), "behind block 11, at offset %d: corrupted: bytes after the block index"},
		{"cut in a block", good[:entry(last, 1)+20], entry(last, 1), "block 11, at offset %d: truncated: the file ends inside the body entry"},
		{"cut in the index", good[:len(good)-1], index, "behind block 11, at offset %d: truncated: the file ends inside the block index"},
		{"a block left out", slices.Concat(good[:starts[5]], good[starts[6]:]), starts[5], "block 5, at offset %d: does not continue the block before it: chain: block 6 (.*): parent hash is"},
	} {
		t.Run(c.what, func(t *testing.T) {
			_, err := verify(t, NewVerifier(chain.Dev), "test", c.data, Options{})
			e := wantError(t, err)
			t.Log(err)
			at := int64(c.at)
			if c.at < 0 {
				at = e.Offset
			}
			want := c.want
			if strings.Contains(want, "%d") {
				want = fmt.Sprintf(want, at)
			}
			before, after, _ := strings.Cut("archive: test: "+want, "(.*)")
			if !strings.HasPrefix(err.Error(), before) || !strings.Contains(err.Error(), after) || e.Offset != at {
				t.Errorf("want offset %d and %q", at, want)
			}
		})
	}
}

// Files whose entries are all right can hold a chain that is none.
func TestVerifyChecksTheChain(t *testing.T) {
	blocks, files := parts(t, 1, 12)
	t.Run("another genesis block", func(t *testing.T) {
		other, _ := era1File(t, chain.Dev, uint256.Int{}, generated(t, chain.Mainnet, 0))
		if _, err := verify(t, NewVerifier(chain.Dev), "test", other, Options{}); !errors.Is(err, ErrGenesis) {
			t.Error(err)
		}
	})
	t.Run("false seal", func(t *testing.T) {
		opts := Options{
			Sealed: func(b *chain.Block) bool { return b.Number%2 == 1 },
			Seal: func(h *chain.Header) error {
				if h.Number == 0 {
					t.Error("a genesis block has no seal")
				}
				if h.Hash == blocks[7].Hash {
					return &chain.RuleError{Rule: "seal", Number: 7, Hash: h.Hash, Have: "false", Want: "true"}
				}
				return nil
			},
		}
		_, err := verify(t, NewVerifier(chain.Dev), "test", files[0], opts)
		if e := wantError(t, err); e.Number != 7 || !strings.Contains(err.Error(), "seal is false") {
			t.Error(err)
		}
		opts.Sealed = func(b *chain.Block) bool { return b.Number%2 == 0 }
		if _, err := verify(t, NewVerifier(chain.Dev), "test", files[0], opts); err != nil {
			t.Error(err)
		}
	})
	t.Run("name", func(t *testing.T) {
		got, err := verify(t, NewVerifier(chain.Dev), "test", files[0], Options{})
		if err != nil {
			t.Fatal(err)
		}
		root := fmt.Sprintf("%x", got.Root[:4])
		for name, want := range map[string]string{
			"dir/dev-00000-" + root + ".era1":  "",
			"dir/dev-00000.era1":               "",
			"dir/whatever.era1":                "",
			"dir/dev-00001-" + root + ".era1":  "the name of the file says epoch 00001, its blocks have 00000",
			"dir/dev-00000-" + "12345678.era1": "the name of the file says accumulator root 12345678, its blocks have " + root,
		} {
			_, err := verify(t, NewVerifier(chain.Dev), name, files[0], Options{})
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		r, err := NewReader("test", bytes.NewReader(files[0]), chain.Dev, Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := NewVerifier(chain.Dev).Verify(ctx, r); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// The published files are as they should be.
func TestVerifyPublishedFiles(t *testing.T) {
	for _, c := range realEra1 {
		t.Run(c.name, func(t *testing.T) {
			r, err := Open(c.path(t, c.name), c.net, Options{Receipts: true})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			got, err := NewVerifier(c.net).Verify(t.Context(), r)
			if err != nil || got.Blocks != 8192 || !got.Receipts || got.TD == nil {
				t.Fatalf("%+v, %v", got, err)
			}
		})
	}
}
