package downloader_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/internal/testbed"
)

// walkers joins actors of the same chain, which answer 200 hashes at once. It returns
// them, and where the time of each answer with hashes is noted.
func (w *world) walkers(c *testbed.Branch, n int) (list []*actor, answers *[]time.Time) {
	answers = new([]time.Time)
	for i := range n {
		list = append(list, w.join(&actor{
			name: fmt.Sprint("peer ", i), chain: c, delay: 20 * ms, rate: 200e3, hashes: 200,
			ancestry: func(_ common.Hash, answer []common.Hash) []common.Hash {
				w.mu.Lock()
				defer w.mu.Unlock()
				*answers = append(*answers, time.Now())
				return answer
			},
		}))
	}
	return list, answers
}

// TestTheWalkHasAGuide: one of equal peers leads the walk, and its answers do not wait
// behind all the blocks that the others have in their pipes.
func TestTheWalkHasAGuide(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 6000)
	inBubble(t, func(t *testing.T, w *world) {
		list, answers := w.walkers(c, 4)
		w.settled(c)
		w.honest(list...)
		w.once()
		var led []int
		for _, a := range list {
			led = append(led, a.walked)
		}
		// That others answer little at once too is found out by trying.
		if n := len(*answers); slices.Max(led) < n/2 {
			t.Errorf("of %d answers with hashes, the peers have sent %v", n, led)
		}
		// An answer takes 53 ms, and a block or two may be ahead of it. The others are
		// tried too, and each first answer is behind a full pipe.
		took := (*answers)[len(*answers)-1].Sub((*answers)[0])
		if most := time.Duration(len(*answers)) * 160 * ms; took > most {
			t.Errorf("%d answers with hashes took %v, want %v at most", len(*answers), took, most)
		}
	})
}

// TestTheSlowestPeerIsAskedFirst: it leads the walk for two short answers and no more.
func TestTheSlowestPeerIsAskedFirst(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 6000)
	inBubble(t, func(t *testing.T, w *world) {
		var began, walked time.Time
		note := func(_ common.Hash, answer []common.Hash) []common.Hash {
			w.mu.Lock()
			defer w.mu.Unlock()
			if began.IsZero() {
				began = time.Now()
			}
			walked = time.Now()
			return answer
		}
		slow := w.join(&actor{name: "slow", chain: c, delay: 20 * ms, rate: 60e3, ancestry: note})
		for i := range 3 {
			w.join(&actor{name: fmt.Sprint("fast ", i), chain: c, delay: 20 * ms, rate: 2e6, ancestry: note})
		}
		w.settled(c)
		w.once()
		if slow.walked > 2 {
			t.Errorf("it was asked for hashes %d times", slow.walked)
		}
		// The slow answers take about 0.6 and 0.3 s. A peer of that rate alone needs more than 3 s.
		if took := walked.Sub(began); took > 1500*ms {
			t.Errorf("the walk took %v", took)
		}
	})
}

// TestADripOfHashesIsOutpaced: whoever names one hash at a time does not lead for long.
func TestADripOfHashesIsOutpaced(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 6000)
	inBubble(t, func(t *testing.T, w *world) {
		drip := w.join(&actor{name: "drip", chain: c, delay: 20 * ms, rate: 200e3, hashes: 1})
		list, answers := w.walkers(c, 3)
		w.settled(c)
		w.honest(append(list, drip)...)
		if n := len(*answers); n < 25 {
			t.Errorf("%d answers of 200 hashes, the others came one by one", n)
		}
	})
}

// TestTheGuideFallsSilent: the walk goes on with another one, and the blocks of the
// others come meanwhile.
func TestTheGuideFallsSilent(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 6000)
	inBubble(t, func(t *testing.T, w *world) {
		silent := w.join(&actor{name: "silent", chain: c, delay: 20 * ms, rate: 200e3, hashes: 200})
		silent.ancestry = func(_ common.Hash, answer []common.Hash) []common.Hash {
			if silent.walked == 5 {
				<-silent.gone
			}
			return answer
		}
		began := time.Now()
		list, _ := w.walkers(c, 3)
		w.settled(c)
		w.honest(list...)
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestSlowWithBlocksFastWithHashes: a guide that sends one block for each request is
// still asked for as many hashes as its link carries.
func TestSlowWithBlocksFastWithHashes(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 3000)
	inBubble(t, func(t *testing.T, w *world) {
		a := w.join(&actor{name: "a", chain: c, delay: 20 * ms, rate: 10e6, most: 1, hashes: 1000})
		w.settled(c)
		w.honest(a)
		if most := 4; a.walked > most {
			t.Errorf("%d hashes came in %d answers, want %d at most", len(c.Blocks), a.walked, most)
		}
	})
}
