package downloader

import (
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
)

// target is a chain that has been chosen and whose head block is not here yet.
type target struct {
	peer     *peerState
	claim    Claim
	id       uint64 // of the request for the head block
	deadline time.Time
	received uint64 // bytes from the peer when the deadline was set
	checking bool   // it is here
	served   bool   // and was fetched for it
}

// aim chooses the next chain when none is being fetched: of the peers that claim
// more than we have and whose head is not linked here, the one that claims the
// most (A17, A42).
func (l *loop) aim() error {
	if t := l.target; t != nil && !t.checking && !l.now.Before(t.deadline) {
		if n := t.peer.Received(); n != t.received {
			t.received, t.deadline = n, l.now.Add(headTimeout) // slow, but alive
		} else {
			l.target = nil
			l.emit(Abandoned{t.claim.Head, "its head block did not come from " + t.peer.String()})
			l.disappoint(t.peer, "it does not send the head block that it claims")
		}
	}
	if l.plan != nil || l.target != nil {
		return nil
	}
	head := l.store.Head()
	var best *peerState
	waiting := false
	for _, p := range l.order {
		if !l.offers(p, head) || best != nil && !p.claim.TD.Gt(&best.claim.TD) {
			continue
		}
		if l.now.Before(p.retryAt) {
			waiting = true
			continue
		}
		if l.bad[p.claim.Head] {
			p.spent = true
			continue
		}
		_, linked, err := l.store.Linked(p.claim.Head)
		if err != nil {
			return err
		}
		if linked {
			p.spent = true // its chain is here, and lighter than it said
			continue
		}
		best = p
	}
	if best == nil {
		if waiting {
			return nil
		}
		return l.settled(head)
	}
	l.settle = false
	l.nextAsk++
	t := &target{peer: best, claim: best.claim, id: l.nextAsk, deadline: l.now.Add(headTimeout), received: best.Received()}
	l.target = t
	raw := best.raw
	if raw == nil {
		var err error
		if raw, err = l.store.AppendRaw(nil, t.claim.Head); err != nil && !isMissing(err) {
			return err
		}
	}
	if len(raw) > 0 {
		t.checking = true
		l.checkTarget(best.Peer, Block{t.claim.Head, raw})
		return nil
	}
	best.GetBlocks(t.id, []common.Hash{t.claim.Head})
	return nil
}

// disappoint puts a peer's claim behind all others for a while, and drops the peer
// when that happens again and again.
func (l *loop) disappoint(p *peerState, why string) {
	p.retryAt = l.now.Add(claimRetry)
	if p.failures++; p.failures >= claimTries {
		l.drop(p, &Offence{Kind: Useless, Evidence: why})
	}
}

// offers reports whether a peer claims more than we have.
func (l *loop) offers(p *peerState, head store.Head) bool {
	return !p.spent && p.claim.TD.Gt(&head.TD)
}

// isMissing reports whether a block cannot be read because it is not held, or no
// longer as it was.
func isMissing(err error) bool {
	if errors.Is(err, store.ErrNotFound) {
		return true
	}
	_, corrupt := errors.AsType[*store.CorruptError](err)
	return corrupt
}

// settled tells, once, that there is nothing left to do, and lets the peers that
// lag behind know what we have.
func (l *loop) settled(head store.Head) error {
	if l.settle || l.writing || len(l.toWrite) > 0 {
		return nil
	}
	l.settle = true
	for _, p := range l.order {
		if p.sent == head.Hash || p.claim.Head == head.Hash || p.claim.TD.Gt(&head.TD) {
			continue
		}
		raw, err := l.store.AppendRaw(nil, head.Hash)
		if err != nil {
			return err
		}
		p.sent = head.Hash
		p.Announce(raw)
	}
	l.emit(l.picture())
	l.emit(Settled{head})
	return nil
}

// answerTarget takes the answer to the request for a head block.
func (l *loop) answerTarget(p *peerState, a Answer) {
	t := l.target
	if t == nil || t.id != a.ID || t.checking {
		return
	}
	for _, b := range a.Blocks {
		if b.Hash == t.claim.Head {
			t.checking, t.served = true, true
			l.checkTarget(p.Peer, b)
			return
		}
	}
	if a.Closed {
		l.target = nil
		l.emit(Abandoned{t.claim.Head, p.String() + " does not have the head block that it claims"})
		l.drop(p, &Offence{Kind: Useless, Evidence: "it does not have the head block that it claims"})
	}
}

// checkTarget has a head block checked, with its seal unless it is vouched for.
func (l *loop) checkTarget(p Peer, b Block) {
	seal := l.cfg.Sealer != nil && l.cfg.Seals != SealNone && !l.cfg.Checkpoints[b.Hash]
	l.check(checkTask{peer: p, blocks: []Block{b}, seal: []bool{seal}, target: true})
}

// targetChecked begins to fetch the chain under a head block that is in order.
func (l *loop) targetChecked(b *chain.Block) error {
	t := l.target
	if t == nil || t.claim.Head != b.Hash {
		return nil
	}
	l.target = nil
	t.peer.raw = nil
	if t.served {
		t.peer.heads++
		t.peer.headBytes += uint64(len(b.Raw()))
	}
	if b.Number == 0 {
		t.peer.spent = true
		l.drop(t.peer, &Offence{Kind: Lie, Evidence: fmt.Sprintf("its head %x… is a genesis block, and not ours", b.Hash[:4])})
		return nil
	}
	if err := l.plausible(b); err != nil {
		t.peer.spent = true
		l.drop(t.peer, &Offence{Kind: Lie, Evidence: "its claim cannot be", Err: err})
		return nil
	}
	if _, err := l.store.Put([]store.Record{{Hash: b.Hash, Number: b.Number, Raw: b.Raw()}}); err != nil {
		return err
	}
	l.stored++
	l.storedBytes += uint64(len(b.Raw()))
	if err := l.store.StartPlan(store.Plan{Head: b.Hash, Number: b.Number, TD: t.claim.TD}); err != nil {
		return err
	}
	l.emit(Started{Head: b.Hash, Number: b.Number, TD: t.claim.TD})
	return l.openPlan(t.peer)
}

type announced struct {
	peer   Peer
	blocks []Block
}

// apply takes the youngest of the announced blocks as the new claim of its peer,
// if we do not have it. What it is worth is seen when it is fetched: in this
// protocol an announcement says no total difficulty.
func (m announced) apply(l *loop) error {
	p := l.peers[m.peer]
	if p == nil {
		return nil
	}
	for _, b := range m.blocks {
		held, err := l.store.Has(b.Hash)
		if err != nil {
			return err
		}
		if held || l.bad[b.Hash] {
			continue
		}
		block, err := l.cfg.Network.ParseBlock(b.Raw)
		if err != nil {
			l.drop(p, &Offence{Kind: Lie, Evidence: "it announced a block that is none", Err: err})
			return nil
		}
		head := l.store.Head()
		td := head.TD
		if _, over := td.AddOverflow(&td, &block.Difficulty); over {
			continue
		}
		if p.claim.TD.Lt(&td) {
			p.claim.TD = td
		}
		p.claim.Head, p.raw, p.spent = b.Hash, b.Raw, false
		l.settle = false
		return nil
	}
	return nil
}
