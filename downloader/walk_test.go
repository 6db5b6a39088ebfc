package downloader_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/testbed"
)

// slowPlan takes its time to write hashes.
type slowPlan struct {
	downloader.Store
	writing atomic.Bool
}

func (s *slowPlan) AppendPlan(hashes []common.Hash, complete bool) error {
	s.writing.Store(true)
	defer s.writing.Store(false)
	time.Sleep(20 * ms)
	return s.Store.AppendPlan(hashes, complete)
}

// TestTheWalkDoesNotWaitForTheDisk: while hashes are written, the peer is asked for the next
// ones already.
func TestTheWalkDoesNotWaitForTheDisk(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 2000)
	inBubble(t, func(t *testing.T, w *world) {
		w.stop()
		plan := new(slowPlan)
		w.tune = func(cfg *downloader.Config) { plan.Store, cfg.Store = cfg.Store, plan }
		w.start()
		var all, meanwhile atomic.Int32
		a := &actor{name: "a", chain: c, delay: ms, hashes: 100, most: 1}
		a.ancestry = func(_ common.Hash, answer []common.Hash) []common.Hash {
			all.Add(1)
			if plan.writing.Load() {
				meanwhile.Add(1)
			}
			return answer
		}
		w.join(a)
		w.settled(c)
		w.honest(a)
		if n := all.Load(); n < 10 || meanwhile.Load() < n/2 {
			t.Errorf("of %d questions for hashes, %d came while others were written", n, meanwhile.Load())
		}
	})
}
