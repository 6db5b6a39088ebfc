package archive

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/klauspost/compress/gzip"

	"github.com/shoalnet/shoal/chain"
)

// MaxBlock is the largest block, and the largest era1 entry before and after
// decompression, that a chain file may hold: 16 MiB. It bounds what one record
// can make the reader allocate. The largest blocks of the proof-of-work years
// have a few hundred kilobytes; 30 million gas, the highest limit of those
// years, pay for 7.5 MB of the cheapest bytes there are. Ten times as much
// would let a gzip file of 200 kB occupy 160 MiB.
const MaxBlock = 16 << 20

// Block is a block of a chain file. Its bytes belong to the receiver: the
// reader keeps none and reuses none.
type Block struct {
	*chain.Block
	// TD is the total difficulty that the file states, checked against that of
	// the block before. The TD of the first block of an era1 file that does not
	// start at the genesis block rests on the file's word alone. Only era1 has
	// it, else it is nil.
	TD *uint256.Int
	// Receipts is the list of the block's receipts in RLP, see
	// [chain.ReceiptsRoot]. It is nil unless asked for by [Options.Receipts], and
	// if the file has none.
	Receipts []byte
	// Offset is where the block's record starts in the decompressed stream.
	Offset int64
}

// Options changes what a [Reader] does. The zero value checks everything and
// leaves receipts out.
type Options struct {
	// SkipBodies leaves [chain.Network.CheckBlock] to the caller, who may want
	// to run it on all cores.
	SkipBodies bool
	// SkipLinks allows blocks that do not continue the block before them, as
	// in a file with several branches or loose blocks.
	SkipLinks bool
	// Seal, if not nil, is what Import checks seals with: of the blocks that
	// Sealed chooses and of their uncles, of all blocks if it is nil. It is called
	// from several goroutines.
	Seal   func(*chain.Header) error
	Sealed func(*chain.Block) bool
	// Receipts fills [Block.Receipts] from an era1 file, checked against the header.
	Receipts bool
}

// Reader reads the blocks of one chain file in order. Its methods must not be
// called concurrently, except Progress.
type Reader struct {
	name   string
	net    *chain.Network
	opts   Options
	file   io.Closer // nil if the stream is the caller's
	size   int64     // of the file, 0 if unknown
	read   counter
	src    source
	kind   Kind
	next   func() (Block, error)
	last   *chain.Block // the last good block, nil before the first
	behind bool         // the entries behind the last block are being read
	root   common.Hash  // accumulator root of an era1 file, once it has been read
	err    error        // what ended the stream
}

// Open opens the chain file at path for blocks of the network. Errors are
// *[Error]. The caller must call Close.
func Open(path string, net *chain.Network, opts Options) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, openError(path, err)
	}
	st, err := f.Stat()
	if err == nil && st.IsDir() {
		err = errors.New("it is a directory: name the files in it")
	}
	if err != nil {
		f.Close()
		return nil, openError(path, err)
	}
	r, err := NewReader(path, f, net, opts)
	if err != nil {
		f.Close()
		return nil, err
	}
	r.file = f
	if st.Mode().IsRegular() {
		r.size = st.Size()
	}
	return r, nil
}

// NewReader reads a chain file from a stream, whose name is used in errors
// only. It reads ahead and does not close the stream. Errors are *[Error].
func NewReader(name string, stream io.Reader, net *chain.Network, opts Options) (*Reader, error) {
	r := &Reader{name: name, net: net, opts: opts}
	r.read.r = stream
	r.src.r = bufio.NewReaderSize(&r.read, readAhead)
	prefix, err := r.src.peek(8)
	if isGzip(prefix) {
		zr, zerr := gzip.NewReader(r.src.r)
		if zerr != nil {
			return nil, r.fail(nil, 0, readError("the gzip header", zerr))
		}
		r.src.r = bufio.NewReaderSize(zr, readAhead)
		prefix, err = r.src.peek(8)
	}
	var ok bool
	if r.kind, ok = Detect(prefix); !ok {
		switch {
		case len(prefix) == 0 && err == io.EOF:
			err = fmt.Errorf("the file is empty: %w", io.ErrUnexpectedEOF)
		case err != nil && err != io.EOF:
			err = readError("the first bytes", err)
		default:
			err = fmt.Errorf("not a chain file: starts with %x, which is none of %s, %s, %s or gzip", prefix, RLP, Hex, Era1)
		}
		return nil, r.fail(nil, 0, err)
	}
	switch r.kind {
	case RLP:
		r.next = r.nextRLP
	case Hex:
		r.next = new(hexLines{Reader: r}).next
	case Era1:
		r.next = newEra1(r).next
	}
	return r, nil
}

