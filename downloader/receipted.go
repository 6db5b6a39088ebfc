package downloader

import (
	"context"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/store"
)

// receiptWindow is how many receipts are wanted at a time, and how many blocks the cursor
// may be behind on disk. Receipts weigh less than their blocks, of which as many keep all
// pipes full (walkAhead); ten times as many would only be read again after a restart.
const receiptWindow = 4096

// receipts has the receipts of the canonical chain fetched, oldest first. It has a
// goroutine of its own, because it reads every block, and is one of those who want content:
// the loop knows nothing of it.
type receipts struct {
	d    *Downloader
	wake bell // the head has moved, or something has come

	mu struct {
		sync.Mutex
		came []common.Hash
	}
}

func newReceipts(d *Downloader) *receipts {
	return &receipts{d: d, wake: newBell()}
}

// poke has the goroutine look again. There may be no receipts.
func (r *receipts) poke() {
	if r != nil {
		r.wake.ring()
	}
}

// Keep is the [Keeper] of receipts.
func (r *receipts) Keep(records []store.Record) error {
	if _, err := r.d.cfg.Receipts.PutContent(store.Receipts, records); err != nil {
		return err
	}
	r.mu.Lock()
	for _, x := range records {
		r.mu.came = append(r.mu.came, x.Hash)
	}
	r.mu.Unlock()
	r.poke()
	return nil
}

func (r *receipts) take() []common.Hash {
	r.mu.Lock()
	defer r.mu.Unlock()
	came := r.mu.came
	r.mu.came = nil
	return came
}

// receiptsCame tells the loop that no receipts are missing, or why they cannot be looked
// for.
type receiptsCame struct {
	head store.Head
	err  error
}

func (m receiptsCame) apply(l *loop) error {
	if m.err == nil {
		l.emit(ReceiptsHere{m.head})
	}
	return m.err
}

func (r *receipts) run(ctx context.Context) {
	c, err := NewReceiptCursor(r.d.cfg.Network, r.d.cfg.Receipts)
	if err == nil {
		err = (&receiptWalk{receipts: r, cursor: c}).run(ctx)
	}
	if err != nil {
		r.d.send(ctx, receiptsCame{err: err})
	}
}

// receiptWalk follows the canonical chain.
type receiptWalk struct {
	*receipts
	cursor *ReceiptCursor
	// looked is the last block whose receipts have been looked for.
	looked store.Head
	// open is what is wanted, and order the same by block, with what has come meanwhile.
	open  map[common.Hash]bool
	order []MissingReceipts
	told  common.Hash // head for which it was told that all is here
}

func (w *receiptWalk) run(ctx context.Context) error {
	if err := w.restart(); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := w.look(ctx); err != nil {
			return err
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
		}
	}
	return nil
}

// restart begins anew behind the cursor.
func (w *receiptWalk) restart() error {
	var cancel []common.Hash
	for _, m := range w.order {
		if w.open[m.Root] {
			cancel = append(cancel, m.Root)
		}
	}
	if cancel != nil {
		w.d.Cancel(store.Receipts, cancel)
	}
	if err := w.cursor.Align(); err != nil {
		return err
	}
	w.looked = w.cursor.At()
	w.open, w.order = make(map[common.Hash]bool), nil
	return nil
}

// look wants what is missing, as far as the window reaches, and moves the cursor.
func (w *receiptWalk) look(ctx context.Context) error {
	for _, root := range w.take() {
		delete(w.open, root)
	}
	for len(w.order) > 0 && !w.open[w.order[0].Root] {
		w.order = w.order[1:]
	}
	if on, err := w.cursor.canonical(w.looked.Number, w.looked.Hash); err != nil {
		return err
	} else if !on { // a reorg
		if err := w.restart(); err != nil {
			return err
		}
	}
	head := w.d.cfg.Receipts.Head()
	if len(w.open) <= receiptWindow/2 && w.looked.Number < head.Number {
		if err := w.want(); err != nil {
			return err
		}
	}
	return w.advance(ctx, head)
}

// want asks for what is missing behind the block that was looked at last.
func (w *receiptWalk) want() (err error) {
	var wants []Want
	w.looked, err = w.cursor.Missing(w.looked, func(m MissingReceipts) bool {
		if !w.open[m.Root] {
			w.open[m.Root] = true
			wants = append(wants, Want{m.Root, int64(m.Number), m.Size})
			w.order = append(w.order, m)
		}
		return len(w.open) < receiptWindow
	})
	if err == nil && wants != nil {
		w.d.Want(store.Receipts, wants)
	}
	return err
}

// advance moves the cursor up to the first block whose receipts are missing, and tells
// when there is none.
func (w *receiptWalk) advance(ctx context.Context, head store.Head) error {
	to := w.looked
	if len(w.order) > 0 {
		to = store.Head{Number: w.order[0].Number - 1, Hash: w.order[0].Parent}
	}
	complete := len(w.order) == 0 && w.looked.Hash == head.Hash
	if to.Number >= w.cursor.number+receiptWindow || complete && to.Number > w.cursor.number {
		if err := w.cursor.Advance(to); err != nil {
			return err
		}
	}
	if complete && w.told != head.Hash {
		w.told = head.Hash
		w.d.send(ctx, receiptsCame{head: head})
	}
	return nil
}
