package downloader_test

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/pool"
	"github.com/shoalnet/shoal/store"
)

// The faults of a network and of a machine, by the names under which they are known.
// Nobody means harm here: in each of them the chain arrives, and no peer is dropped.

// TestF1DisconnectAtEveryMessage cuts the only connection before the k-th answer, for
// every k, and lets the peer come back.
func TestF1DisconnectAtEveryMessage(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 60)
	cuts := 0
	for k := 0; ; k++ {
		cut := false
		inBubble(t, func(t *testing.T, w *world) {
			a := &actor{name: "a", chain: c, delay: 10 * ms, hashes: 7, most: 5}
			answers := 0
			count := func() {
				if answers++; answers > k {
					cut = true
					go a.leave() // which waits for this answer, and takes it away
					<-a.gone
				}
			}
			a.blocks = func(_ []common.Hash, l []downloader.Block) []downloader.Block { count(); return l }
			a.ancestry = func(_ common.Hash, l []common.Hash) []common.Hash { count(); return l }
			w.join(a)
			time.Sleep(time.Minute)
			b := w.join(&actor{name: "a", chain: c, delay: 10 * ms})
			w.settled(c)
			w.honest(a, b)
			w.once()
		})
		if !cut {
			break
		}
		cuts++
	}
	t.Logf("cut at %d answers", cuts)
	if cuts < 15 {
		t.Error("the sync is too small for this test")
	}
}

// TestF3OwnLinkThrottled: for a minute everybody is ten times slower, because we are.
func TestF3OwnLinkThrottled(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 6000)
	inBubble(t, func(t *testing.T, w *world) {
		from := time.Now().Add(2 * time.Second)
		const rate = 100e3
		var peers []*actor
		for _, name := range []string{"a", "b", "c", "d"} {
			a := &actor{name: name, chain: c, delay: 20 * ms, rate: rate}
			a.blocks = func(_ []common.Hash, l []downloader.Block) []downloader.Block {
				bytes := 0
				for _, b := range l {
					bytes += len(b.Raw)
				}
				if now := time.Now(); now.After(from) && now.Before(from.Add(time.Minute)) {
					select {
					case <-time.After(time.Duration(9 * float64(bytes) / rate * float64(time.Second))):
					case <-a.gone:
					}
				}
				return l
			}
			peers = append(peers, w.join(a))
		}
		w.settled(c)
		if took := time.Since(from); took < 10*time.Second {
			t.Errorf("the sync was over after %v: it is too small for this test", took)
		}
		w.honest(peers...)
		w.frugal()
	})
}

// TestF5Suspend: the process sleeps for hours while everything is in flight, and
// wakes up to find all deadlines passed and all answers waiting.
func TestF5Suspend(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 2000)
	var naps atomic.Int32
	tune := func(cfg *downloader.Config) {
		listen := cfg.Listener
		cfg.Listener = func(e downloader.Event) {
			listen(e)
			if p, ok := e.(downloader.Progress); ok && p.Pool.InFlight > 0 && naps.Add(1) <= 3 {
				time.Sleep(5 * time.Hour) // and with it the loop
			}
		}
	}
	inBubbleWith(t, tune, func(t *testing.T, w *world) {
		var peers []*actor
		for _, name := range []string{"a", "b", "c"} {
			peers = append(peers, w.join(&actor{name: name, chain: c, delay: 20 * ms, rate: 100e3}))
		}
		for hours := 0; w.store.Head().Hash != c.Head().Hash; hours++ {
			if time.Sleep(time.Hour); hours == 100 {
				t.Fatal("it does not end")
			}
		}
		w.settled(c)
		w.honest(peers...)
		w.once()
		if naps.Load() < 3 {
			t.Error("it has hardly slept: the sync is too small for this test")
		}
	})
}

// unruly answers each request on its own, after some time, and some of them twice.
type unruly struct {
	*actor
	mu  sync.Mutex
	rng *rand.Rand
}

func (u *unruly) later(f func()) {
	u.mu.Lock()
	delay, twice := time.Duration(u.rng.IntN(900))*ms, u.rng.IntN(3) == 0
	u.mu.Unlock()
	u.wg.Go(func() {
		for range 2 {
			select {
			case <-time.After(delay):
				f()
			case <-u.gone:
				return
			}
			if !twice {
				return
			}
		}
	})
}