// Blocks yields the blocks of the chain file at path, all checked. It stops
// after the first error, an *[Error]; what came before is good. Use [Open] to
// watch the progress or to change what is checked.
func Blocks(path string, net *chain.Network) iter.Seq2[Block, error] {
	return func(yield func(Block, error) bool) {
		r, err := Open(path, net, Options{})
		if err != nil {
			yield(Block{}, err)
			return
		}
		defer r.Close()
		r.Blocks()(yield)
	}
}

// Blocks yields the blocks that are left. It stops after the first error, an
// *[Error].
func (r *Reader) Blocks() iter.Seq2[Block, error] {
	return func(yield func(Block, error) bool) {
		for {
			b, err := r.Next()
			if err == io.EOF || !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// Next returns the next block, io.EOF behind the last one, or an *[Error].
// After an error it returns the same again.
func (r *Reader) Next() (Block, error) {
	if r.err != nil {
		return Block{}, r.err
	}
	b, err := r.next()
	if err != nil {
		r.err = err
		return Block{}, err
	}
	r.last = b.Block
	return b, nil
}

// Kind returns what the file turned out to be.
func (r *Reader) Kind() Kind { return r.kind }

// Root returns the accumulator root of an era1 file that has been read to its end, zero
// before, and of other files.
func (r *Reader) Root() common.Hash { return r.root }

// Progress returns how many bytes have been read from the file and how many it
// has, 0 if that is not known. It may be called at any time from any
// goroutine. What is read is ahead of what has been handed out by the buffers
// at most.
func (r *Reader) Progress() (read, size int64) { return r.read.n.Load(), r.size }

// Close closes the file. It does not close the stream given to NewReader.
func (r *Reader) Close() error {
	if r.err == nil {
		r.err = r.fail(nil, r.src.off, os.ErrClosed)
	}
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}

// fail makes the *Error for the record at offset off, which may be known to be
// block b.
func (r *Reader) fail(b *chain.Block, off int64, err error) *Error {
	e := &Error{File: r.name, Offset: off, Err: err}
	if re, ok := errors.AsType[*recordError](err); ok {
		e.Offset, e.Err = re.off, re.err
	}
	switch {
	case r.last != nil:
		e.Number, e.NumberKnown, e.Behind = r.last.Number+1, true, r.behind
	case b != nil:
		e.Number, e.NumberKnown = b.Number, true
	}
	return e
}

// parse views raw, the record at offset off, as the next block and checks what
// is to be checked.
func (r *Reader) parse(raw []byte, off int64) (*chain.Block, error) {
	b, err := r.net.ParseBlock(raw)
	if err != nil {
		return nil, r.fail(nil, off, fmt.Errorf("corrupted: %w", err))
	}
	if !r.opts.SkipBodies {
		if err := r.net.CheckBlock(b); err != nil {
			return nil, r.fail(b, off, fmt.Errorf("corrupted: body and header do not match: %w", err))
		}
	}
	if !r.opts.SkipLinks && r.last != nil {
		if err := r.net.CheckLink(&r.last.Header, &b.Header); err != nil {
			return nil, r.fail(b, off, fmt.Errorf("does not continue the block before it: %w", err))
		}
	}
	return b, nil
}
