package downloader

import (
	"context"
	crand "crypto/rand"
	"errors"
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
