package swarm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"
)

// Options say how files are kept. The zero value is the default.
type Options struct {
	// Source brings what is not held. Nil: nothing does, and what is not held is an
	// error, ErrNotHeld.
	Source Source
	// Quota is how many bytes of chunks may be held; 0: as many as there is room for.
	// When it is reached, all goes that is not in a pinned tree and not in use.
	Quota int64
}

// ErrFull says that the quota is reached, and all that is held is pinned or in use.
var ErrFull = errors.New("swarm: the quota is reached; unpin files, or raise it")

// Files are the files of a node. Its methods are safe for concurrent use.
type Files struct {
	store Store
	opts  Options

	mu struct {
		sync.Mutex
		wanted wanted
		// uses are the trees in use besides those that are pinned: a collection
		// leaves them.
		uses map[*use]bool
		// young are the chunks that were put since the collection began that is
		// running; nil if none is.
		young marks
	}

	// turn makes those who change the store take turns, across its I/O: between
	// looking whether a chunk may go and removing it, nobody may put it.
	turn sync.Mutex
	// collecting makes collections take turns.
	collecting sync.Mutex
}

// use is a reason for a collection to leave trees: a file that is open, or one that is
// being put.
type use struct{ roots []common.Hash }

// New returns the files in a store, which from then on nobody else may change.
func New(store Store, opts Options) *Files {
	f := &Files{store: store, opts: opts}
	f.mu.wanted.chunks = make(map[common.Hash]*wish)
	f.mu.uses = make(map[*use]bool)
	return f
}

func (f *Files) use(roots ...common.Hash) *use {
	u := &use{roots}
	f.mu.Lock()
	f.mu.uses[u] = true
	f.mu.Unlock()
	return u
}

func (f *Files) done(u *use) {
	f.mu.Lock()
	delete(f.mu.uses, u)
	f.mu.Unlock()
}

// Put keeps a file and pins it, under a name for people. It returns the reference and
// how many bytes there were.
func (f *Files) Put(ctx context.Context, name string, r io.Reader) (ref common.Hash, size uint64, err error) {
	u := f.use()
	defer f.done(u)
	var s *splitter
	s = newSplitter(func(chunks []Chunk) error {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		roots := s.roots(nil)
		f.mu.Lock()
		u.roots = roots
		f.mu.Unlock()
		if err := f.put(ctx, chunks); err != nil {
			return err
		}
		f.mu.Lock()
		if asked := f.mu.wanted.end(chunks, nil); asked != nil { // by somebody who reads it already
			f.mu.wanted.queue = append(f.mu.wanted.queue, asked)
		}
		f.tell()
		return nil
	})
	if ref, size, err = s.run(r); err != nil {
		return ref, size, err
	}
	return ref, size, f.Pin(Pin{ref, name})
}

// put adds chunks to the store, and makes room if there is none.
func (f *Files) put(ctx context.Context, chunks []Chunk) error {
	if f.opts.Quota > 0 {
		need := int64(0)
		for _, c := range chunks {
			need += int64(len(c.Payload))
		}
		size, err := f.store.Size()
		if err == nil && size+need > f.opts.Quota {
			if _, err = f.Collect(ctx); err == nil {
				if size, err = f.store.Size(); err == nil && size+need > f.opts.Quota {
					return ErrFull
				}
			}
		}
		if err != nil {
			return err
		}
	}
	f.turn.Lock()
	defer f.turn.Unlock()
	f.mu.Lock()
	if f.mu.young != nil {
		for _, c := range chunks {
			f.mu.young.add(c.Address)
		}
	}
	f.mu.Unlock()
	return f.store.PutChunks(chunks)
}

// Deliver keeps chunks that the source has brought, and tells those who wait for them.
// Their addresses must have been checked. Batches of some hundred are best, because the
// store syncs for each. An error is one of the store, or [ErrFull]: then those who wait
// for these chunks get it too, and wait no longer. They may ask again when there is room.
func (f *Files) Deliver(ctx context.Context, chunks []Chunk) error {
	err := f.put(ctx, chunks)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.wanted.end(chunks, err)
	return err
}

// fail tells those who wait for a chunk why it cannot come.
func (f *Files) fail(addr common.Hash, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.wanted.end([]Chunk{{Address: addr}}, err)
}

// chunk returns the payload of a chunk, for which it waits if it is not held. It is
// appended to dst.
func (f *Files) chunk(ctx context.Context, dst []byte, addr common.Hash, rank int64) ([]byte, error) {
	p, err := f.store.AppendChunk(dst, addr)
	if err == nil || !errors.Is(err, ErrNotHeld) {
		return p, err
	}
	if f.opts.Source == nil {
		return dst, fmt.Errorf("%w: %x", err, addr)
	}
	w := f.newWaiter()
	defer w.close()
	for errors.Is(err, ErrNotHeld) { // again if it went as soon as it had come
		if err := w.want(Want{addr, rank}); err != nil {
			return dst, err
		}
		select {
		case <-w.wake:
			for _, a := range w.take() {
				if a.err != nil {
					return dst, a.err
				}
			}
		case <-ctx.Done():
			return dst, context.Cause(ctx)
		}
		p, err = f.store.AppendChunk(dst, addr)
	}
	return p, err
}

// held reports whether a chunk is held, and sees to it that a collection that is running
// leaves it if it is.
func (f *Files) held(addr common.Hash) (bool, error) {
	f.mu.Lock()
	collecting := f.mu.young != nil
	f.mu.Unlock()
	if !collecting {
		return f.store.Has(addr)
	}
	f.turn.Lock()
	defer f.turn.Unlock()
	f.mu.Lock()
	if f.mu.young != nil {
		f.mu.young.add(addr)
	}
	f.mu.Unlock()
	return f.store.Has(addr)
}

// Payloads calls yield with the payload of each chunk that is held, and with nothing for
// those that are not, until it returns false: for who serves them to others. The payload
// is good until yield returns.
func (f *Files) Payloads(addrs []common.Hash, yield func(payload []byte) bool) error {
	buf := make([]byte, 0, MaxPayload)
	for _, a := range addrs {
		p, err := f.store.AppendChunk(buf[:0], a)
		if err != nil && !errors.Is(err, ErrNotHeld) {
			return err
		}
		if err != nil {
			p = nil
		}
		if !yield(p) {
			return nil
		}
	}
	return nil
}

// marks is a set of chunks, by the first eight bytes of their addresses: some 20 bytes
// for each, 5 MB for a gigabyte of content. Two that have them in common are taken for
// each other, and then a collection keeps one too many.
type marks map[uint64]struct{}

func (m marks) add(a common.Hash) (added bool) {
	n := len(m)
	m[binary.BigEndian.Uint64(a[:])] = struct{}{}
	return len(m) > n
}

func (m marks) has(a common.Hash) bool {
	_, ok := m[binary.BigEndian.Uint64(a[:])]
	return ok
}

// roots returns the first chunks of all trees that must stay, and begins to note what
// is put from now on.
func (f *Files) roots() ([]common.Hash, error) {
	pins, err := f.Pins()
	if err != nil {
		return nil, err
	}
	var roots []common.Hash
	for _, p := range pins {
		roots = append(roots, p.Ref)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.young = make(marks)
	for u := range f.mu.uses {
		roots = append(roots, u.roots...)
	}
	slices.SortFunc(roots, common.Hash.Cmp)
	return slices.Compact(roots), nil
}
