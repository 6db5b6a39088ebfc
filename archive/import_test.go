package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/store"
)

// loose is how the command line reads files for an import.
var loose = Options{SkipLinks: true}

// openStore opens a new store of the network in memory.
func openStore(t testing.TB, net *chain.Network) *store.Store {
	t.Helper()
	g, err := net.GenesisBlock()
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open("data", store.Options{FS: vfs.NewMem(), Network: net.Name, Genesis: store.Genesis{
		Record: store.Record{Hash: g.Hash, Raw: g.Raw()}, TD: g.Difficulty,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// Receipts that are read are kept, those of a block without any are not, and equal ones
// are kept once.
func TestImportKeepsReceipts(t *testing.T) {
	blocks := generated(t, chain.Dev, 9) // with 0, 1 or 2 transactions
	data, _ := era1File(t, chain.Dev, uint256.Int{}, blocks)
	for _, keep := range []bool{true, false} {
		st := openStore(t, chain.Dev)
		got := importData(t, data, chain.Dev, st, Options{SkipLinks: true, Receipts: keep})
		want := Imported{Blocks: 10, Added: 9, Moved: true}
		if keep {
			want.Receipts = 2
		}
		wantImported(t, got, nil, want)
		for _, b := range blocks {
			raw, err := st.AppendContent(nil, store.Receipts, b.ReceiptRoot)
			switch {
			case keep && b.HasReceipts():
				if err != nil || !bytes.Equal(raw, chaingen.Receipts(b)) {
					t.Fatalf("receipts of block %d: %d bytes, %v", b.Number, len(raw), err)
				}
			case !errors.Is(err, store.ErrNotFound):
				t.Fatalf("receipts of block %d: %d bytes, %v", b.Number, len(raw), err)
			}
		}
		// Once more, with receipts: what is missing comes.
		got = importData(t, data, chain.Dev, st, Options{SkipLinks: true, Receipts: true})
		wantImported(t, got, nil, Imported{Blocks: 10, Receipts: 2 - want.Receipts})
	}
}

// importAs reads data, a file called name, into to.
func importAs(t testing.TB, name string, data []byte, net *chain.Network, to Importer) (Imported, error) {
	t.Helper()
	r, err := NewReader(name, bytes.NewReader(data), net, loose)
	if err != nil {
		t.Fatal(err)
	}
	return Import(t.Context(), r, net, to)
}

// wantImported checks what Import returns.
func wantImported(t testing.TB, got Imported, err error, want Imported) {
	t.Helper()
	if err != nil || got != want {
		t.Fatalf("got %+v, %v, want %+v", got, err, want)
	}
}

// wantHead checks the head of the store and its TD, summed up by the rule of
// the network over blocks, the first of which is the genesis block.
func wantHead(t testing.TB, st *store.Store, net *chain.Network, blocks []*chain.Block) {
	t.Helper()
	var td uint256.Int
	for i, b := range blocks {
		var err error
		if td, err = net.TotalDifficulty(&td, b); err != nil {
			t.Fatal(err)
		}
		if h, err := st.Canonical(uint64(i)); err != nil || h != b.Hash {
			t.Fatalf("canonical block %d is %x, %v, want %x", i, h, err, b.Hash)
		}
	}
	last := blocks[len(blocks)-1]
	if got, want := st.Head(), (store.Head{Number: last.Number, Hash: last.Hash, TD: td}); got != want {
		t.Fatalf("head is %d (%x) of TD %s, want %d (%x) of %s", got.Number, got.Hash, got.TD.Dec(), want.Number, want.Hash, want.TD.Dec())
	}
}

// exported writes blocks first to last to a file of the given name and returns
// its bytes.
func exported(t testing.TB, st *store.Store, first, last uint64, name string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	n := uint64(0)
	if err := Export(t.Context(), st, first, last, w, func() { n++ }); err != nil {
		t.Fatal(err)
	}
	if blocks, _ := w.Written(); blocks != n {
		t.Errorf("progress counts %d blocks, the writer %d", n, blocks)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestImportWhole imports a chain in each kind of file, again, and exports it.
func TestImportWhole(t *testing.T) {
	for _, net := range []*chain.Network{chain.Dev, chain.PoC6} {
		blocks := generated(t, net, 50)
		era, _ := era1File(t, net, uint256.Int{}, blocks)
		for _, f := range []struct {
			name string
			data []byte
			n    uint64 // of blocks
		}{
			{"rlp", stream(blocks), 51},
			{"rlp without genesis", stream(blocks[1:]), 50},
			{"gzip", gzipped(t, stream(blocks)), 51},
			{"hex", hexFile(blocks), 51},
			{"era1", era, 51},
		} {
			t.Run(net.Name+" "+f.name, func(t *testing.T) {
				st := openStore(t, net)
				got, err := importAs(t, "whole", f.data, net, st)
				wantImported(t, got, err, Imported{Blocks: f.n, Added: 50, Moved: true})
				wantHead(t, st, net, blocks)
				got, err = importAs(t, "again", f.data, net, st)
				wantImported(t, got, err, Imported{Blocks: f.n})
				wantHead(t, st, net, blocks)
				if st.Blocks() != 51 {
					t.Errorf("the store has %d blocks, want 51", st.Blocks())
				}
				if !bytes.Equal(exported(t, st, 0, 50, "x.rlp"), stream(blocks)) {
					t.Error("the export is not the chain")
				}
			})
		}
	}
}

// counting counts what reaches a store, and can refuse.
type counting struct {
	Importer
	puts, biggest int
	failAt        int // the Put to refuse, from 1
}

var errDisk = errors.New("store: the disk is full")

func (c *counting) Put(recs []store.Record) (int, error) {
	c.puts++
	c.biggest = max(c.biggest, len(recs))
	if c.puts == c.failAt {
		return 0, errDisk
	}
	return c.Importer.Put(recs)
}

// TestImportBatches: a long chain and a chain of big blocks need several
// batches.
func TestImportBatches(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  chaingen.Config
		puts int
	}{
		{"many", chaingen.Config{Seed: 1, Blocks: 2*importBlocks + 5}, 3},
		{"big", chaingen.Config{Seed: 1, Blocks: 20, Size: 1 << 20}, 3},
		{"exactly one", chaingen.Config{Seed: 1, Blocks: importBlocks}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			genesis, _ := chain.Dev.GenesisBlock()
			blocks := append([]*chain.Block{genesis}, slices.Collect(chaingen.Generate(c.cfg))...)
			st := openStore(t, chain.Dev)
			to := &counting{Importer: st}
			got, err := importAs(t, "long", stream(blocks), chain.Dev, to)
			wantImported(t, got, err, Imported{Blocks: c.cfg.Blocks + 1, Added: c.cfg.Blocks, Moved: true})
			wantHead(t, st, chain.Dev, blocks)
			if to.puts != c.puts || to.biggest > importBlocks {
				t.Errorf("%d batches of at most %d blocks, want %d", to.puts, to.biggest, c.puts)
			}
		})
	}
}

// TestImportRefused: an error of the store comes once, as it is, and the blocks
// of the batches before it stay.
func TestImportRefused(t *testing.T) {
	blocks := generated(t, chain.Dev, importBlocks+10)
	for failAt := 1; failAt <= 2; failAt++ {
		st := openStore(t, chain.Dev)
		to := &counting{Importer: st, failAt: failAt}
		got, err := importAs(t, "file", stream(blocks), chain.Dev, to)
		if !errors.Is(err, errDisk) || err.Error() != errDisk.Error() {
			t.Errorf("got error %v, want %v", err, errDisk)
		}
		if e, ok := errors.AsType[*Error](err); ok {
			t.Errorf("the file is blamed: %v", e)
		}
		if to.puts != failAt {
			t.Errorf("%d batches were tried, want %d", to.puts, failAt)
		}
		n := (failAt - 1) * importBlocks
		if want := (Imported{Blocks: uint64(n + 1), Added: uint64(n), Moved: n > 0}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		wantHead(t, st, chain.Dev, blocks[:n+1])
	}
}

// TestImportParts: a chain in several files, in order, then in the wrong one.
func TestImportParts(t *testing.T) {
	blocks := generated(t, chain.Dev, 90)
	st := openStore(t, chain.Dev)
	for i, from := range []int{0, 31, 61} {
		to := from + 30
		if i == 0 {
			to = 31
		}
		got, err := importAs(t, "part", stream(blocks[from:to]), chain.Dev, st)
		wantImported(t, got, err, Imported{Blocks: uint64(to - from), Added: 30, Moved: true})
	}
	wantHead(t, st, chain.Dev, blocks)
	// A part that overlaps adds what is new.
	longer := generated(t, chain.Dev, 100)
	got, err := importAs(t, "part", stream(longer[80:]), chain.Dev, st)
	wantImported(t, got, err, Imported{Blocks: 21, Added: 10, Moved: true})
	wantHead(t, st, chain.Dev, longer)

	st = openStore(t, chain.Dev)
	got, err = importAs(t, "part2.rlp", stream(blocks[31:61]), chain.Dev, st)
	e, ok := errors.AsType[*Error](err)
	if !ok || !errors.Is(err, ErrNoParent) || e.File != "part2.rlp" || e.Number != 31 || !e.NumberKnown || e.Offset != 0 {
		t.Fatalf("got %v, want ErrNoParent for block 31 of part2.rlp", err)
	}
	if !strings.Contains(err.Error(), "part2.rlp") || !strings.Contains(err.Error(), "block 31") {
		t.Errorf("got a poor sentence: %v", err)
	}
	if got != (Imported{}) {
		t.Errorf("got %+v, want nothing", got)
	}
	wantHead(t, st, chain.Dev, blocks[:1])
	if st.Blocks() != 1 {
		t.Errorf("the store has %d blocks", st.Blocks())
	}

	// A gap in the middle: what comes before it stays.
	gap := append(slices.Clone(blocks[:20]), blocks[25:]...)
	got, err = importAs(t, "gap.rlp", stream(gap), chain.Dev, st)
	e, ok = errors.AsType[*Error](err)
	if !ok || !errors.Is(err, ErrNoParent) || e.Number != 25 || e.Offset != int64(len(stream(blocks[:20]))) {
		t.Fatalf("got %v, want ErrNoParent for block 25", err)
	}
	if want := (Imported{Blocks: 20, Added: 19, Moved: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	wantHead(t, st, chain.Dev, blocks[:20])
}

func TestImportGenesis(t *testing.T) {
	other, err := chain.Mainnet.GenesisBlock()
	if err != nil {
		t.Fatal(err)
	}
	blocks := generated(t, chain.Dev, 10)
	st := openStore(t, chain.Dev)
	_, err = importAs(t, "mainnet.rlp", other.Raw(), chain.Dev, st)
	e, ok := errors.AsType[*Error](err)
	if !ok || !errors.Is(err, ErrGenesis) || e.File != "mainnet.rlp" || e.Number != 0 || !e.NumberKnown || e.Offset != 0 {
		t.Fatalf("got %v, want ErrGenesis of mainnet.rlp", err)
	}
	// Behind a good chain it costs nothing of that.
	got, err := importAs(t, "both.rlp", stream(append(blocks, other)), chain.Dev, st)
	e, ok = errors.AsType[*Error](err)
	if !ok || !errors.Is(err, ErrGenesis) || e.Offset != int64(len(stream(blocks))) {
		t.Fatalf("got %v, want ErrGenesis", err)
	}
	if want := (Imported{Blocks: 11, Added: 10, Moved: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	wantHead(t, st, chain.Dev, blocks)
	// The right one may come as often as it likes.
	got, err = importAs(t, "twice.rlp", stream([]*chain.Block{blocks[0], blocks[1], blocks[0], blocks[1]}), chain.Dev, st)
	wantImported(t, got, err, Imported{Blocks: 4})
}

// TestImportUncleSeals: with a block, the seals of its uncles are checked; the blocks
// before it stay.
func TestImportUncleSeals(t *testing.T) {
	blocks := generated(t, chain.Dev, 20)
	at := slices.IndexFunc(blocks, func(b *chain.Block) bool { return b.Number > 8 && b.HasUncles() })
	var bad common.Hash
	for u, err := range blocks[at].Uncles() {
		if err != nil {
			t.Fatal(err)
		}
		bad = u.Hash
	}
	opts := loose
	opts.Seal = func(h *chain.Header) error {
		if h.Hash == bad {
			return &chain.RuleError{Rule: chain.RuleSeal, Number: h.Number, Hash: h.Hash, Have: "false", Want: "true"}
		}
		return nil
	}
	st := openStore(t, chain.Dev)
	r, err := NewReader("uncles", bytes.NewReader(stream(blocks)), chain.Dev, opts)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Import(t.Context(), r, chain.Dev, st)
	if e, ok := errors.AsType[*chain.RuleError](err); !ok || e.Rule != chain.RuleSeal || !strings.Contains(err.Error(), "uncle") {
		t.Errorf("got %v, want the seal of an uncle to be refused", err)
	}
	wantHead(t, st, chain.Dev, blocks[:at])
}

// TestImportBranches: a file with two branches ends at the heavier, in
// whichever order they come.
func TestImportBranches(t *testing.T) {
	blocks := generated(t, chain.Dev, 40)
	trunk := blocks[:21]
	light := blocks[21:]
	// As many blocks, but found faster.
	heavy := slices.Collect(chaingen.Generate(chaingen.Config{Seed: 9, Blocks: 20, Interval: 3}.From(trunk[20])))
	if l, h := &light[19].Difficulty, &heavy[19].Difficulty; !h.Gt(l) {
		t.Fatalf("difficulty %s of the heavy branch, %s of the light: this tests nothing", h.Dec(), l.Dec())
	}
	want := slices.Concat(trunk, heavy)
	for name, file := range map[string][]*chain.Block{
		"light first":          slices.Concat(trunk, light, heavy),
		"heavy first":          slices.Concat(trunk, heavy, light),
		"mixed":                append(slices.Clone(trunk), mix(light, heavy)...),
		"light again at last":  slices.Concat(trunk, light, heavy, light),
		"each block two times": append(slices.Clone(trunk), mix(slices.Concat(light, heavy), slices.Concat(light, heavy))...),
	} {
		t.Run(name, func(t *testing.T) {
			st := openStore(t, chain.Dev)
			got, err := importAs(t, name, stream(file), chain.Dev, st)
			wantImported(t, got, err, Imported{Blocks: uint64(len(file)), Added: uint64(len(trunk) + len(light) + len(heavy) - 1), Moved: true})
			wantHead(t, st, chain.Dev, want)
			if n := uint64(len(trunk) + len(light) + len(heavy)); st.Blocks() != n {
				t.Errorf("the store has %d blocks, want both branches: %d", st.Blocks(), n)
			}
		})
	}
}

// mix takes from a and b in turns.
func mix(a, b []*chain.Block) (all []*chain.Block) {
	for len(a) > 0 || len(b) > 0 {
		if len(a) > 0 {
			all, a = append(all, a[0]), a[1:]
		}
		if len(b) > 0 {
			all, b = append(all, b[0]), b[1:]
		}
	}
	return all
}

// TestImportDamaged cuts and flips: what comes before the damage stays, the
// error tells the block and the place, and the whole file helps.
func TestImportDamaged(t *testing.T) {
	blocks := generated(t, chain.Dev, 30)
	data := stream(blocks)
	off := len(stream(blocks[:20]))
	flip := bytes.Clone(data)
	flip[off+len(blocks[20].Raw())-1] ^= 1 // in the body
	for name, damaged := range map[string][]byte{
		"cut in a block":  data[:off+100],
		"cut in the size": data[:off+1],
		"flipped":         flip,
		"junk":            append(bytes.Clone(data[:off]), "junk"...),
	} {
		t.Run(name, func(t *testing.T) {
			st := openStore(t, chain.Dev)
			got, err := importAs(t, "damaged.rlp", damaged, chain.Dev, st)
			e, ok := errors.AsType[*Error](err)
			if !ok || e.File != "damaged.rlp" || e.Number != 20 || e.Offset != int64(off) {
				t.Fatalf("got %v, want an error about block 20 at offset %d", err, off)
			}
			if want := (Imported{Blocks: 20, Added: 19, Moved: true}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			wantHead(t, st, chain.Dev, blocks[:20])
			got, err = importAs(t, "whole.rlp", data, chain.Dev, st)
			wantImported(t, got, err, Imported{Blocks: 31, Added: 11, Moved: true})
			wantHead(t, st, chain.Dev, blocks)
		})
	}
}

// remade is b with its header items changed and its body replaced, if given.
func remade(t testing.TB, net *chain.Network, b *chain.Block, uncles []byte, set map[int][]byte) *chain.Block {
	t.Helper()
	var blk, header []rlp.RawValue
	for raw, into := range map[*[]rlp.RawValue][]byte{&blk: b.Raw(), &header: b.Header.Raw()} {
		if err := rlp.DecodeBytes(into, raw); err != nil {
			t.Fatal(err)
		}
	}
	if uncles != nil {
		blk[2] = uncles
	}
	for i, item := range set {
		header[i] = item
	}
	var err error
	if blk[0], err = rlp.EncodeToBytes(header); err != nil {
		t.Fatal(err)
	}
	raw, err := rlp.EncodeToBytes(blk)
	if err != nil {
		t.Fatal(err)
	}
	made, err := net.ParseBlock(raw)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func rlpOf(t testing.TB, v any) []byte {
	t.Helper()
	b, err := rlp.EncodeToBytes(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestImportHostile: blocks that say what cannot be are the file's fault, and
// nothing of them gets into the store.
func TestImportHostile(t *testing.T) {
	dev := generated(t, chain.Dev, 5)
	poc6 := generated(t, chain.PoC6, 5)
	badUncle := []byte{0xc1, 0x05}
	badHash := chain.Keccak256(badUncle)
	for _, c := range []struct {
		name string
		net  *chain.Network
		good []*chain.Block // that come before it
		bad  *chain.Block
		want error
		rule chain.Rule
	}{
		{name: "block 1 on the zero hash", net: chain.Dev, want: ErrNoParent,
			bad: remade(t, chain.Dev, dev[1], nil, map[int][]byte{0: rlpOf(t, common.Hash{})})},
		{name: "block 4 on the zero hash", net: chain.Dev, good: dev[:4], want: ErrNoParent,
			bad: remade(t, chain.Dev, dev[4], nil, map[int][]byte{0: rlpOf(t, common.Hash{})})},
		{name: "number too high", net: chain.Dev, good: dev[:4], rule: chain.RuleNumber,
			bad: remade(t, chain.Dev, dev[4], nil, map[int][]byte{8: rlpOf(t, uint64(5))})},
		{name: "number of its parent", net: chain.Dev, good: dev[:4], rule: chain.RuleNumber,
			bad: remade(t, chain.Dev, dev[4], nil, map[int][]byte{8: rlpOf(t, uint64(3))})},
		{name: "number too high on the genesis block", net: chain.Dev, rule: chain.RuleNumber,
			bad: remade(t, chain.Dev, dev[1], nil, map[int][]byte{8: rlpOf(t, uint64(2))})},
		{name: "number 0", net: chain.Dev, good: dev[:4], want: ErrGenesis,
			bad: remade(t, chain.Dev, dev[4], nil, map[int][]byte{8: rlpOf(t, uint64(0))})},
		{name: "too much difficulty", net: chain.Dev, good: dev[:4], rule: chain.RuleDifficulty,
			bad: remade(t, chain.Dev, dev[4], nil, map[int][]byte{7: rlpOf(t, new(uint256.Int).SetAllOne())})},
		{name: "an uncle that is none", net: chain.PoC6, good: poc6[:4],
			bad: remade(t, chain.PoC6, poc6[4], badUncle, map[int][]byte{1: rlpOf(t, badHash)})},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := openStore(t, c.net)
			genesis, _ := c.net.GenesisBlock()
			good := c.good
			if good == nil {
				good = []*chain.Block{genesis}
			}
			got, err := importAs(t, "hostile.rlp", stream(append(slices.Clone(good), c.bad)), c.net, st)
			e, ok := errors.AsType[*Error](err)
			if !ok || e.File != "hostile.rlp" || e.Number != c.bad.Number || e.Offset != int64(len(stream(good))) {
				t.Fatalf("got %v, want an error of the file about block %d", err, c.bad.Number)
			}
			if re, isRule := errors.AsType[*chain.RuleError](err); isRule != (c.rule != "") || isRule && re.Rule != c.rule {
				t.Errorf("got %v, want rule %q", err, c.rule)
			}
			if c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if got.Blocks != uint64(len(good)) || got.Added != uint64(len(good)-1) {
				t.Errorf("got %+v", got)
			}
			wantHead(t, st, c.net, good)
			if ok, err := st.Has(c.bad.Hash); ok || err != nil {
				t.Errorf("the store has the block: %v, %v", ok, err)
			}
		})
	}
}

// TestImportWrongTD: the store's TD is summed up, the file's must agree.
func TestImportWrongTD(t *testing.T) {
	blocks := generated(t, chain.Dev, 10)
	era, _ := era1File(t, chain.Dev, *uint256.NewInt(1), blocks)
	st := openStore(t, chain.Dev)
	got, err := importAs(t, "wrong.era1", era, chain.Dev, st)
	re, ok := errors.AsType[*chain.RuleError](err)
	if e, isFile := errors.AsType[*Error](err); !ok || re.Rule != chain.RuleTotalDifficulty || !isFile || e.File != "wrong.era1" {
		// The reader may be the one that finds it, at the genesis block.
		t.Fatalf("got %+v, %v", got, err)
	}
	wantHead(t, st, chain.Dev, blocks[:1])
}

// cancelReader cancels a context when so many bytes have been read.
type cancelReader struct {
	io.Reader
	left   int
	cancel context.CancelFunc
}

func (c *cancelReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p[:min(len(p), 4096)])
	if c.left -= n; c.left <= 0 {
		c.cancel()
	}
	return n, err
}

func TestImportCancelled(t *testing.T) {
	blocks := generated(t, chain.Dev, importBlocks+2000)
	data := stream(blocks)
	for _, at := range []int{0, len(data) / 2, len(data) - 1<<20} {
		st := openStore(t, chain.Dev)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, err := NewReader("file", &cancelReader{bytes.NewReader(data), at, cancel}, chain.Dev, loose)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Import(ctx, r, chain.Dev, st)
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want context.Canceled", err)
		}
		if at > 0 && got.Added == 0 || got.Blocks >= uint64(len(blocks)) {
			t.Errorf("cancelled at %d of %d bytes: got %+v", at, len(data), got)
		}
		wantHead(t, st, chain.Dev, blocks[:got.Added+1])
		// Again, to the end.
		again, err := importAs(t, "again", data, chain.Dev, st)
		wantImported(t, again, err, Imported{Blocks: uint64(len(blocks)), Added: uint64(len(blocks)-1) - got.Added, Moved: true})
		wantHead(t, st, chain.Dev, blocks)
	}
}

func TestExportRange(t *testing.T) {
	blocks := generated(t, chain.Dev, 30)
	st := openStore(t, chain.Dev)
	if _, err := importAs(t, "all", stream(blocks), chain.Dev, st); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		first, last uint64
		want        []*chain.Block
	}{
		{0, 0, blocks[:1]},
		{0, 30, blocks},
		{1, 30, blocks[1:]},
		{7, 7, blocks[7:8]},
		{10, 19, blocks[10:20]},
		{30, 30, blocks[30:]},
		{25, 99, blocks[25:]}, // ends early at the head
		{31, 99, nil},
		{5, 4, nil},
	} {
		if got := exported(t, st, c.first, c.last, "part.rlp"); !bytes.Equal(got, stream(c.want)) {
			t.Errorf("%d to %d: got %d bytes, want %d", c.first, c.last, len(got), len(stream(c.want)))
		}
	}

	// The blocks of the light branch are held, but not canonical.
	heavy := slices.Collect(chaingen.Generate(chaingen.Config{Seed: 9, Blocks: 40, Interval: 3}.From(blocks[10])))
	if _, err := importAs(t, "fork", stream(heavy), chain.Dev, st); err != nil {
		t.Fatal(err)
	}
	if got := exported(t, st, 0, 50, "all.rlp"); !bytes.Equal(got, stream(slices.Concat(blocks[:11], heavy))) {
		t.Error("after the reorg the export is not the heavier chain")
	}

	w, err := Create(filepath.Join(t.TempDir(), "none.rlp"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err = Export(ctx, st, 0, 30, w, func() {
		if n++; n == 5 {
			cancel()
		}
	})
	if written, _ := w.Written(); !errors.Is(err, context.Canceled) || n != 5 || written != 5 {
		t.Errorf("cancelled after 5 blocks: got %v after %d, %d written", err, n, written)
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
	// Errors of the writer and of the store come through.
	if err := Export(t.Context(), st, 0, 3, w, nil); !errors.Is(err, errDone) {
		t.Errorf("got %v, want %v", err, errDone)
	}
	st.Close()
	if err := Export(t.Context(), st, 0, 3, w, nil); !errors.Is(err, store.ErrClosed) {
		t.Errorf("got %v, want %v", err, store.ErrClosed)
	}
}

// TestExportImportExport: what goes round comes round, byte for byte.
func TestExportImportExport(t *testing.T) {
	for _, net := range []*chain.Network{chain.Dev, chain.Sepolia, chain.PoC6} {
		blocks := generated(t, net, 60)
		first := openStore(t, net)
		if _, err := importAs(t, "generated", stream(blocks), net, first); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"x.rlp", "x.rlp.gz"} {
			one := exported(t, first, 0, 60, name)
			second := openStore(t, net)
			got, err := importAs(t, name, one, net, second)
			wantImported(t, got, err, Imported{Blocks: 61, Added: 60, Moved: true})
			if first.Head() != second.Head() {
				t.Errorf("%s: heads %v and %v", net.Name, first.Head(), second.Head())
			}
			if two := exported(t, second, 0, 60, name); !bytes.Equal(one, two) {
				t.Errorf("%s %s: the second export differs", net.Name, name)
			}
		}
	}
}

// TestImportReal imports what the world has left us.
func TestImportReal(t *testing.T) {
	for _, c := range []struct {
		name     string
		path     func(testing.TB) string
		net      *chain.Network
		n        uint64
		head, td string
	}{
		{"sepolia", func(t testing.TB) string { return testbed.Era1(t, "sepolia-00000-643a00f7.era1") }, chain.Sepolia, 8192,
			"0x8e3e7dc9ef199c05683417b4aa572f0b7a8bcfafca7edb6045baabc01aa4fb0c", "14255663800"},
		{"mainnet", func(t testing.TB) string { return sharedData(t, "era1", "mainnet-00000-5ec1ffb8.era1") }, chain.Mainnet, 8192,
			"0xa6860fefa339c963e1bb622526cc8dd4344eedd2a9b969e74de5cccc445fbed4", "1344623723034024"},
		{"poc6", func(t testing.TB) string { return sharedData(t, "poc6", "chain500-pv30.hex") }, chain.PoC6, 501, "", "84414393"},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := openStore(t, c.net)
			r, err := Open(c.path(t), c.net, loose)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			got, err := Import(t.Context(), r, c.net, st)
			wantImported(t, got, err, Imported{Blocks: c.n, Added: c.n - 1, Moved: true})
			h := st.Head()
			if h.Number != c.n-1 || h.TD.Dec() != c.td || c.head != "" && h.Hash.Hex() != c.head {
				t.Errorf("head is %d %s of TD %s, want %d %s of %s", h.Number, h.Hash.Hex(), h.TD.Dec(), c.n-1, c.head, c.td)
			}
			data := exported(t, st, 0, c.n-1, "x.rlp")
			second := openStore(t, c.net)
			got, err = importAs(t, "x.rlp", data, c.net, second)
			wantImported(t, got, err, Imported{Blocks: c.n, Added: c.n - 1, Moved: true})
			if !bytes.Equal(exported(t, second, 0, c.n-1, "x.rlp"), data) {
				t.Error("the second export differs")
			}
		})
	}
	// A part of another chain, or of later, has no parent here.
	r, err := Open(testbed.Era1(t, "sepolia-00021-b8814b14.era1"), chain.Sepolia, loose)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = Import(t.Context(), r, chain.Sepolia, openStore(t, chain.Sepolia))
	if e, ok := errors.AsType[*Error](err); !ok || !errors.Is(err, ErrNoParent) || e.Number != 172032 {
		t.Errorf("got %v, want ErrNoParent for block 172032", err)
	}
}