func (u *unruly) GetBlocks(id uint64, asked []common.Hash) {
	asked = slices.Clone(asked)
	u.later(func() {
		var answer []downloader.Block
		for _, h := range asked {
			if i, ok := u.chain.At[h]; ok {
				answer = append(answer, downloader.Block{Hash: h, Raw: slices.Clone(u.chain.Blocks[i].Raw())})
			}
		}
		u.actor.mu.Lock()
		u.received++
		u.actor.mu.Unlock()
		u.w.down.Blocks(u.w.ctx, u, downloader.Answer{ID: id, Blocks: answer, Closed: true, At: time.Now()})
	})
}

func (u *unruly) GetHashes(start common.Hash, max int) {
	u.later(func() {
		var answer []common.Hash
		if i, ok := u.chain.At[start]; ok {
			for i--; i >= 0 && len(answer) < min(max, 200); i-- {
				answer = append(answer, u.chain.Blocks[i].Hash)
			}
		}
		u.w.down.Hashes(u.w.ctx, u, start, answer)
	})
}

// TestF6RepliesReorderedDelayedDuplicated: the answers come in any order, and again.
func TestF6RepliesReorderedDelayedDuplicated(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 1500)
	inBubble(t, func(t *testing.T, w *world) {
		var peers []*actor
		for i, name := range []string{"a", "b", "c"} {
			u := &unruly{rng: rand.New(rand.NewPCG(uint64(i), 1))}
			u.actor = &actor{name: name, chain: c, as: u}
			peers = append(peers, w.join(u.actor))
		}
		w.settled(c)
		w.honest(peers...)
	})
}

// TestF7ALateReplyIsUseful: what comes after its deadline is not fetched again, and
// nobody is blamed for it.
func TestF7ALateReplyIsUseful(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 400)
	inBubble(t, func(t *testing.T, w *world) {
		answers := 0
		a := &actor{name: "a", chain: c, delay: 20 * ms, rate: 200e3}
		a.blocks = func(_ []common.Hash, l []downloader.Block) []downloader.Block {
			if answers++; answers == 4 {
				time.Sleep(4 * time.Second)
			}
			return l
		}
		w.join(a)
		w.settled(c)
		w.honest(a)
		w.once()
		w.mu.Lock()
		defer w.mu.Unlock()
		if !slices.ContainsFunc(w.events, func(e downloader.Event) bool { _, ok := e.(downloader.Late); return ok }) {
			t.Error("nothing was late: the delay is too small for this test")
		}
	})
}

// TestF13AThousandPeersComeAndGo: most of them leave with something in flight.
func TestF13AThousandPeersComeAndGo(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 3000)
	inBubble(t, func(t *testing.T, w *world) {
		rng := rand.New(rand.NewPCG(13, 1))
		stays := w.join(&actor{name: "stays", chain: c, delay: 20 * ms, rate: 20e3})
		var peers []*actor
		var leaving sync.WaitGroup
		for range 1000 {
			p := w.join(&actor{name: "guest", chain: c, delay: time.Duration(rng.IntN(200)) * ms, rate: 50e3})
			peers = append(peers, p)
			stay := time.Duration(rng.IntN(1500)) * ms
			leaving.Go(func() {
				time.Sleep(stay)
				p.leave()
			})
			time.Sleep(time.Duration(rng.IntN(40)) * ms)
		}
		leaving.Wait()
		w.settled(c)
		w.honest(stays)
		w.honest(peers...)
		w.frugal()
	})
}

// slowStore takes its time for each write, and knows how much has been written.
type slowStore struct {
	downloader.Store
	rate    float64       // bytes a second; 0: any
	sync    time.Duration // of each write
	written atomic.Int64
}

func (s *slowStore) Put(recs []store.Record) (int, error) {
	bytes := 0
	for i := range recs {
		bytes += len(recs[i].Raw)
	}
	time.Sleep(s.sync)
	if s.rate > 0 {
		time.Sleep(time.Duration(float64(bytes) / s.rate * float64(time.Second)))
	}
	n, err := s.Store.Put(recs)
	s.written.Add(int64(bytes))
	return n, err
}

