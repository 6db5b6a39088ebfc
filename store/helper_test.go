package store

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

var testGenesis = Genesis{
	Record: Record{Hash: common.Hash{0: 0x9e, 31: 1}, Raw: []byte("the genesis block")},
	TD:     *uint256.NewInt(17),
}

func (o Options) forTest() Options {
	if o.Network == "" {
		o.Network = "test"
	}
	if o.Genesis.Hash == (common.Hash{}) {
		o.Genesis = testGenesis
	}
	return o
}

// openTest opens a store of the test network that is closed with the test.
func openTest(t testing.TB, dir string, opts Options) *Store {
	t.Helper()
	s, err := Open(dir, opts.forTest())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error("close:", err)
		}
	})
	return s
}

// block is a block of a test chain.
type block struct {
	Record
	link Link
}

// content is the name of receipts or of a chunk.
type content struct {
	kind Kind
	hash common.Hash
}

// contentOf makes other content for blocks, under the same hashes.
func contentOf(k Kind, blocks []block) []Record {
	recs := make([]Record, len(blocks))
	for i := range blocks {
		recs[i] = Record{Hash: blocks[i].Hash, Raw: fmt.Appendf(nil, "%v of %s", k, blocks[i].Raw)}
	}
	return recs
}

func mustPutContent(t testing.TB, s *Store, k Kind, blocks []block, want int) {
	t.Helper()
	if got, err := s.PutContent(k, contentOf(k, blocks)); err != nil || got != want {
		t.Fatalf("PutContent of %d %v: got %d, %v; want %d", len(blocks), k, got, err, want)
	}
}

// checkContent reads other content back.
func checkContent(t testing.TB, s *Store, k Kind, r *Record) {
	t.Helper()
	raw, err := s.AppendContent([]byte("before"), k, r.Hash)
	if err != nil || string(raw) != "before"+string(r.Raw) {
		t.Fatalf("%v %x: got %d bytes, %v; want %d", k, r.Hash[:4], len(raw)-6, err, len(r.Raw))
	}
}

// branch grows n blocks on parent. seed tells branches apart; difficulty is
// what each block adds.
func branch(parent Link, seed byte, n int, difficulty uint64) []block {
	blocks := make([]block, n)
	for i := range blocks {
		l := Link{Parent: parent.Hash, Number: parent.Number + 1}
		l.TD.AddUint64(&parent.TD, difficulty)
		l.Hash = common.Hash{seed, byte(l.Number >> 16), byte(l.Number >> 8), byte(l.Number), 31: 7}
		// Sizes from nothing to some kilobytes.
		size := int(l.Number*l.Number*31+uint64(seed)*17) % 700
		if l.Number%13 == 0 {
			size *= 9
		}
		raw := bytes.Repeat(fmt.Appendf(nil, "%d/%d.", seed, l.Number), size/4+1)[:size]
		blocks[i] = block{Record{l.Hash, l.Number, raw}, l}
		parent = l
	}
	return blocks
}

func genesisLink() Link { return Link{Hash: testGenesis.Hash, TD: testGenesis.TD} }

func records(blocks []block) []Record {
	recs := make([]Record, len(blocks))
	for i := range blocks {
		recs[i] = blocks[i].Record
	}
	return recs
}

func links(blocks []block) []Link {
	run := make([]Link, len(blocks))
	for i := range blocks {
		run[i] = blocks[i].link
	}
	return run
}

func mustPut(t testing.TB, s *Store, blocks []block, want int) {
	t.Helper()
	if got, err := s.Put(records(blocks)); err != nil || got != want {
		t.Fatalf("Put of %d blocks: got %d, %v; want %d", len(blocks), got, err, want)
	}
}

func mustLink(t testing.TB, s *Store, blocks []block) Move {
	t.Helper()
	m, err := s.Link(links(blocks))
	if err != nil {
		t.Fatal("Link:", err)
	}
	return m
}

// checkConsistent reads everything the store says it has: the canonical chain
// has no gaps, its ends and numbers agree, each block of it is held and reads
// back. It returns the chain.
func checkConsistent(t testing.TB, s *Store) []common.Hash {
	t.Helper()
	head := s.Head()
	var chain []common.Hash
	for h, err := range s.CanonicalHashes(0, 1<<62) {
		if err != nil {
			t.Fatal("CanonicalHashes:", err)
		}
		chain = append(chain, h)
	}
	if uint64(len(chain)) != head.Number+1 || chain[head.Number] != head.Hash {
		t.Fatalf("canonical chain has %d hashes, head is %d %x", len(chain), head.Number, head.Hash)
	}
	if chain[0] != s.Genesis() {
		t.Fatalf("canonical chain starts with %x", chain[0])
	}
	parent := Link{}
	for n, h := range chain {
		l, ok, err := s.Linked(h)
		if err != nil || !ok || l.Number != uint64(n) || l.Hash != h || l.Parent != parent.Hash || n > 0 && !l.TD.Gt(&parent.TD) {
			t.Fatalf("Linked(canonical %d): %+v, %v, %v", n, l, ok, err)
		}
		parent = l
	}
	if parent.TD != head.TD {
		t.Fatalf("TD of the last canonical block is %s, of the head %s", &parent.TD, &head.TD)
	}
	back, err := s.AppendAncestors(nil, head.Hash, 1<<30)
	if err != nil || len(back) != len(chain)-1 {
		t.Fatalf("AppendAncestors(head): %d hashes, %v; want %d", len(back), err, len(chain)-1)
	}
	for i, h := range back {
		if h != chain[len(chain)-2-i] {
			t.Fatalf("ancestor %d of the head is %x, want %x", i, h, chain[len(chain)-2-i])
		}
	}
	return chain
}

// checkHeld reads the block back.
func checkHeld(t testing.TB, s *Store, b *block) {
	t.Helper()
	raw, err := s.AppendRaw([]byte("before"), b.Hash)
	if err != nil || string(raw) != "before"+string(b.Raw) {
		t.Fatalf("block %d %x: got %d bytes, %v; want %d", b.Number, b.Hash[:4], len(raw)-6, err, len(b.Raw))
	}
}
