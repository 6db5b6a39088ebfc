package downloader_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/store"
)

// The tests of this package run a real downloader with a real store in virtual
// time, against peers that are played by the test.

// claimOf is what an honest peer says of the chain.
func claimOf(b *testbed.Branch) downloader.Claim {
	return downloader.Claim{TD: b.TD, Head: b.Head().Hash}
}

// world is one downloader and its peers.
type world struct {
	*testing.T
	ctx   context.Context
	fs    *vfs.MemFS
	store *store.Store
	down  *downloader.Downloader
	stop  func() // ends the downloader
	tune  func(*downloader.Config)
	// A disk that fails, over fs, and who hears of the errors that it causes, when
	// the downloader ends and when the store is closed. Nil: nobody, and there are none.
	disk           vfs.FS
	ended, closing func(error)

	mu       sync.Mutex
	events   []downloader.Event
	served   map[common.Hash]int // by all peers together
	honestly map[common.Hash]int // by all but those called attacker
	peers    []*actor

	everybody []*actor // also those that have left
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, ctx: t.Context(), fs: vfs.NewMem(), served: map[common.Hash]int{}, honestly: map[common.Hash]int{}}
	return w
}

// start opens the store and runs a downloader on it.
func (w *world) start() {
	w.Helper()
	g, err := chain.Dev.GenesisBlock()
	if err != nil {
		w.Fatal(err)
	}
	var fs vfs.FS = w.fs
	if w.disk != nil {
		fs = w.disk
	}
	w.store, err = store.Open("chain", store.Options{
		FS: fs, Network: "dev",
		Genesis: store.Genesis{Record: store.Record{Hash: g.Hash, Raw: g.Raw()}, TD: g.Difficulty},
	})
	if err != nil {
		w.Fatal(err)
	}
	cfg := downloader.Config{
		Network: chain.Dev, Store: w.store, Checkers: 2,
		Listener: func(e downloader.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
	}
	if w.tune != nil {
		w.tune(&cfg)
	}
	w.down = downloader.New(cfg)
	ctx, cancel := context.WithCancel(w.ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.down.Run(ctx); err != nil && w.ended != nil {
			w.ended(err)
		} else if err != nil {
			w.Errorf("the downloader ended with: %v", err)
		}
	})
	w.stop = func() {
		for _, p := range w.peers {
			p.leave()
		}
		cancel()
		wg.Wait()
		if err := w.store.Close(); err != nil && w.closing != nil {
			w.closing(err)
		} else if err != nil {
			w.Error(err)
		}
		w.peers = nil
	}
}

// actor is a peer that answers one request after the other.
type actor struct {
	w     *world
	name  string
	chain *testbed.Branch
	claim downloader.Claim

	delay  time.Duration // before each answer
	rate   float64       // bytes a second, 0: any
	most   int           // blocks it answers at once, 0: all
	hashes int           // hashes it answers at once, 0: as many as asked

	content map[common.Hash][]byte // of all kinds; only if the claim says Content

	// The next two change answers: the actor sends what they return.
	blocks   func(asked []common.Hash, answer []downloader.Block) []downloader.Block
	ancestry func(start common.Hash, answer []common.Hash) []common.Hash

	greeted  common.Hash     // our head when it joined
	as       downloader.Peer // who it is for the downloader; nil: itself
	requests chan func()
	gone     chan struct{}
	leaving  sync.Once
	wg       sync.WaitGroup

	mu       sync.Mutex
	received uint64
	given    int   // blocks
	sent     int64 // bytes of them
	walked   int   // answers with hashes
	offence  *downloader.Offence
	told     []common.Hash // blocks that it was told of
}

// join lets an actor connect.
func (w *world) join(a *actor) *actor {
	a.w = w
	if a.claim == (downloader.Claim{}) {
		a.claim = claimOf(a.chain)
	}
	a.requests = make(chan func(), 10_000)
	a.gone = make(chan struct{})
	a.wg.Go(func() {
		for {
			select {
			case f := <-a.requests:
				f()
			case <-a.gone:
				return
			}
		}
	})
	w.peers = append(w.peers, a)
	w.everybody = append(w.everybody, a)
	if a.as == nil {
		a.as = a
	}
	a.greeted = w.store.Head().Hash
	w.down.Join(w.ctx, a.as, a.claim)
	return a
}

