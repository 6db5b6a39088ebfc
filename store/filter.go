package store

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ethereum/go-ethereum/common"
)

const (
	// filterWords is the size of the filter in words of 64 bits: 4 MiB. When a million
	// blocks are held, one in a hundred that are not passes, with mainnet's 15.5 million
	// every other one, which costs a look into the index and nothing else. A tenth would
	// be of no use after a million, ten times as much is a third of the memory that a
	// sync may take.
	filterWords = 1 << 19

	// filterLearns is how much content the filter learns of when a store is opened, for
	// which that waits: a hundredth of a second. If more is held, all looks go into the
	// index: to read ten times as much would show at each start.
	filterLearns = 64 << 10
)

// filter is a Bloom filter of all hashes under which something is held. Most of what is
// put is not held, and to learn that from the index costs more than all the rest of
// putting a small block. A hash that is taken out stays in it. Of each hash three bits are
// in one word, so that a question costs one look into memory. It is safe for concurrent
// use.
type filter struct {
	words []atomic.Uint64 // nil: it does not know everything
}

func filterBits(h *common.Hash) (word int, bits uint64) {
	x := binary.LittleEndian.Uint64(h[:])
	return int(x>>18) % filterWords, 1<<(x&63) | 1<<(x>>6&63) | 1<<(x>>12&63)
}

// add must come before others can see that something is held.
func (f *filter) add(h *common.Hash) {
	if f.words != nil {
		word, bits := filterBits(h)
		f.words[word].Or(bits)
	}
}

// absent reports that nothing is held under a hash. False means that it may be.
func (f *filter) absent(h *common.Hash) bool {
	if f.words == nil {
		return false
	}
	word, bits := filterBits(h)
	return f.words[word].Load()&bits != bits
}

// learn makes a filter of all that is held, unless that is more than most.
func (f *filter) learn(db *pebble.DB, most int) error {
	f.words = make([]atomic.Uint64, filterWords)
	for k := range kinds {
		it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{k.prefix()}, UpperBound: prefixEnd(k.prefix())})
		if err != nil {
			return fmt.Errorf("store: read index: %w", err)
		}
		for ok := it.First(); ok && most >= 0; ok = it.Next() {
			h := common.Hash(it.Key()[1:])
			f.add(&h)
			most--
		}
		if err := it.Close(); err != nil {
			return fmt.Errorf("store: read index: %w", err)
		}
	}
	if most < 0 {
		f.words = nil
	}
	return nil
}
