package swarm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
)

// Pin is a tree that stays, whole or as far as it is held.
type Pin struct {
	Ref  common.Hash
	Name string // for people
}

// pinsValue is the name of the value that holds the pins: an RLP list of them.
const pinsValue = "swarm/pins"

// sweepBatch is how many chunks are removed at once. While that lasts, nobody can put
// any; ten times as many would be a pause that is felt.
const sweepBatch = 1024

// Pins returns what is pinned, in the order in which it was.
func (f *Files) Pins() ([]Pin, error) {
	b, err := f.store.Value(pinsValue)
	if err != nil || b == nil {
		return nil, err
	}
	var pins []Pin
	if err := rlp.DecodeBytes(b, &pins); err != nil {
		return nil, fmt.Errorf("swarm: the list of pins is damaged: %w", err)
	}
	return pins, nil
}

// Pin keeps a tree, of which nothing need be held yet, until it is unpinned. To pin
// what is pinned changes its name.
func (f *Files) Pin(p Pin) error {
	return f.changePins(func(pins []Pin) ([]Pin, error) {
		i := slices.IndexFunc(pins, func(x Pin) bool { return x.Ref == p.Ref })
		if i < 0 {
			return append(pins, p), nil
		}
		pins[i] = p
		return pins, nil
	})
}

// ErrNotPinned is returned for what cannot be unpinned.
var ErrNotPinned = errors.New("swarm: it is not pinned")

// Unpin lets a tree go. Its chunks stay until there is need for room.
func (f *Files) Unpin(ref common.Hash) error {
	return f.changePins(func(pins []Pin) ([]Pin, error) {
		n := len(pins)
		pins = slices.DeleteFunc(pins, func(x Pin) bool { return x.Ref == ref })
		if len(pins) == n {
			return nil, fmt.Errorf("%w: %x", ErrNotPinned, ref)
		}
		return pins, nil
	})
}

func (f *Files) changePins(change func([]Pin) ([]Pin, error)) error {
	f.turn.Lock()
	defer f.turn.Unlock()
	pins, err := f.Pins()
	if err == nil {
		pins, err = change(pins)
	}
	if err != nil {
		return err
	}
	b, err := rlp.EncodeToBytes(pins)
	if err != nil {
		return err
	}
	return f.store.SetValue(pinsValue, b)
}

// Collect removes all chunks that are in no pinned tree and not in use, and returns how
// many they were. First it marks what must stay, from the roots down, then it removes
// the rest; what is put meanwhile stays. To stop it anywhere, or to crash, does no harm:
// nothing is noted down but the pins.
func (f *Files) Collect(ctx context.Context) (removed int, err error) {
	f.collecting.Lock()
	defer f.collecting.Unlock()
	roots, err := f.roots()
	defer func() {
		f.mu.Lock()
		f.mu.young = nil
		f.mu.Unlock()
	}()
	if err != nil {
		return 0, err
	}
	keep := make(marks)
	for _, r := range roots {
		if err := f.mark(ctx, keep, r); err != nil {
			return 0, err
		}
	}
	var batch []common.Hash
	sweep := func() error {
		f.turn.Lock()
		defer f.turn.Unlock()
		f.mu.Lock()
		batch = slices.DeleteFunc(batch, f.mu.young.has)
		f.mu.Unlock()
		removed += len(batch)
		err := f.store.DeleteChunks(batch)
		batch = batch[:0]
		return err
	}
	var stopped error
	err = f.store.Chunks(func(a common.Hash) bool {
		if !keep.has(a) {
			batch = append(batch, a)
		}
		if len(batch) == sweepBatch {
			stopped = sweep()
		}
		if stopped == nil && ctx.Err() != nil {
			stopped = context.Cause(ctx)
		}
		return stopped == nil
	})
	if err = errors.Join(err, stopped); err == nil {
		err = sweep()
	}
	if err == nil {
		err = f.store.Reclaim()
	}
	return removed, err
}

// mark adds a tree to the set, as far as it is held. Chunks of which only the address is
// known are added, too: they may be on their way. Where a tree breaks, it ends.
func (f *Files) mark(ctx context.Context, keep marks, ref common.Hash) error {
	p, err := f.store.AppendChunk(nil, ref)
	if errors.Is(err, ErrNotHeld) {
		keep.add(ref)
		return nil
	}
	if err != nil {
		return err
	}
	var todo []node
	push := func(n node) {
		if keep.add(n.addr) && !n.leaf() {
			todo = append(todo, n)
		}
	}
	first, _ := root(ref, p)
	push(first)
	for len(todo) > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		p, err = f.store.AppendChunk(p[:0], n.addr)
		if errors.Is(err, ErrNotHeld) {
			continue
		}
		if err != nil {
			return err
		}
		in, err := n.open(p)
		if err != nil {
			continue
		}
		for i := range in.children() {
			push(in.child(i))
		}
	}
	return nil
}
