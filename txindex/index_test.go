package txindex_test

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/store"
	"github.com/shoalnet/shoal/txindex"
)

// world is a store with a chain that changes, and where each transaction is.
type world struct {
	*testing.T
	store *store.Store
	chain []*chain.Block // the canonical one, from the genesis block on
	td    []uint256.Int
	seed  uint64
	all   map[common.Hash]bool // of all chains that there were
}

func newWorld(t *testing.T) *world {
	t.Helper()
	g, err := chain.Dev.GenesisBlock()
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.TempDir(), store.Options{
		Network: "dev", Genesis: store.Genesis{Record: store.Record{Hash: g.Hash, Raw: g.Raw()}, TD: g.Difficulty},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return &world{T: t, store: st, chain: []*chain.Block{g}, td: []uint256.Int{g.Difficulty}, all: map[common.Hash]bool{}}
}

// grow puts n blocks with some transactions on block from, which become the canonical
// chain: they are quick, hence heavy.
func (w *world) grow(from, n int) {
	w.Helper()
	w.seed++
	interval := uint64(1000) // difficulty goes down
	if from < len(w.chain)-1 {
		interval = 1
	}
	w.chain, w.td = w.chain[:from+1], w.td[:from+1]
	var recs []store.Record
	var links []store.Link
	for b := range chaingen.Generate(chaingen.Config{
		Seed: w.seed, Blocks: uint64(n), Parent: w.chain[from], Interval: interval,
		Shape: func(n uint64) (int, int) { return int(n * 7 % 4), 0 },
	}) {
		td, err := chain.Dev.TotalDifficulty(&w.td[b.Number-1], b)
		if err != nil {
			w.Fatal(err)
		}
		w.chain, w.td = append(w.chain, b), append(w.td, td)
		recs = append(recs, store.Record{Hash: b.Hash, Number: b.Number, Raw: b.Raw()})
		links = append(links, store.Link{Hash: b.Hash, Parent: b.Parent, Number: b.Number, TD: td})
		for _, tx := range transactions(w.T, b) {
			w.all[tx] = true
		}
	}
	if _, err := w.store.Put(recs); err != nil {
		w.Fatal(err)
	}
	if move, err := w.store.Link(links); err != nil || !move.Moved() {
		w.Fatalf("head moved: %v, %v", move.Moved(), err)
	}
}

func transactions(t *testing.T, b *chain.Block) (list []common.Hash) {
	t.Helper()
	for leaf, err := range b.Transactions() {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, chain.Keccak256(leaf))
	}
	return list
}

// check compares what is found with a look at all blocks.
func (w *world) check(x *txindex.Index) {
	w.Helper()
	type place struct {
		block common.Hash
		at    int
	}
	want := map[common.Hash]place{}
	for _, b := range w.chain {
		for i, tx := range transactions(w.T, b) {
			want[tx] = place{b.Hash, i}
		}
	}
	w.all[common.Hash{1}] = true
	for tx := range w.all {
		block, at, ok, err := x.Find(tx)
		p, there := want[tx]
		if err != nil || ok != there || ok && (place{block, at}) != p {
			w.Fatalf("transaction %x: %v in block %x at %d, %v; want %v %x at %d", tx[:4], ok, block[:4], at, err, there, p.block[:4], p.at)
		}
	}
	if n := x.Reached(); n != uint64(len(w.chain)-1) {
		w.Fatalf("reached %d of %d", n, len(w.chain)-1)
	}
}

// TestFindsWhatIsThere: after any growth and any reorg, also while nobody looked, the
// index finds each transaction of the canonical chain and no other.
func TestFindsWhatIsThere(t *testing.T) {
	w := newWorld(t)
	r := rand.New(rand.NewPCG(1, 2))
	x := w.open()
	for range 60 {
		switch top := len(w.chain) - 1; r.IntN(4) {
		case 0: // a reorg: the new branch is longer
			depth := r.IntN(min(top, 20) + 1)
			w.grow(top-depth, 2*depth+1+r.IntN(3))
			if r.IntN(2) == 0 {
				continue // it is followed by something else before anybody looks
			}
		case 1: // the program starts anew
			x = w.open()
		default:
			w.grow(top, r.IntN(30)+1)
		}
		if err := x.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.check(x)
	}
}

func (w *world) open() *txindex.Index {
	w.Helper()
	x, err := txindex.New(chain.Dev, w.store)
	if err != nil {
		w.Fatal(err)
	}
	return x
}

// TestRunFollows: who is poked looks, and stops when told to.
func TestRunFollows(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error)
	looked := make(chan struct{}, 1000)
	x, err := txindex.New(chain.Dev, watched{w.store, looked})
	if err != nil {
		t.Fatal(err)
	}
	go func() { over <- x.Run(ctx) }()
	for range 5 {
		w.grow(len(w.chain)-1, 3)
		x.Poke()
		for x.Reached() != uint64(len(w.chain)-1) {
			<-looked
		}
		w.check(x)
	}
	cancel()
	if err := <-over; err != nil {
		t.Error(err)
	}
}

// watched tells when the cursor is looked at.
type watched struct {
	txindex.Store
	looked chan struct{}
}

func (w watched) Head() store.Head {
	w.looked <- struct{}{}
	return w.Store.Head()
}

// TestStoreFails: an error of the store ends Run, and is told.
func TestStoreFails(t *testing.T) {
	w := newWorld(t)
	w.grow(0, 5)
	x, err := txindex.New(chain.Dev, broken{w.store})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Run(t.Context()); !errors.Is(err, errDisk) {
		t.Errorf("got %v", err)
	}
	if _, err := txindex.New(chain.PoC6, w.store); err == nil {
		t.Error("an index of transactions of 2014")
	}
}

var errDisk = errors.New("the disk is gone")

type broken struct{ txindex.Store }

func (broken) AppendRaw([]byte, common.Hash) ([]byte, error) { return nil, errDisk }

// TestManyHints: hints that lead nowhere do no harm.
func TestManyHints(t *testing.T) {
	w := newWorld(t)
	w.grow(0, 20)
	x := w.open()
	if err := x.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	tx := slices.Collect(maps.Keys(w.all))[0]
	twin := tx
	twin[31]++ // a transaction with the same prefix, which is nowhere
	refs := []store.TxRef{{Hash: twin, Number: 1}, {Hash: twin, Number: 2}, {Hash: twin, Number: 1e6}}
	at, err := w.store.TxCursor()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.PutTxRefs(refs, at); err != nil {
		t.Fatal(err)
	}
	w.all[twin] = true
	w.check(x)
	if err := w.store.PutTxRefs([]store.TxRef{{Hash: tx, Number: 1 << 32}}, at); err == nil {
		t.Error("a block number of 33 bits")
	}
}
