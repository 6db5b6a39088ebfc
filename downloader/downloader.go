package downloader

import (
	"context"
	crand "crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/pool"
	"github.com/shoalnet/shoal/store"
)

// Downloader brings the heaviest chain of its peers into the store. Make one with
// [New], call [Downloader.Run], and tell it of peers and what they send with the
// other methods, which are safe for concurrent use.
type Downloader struct {
	cfg      Config
	inbox    chan message   // many senders; never closed; a few slots against needless switches
	walks    chan message   // the same for hashes, which go first: all else depends on them
	checks   chan checkTask // from sessions to the checkers; unbuffered
	wishes   wishes         // for content other than blocks
	keepers  map[store.Kind]Keeper
	receipts *receipts     // nil if they are not fetched
	plans    atomic.Uint64 // counts the plans that were taken up or closed, for the linker
	again    atomic.Bool   // blocks of the plan may have been here before
	vouch    atomic.Uint64 // number of a trusted block in the plan, 0 if there is none
	later    sync.Map      // hashes of probes whose seals are checked by the linker
}

// message is an event for the loop.
type message interface{ apply(*loop) error }

// New returns a downloader. It does nothing before Run.
func New(cfg Config) *Downloader {
	d := &Downloader{
		cfg: cfg, checks: make(chan checkTask),
		inbox: make(chan message, inboxSlots), walks: make(chan message, inboxSlots),
		wishes: wishes{wake: newBell()}, keepers: map[store.Kind]Keeper{store.Block: blockKeeper{cfg.Store}},
	}
	maps.Copy(d.keepers, cfg.Keepers)
	if cfg.Receipts != nil {
		d.receipts = newReceipts(d)
		d.keepers[store.Receipts] = d.receipts
	}
	return d
}

// send puts a message into the loop's inbox. It waits while the loop is busy,
// which is how work that cannot be taken is held back at its source.
func (d *Downloader) send(ctx context.Context, m message) { sendTo(ctx, d.inbox, m) }

func sendTo(ctx context.Context, box chan<- message, m message) {
	select {
	case box <- m:
	case <-ctx.Done():
	}
}

// Join tells of a new peer and its claim. Peers are told apart by identity.
func (d *Downloader) Join(ctx context.Context, p Peer, c Claim) { d.send(ctx, joined{p, c}) }

// Leave tells that a peer is gone. Nothing may come from it afterwards.
func (d *Downloader) Leave(ctx context.Context, p Peer) { d.send(ctx, left{p}) }

// Hashes hands over the answer to GetHashes: the ancestors of start, its parent
// first. The downloader owns the slice.
func (d *Downloader) Hashes(ctx context.Context, p Peer, start common.Hash, hashes []common.Hash) {
	sendTo(ctx, d.walks, hashesCame{p, start, hashes, time.Now()})
}

// Announced hands over blocks that were not asked for. The downloader owns the
// bytes.
func (d *Downloader) Announced(ctx context.Context, p Peer, blocks []Block) {
	d.send(ctx, announced{p, blocks})
}

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

// peerState is what the loop knows of a peer.
type peerState struct {
	Peer
	claim     Claim
	raw       []byte    // head block of the claim, if it is here
	ask       headAsk   // for it
	spent     bool      // the claim has been followed or was not good
	failures  int       // times that the claim has come to nothing
	passed    int       // times that it was put behind another one, because nothing came
	unproven  bool      // nothing came of the claim when it was last followed
	round     int       // when its claim has its next turn
	turns     int       // that its claim has had, up to maxTurns
	yield     float64   // of the last one, in bytes of blocks a second
	brought   bool      // a block in the present turn
	retryAt   time.Time // when it is tried again
	heads     uint64    // head blocks of chains that were taken up, which it brought and no pool knows of
	headBytes uint64
	sent      common.Hash // head of ours that it was told of last
	refused   bool        // does not know the end of the present walk
	slow      bool        // has let us wait in the present walk
	walk      hashAsk     // what it was asked for last in a walk
	pace      float64     // hashes that it has brought in a second, 0 if that is not known
	lateBytes uint64      // received when it was last late
	seen      uint64      // answered when a deadline was last looked at: the most so far
	mark      Mark        // in the ledger
}

// blocks is the class of blocks; see kinds.
const blocks pool.Class = 0

// directID marks requests that the loop makes outside of the pool.
const directID = 1 << 63

