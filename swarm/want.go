package swarm

import (
	"maps"
	"slices"

	"github.com/ethereum/go-ethereum/common"
)

// Source brings chunks that are not held, to the files that ask for them. None of its
// methods may wait.
type Source interface {
	// Want asks for chunks. Each is wanted until it has been given to the
	// [Files.Deliver] of those who ask, or is cancelled. Nobody says that a chunk
	// cannot be found: it stays wanted. To ask for one again with a lower rank moves
	// it forward.
	Want(by *Files, wants []Want)
	// Cancel takes chunks back. What comes of them all the same may be delivered.
	Cancel(by *Files, addrs []common.Hash)
}

// Want is a chunk that is asked for. Lower ranks come first; neighbours in a file have
// ranks that follow on each other, and may well be asked of the same peer.
type Want struct {
	Address common.Hash
	Rank    int64
}

// wanted is the table of chunks that somebody here waits for. A chunk that several
// wait for is asked for once, and cancelled when the last one has lost interest.
// What it is to tell the source is queued in order, and told by one caller at a time,
// without a lock.
type wanted struct {
	chunks  map[common.Hash]*wish
	queue   []any // []Want and []common.Hash, for Want and Cancel
	telling bool
}

type wish struct {
	rank  int64
	by    []*waiter
	asked bool // the source has been, or is about to be
}

// waiter is somebody who waits for chunks. What arrived is kept for take.
type waiter struct {
	files *Files
	wake  bell // when something has arrived
	// Behind the lock of files.
	open    map[common.Hash]bool
	arrived []arrival
}

// arrival is the end of waiting for a chunk: it is held, or why it cannot be.
type arrival struct {
	addr common.Hash
	err  error
}

// bell wakes somebody who waits, once however often it was rung meanwhile.
type bell chan struct{}

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

func (f *Files) newWaiter() *waiter {
	return &waiter{files: f, wake: make(bell, 1), open: make(map[common.Hash]bool)}
}

// want waits for chunks. Those that are held after all arrive at once: they may have
// come between a look into the store and this call. The source is asked for the others,
// unless it has been.
func (w *waiter) want(wants ...Want) error {
	f := w.files
	var fresh, ask []Want
	f.mu.Lock()
	for _, x := range wants {
		t := f.mu.wanted.chunks[x.Address]
		if t == nil {
			t = &wish{rank: x.Rank}
			f.mu.wanted.chunks[x.Address] = t
			fresh = append(fresh, x)
		}
		if !w.open[x.Address] {
			w.open[x.Address] = true
			t.by = append(t.by, w)
		}
		if x.Rank < t.rank {
			t.rank = x.Rank
			if t.asked {
				ask = append(ask, x)
			}
		}
	}
	f.mu.Unlock()
	var held []Chunk
	for _, x := range fresh { // whatever is put from here on is told to w
		ok, err := f.store.Has(x.Address)
		if err != nil {
			return err
		}
		if ok {
			held = append(held, Chunk{Address: x.Address})
		}
	}
	f.mu.Lock()
	f.mu.wanted.end(held, nil)
	for _, x := range fresh {
		if t := f.mu.wanted.chunks[x.Address]; t != nil && !t.asked && f.opts.Source != nil {
			t.asked = true
			ask = append(ask, Want{x.Address, t.rank})
		}
	}
	if ask != nil {
		f.mu.wanted.queue = append(f.mu.wanted.queue, ask)
	}
	f.tell()
	return nil
}

// take returns what has arrived since the last call.
func (w *waiter) take() []arrival {
	w.files.mu.Lock()
	defer w.files.mu.Unlock()
	arrived := w.arrived
	w.arrived = nil
	return arrived
}

// idle reports whether there is nothing to wait for, and nothing to take.
func (w *waiter) idle() bool {
	w.files.mu.Lock()
	defer w.files.mu.Unlock()
	return len(w.open) == 0 && len(w.arrived) == 0
}

// close waits for nothing any more.
func (w *waiter) close() {
	w.files.mu.Lock()
	all := slices.Collect(maps.Keys(w.open))
	w.files.mu.Unlock()
	slices.SortFunc(all, common.Hash.Cmp) // not in the order of a map
	w.drop(all)
}

// drop waits for some chunks no longer.
func (w *waiter) drop(addrs []common.Hash) {
	f := w.files
	f.mu.Lock()
	table := &f.mu.wanted
	var cancel []common.Hash
	for _, a := range addrs {
		if !w.open[a] {
			continue
		}
		delete(w.open, a)
		t := table.chunks[a]
		t.by = slices.DeleteFunc(t.by, func(x *waiter) bool { return x == w })
		if len(t.by) == 0 {
			delete(table.chunks, a)
			if t.asked {
				cancel = append(cancel, a)
			}
		}
	}
	if cancel != nil {
		table.queue = append(table.queue, cancel)
	}
	f.tell()
}

// end tells those who wait for chunks that they are held, or why they cannot be. It
// returns those that the source was asked for. Needs the lock.
func (t *wanted) end(chunks []Chunk, err error) (asked []common.Hash) {
	for _, c := range chunks {
		x := t.chunks[c.Address]
		if x == nil {
			continue
		}
		delete(t.chunks, c.Address)
		for _, w := range x.by {
			delete(w.open, c.Address)
			w.arrived = append(w.arrived, arrival{c.Address, err})
			w.wake.ring()
		}
		if x.asked {
			asked = append(asked, c.Address)
		}
	}
	return asked
}

// tell empties the queue to the source, unless somebody is doing that. It is called
// with the lock held, and returns without.
func (f *Files) tell() {
	t := &f.mu.wanted
	if t.telling {
		f.mu.Unlock()
		return
	}
	t.telling = true
	for len(t.queue) > 0 {
		queue := t.queue
		t.queue = nil
		f.mu.Unlock()
		for _, x := range queue {
			switch x := x.(type) {
			case []Want:
				f.opts.Source.Want(f, x)
			case []common.Hash:
				f.opts.Source.Cancel(f, x)
			}
		}
		f.mu.Lock()
	}
	t.telling = false
	f.mu.Unlock()
}
