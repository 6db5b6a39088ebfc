package downloader

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/store"
)

// target is a chain that has been chosen and whose head block is being checked.
type target struct {
	peer  *peerState
	claim Claim
}

// headAsk is a request for the head block that a peer claims.
type headAsk struct {
	id       uint64 // 0: there is none
	head     common.Hash
	at       time.Time
	deadline time.Time
	answered uint64 // by the peer when the deadline was set, in bytes
}

// aim chooses the next chain when none is being fetched: of the peers that claim
// more than we have and whose head is not linked here, whose turn it is, and of those
// the one that claims the most (A17, A42). The head blocks of those that claim less are asked for too
// while the better ones are silent, each after half as long a wait as the one
// before: a crowd of peers that promise much and send nothing costs two seconds.
func (l *loop) aim() error {
	l.aiming = nil
	l.overdueHeads()
	head := l.store.Head()
	if unproven, over := l.over(head); over {
		if err := l.settled(head, unproven); err != nil {
			return err
		}
	} else {
		l.settle = false
	}
	if l.plan != nil || l.target != nil || l.cfg.ContentOnly {
		return nil
	}
	candidates, err := l.candidates(head)
	if err != nil {
		return err
	}
	patience := headPatience
	for _, p := range candidates {
		raw := p.raw
		if raw == nil {
			if raw, err = l.store.AppendRaw(nil, p.claim.Head); err != nil && !isMissing(err) {
				return err
			}
		}
		if len(raw) > 0 {
			l.aiming = nil
			l.target = &target{p, p.claim}
			l.checkTarget(p.Peer, Block{p.claim.Head, raw})
			return nil
		}
		if p.ask.id == 0 || p.ask.head != p.claim.Head {
			// Who changes its claim again and again has no more time than others.
			ask := headAsk{at: l.now, deadline: l.now.Add(headTimeout), answered: p.Answered()}
			if p.ask.id != 0 {
				ask = p.ask
			}
			l.nextAsk++
			ask.id, ask.head = l.nextAsk, p.claim.Head
			p.ask = ask
			p.GetBlocks(p.ask.id, []common.Hash{p.claim.Head})
		}
		if l.aiming == nil {
			l.aiming = p
		}
		if until := p.ask.at.Add(patience); l.now.Before(until) {
			l.aimAgain = until
			return nil
		}
		patience /= 2
	}
	l.aimAgain = l.now.Add(headTimeout)
	return nil
}

// over reports whether nothing is left to do but to look again at what nobody could
// show so far: so many peers claim more than we have.
func (l *loop) over(head store.Head) (unproven int, over bool) {
	if l.target != nil || l.plan != nil && !l.plan.unproven {
		return 0, false
	}
	for _, p := range l.order {
		switch {
		case !l.offers(p, head):
		case !p.unproven:
			return 0, false
		default:
			unproven++
		}
	}
	return unproven, true
}

// candidates returns the peers whose claims can be followed now, in turn.
func (l *loop) candidates(head store.Head) (list []*peerState, err error) {
	for _, p := range l.order {
		switch {
		case !l.offers(p, head) || l.now.Before(p.retryAt):
			continue
		case l.bad[p.claim.Head]:
			p.spent = true
			continue
		}
		_, linked, err := l.store.Linked(p.claim.Head)
		if err != nil {
			return nil, err
		}
		if linked {
			p.spent = true // its chain is here, and lighter than it said
			continue
		}
		list = append(list, p)
	}
	slices.SortStableFunc(list, inTurn)
	return list, nil
}

