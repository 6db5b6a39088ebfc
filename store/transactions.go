package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ethereum/go-ethereum/common"
)

// txPrefix is how many bytes of a transaction's hash are in its key. With eight, of the
// two thousand million transactions of the proof-of-work years hardly two share a key, and
// a key of 13 bytes is what a transaction costs. All 32 would be three times as much. Who
// makes transactions that share a prefix makes looking for them slower, for which see the
// bound of [Store.TxNumbers].
const txPrefix = 8

// TxRef says that a transaction is in a block of that number. It is a hint: the block may
// have left the canonical chain since, and a few transactions share a hint. The block that
// is canonical now tells, so that nothing has to be taken back when the head moves.
type TxRef struct {
	Hash   common.Hash // of the transaction
	Number uint64      // of the block
}

type txKey [1 + txPrefix + 4]byte

func keyOfTx(ref *TxRef) (k txKey) {
	k[0] = prefixTx
	copy(k[1:], ref.Hash[:txPrefix])
	binary.BigEndian.PutUint32(k[1+txPrefix:], uint32(ref.Number))
	return k
}

// PutTxRefs notes where transactions are, and with it in one atomic step up to which block
// that is known; of the head, number and hash count. It is not synced: after a loss of
// power the latest may be missing, and [Store.TxCursor] is then as much behind.
func (s *Store) PutTxRefs(refs []TxRef, upTo Head) error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	b := s.db.NewBatchWithSize(len(refs)*(len(txKey{})+4) + 128)
	defer b.Close()
	for i := range refs {
		if refs[i].Number > math.MaxUint32 {
			return fmt.Errorf("store: block %d has a number that the index of transactions has no room for", refs[i].Number)
		}
		key := keyOfTx(&refs[i])
		if err := b.Set(key[:], nil, nil); err != nil {
			return fmt.Errorf("store: note transactions: %w", err)
		}
	}
	value := append(binary.BigEndian.AppendUint64(nil, upTo.Number), upTo.Hash[:]...)
	if err := b.Set(metaKey(metaTxs), value, nil); err != nil {
		return fmt.Errorf("store: note transactions: %w", err)
	}
	return s.commitInTurn(b, pebble.NoSync)
}

// TxCursor returns the block up to which it is known where transactions are, without its
// total difficulty: ErrNotFound if nothing was ever noted.
func (s *Store) TxCursor() (Head, error) {
	if err := s.gate.enter(); err != nil {
		return Head{}, err
	}
	defer s.gate.leave()
	return get(s.db, metaKey(metaTxs), func(b []byte) (Head, error) {
		if len(b) != 8+common.HashLength {
			return Head{}, badValue(prefixMeta, b)
		}
		return Head{Number: binary.BigEndian.Uint64(b), Hash: common.Hash(b[8:])}, nil
	})
}

// TxNumbers returns the numbers of up to most blocks that a transaction may be in, lowest
// first.
func (s *Store) TxNumbers(h common.Hash, most int) (numbers []uint64, err error) {
	if err := s.gate.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	first, last := keyOfTx(&TxRef{h, 0}), keyOfTx(&TxRef{h, math.MaxUint32})
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: first[:], UpperBound: append(last[:], 0)})
	if err != nil {
		return nil, fmt.Errorf("store: read index: %w", err)
	}
	defer func() {
		if e := it.Close(); e != nil {
			err = errors.Join(err, fmt.Errorf("store: read index: %w", e))
		}
	}()
	for ok := it.First(); ok && len(numbers) < most; ok = it.Next() {
		if len(it.Key()) != len(txKey{}) {
			return nil, fmt.Errorf("store: index is corrupt: a key of a transaction has %d bytes", len(it.Key()))
		}
		numbers = append(numbers, uint64(binary.BigEndian.Uint32(it.Key()[1+txPrefix:])))
	}
	return numbers, nil
}
