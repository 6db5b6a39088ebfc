package downloader

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/pool"
	"github.com/shoalnet/shoal/store"
)

// Content other than blocks is fetched by the same loop: it has no order, no plan and no
// chain, only addresses that somebody wants. Those go into the pool under their kind,
// and share the links with the blocks by their ranks. What arrives has been checked by
// the session that brought it, because its address is computed from it.

// Want is content that somebody wants. Of all that is wanted, blocks included, the lower
// ranks come first, and those that follow on each other travel together.
type Want struct {
	Address common.Hash
	Rank    int64
	Size    int // what it may weigh, in bytes; 0 if nobody knows
}

// ContentAnswer is what a peer sent for a GetContent.
type ContentAnswer struct {
	ID     uint64
	Kind   store.Kind
	Items  []store.Record // under their addresses, which are right
	Absent []common.Hash  // the peer does not hold these
	At     time.Time      // when it had arrived
}

// wishes are what was wanted and cancelled since the loop looked last, in order. So whoever
// wants something never waits for the loop.
type wishes struct {
	mu struct {
		sync.Mutex
		list []wish
	}
	wake bell // when there is something in the list
}

// wish is content of a kind that is wanted, or no longer.
type wish struct {
	kind   store.Kind
	wants  []Want
	cancel []common.Hash
}

func (w *wishes) add(x wish) {
	w.mu.Lock()
	w.mu.list = append(w.mu.list, x)
	w.mu.Unlock()
	w.wake.ring()
}

func (w *wishes) take() []wish {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.mu.list
	w.mu.list = nil
	return list
}

// Want asks for content of a kind for which there is a Keeper. Each is wanted until the
// Keeper has kept it, or it is cancelled; nobody says that it cannot be found. To ask
// again with a lower rank moves it forward. The caller bounds how much it wants at a
// time. Want does not wait.
func (d *Downloader) Want(kind store.Kind, wants []Want) {
	if d.keepers[kind] == nil {
		panic(fmt.Sprintf("downloader: %v is wanted, and there is nobody to keep it", kind))
	}
	d.wishes.add(wish{kind: kind, wants: wants})
}

// Cancel takes back what was wanted. It does not wait.
func (d *Downloader) Cancel(kind store.Kind, addrs []common.Hash) {
	d.wishes.add(wish{kind: kind, cancel: addrs})
}

// Content hands over the answer to GetContent. The downloader owns the bytes.
func (d *Downloader) Content(ctx context.Context, p Peer, a ContentAnswer) {
	d.send(ctx, contentCame{p, a})
}

// wish tells the pool what is wanted.
func (l *loop) wish() {
	for _, x := range l.wishes.take() {
		for _, w := range x.wants {
			l.pool.Want(classOf(x.kind), w.Address, w.Rank, w.Size)
		}
		for _, a := range x.cancel {
			l.pool.Cancel(a)
		}
	}
}

// kinds is what the classes of the pool are. Where two claim an address, the first has
// it: what belongs to a chain comes before what somebody lists in a file.
var kinds = [...]store.Kind{store.Block, store.Receipts, store.Chunk}

// classOf is the class of a kind of content in the pool.
func classOf(k store.Kind) pool.Class { return pool.Class(slices.Index(kinds[:], k)) }

type contentCame struct {
	peer   Peer
	answer ContentAnswer
}

// apply tells the pool what has arrived and what has not, and passes on what is of use.
func (m contentCame) apply(l *loop) error {
	if l.peers[m.peer] == nil {
		return nil
	}
	a := &m.answer
	l.items = l.items[:0]
	for _, r := range a.Items {
		l.items = append(l.items, pool.Item[common.Hash]{Key: r.Hash, Size: len(r.Raw)})
	}
	for _, addr := range a.Absent {
		l.items = append(l.items, pool.Item[common.Hash]{Key: addr, Absent: true})
	}
	k := l.keeping[a.Kind]
	for i, v := range l.pool.Deliver(a.At, m.peer, a.ID, l.items, true) {
		if v == pool.Useful {
			k.queue = append(k.queue, arrival{Record: a.Items[i]})
		}
	}
	return nil
}