// overdueHeads is for the peers that have not sent the head block that they claim.
func (l *loop) overdueHeads() {
	if l.now.Before(l.headsDue) {
		return
	}
	l.headsDue = l.now.Add(headTimeout) // nothing that is asked from now on is due before
	for _, p := range l.order {
		if p.ask.id == 0 {
			continue
		}
		if l.now.Before(p.ask.deadline) {
			l.headsDue = earlier(l.headsDue, p.ask.deadline)
			continue
		}
		if n := p.Answered(); n > p.ask.answered { // slow, but alive
			p.ask.answered, p.ask.deadline = n, l.now.Add(headTimeout)
			continue
		}
		l.emit(Abandoned{p.ask.head, "its head block did not come from " + p.String()})
		p.ask = headAsk{}
		l.disappoint(p, "it does not send the head block that it claims")
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// disappoint puts a peer's claim behind all others for a while, and drops the peer
// when that happens again and again.
func (l *loop) disappoint(p *peerState, why string) {
	p.unproven = true
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
func (l *loop) settled(head store.Head, unproven int) error {
	if l.settle || l.keeping[store.Block].pending() {
		return nil
	}
	l.settle = true
	for _, p := range l.order {
		if p.sent == head.Hash || p.claim.Head == head.Hash || p.claim.TD.Gt(&head.TD) {
			continue
		}
		p.sent = head.Hash
		if p.claim.Content {
			p.TellHead(Claim{TD: head.TD, Head: head.Hash})
			continue
		}
		raw, err := l.store.AppendRaw(nil, head.Hash)
		if err != nil {
			return err
		}
		p.Announce(raw)
	}
	l.emit(l.picture())
	l.emit(Settled{head, unproven})
	return nil
}

// answerHead takes the answer to the request for a head block.
func (l *loop) answerHead(p *peerState, a Answer) {
	if p.ask.id != a.ID {
		return
	}
	for _, b := range a.Blocks {
		if b.Hash == p.ask.head {
			if p.claim.Head == b.Hash {
				p.raw = b.Raw
			}
			if p.trip = 0; len(b.Raw) < smallBlock {
				p.trip = a.At.Sub(p.ask.at)
			}
			p.ask = headAsk{}
			return
		}
	}
	if a.Closed {
		l.emit(Abandoned{p.ask.head, p.String() + " does not have the head block that it claims"})
		p.ask = headAsk{}
		l.drop(p, &Offence{Kind: Useless, Evidence: "it does not have the head block that it claims"})
	}
}

// checkTarget has a head block checked, with its seal unless it is vouched for.
func (l *loop) checkTarget(p Peer, b Block) {
	t := sealTask{peer: p, blocks: []Block{b}, target: true}
	if l.cfg.Seals != SealNone && !l.cfg.Checkpoints[b.Hash] {
		t.sealer = l.cfg.Sealer
	}
	l.toSeal = append(l.toSeal, t)
}

// targetChecked begins to fetch the chain under a head block that is in order.
func (l *loop) targetChecked(raw []byte, b *summary) error {
	t := l.target
	if t == nil || t.claim.Head != b.hash {
		return nil
	}
	l.target = nil
	t.peer.raw = nil
	if b.number == 0 {
		t.peer.spent = true
		l.drop(t.peer, &Offence{Kind: Lie, Evidence: fmt.Sprintf("its head %x… is a genesis block, and not ours", b.hash[:4])})
		return nil
	}
	if l.premature(b) {
		l.log.Warn("a peer's head block is from the future; is this machine's clock right?",
			"peer", t.peer.String(), "number", b.number, "block_time", time.Unix(int64(b.time), 0).UTC().Format(time.DateTime))
		l.disappoint(t.peer, "its head block is from the future")
		return nil
	}
	if err := l.plausible(b); err != nil {
		t.peer.spent = true
		l.drop(t.peer, &Offence{Kind: Lie, Evidence: "its claim cannot be", Err: err})
		return nil
	}
	added, err := l.store.Put([]store.Record{{Hash: b.hash, Number: b.number, Raw: raw}})
	if l.cfg.AwaitRoom && store.NoRoom(err) {
		l.full(store.Block, err)
		t.peer.raw, t.peer.retryAt = raw, l.now.Add(roomInterval)
		return nil
	}
	if err != nil {
		return err
	}
	if added > 0 { // whether it was asked for or announced
		t.peer.heads++
		t.peer.headBytes += uint64(len(raw))
		l.stored++
		l.storedBytes += uint64(len(raw))
	}
	if err := l.store.StartPlan(store.Plan{Head: b.hash, Number: b.number, TD: t.claim.TD}); err != nil {
		return err
	}
	l.emit(Started{Head: b.hash, Number: b.number, TD: t.claim.TD})
	if err := l.openPlan(t.peer); err != nil {
		return err
	}
	if added > 0 {
		l.ledger.note(l.ledger.markOf(t.peer), b.number)
	}
	return nil
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
		block, err := l.cfg.Network.ParseBlockAs(b.Hash, b.Raw)
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
