package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// Format is the version of the data directory that this program writes, and
// the newest that it reads.
const Format = 2

// step makes the index of one format into that of the next one.
//
// It works on an index that has not been compared with the segments yet, and must not
// touch these: what is in a segment is read in the format that its header names, for
// ever. It writes by [Store.commit], in batches of a size that memory has room for, and
// may be cut off between any two of them; then it runs again, from its beginning, over
// what it has done so far. A newer format of Pebble's is a step, too.
type step struct {
	what string // for people: what takes the time
	run  func(*Store) error
}

// steps lead from each format to the next, that from format 1 first.
var steps = [Format - 1]step{
	{"packing the canonical chain", func(s *Store) error { return packCanon(s, packRuns) }},
}

// upgrade brings the index from the format that it has to the newest one. Before a step
// begins, the index says that it is of the next format already, so that an older program
// does not come upon half of it, and that the step is not done. Needs mu.
func (s *Store) upgrade(format uint32, steps []step, keep bool) error {
	unfinished, err := has(s.db, metaKey(metaUpgrade))
	if err != nil {
		return err
	}
	if unfinished && format > 1 {
		format--
	}
	newest := uint32(1 + len(steps))
	if format < newest && keep {
		return fmt.Errorf("%w: %s has format %d, this program works with %d, and a command that only reads does not change that; "+
			"start a node once, or another command that writes, to upgrade it: older versions of the program cannot use it then",
			ErrOldFormat, s.dir, format, newest)
	}
	for ; format < newest; format++ {
		step := &steps[format-1]
		s.log.Info("store: upgrading the data directory; older versions of the program cannot use it from now on",
			"dir", s.dir, "from", format, "to", format+1, "work", step.what)
		err := s.note(func(b *pebble.Batch) error {
			return errors.Join(setFormat(b, format+1), b.Set(metaKey(metaUpgrade), nil, nil))
		})
		if err == nil {
			err = step.run(s)
		}
		if err == nil {
			err = s.note(func(b *pebble.Batch) error { return b.Delete(metaKey(metaUpgrade), nil) })
		}
		if err != nil {
			return fmt.Errorf("store: upgrade %s to format %d: %w", s.dir, format+1, err)
		}
	}
	return nil
}

func setFormat(b *pebble.Batch, format uint32) error {
	return b.Set(metaKey(metaFormat), binary.BigEndian.AppendUint32(nil, format), nil)
}

// note commits a small batch durably. Needs mu.
func (s *Store) note(fill func(*pebble.Batch) error) error {
	b := s.db.NewBatch()
	defer b.Close()
	if err := fill(b); err != nil {
		return err
	}
	return s.commit(b, pebble.Sync)
}

// prefixSingle is that of the canonical chain in format 1.
const prefixSingle = 'c'

// packRuns is how many runs packCanon writes at once: 8192 blocks, of which it holds a
// megabyte in memory. Fewer would be slower; ten times as many would be more than one table of the
// index has room for.
const packRuns = 64

// packCanon leads from format 1 to 2. It takes the old keys away when all runs are written:
// if it is cut off before, the same ones are written again.
func packCanon(s *Store, runs int) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixSingle}, UpperBound: prefixEnd(prefixSingle)})
	if err != nil {
		return fmt.Errorf("store: read index: %w", err)
	}
	defer it.Close()
	var chain []Link // those that are not written yet
	write := func() error {
		if len(chain) == 0 {
			return nil
		}
		b := s.db.NewBatch()
		defer b.Close()
		if err := setCanon(s.db, b, chain[0].Number, chain, 0); err != nil {
			return err
		}
		chain = chain[:0]
		return s.commit(b, pebble.NoSync)
	}
	var td uint256.Int // of the block below
	for n, ok := uint64(0), it.First(); ok; n, ok = n+1, it.Next() {
		v := it.Value()
		if len(v) < common.HashLength || len(v) > common.HashLength+32 {
			return badValue(prefixSingle, v)
		}
		l := Link{Hash: common.Hash(v[:common.HashLength]), Number: n}
		l.TD.SetBytes(v[common.HashLength:])
		if keyNumber(it.Key()) != n || n > 0 && !l.TD.Gt(&td) {
			return errBroken(n)
		}
		td = l.TD
		if chain = append(chain, l); len(chain) == runs*canonRun {
			if err := write(); err != nil {
				return err
			}
		}
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("store: read index: %w", err)
	}
	if err := write(); err != nil {
		return err
	}
	return s.note(func(b *pebble.Batch) error {
		return b.DeleteRange([]byte{prefixSingle}, prefixEnd(prefixSingle), nil)
	})
}