// TestF8SlowDisk: each sync takes longer than any peer may. Nobody is blamed for it, and
// nothing is fetched again.
func TestF8SlowDisk(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 2000)
	other := testbed.Grow(t, nil, 0, 2, 0, 100)
	slow := &slowStore{sync: 40 * time.Second}
	tune := func(cfg *downloader.Config) {
		slow.Store, cfg.Store = cfg.Store, slow
		cfg.Pool.Duplicates = -1 // the tail may move, disk or not
	}
	inBubbleWith(t, tune, func(t *testing.T, w *world) {
		peers := []*actor{w.join(&actor{name: "another chain", chain: other, delay: 20 * ms})}
		for _, name := range []string{"a", "b", "c"} {
			peers = append(peers, w.join(&actor{name: name, chain: c, delay: 20 * ms, rate: 100e3}))
		}
		began := time.Now()
		w.settled(c)
		t.Logf("took %v", time.Since(began).Round(ms))
		w.honest(peers...)
		w.once()
	})
}

// TestF14ImportSlowerThanDownload: for ten minutes the disk takes a thousandth of what
// the peers can bring. What has arrived and is not written stays within its bound.
func TestF14ImportSlowerThanDownload(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 6000)
	total := 0
	for _, b := range c.Blocks {
		total += len(b.Raw())
	}
	const held, flight, request = 100_000, 100_000, 20_000
	slow := &slowStore{rate: float64(total) / (10 * time.Minute).Seconds()}
	tune := func(cfg *downloader.Config) {
		slow.Store, cfg.Store = cfg.Store, slow
		// What is in flight is booked by its likely size: here a block's.
		cfg.Pool = pool.Config{HeldBytes: held, TotalBytes: flight, PeerBytes: request, SizeHint: total / len(c.Blocks)}
	}
	inBubbleWith(t, tune, func(t *testing.T, w *world) {
		began := time.Now()
		var peers []*actor
		for _, name := range []string{"a", "b"} {
			peers = append(peers, w.join(&actor{name: name, chain: c, delay: 10 * ms, rate: 1e6}))
		}
		most := int64(0)
		for w.store.Head().Hash != c.Head().Hash {
			time.Sleep(time.Second)
			sent := int64(0)
			for _, p := range peers {
				p.mu.Lock()
				sent += p.sent
				p.mu.Unlock()
			}
			most = max(most, sent-slow.written.Load())
			if time.Since(began) > time.Hour {
				t.Fatal("it does not end")
			}
		}
		w.settled(c)
		w.honest(peers...)
		w.once()
		took := time.Since(began)
		t.Logf("%d bytes in %v, at most %d of them in memory", total, took.Round(time.Second), most)
		// The last request may go over the bound.
		if bound := int64(held + flight + request); most > bound {
			t.Errorf("%d bytes had arrived and were not written, the bound is %d", most, bound)
		}
		if took < 9*time.Minute || took > 12*time.Minute {
			t.Errorf("took %v: the disk is not what it waited for", took)
		}
	})
}

// TestC5PlanAndLogDisagree: the plan names blocks that were stored and are not there
// any more, or there are blocks and no plan of them. Only what is lost is fetched.
func TestC5PlanAndLogDisagree(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 1000)
	for name, lose := range map[string]func(fs *vfs.MemFS) error{
		"blocks of the plan are lost": func(fs *vfs.MemFS) error { return fs.Remove("chain/segments/000001.seg") },
		"the plan is lost":            func(fs *vfs.MemFS) error { return fs.RemoveAll("chain/index") },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				w.join(&actor{name: "a", chain: c, rate: 100e3, delay: 20 * ms})
				time.Sleep(4 * time.Second)
				w.stop()
				if err := lose(w.fs); err != nil {
					t.Fatal(err)
				}
				w.start()
				w.served = map[common.Hash]int{}
				had := 0
				for _, b := range c.Blocks {
					if ok, err := w.store.Has(b.Hash); err != nil {
						t.Fatal(err)
					} else if ok {
						w.served[b.Hash] = 1 // once is enough
						had++
					}
				}
				t.Logf("%d of %d blocks are there", had, len(c.Blocks))
				a := w.join(&actor{name: "a", chain: c, rate: 100e3, delay: 20 * ms})
				w.settled(c)
				w.once()
				w.honest(a)
			})
		})
	}
}
