package store

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/ethereum/go-ethereum/common"
)

// TestFilter: what is held passes, whoever has put it and when; most else does not; and a
// filter that could not learn everything lets everything pass.
func TestFilter(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, Options{})
	blocks := branch(genesisLink(), 1, 300, 10)
	mustPut(t, s, blocks[:100], 100)
	if _, err := s.Register(Block, records(blocks[100:200])); err != nil {
		t.Fatal(err)
	}
	mustPutContent(t, s, Chunk, blocks[200:], 100)
	check := func(what string, f *filter) {
		t.Helper()
		for i := range blocks {
			if f.absent(&blocks[i].Hash) {
				t.Fatalf("%s: %d of what is held does not pass", what, i)
			}
		}
	}
	check("put", &s.filter)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir, Options{})
	check("opened", &s.filter)
	r, passed := rand.New(rand.NewPCG(1, 2)), 0
	for range 10_000 {
		var h common.Hash
		for i := 0; i < len(h); i += 8 {
			binary.BigEndian.PutUint64(h[i:], r.Uint64())
		}
		if !s.filter.absent(&h) {
			passed++
		}
	}
	if passed > 10 {
		t.Errorf("%d of 10,000 pass that are not held", passed)
	}
	const held = 1 + 300
	var f filter
	if err := f.learn(s.db, held); err != nil {
		t.Fatal(err)
	}
	check("learned", &f)
	if !f.absent(&common.Hash{0xff, 0xff, 0xff}) {
		t.Error("what is not held passes")
	}
	if err := f.learn(s.db, held-1); err != nil {
		t.Fatal(err)
	}
	if f.absent(&common.Hash{0xff, 0xff, 0xff}) {
		t.Error("a filter that does not know everything says that something is not held")
	}
}
