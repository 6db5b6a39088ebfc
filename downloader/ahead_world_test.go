package downloader_test

import (
	"testing"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/testbed"
)

// TestABrokenRuleEndsTheWalk: a chain whose young end breaks a rule that shows only next to
// a parent is given up while its hashes are still being walked, and who claims it goes. Who
// has only named hashes of it stays.
func TestABrokenRuleEndsTheWalk(t *testing.T) {
	const n = 6000
	good := testbed.Grow(t, nil, 0, 1, 0, n)
	bad := testbed.Spoilt(t, good, n-300, func(h *types.Header) { h.GasLimit *= 2 })
	inBubble(t, func(t *testing.T, w *world) {
		claim := claimOf(bad)
		claim.TD.AddUint64(&claim.TD, 1)
		liar := w.join(&actor{name: "liar", chain: bad, claim: claim, delay: 20 * ms, hashes: 100})
		walker := w.join(&actor{name: "walker", chain: bad, claim: downloader.Claim{Head: bad.Blocks[0].Hash}, delay: 20 * ms, hashes: 100})
		a := w.join(&actor{name: "a", chain: good, delay: 20 * ms})
		w.settled(good)
		w.guilty(downloader.Lie, liar)
		w.honest(walker, a)
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, e := range w.events {
			if p, ok := e.(downloader.Progress); ok && p.Target == n && p.Phase == downloader.Fetching {
				t.Fatalf("the walk was over when the chain was given up\n%+v", p)
			}
			if d, ok := e.(downloader.Abandoned); ok && d.Head == bad.Head().Hash {
				return
			}
		}
		t.Error("the chain was not given up")
	})
}
