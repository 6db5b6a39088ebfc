package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/ethereum/go-ethereum/common"
)

const (
	// leastAhead and mostAhead bound how much is asked for ahead of a reader, in bytes.
	// It doubles as long as reading goes on where it was: who reads a header and
	// seeks elsewhere costs little, who plays a film over a gigabit with a round trip of
	// 100 ms has all of it in the pipe. Ten times more would be 160 MiB for each reader
	// that may stop at any moment.
	leastAhead = 16 * ChunkSize
	mostAhead  = 16 << 20

	// readPiece is how much is read before it is looked ahead again.
	readPiece = 1 << 20
)

// File is a file that is read as it comes: chunks that are not held are asked for when
// they are needed, and ahead of a reader that goes straight on. It is an io.ReadSeeker,
// io.ReaderAt and io.WriterTo. ReadAt is safe for concurrent use, the rest is not. Each
// read goes down the tree from its root, so small ones are better buffered.
type File struct {
	files *Files
	ctx   context.Context
	root  node
	use   *use
	ahead *waiter // for what nobody waits for yet
	pos   int64   // of Read and Seek

	mu struct {
		sync.Mutex
		next   int64 // where the last read ended
		window int64 // how far to look ahead
		asked  int64 // up to where all is held or asked for
		closed bool
	}
}

// Open opens a file, for whose first chunk it waits. The context bounds all that is
// waited for until the file is closed.
func (f *Files) Open(ctx context.Context, ref common.Hash) (*File, error) {
	u := f.use(ref)
	payload, err := f.chunk(ctx, nil, ref, rankOfRoot(readPriority))
	if err == nil {
		var first node
		if first, err = root(ref, payload); err == nil {
			return &File{files: f, ctx: ctx, root: first, use: u, ahead: f.newWaiter()}, nil
		}
	}
	f.done(u)
	return nil, err
}

// Size returns the length of the file in bytes.
func (x *File) Size() int64 { return int64(x.root.span) }

// Close takes back what was asked for ahead.
func (x *File) Close() error {
	x.mu.Lock()
	closed := x.mu.closed
	x.mu.closed = true
	x.mu.Unlock()
	if closed {
		return fs.ErrClosed
	}
	x.ahead.close()
	x.files.done(x.use)
	return nil
}

// Read reads on from where the last Read or Seek ended.
func (x *File) Read(p []byte) (int, error) {
	n, err := x.ReadAt(p[:min(len(p), readPiece)], x.pos)
	x.pos += int64(n)
	if n > 0 && err == io.EOF {
		err = nil // the next one says so
	}
	return n, err
}

// Seek sets where the next Read begins.
func (x *File) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += x.pos
	case io.SeekEnd:
		offset += x.Size()
	}
	if offset < 0 || whence < 0 || whence > io.SeekEnd {
		return x.pos, fmt.Errorf("swarm: seek to %d (whence %d) in a file of %d bytes", offset, whence, x.Size())
	}
	x.pos = offset
	return offset, nil
}

// WriteTo writes all from where the last Read or Seek ended.
func (x *File) WriteTo(w io.Writer) (written int64, err error) {
	buf := make([]byte, min(readPiece, max(x.Size()-x.pos, 1)))
	for {
		n, err := x.Read(buf)
		if n > 0 {
			m, err := w.Write(buf[:n])
			written += int64(m)
			if err != nil {
				return written, err
			}
		}
		if err == io.EOF {
			return written, nil
		}
		if err != nil {
			return written, err
		}
	}
}

// ReadAt fills p with the bytes at an offset. It waits for chunks that are not held.
func (x *File) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("swarm: read at %d", off)
	}
	for n < len(p) && off < x.Size() {
		piece := p[n:min(int64(len(p)), int64(n)+readPiece, int64(n)+x.Size()-off)]
		until, err := x.plan(off, int64(len(piece)))
		if err == nil {
			err = x.read(x.root, piece, uint64(off), until)
		}
		if err != nil {
			return n, err
		}
		n += len(piece)
		off += int64(len(piece))
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// plan returns up to where it is to be looked ahead of a read, and does so.
func (x *File) plan(off, n int64) (until uint64, err error) {
	x.mu.Lock()
	if x.mu.closed {
		x.mu.Unlock()
		return 0, fs.ErrClosed
	}
	straight := off == x.mu.next
	if straight {
		x.mu.window = min(max(2*x.mu.window, leastAhead), mostAhead)
	} else {
		x.mu.window, x.mu.asked = 0, off
	}
	x.mu.next = off + n
	until = uint64(min(x.mu.next+x.mu.window, x.Size()))
	x.mu.Unlock()
	if !straight {
		x.ahead.close() // it can be used on
	}
	return until, x.look(until)
}

// look asks for what is not held from where it has looked to until now. Where the way is
// blocked by a chunk of addresses that is not there, it asks for that one, and goes on
// from it the next time.
func (x *File) look(until uint64) error {
	if x.files.opts.Source == nil {
		return nil
	}
	x.mu.Lock()
	from := uint64(x.mu.asked)
	if from < until {
		x.mu.asked = int64(until)
	}
	x.mu.Unlock()
	if from >= until || x.root.leaf() {
		return nil
	}
	x.ahead.take()
	blocked := until
	var wants []Want
	if err := x.missing(x.root, from, until, &wants, &blocked); err != nil {
		return err
	}
	x.mu.Lock()
	x.mu.asked = min(x.mu.asked, int64(blocked))
	x.mu.Unlock()
	return x.ahead.want(wants...)
}

// missing appends the chunks between two offsets that are not held, as far as they are
// known. It lowers blocked to where the first one begins below which they are not.
func (x *File) missing(n node, from, until uint64, wants *[]Want, blocked *uint64) error {
	var payload []byte
	held, err := x.files.held(n.addr)
	if err == nil && held && !n.leaf() {
		payload, err = x.files.store.AppendChunk(nil, n.addr)
	}
	if err != nil && !errors.Is(err, ErrNotHeld) {
		return err
	}
	if !held || err != nil {
		*wants = append(*wants, Want{n.addr, rankOf(readPriority, n)})
		if !n.leaf() {
			*blocked = min(*blocked, max(n.from, from))
		}
		return nil
	}
	if n.leaf() {
		return nil
	}
	in, err := n.open(payload)
	if err != nil {
		return err
	}
	for i := int((max(from, n.from) - n.from) / in.full); i < in.children(); i++ {
		c := in.child(i)
		if c.from >= until {
			break
		}
		if err := x.missing(c, from, until, wants, blocked); err != nil {
			return err
		}
	}
	return nil
}

// read fills p with the bytes at an offset, which are all below the node. When it had to
// wait for addresses, it looks ahead again.
func (x *File) read(n node, p []byte, off, until uint64) error {
	payload, err := x.files.store.AppendChunk(nil, n.addr)
	if errors.Is(err, ErrNotHeld) {
		if payload, err = x.files.chunk(x.ctx, nil, n.addr, rankOf(readPriority, n)); err == nil && !n.leaf() {
			err = x.look(until)
		}
	}
	if err != nil {
		return err
	}
	if n.leaf() {
		if err := n.check(payload); err != nil {
			return err
		}
		copy(p, data(payload)[off-n.from:])
		return nil
	}
	in, err := n.open(payload)
	if err != nil {
		return err
	}
	for len(p) > 0 {
		c := in.child(int((off - n.from) / in.full))
		m := min(uint64(len(p)), c.from+c.span-off)
		if err := x.read(c, p[:m], off, until); err != nil {
			return err
		}
		p, off = p[m:], off+m
	}
	return nil
}
