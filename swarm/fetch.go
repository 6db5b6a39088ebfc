package swarm

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
)

// fetchWindow is how many chunks of a tree are on their way at the most: 16 MiB, twice
// what one peer is asked for at once. The source knows how much each link takes, this is
// only what it may choose from. Ten times as many would be memory for nothing, and ten times
// fewer would let several fast distant peers idle.
const fetchWindow = 4096

// FetchOptions say how a tree is fetched. The zero value is the default.
type FetchOptions struct {
	// Priority says which of several trees comes first: that of the lowest. Those of
	// the same share the links, piece by piece.
	Priority int8
	// Progress is called now and then, and at the end. It must return at once.
	Progress func(Progress)
}

// Progress is how far a tree is.
type Progress struct {
	Size    uint64 // of the file
	Held    uint64 // bytes of it that are held
	Fetched uint64 // of these, what the source has brought
}

// readPriority is that of chunks that a reader waits for, or will soon.
const readPriority = -128

// rankOf is the rank of a node: neighbours follow on each other, addresses are before all
// bytes, and 2^51 of either are as many as a file has at the most.
func rankOf(priority int8, n node) int64 {
	rank := int64(priority)<<52 + int64(n.from/ChunkSize)
	if n.leaf() {
		return rank
	}
	return rank - 1<<51
}

// rankOfRoot is the rank of a node of which nothing is known yet.
func rankOfRoot(priority int8) int64 { return rankOf(priority, node{span: maxSpan}) }

// Fetch sees to it that all chunks of a tree are held: it asks the source for those that
// are not. It ends early only with the context or with an error; what has come stays,
// and is not asked for again, but does not outlive a collection unless the tree is
// pinned. Its memory does not depend on the size of the file.
//
// The chunks of addresses are checked on the way. Whether the bytes of the file are as
// many as these say is seen by who reads them.
func (f *Files) Fetch(ctx context.Context, ref common.Hash, opts FetchOptions) error {
	u := f.use(ref)
	defer f.done(u)
	t := &fetch{
		files: f, opts: opts, waiter: f.newWaiter(), walk: newWalk(), pending: make(map[common.Hash][]node),
	}
	defer t.waiter.close()
	return t.run(ctx, ref)
}

// fetch is a tree being fetched.
type fetch struct {
	files    *Files
	opts     FetchOptions
	waiter   *waiter
	walk     *walk
	pending  map[common.Hash][]node // what is waited for, in all its places
	places   int                    // in pending
	onTheWay int                    // of these, those that are no leaves
	progress Progress
}

func (t *fetch) run(ctx context.Context, ref common.Hash) error {
	payload, err := t.files.chunk(ctx, nil, ref, rankOfRoot(t.opts.Priority))
	if err != nil {
		return err
	}
	first, err := root(ref, payload)
	if err != nil {
		return err
	}
	t.progress.Size = first.span
	if first.leaf() {
		t.progress.Held = first.span
	} else {
		in, err := first.open(payload)
		if err != nil {
			return err
		}
		t.walk.open(in)
	}
	for {
		if err := t.look(ctx); err != nil {
			return err
		}
		t.report()
		if t.places == 0 {
			return nil
		}
		select {
		case <-t.waiter.wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for _, a := range t.waiter.take() {
			if a.err != nil {
				return a.err
			}
			if err := t.came(a.addr); err != nil {
				return err
			}
		}
	}
}

func (t *fetch) report() {
	if t.opts.Progress != nil {
		p := t.progress
		p.Held += t.walk.skipped
		t.opts.Progress(p)
	}
}

// look takes nodes from the walk until enough are waited for.
func (t *fetch) look(ctx context.Context) error {
	var wants []Want
	for t.places < fetchWindow {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, ok := t.walk.next(t.onTheWay)
		if !ok {
			break
		}
		held, err := t.files.held(n.addr)
		if err != nil {
			return err
		}
		if held {
			if err := t.take(n); err != nil {
				return err
			}
			continue
		}
		if t.files.opts.Source == nil {
			return fmt.Errorf("%w: %x", ErrNotHeld, n.addr)
		}
		if t.pending[n.addr] == nil {
			wants = append(wants, Want{n.addr, rankOf(t.opts.Priority, n)})
		}
		t.wait(n)
	}
	return t.waiter.want(wants...)
}

func (t *fetch) wait(n node) {
	t.pending[n.addr] = append(t.pending[n.addr], n)
	t.places++
	if !n.leaf() {
		t.onTheWay++
	}
}

// came takes a chunk that has arrived to its places in the tree.
func (t *fetch) came(addr common.Hash) error {
	nodes := t.pending[addr]
	delete(t.pending, addr)
	for _, n := range nodes {
		t.places--
		if !n.leaf() {
			t.onTheWay--
		}
		if err := t.take(n); err != nil {
			return err
		}
		if n.leaf() {
			t.progress.Fetched += n.span
		}
	}
	return nil
}

// take deals with a node that is held.
func (t *fetch) take(n node) error {
	if n.leaf() {
		t.progress.Held += n.span
		return nil
	}
	payload, err := t.files.store.AppendChunk(nil, n.addr)
	if err != nil {
		return err
	}
	in, err := n.open(payload)
	if err == nil {
		t.walk.open(in)
	}
	return err
}

// Check returns how many bytes of a file are held at least, and how big it is; ErrNotHeld
// if not even that is known.
func (f *Files) Check(ctx context.Context, ref common.Hash) (p Progress, err error) {
	payload, err := f.store.AppendChunk(nil, ref)
	if err != nil {
		return p, err
	}
	first, err := root(ref, payload)
	if err != nil {
		return p, err
	}
	p.Size = first.span
	w, missing := newWalk(), false
	for n, ok := first, true; ok; n, ok = w.next(0) {
		if ctx.Err() != nil {
			return p, context.Cause(ctx)
		}
		if n.leaf() {
			held, err := f.store.Has(n.addr)
			if err != nil {
				return p, err
			}
			if held {
				p.Held += n.span
			}
			missing = missing || !held
			continue
		}
		payload, err := f.store.AppendChunk(nil, n.addr)
		if errors.Is(err, ErrNotHeld) {
			missing = true
			continue
		}
		if err != nil {
			return p, err
		}
		in, err := n.open(payload)
		if err != nil {
			return p, err
		}
		w.open(in)
	}
	if !missing { // else who knows which of what is there twice
		p.Held += w.skipped
	}
	return p, nil
}
