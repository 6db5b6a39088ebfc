package downloader

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/pool"
	"github.com/shoalnet/shoal/store"
)

// loop is the state of a running downloader. All of it belongs to the goroutine
// in [loop.run]; checkers, writer and linker see only what they are sent.
type loop struct {
	cfg   Config
	store Store
	log   *slog.Logger
	now   time.Time  // read once for each event
	awake time.Time  // until when nobody is late, see wake
	rand  *rand.Rand // what it chooses is secret: it is seeded by the system

	genesis common.Hash
	inbox   <-chan message
	walks   <-chan message
	pool    *pool.Pool[Peer, common.Hash]
	peers   map[Peer]*peerState
	order   []*peerState // by time of joining
	nextAsk uint64       // ids of requests that are not the pool's

	target   *target               // the chain whose head is being checked
	aiming   *peerState            // whose head block is waited for, nil if nobody's
	aimAgain time.Time             // when to look for another one meanwhile
	headsDue time.Time             // when a head block that was asked for may be overdue
	round    int                   // of turns, see turn.go
	plan     *plan                 // the chain that is being fetched
	guide    *peerState            // who leads the walk, nil if there is none
	guidance int                   // answers in a row that it has led it by
	guideDue time.Time             // when somebody faster is looked for
	places   map[common.Hash]place // of the blocks that the pool fetches for the plan
	bad      map[common.Hash]bool  // heads of chains that break a rule
	suspect  map[common.Hash]bool  // heads whose hashes somebody lied about
	settle   bool                  // Settled has been sent since something happened
	isFull   bool                  // Full has been sent since something was kept
	ledger   ledger                // who brought what

	items    []pool.Item[common.Hash] // scratch
	toSeal   []sealTask
	seals    chan sealTask           // to the sealers; unbuffered
	keeping  map[store.Kind]*keeping // of blocks, and of each kind that can be wanted
	corrupt  map[common.Hash]bool
	wishes   *wishes
	receipts *receipts
	later    *sync.Map
	prepares chan uint64 // one slot; to whom gets the sealer ready
	prepared uint64      // the last that went there
	linkWake bell        // for the linker
	plans    *atomic.Uint64
	again    *atomic.Bool
	vouch    *atomic.Uint64

	stored, storedBytes uint64
	lastProgress        time.Time
}

// message is an event for the loop.
type message interface{ apply(*loop) error }

// blocks is the class of blocks; see kinds.
const blocks pool.Class = 0

// directID marks requests that the loop makes outside of the pool.
const directID = 1 << 63

// run is the loop: it lets things happen, then decides, then sleeps.
func (l *loop) run(ctx context.Context) error {
	genesis, err := l.store.Canonical(0)
	if err != nil {
		return err
	}
	l.genesis = genesis
	if err := l.resume(); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		again, err := l.decide()
		if err != nil {
			return err
		}
		l.sleep(timer, again)

		// Only offer what there is: a nil channel is never ready.
		var seals chan<- sealTask
		var task sealTask
		if len(l.toSeal) > 0 {
			seals, task = l.seals, l.toSeal[0]
		}
		select {
		case m := <-l.walks:
			err = l.happen(m)
		case m := <-l.inbox:
			err = l.happen(m)
		case seals <- task:
			l.toSeal[0] = sealTask{}
			l.toSeal = l.toSeal[1:]
		case <-l.wishes.wake:
			l.wake()
			l.wish()
		case <-timer.C:
			l.wake()
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// happen applies a message and those that wait already, hashes first: under load, one
// decision is made for all of them.
func (l *loop) happen(m message) error {
	l.wake()
	for range inboxSlots {
		if err := m.apply(l); err != nil {
			return err
		}
		select {
		case m = <-l.walks:
			continue
		default:
		}
		select {
		case m = <-l.inbox:
		default:
			return nil
		}
	}
	return m.apply(l)
}

// sleep sets the timer to when something is due if nothing happens before.
func (l *loop) sleep(timer *time.Timer, again bool) {
	next := l.now.Add(progressInterval)
	sooner := func(t time.Time) { next = earlier(next, t) }
	if at, ok := l.pool.NextDeadline(); ok {
		sooner(at)
	}
	if l.aiming != nil {
		sooner(l.aimAgain)
	}
	if p := l.plan; p != nil && !p.Complete && len(l.order) > 0 {
		if p.asked != nil {
			sooner(p.deadline)
		} else if p.Len <= p.admission.lead() { // else a block comes first
			sooner(p.pause)
		}
	}
	if again {
		sooner(l.now)
	}
	timer.Reset(time.Until(next))
}

// decide does all that can be done now. It reports whether there is more to do
// without any further event.
func (l *loop) decide() (again bool, err error) {
	l.expire()
	l.watch()
	if err := l.unstick(); err != nil {
		return false, err
	}
	if err := l.endTurn(); err != nil {
		return false, err
	}
	if err := l.aim(); err != nil {
		return false, err
	}
	l.walk()
	searching, err := l.searchPlan()
	if err != nil {
		return false, err
	}
	feeding, err := l.feed()
	if err != nil {
		return false, err
	}
	for _, k := range l.keeping {
		k.hand()
	}
	for _, r := range l.pool.Reserve(l.now) {
		if r.Class == blocks {
			r.Peer.GetBlocks(r.ID, r.Keys)
		} else {
			r.Peer.GetContent(r.ID, kinds[r.Class], r.Keys)
		}
	}
	l.progress()
	return searching || feeding, nil
}

func (l *loop) emit(e Event) {
	if l.cfg.Listener != nil {
		l.cfg.Listener(e)
	}
}
