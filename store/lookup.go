package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ethereum/go-ethereum/common"
)

// lookup finds the places of much content of one kind. One iterator that goes through the
// hashes in their order costs a third of as many single lookups, which each
// set up their own search through all levels. The slices are scratch, kept
// between uses.
type lookup struct {
	order  []ordered // the hashes, by hash, then by index
	places []place
	state  []lookupState
}

type lookupState uint8

const (
	absent   lookupState = iota // not held
	held                        // held at places[i]
	repeated                    // the same hash has a smaller index
)

// ordered is one of the hashes. Most are told apart by their first bytes.
type ordered struct {
	first uint64
	index int32
}

func (k *lookup) find(s *Store, kind Kind, n int, hash func(i int) *common.Hash) error {
	k.order = slices.Grow(k.order[:0], n)[:n]
	k.places = slices.Grow(k.places[:0], n)[:n]
	k.state = slices.Grow(k.state[:0], n)[:n]
	for i := range k.order {
		k.order[i] = ordered{binary.BigEndian.Uint64(hash(i)[:]), int32(i)}
	}
	slices.SortFunc(k.order, func(a, b ordered) int {
		if a.first != b.first {
			return cmp.Compare(a.first, b.first)
		}
		return cmp.Or(bytes.Compare(hash(int(a.index))[:], hash(int(b.index))[:]), cmp.Compare(a.index, b.index))
	})
	it, err := s.db.NewIter(&pebble.IterOptions{
		LowerBound:   []byte{kind.prefix()},
		UpperBound:   prefixEnd(kind.prefix()),
		UseL6Filters: true, // most of what is put is not held
	})
	if err != nil {
		return fmt.Errorf("store: read index: %w", err)
	}
	defer it.Close()
	for j, o := range k.order {
		i := o.index
		h := hash(int(i))
		if j > 0 && k.order[j-1].first == o.first && *hash(int(k.order[j-1].index)) == *h {
			k.state[i] = repeated
			continue
		}
		if s.filter.absent(h) {
			k.state[i] = absent
			continue
		}
		key := kind.key(*h)
		if !it.SeekPrefixGE(key[:]) || !bytes.Equal(it.Key(), key[:]) {
			k.state[i] = absent
			continue
		}
		k.state[i] = held
		if k.places[i], err = decodePlace(it.Value()); err != nil {
			return err
		}
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("store: read index: %w", err)
	}
	return nil
}