// leave lets it go.
func (a *actor) leave() {
	a.leaving.Do(func() {
		close(a.gone)
		a.wg.Wait()
		a.w.down.Leave(a.w.ctx, a.as)
	})
}

func (a *actor) String() string { return a.name }

func (a *actor) wait(bytes int) bool {
	d := a.delay
	if a.rate > 0 {
		d += time.Duration(float64(bytes) / a.rate * float64(time.Second))
	}
	select {
	case <-time.After(d):
		return true
	case <-a.gone:
		return false
	}
}

func (a *actor) GetBlocks(id uint64, asked []common.Hash) {
	asked = slices.Clone(asked)
	a.requests <- func() {
		var answer []downloader.Block
		bytes := 0
		for _, h := range asked {
			i, ok := a.chain.At[h]
			if !ok || a.most > 0 && len(answer) == a.most {
				continue
			}
			raw := slices.Clone(a.chain.Blocks[i].Raw())
			answer = append(answer, downloader.Block{Hash: h, Raw: raw})
			bytes += len(raw)
		}
		if a.blocks != nil {
			answer = a.blocks(asked, answer)
		}
		if !a.wait(bytes) {
			return
		}
		a.mu.Lock()
		a.received += uint64(bytes) + 1
		a.given += len(answer)
		a.sent += int64(bytes)
		a.mu.Unlock()
		a.w.mu.Lock()
		for _, b := range answer {
			a.w.served[b.Hash]++
			if a.name != "attacker" {
				a.w.honestly[b.Hash]++
			}
		}
		a.w.mu.Unlock()
		freed := false
		a.w.down.Blocks(a.w.ctx, a, downloader.Answer{ID: id, Blocks: answer, Closed: true, At: time.Now(), Free: func() {
			if freed {
				a.w.Error("an answer was given back twice")
			}
			freed = true
			for _, b := range answer {
				clear(b.Raw) // as if the next answer had come there: settled would see it
			}
		}})
	}
}

func (a *actor) GetHashes(start common.Hash, max int) {
	a.requests <- func() {
		if a.hashes > 0 {
			max = min(max, a.hashes)
		}
		answer := a.chain.Ancestors(start, max)
		if a.ancestry != nil {
			answer = a.ancestry(start, answer)
		}
		if !a.wait(33 * len(answer)) {
			return
		}
		a.mu.Lock()
		a.received += uint64(33*len(answer)) + 1
		a.walked++
		a.mu.Unlock()
		a.w.down.Hashes(a.w.ctx, a, start, answer)
	}
}

func (a *actor) Announce(raw []byte) {
	h, err := chain.HashOf(raw)
	if err != nil {
		a.w.Error(err)
	}
	a.mu.Lock()
	a.told = append(a.told, h)
	a.mu.Unlock()
}

func (a *actor) Told() common.Hash { return a.greeted }

func (a *actor) TellHead(now downloader.Claim) {
	a.mu.Lock()
	a.told = append(a.told, now.Head)
	a.mu.Unlock()
}

func (a *actor) Received() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.received
}

func (a *actor) Answered() uint64 { return a.Received() }

func (a *actor) Drop(o *downloader.Offence) {
	a.mu.Lock()
	a.offence = o
	a.mu.Unlock()
	go a.leave() // never from the loop itself
}

// until waits for an event that the function accepts, up to an hour of virtual
// time.
func (w *world) until(what string, ok func(downloader.Event) bool) {
	w.Helper()
	for began := time.Now(); time.Since(began) < time.Hour; time.Sleep(50 * time.Millisecond) {
		w.mu.Lock()
		found := slices.ContainsFunc(w.events, ok)
		w.mu.Unlock()
		if found {
			return
		}
	}
	w.Fatalf("waiting for: %s\n%s", what, w.story())
}

