package downloader_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/testbed"
)

func TestWhichSealsAreChecked(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 3000)
	mid := c.Blocks[2000].Hash
	for _, tt := range []struct {
		name   string
		policy downloader.Policy
		trust  map[common.Hash]bool
		least  int
		most   int
	}{
		{"none", downloader.SealNone, nil, 0, 0},
		{"all", downloader.SealAll, nil, 3000, 3000},
		{"sample", downloader.SealSample, nil, 2048, 2048 + 100},
		{"all, below a checkpoint", downloader.SealAll, map[common.Hash]bool{mid: true}, 1000, 1000},
		{"all, the head is the checkpoint", downloader.SealAll, map[common.Hash]bool{c.Head().Hash: true}, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := &testbed.Notary{}
			inBubbleWith(t, func(cfg *downloader.Config) { cfg.Sealer, cfg.Seals, cfg.Checkpoints = n, tt.policy, tt.trust },
				func(t *testing.T, w *world) {
					w.join(&actor{name: "a", chain: c, delay: ms})
					w.settled(c)
				})
			if got := len(n.Asked()); got < tt.least || got > tt.most {
				t.Errorf("%d seals were checked, want %d to %d", got, tt.least, tt.most)
			}
			if tt.policy == downloader.SealSample && n.Asked()[3000] == 0 {
				t.Error("the seal of the head was not checked")
			}
		})
	}
}

// clerk is a notary that takes its time for each range of 500 blocks, once.
type clerk struct {
	testbed.Notary
	prepared []uint64
}

func (c *clerk) NextEpoch(number uint64) uint64 { return (number/500 + 1) * 500 }

func (c *clerk) Prepare(_ context.Context, number uint64) error {
	c.prepared = append(c.prepared, number)
	return nil
}

// TestSealsAreForeseen: the sealer is told of each epoch before its blocks come, but for
// those that come while the walk goes on.
func TestSealsAreForeseen(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 3000)
	n := &clerk{}
	inBubbleWith(t, func(cfg *downloader.Config) { cfg.Sealer, cfg.Window = n, 100 }, func(t *testing.T, w *world) {
		w.join(&actor{name: "a", chain: c, delay: 20 * ms, rate: 300e3})
		w.settled(c)
	})
	if want := []uint64{500, 1000, 1500, 2000, 2500}; !slices.Equal(n.prepared, want) {
		t.Errorf("prepared for %v, want %v", n.prepared, want)
	}
}

// TestDeferredSeals: a seal whose check was put off is checked when its block is
// linked, and a false one convicts then.
func TestDeferredSeals(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 3000)
	n := &testbed.Notary{}
	n.Refuse(c.Blocks[500].Hash)
	inBubbleWith(t, func(cfg *downloader.Config) { cfg.Sealer = n }, func(t *testing.T, w *world) {
		w.down.DeferSeal(c.Blocks[500].Hash)
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
	c := testbed.Grow(t, nil, 0, 1, 0, 4000)
	mid := c.Blocks[3500]
	n := &testbed.Notary{}
	inBubbleWith(t, func(cfg *downloader.Config) {
		cfg.Sealer, cfg.Seals, cfg.Checkpoints = n, downloader.SealAll, map[common.Hash]bool{mid.Hash: true}
	}, func(t *testing.T, w *world) {
		w.join(&actor{name: "a", chain: c, delay: 10 * ms, rate: 200e3})
		time.Sleep(10 * time.Second) // the young end comes first
		if h := w.store.Head().Number; h == 0 || h == 4000 {
			t.Fatalf("stopped at block %d, want the middle", h)
		}
		w.stop()
		w.start()
		w.join(&actor{name: "a", chain: c, delay: 10 * ms, rate: 200e3})
		w.settled(c)
	})
	for number := range n.Asked() {
		if number <= mid.Number {
			t.Fatalf("the seal of block %d was checked, below the checkpoint %d", number, mid.Number)
		}
	}
}
