package store

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// The canonical chain is kept in runs, drawn in the package doc. All that reads or writes
// them is here.

// canonRun is how many blocks a key of the canonical chain has; the last one may have fewer.
// The longer, the less there is to write, sort and merge when many blocks are linked at
// once, and the fewer places a hash list is read from. The shorter, the less is written again
// when blocks come one by one: half a run on average, 2.4 KB. With a half, hash lists take
// half as long again; ten times as many would be 24 KB for each new head, and as much to be
// read for a block that is looked up by its number. It is part of the format: another value
// is a [step].
const canonRun = 128

// canon is a run of the canonical chain, or a part of one. It aliases the value that it
// was decoded from.
type canon struct {
	number uint64 // of the first block
	hashes []byte // of all, one behind the other
	tds    []byte // of all, each as wide as the last one of the run
	width  int
}

// runOf returns the number of the first block in the run that block n is in.
func runOf(n uint64) uint64 { return n - n%canonRun }

func decodeCanon(number uint64, v []byte) (canon, error) {
	if len(v) > 0 && number == runOf(number) && number <= math.MaxUint64-canonRun {
		width := int(v[0])
		size := common.HashLength + width
		n := (len(v) - 1) / size
		if width <= 32 && n >= 1 && n <= canonRun && len(v) == 1+n*size {
			tds := 1 + n*common.HashLength
			return canon{number: number, hashes: v[1:tds], tds: v[tds:], width: width}, nil
		}
	}
	return canon{}, fmt.Errorf("store: index is corrupt: the canonical chain from block %d is a value of %d bytes", number, len(v))
}

// appendCanon encodes the run that has the blocks of kept and then those of run, which is
// one block at least.
func appendCanon(b []byte, kept canon, run []Link) []byte {
	var last uint256.Int
	if len(run) > 0 {
		last = run[len(run)-1].TD
	} else {
		last = kept.head(kept.len() - 1).TD
	}
	width := last.ByteLen()
	b = slices.Grow(b, 1+(kept.len()+len(run))*(common.HashLength+width))
	b = append(b, byte(width))
	b = append(b, kept.hashes...)
	for i := range run {
		b = append(b, run[i].Hash[:]...)
	}
	for i := range kept.len() {
		h := kept.head(i)
		b = appendWide(b, &h.TD, width)
	}
	for i := range run {
		b = appendWide(b, &run[i].TD, width)
	}
	return b
}

func appendWide(b []byte, td *uint256.Int, width int) []byte {
	full := td.Bytes32()
	return append(b, full[32-width:]...)
}

func (c *canon) len() int    { return len(c.hashes) / common.HashLength }
func (c *canon) end() uint64 { return c.number + uint64(c.len()) } // number behind the last block
func (c *canon) hash(i int) common.Hash {
	return common.Hash(c.hashes[i*common.HashLength:][:common.HashLength])
}

func (c *canon) head(i int) Head {
	h := Head{Number: c.number + uint64(i), Hash: c.hash(i)}
	h.TD.SetBytes(c.tds[i*c.width:][:c.width])
	return h
}

// part returns the blocks of c with numbers from ≤ n < end.
func (c *canon) part(from, end uint64) canon {
	from = min(max(from, c.number), c.end())
	end = max(min(end, c.end()), from)
	i, j := int(from-c.number), int(end-c.number)
	return canon{
		number: from, width: c.width,
		hashes: c.hashes[i*common.HashLength : j*common.HashLength],
		tds:    c.tds[i*c.width : j*c.width],
	}
}

// getCanon returns block n of the canonical chain, ErrNotFound above its head.
func getCanon(r pebble.Reader, n uint64) (Head, error) {
	key := canonKey(runOf(n))
	return get(r, key[:], func(v []byte) (Head, error) {
		c, err := decodeCanon(runOf(n), v)
		switch {
		case err != nil:
			return Head{}, err
		case n >= c.end():
			return Head{}, ErrNotFound
		}
		return c.head(int(n - c.number)), nil
	})
}

// getLast returns the last block of the canonical chain, ErrNotFound if there is none.
func getLast(r pebble.Reader) (Head, error) {
	for c, err := range canonDown(r, math.MaxUint64) {
		if err != nil {
			return Head{}, err
		}
		return c.head(c.len() - 1), nil
	}
	return Head{}, ErrNotFound
}

// canonUp yields the canonical chain with numbers from ≤ n < end, as far as there is one,
// run by run. A run is valid until the next one. After an error it ends.
func canonUp(r pebble.Reader, from, end uint64) iter.Seq2[canon, error] {
	return canonRuns(r, from, end, false)
}

// canonDown yields the canonical chain below end, the highest run first. A run is valid
// until the next one. After an error it ends.
func canonDown(r pebble.Reader, end uint64) iter.Seq2[canon, error] {
	return canonRuns(r, 0, end, true)
}

func canonRuns(r pebble.Reader, from, end uint64, down bool) iter.Seq2[canon, error] {
	return func(yield func(canon, error) bool) {
		if from >= end {
			return
		}
		lower, upper := canonKey(runOf(from)), canonKey(end)
		it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower[:], UpperBound: upper[:]})
		if err != nil {
			yield(canon{}, fmt.Errorf("store: read index: %w", err))
			return
		}
		defer it.Close()
		ok, step := it.First(), it.Next
		if down {
			ok, step = it.Last(), it.Prev
		}
		next := runOf(from) // where the run that comes begins, or ends
		for first := true; ok; ok = step() {
			c, err := decodeCanon(keyNumber(it.Key()), it.Value())
			if err == nil {
				switch {
				case !down && c.number != next, down && !first && c.end() != next:
					err = errBroken(next)
				case down:
					next = c.number
				default:
					next = c.end()
				}
			}
			first = false
			if c = c.part(from, end); err == nil && c.len() == 0 { // the head is below from
				return
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
		if err := it.Error(); err != nil {
			yield(canon{}, fmt.Errorf("store: read index: %w", err))
		}
	}
}

func errBroken(n uint64) error {
	return fmt.Errorf("store: index is corrupt: the canonical chain is broken at block %d", n)
}

// setCanon writes into b what makes run, which may be empty, the end of the canonical chain,
// from number from on. What stays below it is read from r; what was above it, up to a head
// of number last, is cut off.
func setCanon(r pebble.Reader, b *pebble.Batch, from uint64, run []Link, last uint64) error {
	start := runOf(from)
	var kept canon
	if start < from {
		key := canonKey(start)
		whole, err := get(r, key[:], func(v []byte) (canon, error) { return decodeCanon(start, slices.Clone(v)) })
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if kept = whole.part(start, from); kept.end() != from {
			return errBroken(kept.end())
		}
	}
	var value []byte
	for ; kept.len() > 0 || len(run) > 0; start += canonRun {
		n := min(len(run), canonRun-kept.len())
		value = appendCanon(value[:0], kept, run[:n])
		key := canonKey(start)
		if err := b.Set(key[:], value, nil); err != nil {
			return fmt.Errorf("store: write index: %w", err)
		}
		kept, run = canon{}, run[n:]
	}
	for ; start <= last; start += canonRun {
		key := canonKey(start)
		if err := b.Delete(key[:], nil); err != nil {
			return fmt.Errorf("store: write index: %w", err)
		}
	}
	return nil
}
