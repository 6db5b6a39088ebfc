package downloader_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
)

// notary stands for proof of work: it knows which seals are false, and counts what
// it is asked.
type notary struct {
	mu    sync.Mutex
	asked map[uint64]int
	bad   map[common.Hash]bool
}

func (n *notary) CheckSeal(h *chain.Header) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked == nil {
		n.asked = map[uint64]int{}
	}
	n.asked[h.Number]++
	if n.bad[h.Hash] {
		return &chain.RuleError{Rule: "seal", Number: h.Number, Hash: h.Hash, Have: "false", Want: "true"}
	}
	return nil
}

func TestWhichSealsAreChecked(t *testing.T) {
	c := grow(t, nil, 0, 1, 0, 6000)
	mid := c.blocks[5000].Hash
	for _, tt := range []struct {
		name   string
		policy downloader.Policy
		trust  map[common.Hash]bool
		least  int
		most   int
	}{
		{"none", downloader.SealNone, nil, 0, 0},
		{"all", downloader.SealAll, nil, 6000, 6000},
		{"sample", downloader.SealSample, nil, 2048, 2048 + 200},
		{"all, below a checkpoint", downloader.SealAll, map[common.Hash]bool{mid: true}, 1000, 1000},
		{"all, the head is the checkpoint", downloader.SealAll, map[common.Hash]bool{c.head().Hash: true}, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := &notary{}
			inBubbleWith(t, func(cfg *downloader.Config) { cfg.Sealer, cfg.Seals, cfg.Checkpoints = n, tt.policy, tt.trust },
				func(t *testing.T, w *world) {
					w.join(&actor{name: "a", chain: c, delay: ms})
					w.settled(c)
				})
			if got := len(n.asked); got < tt.least || got > tt.most {
				t.Errorf("%d seals were checked, want %d to %d", got, tt.least, tt.most)
			}
			if tt.policy == downloader.SealSample && n.asked[6000] == 0 {
				t.Error("the seal of the head was not checked")
			}
		})
	}
}

// TestA21AFalseSealInTheMiddle: a chain with a block that breaks a rule is refused
// whoever serves it, and whoever claims it goes.
func TestA21AFalseSealInTheMiddle(t *testing.T) {
	good := grow(t, nil, 0, 1, 0, 400)
	false_ := grow(t, good, 350, 2, 1, 100)
	n := &notary{bad: map[common.Hash]bool{false_.blocks[390].Hash: true}}
	inBubbleWith(t, func(cfg *downloader.Config) { cfg.Sealer = n }, func(t *testing.T, w *world) {
		liar := w.join(&actor{name: "attacker", chain: false_, delay: ms})
		a := w.join(&actor{name: "a", chain: good, delay: 20 * ms, rate: 200e3})
		w.settled(good)
		w.honest(a)
		w.guilty(downloader.Lie, liar)
		// A22: offered again, it is not even looked at.
		again := w.join(&actor{name: "attacker", chain: false_, delay: ms})
		time.Sleep(time.Minute)
		if again.given > 0 {
			t.Error("a chain that was found to be false was fetched again")
		}
		if w.store.Head().Hash != good.head().Hash {
			t.Error("the head has moved")
		}
	})
}

// clerk is a notary that takes its time for each range of 500 blocks, once.
type clerk struct {
	notary
	prepared []uint64
}

func (c *clerk) NextEpoch(number uint64) uint64 { return (number/500 + 1) * 500 }

func (c *clerk) Prepare(_ context.Context, number uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.prepared = append(c.prepared, number)
	return nil
}

// TestSealsAreForeseen: the sealer is told of each epoch before its blocks come.
func TestSealsAreForeseen(t *testing.T) {
	c := grow(t, nil, 0, 1, 0, 3000)
	n := &clerk{}
	inBubbleWith(t, func(cfg *downloader.Config) { cfg.Sealer, cfg.Window = n, 100 }, func(t *testing.T, w *world) {
		w.join(&actor{name: "a", chain: c, delay: 20 * ms, rate: 300e3})
		w.settled(c)
	})
	if want := []uint64{500, 1000, 1500, 2000, 2500, 3000}; !slices.Equal(n.prepared, want) {
		t.Errorf("prepared for %v, want %v", n.prepared, want)
	}
}

// TestDeferredSeals: a seal whose check was put off is checked when its block is
// linked, and a false one convicts then.
func TestDeferredSeals(t *testing.T) {
	c := grow(t, nil, 0, 1, 0, 3000)
	n := &notary{bad: map[common.Hash]bool{c.blocks[500].Hash: true}}
	inBubbleWith(t, func(cfg *downloader.Config) { cfg.Sealer = n }, func(t *testing.T, w *world) {
		w.down.DeferSeal(c.blocks[500].Hash)
		liar := w.join(&actor{name: "attacker", chain: c, delay: ms})
		w.until("the end of the chain", func(e downloader.Event) bool { _, ok := e.(downloader.Abandoned); return ok })
		time.Sleep(time.Second)
		w.guilty(downloader.Lie, liar)
		if h := w.store.Head(); h.Number >= 500 {
			t.Errorf("the head is block %d, above a false seal", h.Number)
		}
	})
}

// TestACheckpointIsFoundAgain: a plan that is taken up after a restart is below the
// checkpoint that an earlier process has met.
func TestACheckpointIsFoundAgain(t *testing.T) {
	c := grow(t, nil, 0, 1, 0, 4000)
	mid := c.blocks[3500]
	n := &notary{}
	inBubbleWith(t, func(cfg *downloader.Config) {
		cfg.Sealer, cfg.Seals, cfg.Checkpoints = n, downloader.SealAll, map[common.Hash]bool{mid.Hash: true}
	}, func(t *testing.T, w *world) {
		w.join(&actor{name: "a", chain: c, delay: 10 * ms, rate: 200e3})
		time.Sleep(5 * time.Second)
		if h := w.store.Head().Number; h == 0 || h == 4000 {
			t.Fatalf("stopped at block %d, want the middle", h)
		}
		w.stop()
		w.start()
		w.join(&actor{name: "a", chain: c, delay: 10 * ms, rate: 200e3})
		w.settled(c)
	})
	for number := range n.asked {
		if number <= mid.Number {
			t.Fatalf("the seal of block %d was checked, below the checkpoint %d", number, mid.Number)
		}
	}
}
