package downloader

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
)

// Sealer checks the proof of work in a header. It is called by several goroutines
// at once; errors are *chain.RuleError.
type Sealer interface {
	CheckSeal(*chain.Header) error
}

// Policy says of which blocks the seal is checked.
type Policy uint8

// The policies. A seal costs about a thousand times as much to check as all the rest
// of a block, and a chain whose difficulties are in order and whose seals hold
// wherever somebody looks without warning is not made up.
const (
	// SealSample checks every head, every probe, the youngest blocks of a chain,
	// and a secret one in a hundred; all of them once anything was wrong.
	SealSample Policy = iota
	SealAll
	SealNone
)

const (
	// youngSeals is how many of the youngest blocks of a chain have their seals
	// checked: a liar can put cheap blocks on top of a real chain.
	youngSeals = 2048

	// sealOneIn is of how many other blocks one is chosen. A chain with a share f
	// of false seals passes m checks with (1-f)^m; a million blocks have ten
	// thousand checks, which no share above a thousandth survives.
	sealOneIn = 100

	// eagerSeals is how many probes of a plan have their seals checked as they
	// come. Each may need a cache of its own, which takes a second of a core, and
	// a thousand probes would spend more on caches than the sync takes. The
	// seals of the others are checked when the linker passes them, in order,
	// where neighbours share a cache. A false seal in every tenth block passes 64
	// checks once in a thousand times.
	eagerSeals = 64
)

// preparer is a Sealer that is faster for blocks that it has got ready for;
// *chain.Ethash is one, whose caches take seconds.
type preparer interface {
	// NextEpoch returns the first block that needs a preparation of its own
	// after the given one.
	NextEpoch(number uint64) uint64
	Prepare(ctx context.Context, number uint64) error
}

// String returns the policy in a word: sample, all or none.
func (p Policy) String() string { return [...]string{"sample", "all", "none"}[p] }

// ParsePolicy reads what [Policy.String] returns.
func ParsePolicy(s string) (Policy, error) {
	for _, p := range []Policy{SealSample, SealAll, SealNone} {
		if p.String() == s {
			return p, nil
		}
	}
	return 0, fmt.Errorf("there are all, sample and none, not %q", s)
}

// wantsSeal decides whether the seal of a block is to be checked.
func (l *loop) wantsSeal(h common.Hash) bool {
	if l.cfg.Sealer == nil || l.cfg.Seals == SealNone {
		return false
	}
	p := l.plan
	at, ok := l.places[h]
	if p != nil && ok && p.trusts(at.index) {
		return false // its hash is vouched for, and a hash covers the seal
	}
	if p != nil && p.admission.probes[h] && l.cfg.Seals == SealSample {
		if p.admission.eager++; p.admission.eager > eagerSeals {
			l.later.Store(h, nil)
			return false
		}
		return true
	}
	if l.cfg.Seals == SealAll || p == nil || !ok || p.alarm || at.index < youngSeals {
		return true
	}
	return l.rand.IntN(sealOneIn) == 0
}

// foresee has the sealer get ready for the epoch after that of a block which is
// about to be fetched, beside everything else.
func (l *loop) foresee(index uint64) {
	s, ok := l.cfg.Sealer.(preparer)
	p := l.plan
	if !ok || !p.Complete || l.cfg.Seals == SealNone || p.trusts(index) {
		return
	}
	number := p.numberAt(index)
	if number < l.prepared {
		return
	}
	next := s.NextEpoch(number)
	if next > p.Number {
		return
	}
	select {
	case l.prepares <- next:
		l.prepared = next
	default: // still at the one before
	}
}

// prepare is the goroutine that gets the sealer ready.
func prepare(ctx context.Context, d *Downloader, numbers <-chan uint64) {
	for {
		select {
		case n := <-numbers:
			s, ok := d.cfg.Sealer.(preparer)
			if !ok {
				continue
			}
			if err := s.Prepare(ctx, n); err != nil && ctx.Err() == nil {
				d.cfg.logger().Warn("the seals ahead cannot be prepared for", "number", n, "err", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// trusts reports whether the hash at an index is authenticated by a checkpoint
// further up in the list: the links between them are checked as the blocks come.
func (p *plan) trusts(index uint64) bool { return p.checkpoint && index >= p.trusted }

// searchPlan looks for a checkpoint in the hashes that an earlier process has left, some at
// a time: meanwhile seals are checked that need not be, and all else goes on. It reports
// whether there is more to do.
func (l *loop) searchPlan() (again bool, err error) {
	p := l.plan
	if p == nil || p.searched == p.inherited || p.trusts(p.searched) {
		return false, nil
	}
	from := p.searched
	p.searched = min(from+scanRun, p.inherited)
	hashes, err := l.store.PlanHashes(nil, from, p.searched)
	if err != nil {
		return false, err
	}
	l.findCheckpoint(from, hashes)
	return p.searched < p.inherited, nil
}

// findCheckpoint looks for a checkpoint among hashes that follow on an index.
func (l *loop) findCheckpoint(from uint64, hashes []common.Hash) {
	p := l.plan
	if p.trusts(from) || len(l.cfg.Checkpoints) == 0 {
		return
	}
	for i, h := range hashes {
		if l.cfg.Checkpoints[h] {
			p.checkpoint, p.trusted = true, from+uint64(i)
			l.vouch.Store(p.numberAt(p.trusted))
			l.log.Info("everything below a trusted block is authenticated by its hash; seals are skipped there",
				"hash", h, "number", p.numberAt(p.trusted))
			return
		}
	}
}
