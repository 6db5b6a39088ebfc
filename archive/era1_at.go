package archive

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
)

// Era1At reads single blocks of an era1 file, wherever it is: it reads the block index at
// the end of the file, and then only what is asked for. What is read is checked against the
// hash that it is asked for, and nothing else of the file is looked at: [Verifier] does
// that. It is safe for concurrent use if what it reads from is.
type Era1At struct {
	name   string
	file   io.ReaderAt
	net    *chain.Network
	first  uint64
	starts []int64 // of the blocks, and where the last one ends at the latest
}

// ErrNotThat: a file is damaged, or has something else where content with a certain hash
// should be. To read it again does not help, unlike with the error of a reader.
var ErrNotThat = errors.New("not what should be there")

// entryHead is the size of what stands in front of a payload.
const entryHead = 8

// maxExtent bounds what is read for a block: three entries at their largest and what is
// small. What is between, and unknown, counts too.
const maxExtent = 4 * MaxBlock

// NewEra1At reads the block index of a file of that many bytes, whose name is used in
// errors only. Errors, here and below, are *[Error] that wrap [ErrNotThat] or an error of
// the reader.
func NewEra1At(name string, file io.ReaderAt, size int64, net *chain.Network) (*Era1At, error) {
	e := &Era1At{name: name, file: file, net: net}
	if err := e.readIndex(size); err != nil {
		return nil, &Error{File: name, Offset: max(size, 0), Err: err}
	}
	return e, nil
}

// notThat marks an error as one of the file's content.
func notThat(err error) error {
	if errors.Is(err, ErrNotThat) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNotThat, err)
}

// readIndex reads the block index, from its end, which says how long it is.
func (e *Era1At) readIndex(size int64) error {
	item := "the " + entryNames[typeIndex]
	var tail [8]byte
	if size < entryHead+int64(len(tail)) {
		return notThat(fmt.Errorf("truncated: an era1 file of %d bytes", size))
	}
	if err := readFull(e.file, tail[:], size-int64(len(tail))); err != nil {
		return readError(item, err)
	}
	count := binary.LittleEndian.Uint64(tail[:])
	if count == 0 || count > maxEra1Blocks {
		return notThat(fmt.Errorf("corrupted: it does not end with a block index: the number of blocks would be %d", count))
	}
	length := 8 + 8*int64(count) + 8
	at := size - length - entryHead
	if at < 0 {
		return notThat(errors.New("corrupted: the block index is longer than the file"))
	}
	b := make([]byte, entryHead+length)
	if err := readFull(e.file, b, at); err != nil {
		return readError(item, err)
	}
	if binary.LittleEndian.Uint16(b) != typeIndex || int64(binary.LittleEndian.Uint32(b[2:])) != length || b[6] != 0 || b[7] != 0 {
		return notThat(errors.New("corrupted: it does not end with a block index"))
	}
	b = b[entryHead:]
	e.first = binary.LittleEndian.Uint64(b)
	e.starts = make([]int64, count+1)
	e.starts[count] = at
	for i := range e.starts[:count] {
		e.starts[i] = at + int64(binary.LittleEndian.Uint64(b[8+8*i:]))
	}
	for i, start := range e.starts[:count] {
		if extent := e.starts[i+1] - start; start < entryHead || extent <= 0 || extent > maxExtent {
			return notThat(fmt.Errorf("corrupted: block index: block %d would be at %d to %d", e.first+uint64(i), start, e.starts[i+1]))
		}
	}
	return nil
}

// readFull reads all of p. A file that ends there may say so with the last byte.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	return err
}

// First returns the number of the first block.
func (e *Era1At) First() uint64 { return e.first }

// Blocks returns how many blocks there are.
func (e *Era1At) Blocks() int { return len(e.starts) - 1 }

// AppendBlock appends the RLP of a block to dst. Body and header belong together, and the
// header has the hash.
func (e *Era1At) AppendBlock(dst []byte, number uint64, hash common.Hash) ([]byte, error) {
	err := e.read(number, func(r *era1, n int64) error {
		raw, err := r.joined(n)
		if err != nil {
			return err
		}
		b, err := e.net.ParseBlock(raw)
		if err != nil {
			return err
		}
		if b.Hash != hash {
			return fmt.Errorf("block %x, not %x", b.Hash, hash)
		}
		if err := b.CheckBody(); err != nil {
			return err
		}
		dst = append(dst, raw...)
		return nil
	})
	return dst, err
}

// AppendReceipts appends the list of receipts of a block to dst, see [Block.Receipts]. They
// have the root.
func (e *Era1At) AppendReceipts(dst []byte, number uint64, root common.Hash) ([]byte, error) {
	err := e.read(number, func(r *era1, n int64) error {
		if err := r.src.skip(n); err != nil {
			return readError("the "+entryNames[typeHeader], err)
		}
		n, err := r.entry(typeBody, 0, MaxBlock)
		if err != nil {
			return err
		}
		if err := r.src.skip(n); err != nil {
			return readError("the "+entryNames[typeBody], err)
		}
		if n, err = r.entry(typeReceipts, 0, MaxBlock); err != nil {
			return err
		}
		if r.recs, err = r.unpack(r.recs[:0], typeReceipts, n); err != nil {
			return err
		}
		have, err := chain.ReceiptsRoot(r.recs)
		if err != nil {
			return err
		}
		if have != root {
			return fmt.Errorf("receipts with root %x, not %x", have, root)
		}
		dst = append(dst, r.recs...)
		return nil
	})
	return dst, err
}

// scratch reuses what it takes to read a block.
var scratch = sync.Pool{New: func() any {
	e := newEra1(&Reader{})
	e.src.r = bufio.NewReaderSize(nil, readAhead)
	return e
}}

// keepScratch is the biggest buffer that is kept.
const keepScratch = 1 << 20

// read has visit read a block. It gets the size of the header entry, which is read next.
func (e *Era1At) read(number uint64, visit func(r *era1, header int64) error) (err error) {
	i := number - e.first
	if number < e.first || i >= uint64(e.Blocks()) {
		return &Error{File: e.name, Number: number, NumberKnown: true, Err: fmt.Errorf("%w: blocks %d to %d", ErrNotThat, e.first, e.first+uint64(e.Blocks())-1)}
	}
	start := e.starts[i]
	r := scratch.Get().(*era1)
	defer func() {
		if max(cap(r.header), cap(r.body), cap(r.recs)) <= keepScratch {
			scratch.Put(r)
		}
	}()
	r.src.r.Reset(io.NewSectionReader(e.file, start, e.starts[i+1]-start))
	r.src.off, r.src.err = start, nil
	n, err := r.entry(typeHeader, 0, MaxBlock)
	if err == nil {
		err = visit(r, n)
	}
	if err == nil {
		return nil
	}
	if r.src.err != nil && r.src.err != io.EOF {
		err = fmt.Errorf("reading: %w", r.src.err) // in the middle of an entry it shows as something else
	} else {
		err = notThat(err)
	}
	return &Error{File: e.name, Number: number, NumberKnown: true, Offset: start, Err: err}
}
