package downloader

import (
	"context"
	"slices"
	"time"

	"github.com/shoalnet/shoal/store"
)

// Keeper takes content of one kind that has arrived. It is called by one goroutine at a
// time.
type Keeper interface {
	// Keep stores content, which is durable when it returns. An error ends the
	// downloader, unless it is one of a full disk and Config.AwaitRoom is set: then it
	// is called again.
	Keep([]store.Record) error
}

// blockKeeper is the Keeper of blocks.
type blockKeeper struct{ Store }

func (k blockKeeper) Keep(records []store.Record) error {
	_, err := k.Put(records)
	return err
}

// keeping is the way of one kind of content to its keeper. Each kind has its own, so that
// one whose keeper takes its time holds up no other.
type keeping struct {
	queue []arrival           // arrived and checked
	batch []arrival           // with the keeper; empty unless it is at work
	tasks chan []store.Record // to the keeper's goroutine; one slot, free unless it is at work
	slice []store.Record      // scratch: those of the batch
}

// arrival is content that waits to be kept.
type arrival struct {
	store.Record
	memory *memory // that its bytes lie in; nil: nobody counts
}

// memory is what the blocks of one answer lie in. It is given back when the last of
// them has been kept, or dropped. Only the loop counts.
type memory struct {
	users int
	free  func()
}

// leave is called by each user at its end.
func (m *memory) leave() {
	if m == nil {
		return
	}
	if m.users--; m.users == 0 && m.free != nil {
		m.free()
	}
}

// pending reports whether something is not kept yet.
func (k *keeping) pending() bool { return len(k.batch)+len(k.queue) > 0 }

// hand gives the keeper what is next, unless it is at work. It never waits.
func (k *keeping) hand() {
	if len(k.batch) > 0 || len(k.queue) == 0 {
		return
	}
	n, bytes := 0, 0
	k.slice = k.slice[:0]
	for ; n < len(k.queue); n++ {
		if bytes += len(k.queue[n].Raw); bytes > writeBytes && n > 0 {
			break
		}
		k.slice = append(k.slice, k.queue[n].Record)
	}
	k.batch = append(k.batch, k.queue[:n]...)
	k.queue = slices.Delete(k.queue, 0, n)
	k.tasks <- k.slice
}

// kept ends a write: the memory of what is durable serves again.
func (k *keeping) kept() {
	for i := range k.batch {
		k.batch[i].memory.leave()
	}
	clear(k.batch)
	clear(k.slice)
	k.batch = k.batch[:0]
}

// kept is the end of a write.
type kept struct {
	kind    store.Kind
	records []store.Record
	err     error
}

// keep is the goroutine of a keeper: what it reports is durable.
func keep(ctx context.Context, d *Downloader, kind store.Kind, keeper Keeper, tasks <-chan []store.Record) {
	for {
		select {
		case records := <-tasks:
			err := keeper.Keep(records)
			if d.cfg.AwaitRoom && store.NoRoom(err) {
				d.send(ctx, noRoom{kind, err})
				err = awaitRoom(ctx, err, func() error { return keeper.Keep(records) })
			}
			d.send(ctx, kept{kind, records, err})
		case <-ctx.Done():
			return
		}
	}
}

// roomInterval is how often it is looked whether there is room on the disk. Each time
// costs a write that fails; at ten times as much, who has made room would wonder.
const roomInterval = 5 * time.Second

// awaitRoom tries something again that has found the disk full, until that is no longer
// so or the context is over.
func awaitRoom(ctx context.Context, err error, try func() error) error {
	for store.NoRoom(err) {
		select {
		case <-time.After(roomInterval):
			err = try()
		case <-ctx.Done():
			return err
		}
	}
	return err
}

// noRoom tells the loop that the disk is full.
type noRoom struct {
	kind store.Kind
	err  error
}

func (m noRoom) apply(l *loop) error {
	l.full(m.kind, m.err)
	return nil
}

// full tells of a disk that is full, once until something has been kept again.
func (l *loop) full(kind store.Kind, err error) {
	if !l.isFull {
		l.isFull = true
		l.emit(Full{kind, err})
	}
}

func (m kept) apply(l *loop) error {
	defer l.keeping[m.kind].kept()
	if m.err != nil {
		return m.err
	}
	l.isFull = false
	for i := range m.records {
		l.pool.Done(m.records[i].Hash)
	}
	if m.kind == store.Block {
		return l.keptBlocks(m.records)
	}
	return nil
}

// keptBlocks follows up on blocks that are stored now.
func (l *loop) keptBlocks(records []store.Record) error {
	probed := false
	if l.plan != nil {
		l.plan.moved = l.now
	}
	for i := range records {
		r := &records[i]
		if len(l.corrupt) > 0 && l.corrupt[r.Hash] {
			if err := l.store.Replace(records[i : i+1]); err != nil {
				return err
			}
			delete(l.corrupt, r.Hash)
		}
		l.stored++
		l.storedBytes += uint64(len(r.Raw))
		probed = probed || l.plan != nil && r.Hash == l.plan.last
	}
	l.linkWake.ring()
	if probed && l.plan.probing {
		return l.probe()
	}
	return nil
}