// Run works until the context is cancelled or the store fails. It returns nil in
// the first case. It is called once.
func (d *Downloader) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	l := &loop{
		cfg: d.cfg, store: d.cfg.Store, log: d.cfg.logger(), now: time.Now(),
		inbox:    d.inbox,
		walks:    d.walks,
		rand:     rand.New(rand.NewChaCha8(seed())),
		pool:     pool.New[Peer, common.Hash](d.cfg.Pool),
		peers:    make(map[Peer]*peerState),
		nextAsk:  directID,
		bad:      make(map[common.Hash]bool),
		places:   make(map[common.Hash]place),
		suspect:  make(map[common.Hash]bool),
		seals:    make(chan sealTask),
		keeping:  make(map[store.Kind]*keeping),
		plans:    &d.plans,
		again:    &d.again,
		vouch:    &d.vouch,
		wishes:   &d.wishes,
		receipts: d.receipts,
		later:    &d.later,
		prepares: make(chan uint64, 1),
		corrupt:  make(map[common.Hash]bool),
		linkWake: newBell(),
	}
	var wg sync.WaitGroup
	for range d.cfg.checkers() {
		wg.Go(func() { check(ctx, d) })
		wg.Go(func() { seal(ctx, d, l.seals) })
	}
	for kind, keeper := range d.keepers {
		tasks := make(chan []store.Record, 1)
		l.keeping[kind] = &keeping{tasks: tasks}
		wg.Go(func() { keep(ctx, d, kind, keeper, tasks) })
	}
	if d.receipts != nil {
		wg.Go(func() { d.receipts.run(ctx) })
	}
	wg.Go(func() { link(ctx, d, l.linkWake) })
	wg.Go(func() { prepare(ctx, d, l.prepares) })
	err := l.run(ctx)
	cancel(err)
	wg.Wait()
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func seed() (s [32]byte) {
	crand.Read(s[:])
	return s
}

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

// expire takes the work from peers that are late.
func (l *loop) expire() {
	// What has arrived, or is just arriving, is not late.
	if len(l.inbox) > 0 || l.now.Before(l.awake) {
		return
	}
	if at, ok := l.pool.NextDeadline(); ok && !at.After(l.now) {
		for _, p := range l.order {
			answered := p.Answered()
			if l.pool.Alive(l.now, p.Peer, int64(answered-p.seen)) {
				p.seen = answered
			}
		}
	}
	for _, late := range l.pool.Expire(l.now) {
		p := l.peers[late.Peer]
		l.emit(Late{Peer: p.String(), Keys: late.Keys})
		// A slow link is no offence: as long as anything arrives from it,
		// the peer may stay.
		received := p.Received()
		if late.Hopeless && received == p.lateBytes {
			l.drop(p, &Offence{Kind: Useless, Evidence: "it does not answer"})
		}
		p.lateBytes = received
	}
}

func (l *loop) emit(e Event) {
	if l.cfg.Listener != nil {
		l.cfg.Listener(e)
	}
}

// drop ends the connection to a peer; Leave will follow.
func (l *loop) drop(p *peerState, o *Offence) {
	l.log.Info("dropping peer", "peer", p.String(), "why", o)
	l.emit(Dropped{p.String(), o})
	p.spent = true
	p.Drop(o)
}

type joined struct {
	peer  Peer
	claim Claim
}

func (m joined) apply(l *loop) error {
	p := &peerState{Peer: m.peer, claim: m.claim, sent: m.peer.Told(), round: l.round + 1, mark: Unmarked}
	l.peers[m.peer] = p
	l.order = append(l.order, p)
	var classes []pool.Class
	for kind := range l.keeping {
		if kind == store.Block || m.claim.Content {
			classes = append(classes, classOf(kind))
		}
	}
	l.pool.Join(l.now, m.peer, classes...)
	if l.plan != nil {
		l.plan.pause = time.Time{} // somebody new to ask
		if len(l.order) == 1 {
			l.plan.moved = l.now // nothing could come before
		}
	}
	l.settle = false
	l.emit(Joined{p.String(), m.claim})
	return nil
}

type left struct{ peer Peer }

func (m left) apply(l *loop) error {
	p := l.peers[m.peer]
	if p == nil {
		return nil
	}
	delete(l.peers, m.peer)
	for i, x := range l.order {
		if x == p {
			l.order = append(l.order[:i], l.order[i+1:]...)
			break
		}
	}
	picture := l.peerPicture(p)
	l.pool.Leave(m.peer)
	if l.target != nil && l.target.peer == p {
		l.target = nil
	}
	if l.aiming == p {
		l.aiming = nil
	}
	if l.plan != nil {
		l.plan.forget(p)
	}
	l.ledger.leave(p)
	if l.guide == p {
		l.guide = nil
	}
	l.settle = false
	l.emit(Left{picture})
	return nil
}