// settled waits until the head is that of the chain and nothing is left to do.
func (w *world) settled(b *testbed.Branch) {
	w.Helper()
	w.until(fmt.Sprintf("a settled head %d", b.Head().Number), func(e downloader.Event) bool {
		s, ok := e.(downloader.Settled)
		return ok && s.Head.Hash == b.Head().Hash
	})
	h := w.store.Head()
	if h.Hash != b.Head().Hash || h.TD != b.TD || h.Number != b.Head().Number {
		w.Fatalf("the head is %+v, want block %d with %v", h, b.Head().Number, &b.TD)
	}
	for _, want := range b.Blocks {
		raw, err := w.store.AppendRaw(nil, want.Hash)
		if err != nil || string(raw) != string(want.Raw()) {
			w.Fatalf("block %d is not what was served: %v", want.Number, err)
		}
	}
}

// story is what has happened, for a test that fails.
func (w *world) story() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return testbed.Story(w.events)
}

// watchdog fails if the downloader has stalled while an honest peer that has what
// is wanted was idle.
func (w *world) watchdog() {
	w.mu.Lock()
	defer w.mu.Unlock()
	testbed.Watchdog(w, w.events, func(peer string, h common.Hash) bool {
		return slices.ContainsFunc(w.everybody, func(p *actor) bool {
			_, has := p.chain.At[h]
			return has && p.name == peer && p.honest()
		})
	})
}

// honest reports whether an actor answers as it should.
func (a *actor) honest() bool { return a.blocks == nil && a.ancestry == nil && a.delay < time.Minute }

// once fails if any block was served more than once.
func (w *world) once() {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for h, n := range w.served {
		if n > 1 {
			w.Fatalf("block %x was transferred %d times", h, n)
		}
	}
}

// honest fails if one of the peers was dropped.
func (w *world) honest(peers ...*actor) {
	w.Helper()
	for _, p := range peers {
		p.mu.Lock()
		o := p.offence
		p.mu.Unlock()
		if o != nil {
			w.Errorf("%s was dropped: %v", p.name, o)
		}
	}
}

// guilty fails if one of the peers was not dropped with that kind of offence.
func (w *world) guilty(kind downloader.Kind, peers ...*actor) {
	w.Helper()
	for _, p := range peers {
		p.mu.Lock()
		o := p.offence
		p.mu.Unlock()
		switch {
		case o == nil:
			w.Errorf("%s was not dropped", p.name)
		case o.Kind != kind:
			w.Errorf("%s was dropped for the wrong kind of offence: %v", p.name, o)
		}
	}
}

// frugal fails if the honest peers have sent more than one block in a hundred
// twice.
func (w *world) frugal() {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	twice := 0
	for _, n := range w.honestly {
		twice += max(0, n-1)
	}
	if most := len(w.honestly) / 100; twice > most {
		w.Errorf("%d of %d blocks were sent more than once by honest peers", twice, len(w.honestly))
	}
}

// damage flips a bit in the middle of a file.
func (w *world) damage(path string) {
	w.Helper()
	f, err := w.fs.Open(path)
	if err != nil {
		w.Fatal(err)
	}
	data, err := io.ReadAll(f)
	f.Close()
	if err != nil {
		w.Fatal(err)
	}
	data[len(data)/2] ^= 1
	out, err := w.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		w.Fatal(err)
	}
	if _, err := out.Write(data); err != nil {
		w.Fatal(err)
	}
	if err := out.Close(); err != nil {
		w.Fatal(err)
	}
}

// inBubble runs a test in virtual time with a running downloader.
func inBubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	inBubbleWith(t, nil, f)
}

// inBubbleWith is inBubble with another configuration.
func inBubbleWith(t *testing.T, tune func(*downloader.Config), f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		// A bubble's clock begins in the year 2000, before any block.
		time.Sleep(time.Until(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)))
		w := newWorld(t)
		w.tune = tune
		w.start()
		defer func() {
			w.stop()
			w.watchdog()
		}()
		f(t, w)
	})
}
