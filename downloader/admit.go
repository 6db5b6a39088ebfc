package downloader

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
)

// A list of hashes proves nothing: anybody can make one up for free, as long as he
// likes, which is why later protocols did without. What bounds a liar here:
//
//   - The head block comes first. Its number bounds the list, and its time bounds
//     its number, since each block is at least a second younger than its parent.
//   - Of each stretch of the list one block, chosen in secret, is fetched before all
//     others. It must have the number of its place and the next hash as its
//     parent. These are blocks that are needed anyway.
//   - The list may be ahead of what such probes have confirmed by a budget that
//     begins small and doubles with each.
//   - When the whole list is known, the difficulties of the probes say what total
//     difficulty it can have at the most.

const (
	// probeStretch is how many hashes there is one probe for. Ten times fewer
	// probes would let a liar go on for ten times as long, ten times more
	// would make the start of a sync a matter of round trips.
	probeStretch = 4096

	// leadHashes is how far the list may be ahead before the first probe is
	// passed: 2 MiB of hashes.
	leadHashes = 64 << 10

	// judgeProbes is how many probes it takes to judge a claim by them, and
	// overstated by how much it must exceed their estimate to be a lie.
	// Difficulty varies over the years by more than chance does.
	judgeProbes = 16
	overstated  = 4
)

// admission is how far a plan has earned trust.
type admission struct {
	probes  map[common.Hash]bool // under way
	asked   uint64               // index up to which the list has had its probes
	passed  uint
	eager   int         // seals of probes that were checked as they came
	sum     uint256.Int // of the difficulties of those that passed
	judged  bool
	unknown bool // taken up from an earlier process: probes do not cover it
}

// lead is how many hashes the plan may have.
func (a *admission) lead() uint64 {
	if a.unknown || a.passed > 40 {
		return 1 << 62
	}
	return leadHashes << a.passed
}

// premature reports whether a block is from the future. That may be our clock's fault.
func (l *loop) premature(b *summary) bool { return b.time > chain.Latest(l.cfg.clock()) }

// plausible checks what a head block says of the length of its chain.
func (l *loop) plausible(b *summary) error {
	genesis, err := l.cfg.Network.GenesisBlock()
	if err != nil {
		return err
	}
	if b.time <= genesis.Time || b.number > b.time-genesis.Time {
		return fmt.Errorf("its head block has number %d, more than there have been seconds since the genesis block", b.number)
	}
	return nil
}

// probeBatch chooses the probes of a batch of hashes that begins at an index of
// the plan.
func (l *loop) probeBatch(from uint64, hashes []common.Hash) {
	p := l.plan
	for p.admission.asked+probeStretch <= from+uint64(len(hashes)) {
		lo := max(p.admission.asked, from)
		p.admission.asked += probeStretch
		span := p.admission.asked - lo
		if span < 2 {
			continue
		}
		// Not the last of the batch: the hash behind it is not known yet.
		i := lo + l.rand.Uint64N(span)
		n := i - from
		if n+1 >= uint64(len(hashes)) {
			continue
		}
		h := hashes[n]
		held, err := l.store.Has(h)
		if held || err != nil {
			continue // nothing to be fetched; the linker looks at it
		}
		p.admission.probes[h] = true
		l.hurry(h, place{i, hashes[n+1]})
	}
}

// passed notes a probe that was found in its place, and judges the claim when all
// of the list is known.
func (l *loop) passed(b *summary) error {
	a := &l.plan.admission
	if !a.probes[b.hash] {
		return nil
	}
	delete(a.probes, b.hash)
	a.passed++
	if _, over := a.sum.AddOverflow(&a.sum, &b.difficulty); over {
		return l.invalid("the difficulties of its chain add up to more than 256 bits")
	}
	return l.judge()
}

// judge compares what was claimed with what the probes say.
func (l *loop) judge() error {
	p := l.plan
	a := &p.admission
	if !p.Complete || a.judged || a.unknown || len(a.probes) > 0 || a.passed < judgeProbes {
		return nil
	}
	a.judged = true
	// mean difficulty × length × tolerance, against the claim
	most, over := new(uint256.Int).MulOverflow(&a.sum, uint256.NewInt((p.Number+1)*overstated))
	if over {
		return nil
	}
	most.Div(most, uint256.NewInt(uint64(a.passed)))
	if p.TD.Gt(most) {
		return l.invalid(fmt.Sprintf("it claims total difficulty %s; %d samples allow for %s at the most", p.TD.Dec(), a.passed, most.Dec()))
	}
	return nil
}
