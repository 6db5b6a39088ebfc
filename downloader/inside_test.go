package downloader

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/store"
)

// DeferSeal is for tests that cannot wait for so many probes.
func (d *Downloader) DeferSeal(h common.Hash) { d.later.Store(h, nil) }

type anySealer struct{ Sealer }

// TestEagerSeals: of the probes, so many seals are checked as they come, and the
// linker is told of the others.
func TestEagerSeals(t *testing.T) {
	d := New(Config{Sealer: anySealer{}, Seals: SealSample})
	l := &loop{cfg: d.cfg, later: &d.later, places: map[common.Hash]place{}}
	l.plan = &plan{Plan: store.Plan{Number: 1 << 20}}
	l.plan.admission.probes = map[common.Hash]bool{}
	for i := range 2 * eagerSeals {
		h := common.Hash{byte(i), byte(i >> 8), 1}
		l.places[h] = place{index: uint64(i)}
		l.plan.admission.probes[h] = true
		eager := l.wantsSeal(h)
		_, later := d.later.Load(h)
		if want := i < eagerSeals; eager != want || later == want {
			t.Fatalf("probe %d: checked as it came %v, later %v", i, eager, later)
		}
	}
}
