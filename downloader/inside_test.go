package downloader

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
)

// DeferSeal is for tests that cannot wait for so many probes.
func (d *Downloader) DeferSeal(h common.Hash) { d.later.Store(h, nil) }

// sealer counts what it is asked.
type sealer struct{ asked int }

func (s *sealer) CheckSeal(*chain.Header) error { s.asked++; return nil }

// oneBlock is a store that has one block.
type oneBlock struct {
	Store
	*chain.Block
}

func (s oneBlock) AppendRaw(dst []byte, _ common.Hash) ([]byte, error) {
	return append(dst, s.Raw()...), nil
}

// TestSealsThatWereForgotten: which seals have waited for the linker is not known after
// a restart, or when a chain has its turn again. Then others have them checked.
func TestSealsThatWereForgotten(t *testing.T) {
	g, err := chain.Dev.GenesisBlock()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		policy Policy
		again  bool
		vouch  uint64
		want   bool
	}{
		{"as it comes", SealSample, false, 0, false},
		{"taken up again", SealSample, true, 0, true},
		{"below a checkpoint", SealSample, true, 1000, false},
		{"no seals", SealNone, true, 0, false},
	} {
		s := &sealer{}
		d := New(Config{Network: chain.Dev, Sealer: s, Seals: tt.policy, Store: oneBlock{Block: g}})
		d.again.Store(tt.again)
		d.vouch.Store(tt.vouch)
		l := &linker{d: d}
		const stretches = 50
		for range stretches * probeStretch {
			if ok, err := l.checkDeferred(&chain.Header{Hash: g.Hash, Number: 1000}, &linked{}); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		if (s.asked > 0) != tt.want || s.asked > 3*stretches {
			t.Errorf("%s: %d seals were checked of %d stretches", tt.name, s.asked, stretches)
		}
	}
}

// TestEagerSeals: of the probes, so many seals are checked as they come, and the
// linker is told of the others.
func TestEagerSeals(t *testing.T) {
	d := New(Config{Sealer: &sealer{}, Seals: SealSample})
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

// TestGivers: two peers that take turns cannot make us remember for ever who named what,
// and what is remembered is right.
func TestGivers(t *testing.T) {
	var p plan
	peers := []*peerState{{}, {}}
	const hashes = 5*mostGivers + 7
	for i := uint64(1); i <= hashes; i++ {
		p.gave(i, peers[i%2])
		p.gave(i, peers[i%2]) // whoever goes on takes no further place
		if len(p.givers) > mostGivers {
			t.Fatalf("%d places after %d hashes", len(p.givers), i)
		}
	}
	known := 0
	for i := uint64(1); i <= hashes; i++ {
		switch p.giverOf(i) {
		case peers[i%2]:
			known++
		case nil:
			if i > hashes-mostGivers/2 {
				t.Fatalf("it is not known who named hash %d of %d", i, hashes)
			}
		default:
			t.Fatalf("hash %d is said to be by another one", i)
		}
	}
	if known < mostGivers/2 {
		t.Errorf("it is known of %d hashes who named them", known)
	}
}
