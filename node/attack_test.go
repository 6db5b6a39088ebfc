package node_test

import (
	"cmp"
	"testing"
	"time"

	"github.com/shoalnet/shoal/internal/memnet"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/node"
)

// The attacks that broke earlier clients, by the names under which they are known,
// against a real node over real sessions. In each of them honest nodes serve a chain,
// somebody else does harm, and in the end the chain is here to the byte, nobody
// honest was dropped or blamed, and little was transferred twice.

// soon is when a chain must be here whatever a single rogue does: the honest peers
// bring it in two seconds, and finding out may take ten more.
const soon = 13 * time.Second

func TestAttacks(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 500)
	for _, a := range testbed.Attacks(t, c) {
		t.Run(a.Name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				r := w.rogue("attacker", c)
				r.host.SetUpload(memnet.BytesPerSec(cmp.Or(a.Upload, rogueRate)))
				a.Spoil(r.Rogue)
				addrs := []string{r.listen().addr}
				for _, name := range []string{"a", "b", "c"} {
					addrs = append(addrs, w.honest(name, c, memnet.BytesPerSec(cmp.Or(a.Rate, honestRate))).addr)
				}
				v := w.node("victim", nil, func(cfg *node.Config) { cfg.Sealer = a.Sealer }, addrs...)
				began := time.Now()
				v.settled(c)
				took := v.reached(c.Head().Hash).Sub(began)
				t.Logf("the chain took %v, settling %v", took.Round(ms), time.Since(began).Round(ms))
				if took > cmp.Or(a.Within, soon) {
					t.Errorf("the chain took %v", took)
				}
				v.fair(r.ip)
				v.frugal()
				v.bounded()
				if a.Guilty != nil {
					v.convicted(*a.Guilty, r.ip)
				}
			})
		})
	}
}
