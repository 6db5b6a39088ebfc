package downloader

import (
	"context"
	"errors"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/pool"
	"github.com/shoalnet/shoal/store"
)

type blocksCame struct {
	peer   Peer
	answer Answer
}

// apply tells the pool what has arrived, and has checked what is of use.
func (m blocksCame) apply(l *loop) error {
	p := l.peers[m.peer]
	if p == nil {
		return nil
	}
	if m.answer.ID >= directID {
		l.answerHead(p, m.answer)
		return nil
	}
	if m.answer.Scattered {
		l.pool.Single(m.peer)
	}
	items := make([]pool.Item[common.Hash], len(m.answer.Blocks))
	for i, b := range m.answer.Blocks {
		items[i] = pool.Item[common.Hash]{Key: b.Hash, Size: len(b.Raw)}
	}
	useful := m.answer.Blocks[:0]
	for i, v := range l.pool.Deliver(m.answer.At, m.peer, m.answer.ID, items, m.answer.Closed) {
		if v == pool.Useful {
			useful = append(useful, m.answer.Blocks[i])
		}
	}
	for chunk := range slices.Chunk(useful, checkChunk) {
		t := checkTask{peer: m.peer, blocks: chunk}
		for i, b := range chunk {
			if l.wantsSeal(b.Hash) {
				if t.seal == nil {
					t.seal = make([]bool, len(chunk))
				}
				t.seal[i] = true
			}
		}
		l.check(t)
	}
	return nil
}

// checkTask is blocks to be checked, all from one peer.
type checkTask struct {
	peer   Peer
	blocks []Block
	seal   []bool // of these the seal too; nil: of none
	target bool   // the head block of the target
}

func (l *loop) check(t checkTask) { l.toCheck = append(l.toCheck, t) }

// checked is what a checker found.
type checked struct {
	task   checkTask
	blocks []*chain.Block // in the order of the task
	links  []*follower
	errs   []error // nil for those that are in order
}

// check is a checker: it parses blocks, recomputes their body roots, and checks
// seals.
func check(ctx context.Context, d *Downloader, tasks <-chan checkTask) {
	for {
		select {
		case t := <-tasks:
			r := checked{task: t, blocks: make([]*chain.Block, len(t.blocks)), links: make([]*follower, len(t.blocks)), errs: make([]error, len(t.blocks))}
			for i, b := range t.blocks {
				block, err := d.cfg.Network.ParseBlockAs(b.Hash, b.Raw)
				if err == nil {
					err = d.cfg.Network.CheckBlock(block)
				}
				if err == nil && t.seal != nil && t.seal[i] {
					err = d.cfg.Sealer.CheckSeal(&block.Header)
				}
				if err == nil {
					r.links[i], err = newFollower(d.cfg.Network, block)
				}
				r.blocks[i], r.errs[i] = block, err
			}
			d.send(ctx, r)
		case <-ctx.Done():
			return
		}
	}
}

// apply passes good blocks on to the writer, and returns the others to the pool.
// A body that is not what the header says is the fault of whoever sent it: a hash
// covers only the header.
func (m checked) apply(l *loop) error {
	if m.task.target {
		if err := m.errs[0]; err != nil {
			return l.targetFailed(m.task, err)
		}
		return l.targetChecked(m.blocks[0])
	}
	for i, b := range m.task.blocks {
		if err := m.errs[i]; err != nil {
			if err := l.refuse(m.task.peer, b.Hash, m.blocks[i], err); err != nil {
				return err
			}
			continue
		}
		l.unlinked[b.Hash] = m.links[i]
		l.toWrite = append(l.toWrite, store.Record{Hash: b.Hash, Number: m.blocks[i].Number, Raw: b.Raw})
		if at, ok := l.places[b.Hash]; ok {
			delete(l.places, b.Hash)
			l.came(m.task.peer, len(b.Raw))
			if _, err := l.located(m.blocks[i], at); err != nil {
				return err
			}
		}
	}
	return nil
}

// refuse deals with a block that is not in order. If its body is not what its header
// says, whoever sent it has lied, and the block is fetched from somebody else. If
// the header itself breaks a rule, nobody can serve a better one under its hash:
// then it is the chain that is false.
func (l *loop) refuse(peer Peer, hash common.Hash, b *chain.Block, err error) error {
	_, isRule := errors.AsType[*chain.RuleError](err)
	_, isFormat := errors.AsType[*chain.FormatError](err)
	if !isRule && !isFormat {
		return err // ours: nobody is to blame
	}
	if b == nil || !ofHeader(err) {
		l.pool.Reject(l.now, peer, hash)
		l.blame(peer, hash, err)
		return nil
	}
	l.pool.Cancel(hash)
	if _, ours := l.places[hash]; l.plan != nil && ours {
		return l.invalid("its chain has a block that breaks a rule: " + err.Error())
	}
	return nil
}

// ofHeader reports whether an error is about what the hash covers.
func ofHeader(err error) bool {
	rule, ok := errors.AsType[*chain.RuleError](err)
	return ok && !rule.Rule.OfBody()
}

// targetFailed deals with a head block that is not in order: its peer claims it and
// sent it.
func (l *loop) targetFailed(t checkTask, err error) error {
	if ofHeader(err) {
		l.remember(l.bad, t.blocks[0].Hash)
	}
	if l.target != nil && l.target.claim.Head == t.blocks[0].Hash {
		l.target = nil
	}
	l.blame(t.peer, t.blocks[0].Hash, err)
	return nil
}

// blame drops the peer that sent a block which is not what its hash promises.
func (l *loop) blame(peer Peer, hash common.Hash, err error) {
	if p := l.peers[peer]; p != nil {
		l.drop(p, &Offence{Kind: Lie, Evidence: "under the hash " + hash.Hex() + " it sent something else", Err: err})
	}
}

// batch returns what the writer gets next.
func (l *loop) batch() []store.Record {
	bytes := 0
	for i := range l.toWrite {
		if bytes += len(l.toWrite[i].Raw); bytes > writeBytes && i > 0 {
			return l.toWrite[:i:i]
		}
	}
	return l.toWrite[:len(l.toWrite):len(l.toWrite)]
}

// written is the end of a write.
type written struct {
	batch []store.Record
	err   error
}

// write is the writer: each batch is durable when it is reported.
func write(ctx context.Context, d *Downloader, batches <-chan []store.Record) {
	for {
		select {
		case batch := <-batches:
			_, err := d.cfg.Store.Put(batch)
			d.send(ctx, written{batch, err})
		case <-ctx.Done():
			return
		}
	}
}

func (m written) apply(l *loop) error {
	l.writing = false
	if m.err != nil {
		return m.err
	}
	probed := false
	if l.plan != nil {
		l.plan.moved = l.now
	}
	for _, r := range m.batch {
		if l.corrupt[r.Hash] {
			if err := l.store.Replace([]store.Record{r}); err != nil {
				return err
			}
			delete(l.corrupt, r.Hash)
		}
		if f := l.unlinked[r.Hash]; f != nil {
			l.fresh.add(f)
			delete(l.unlinked, r.Hash)
		}
		l.pool.Done(r.Hash)
		l.stored++
		l.storedBytes += uint64(len(r.Raw))
		probed = probed || l.plan != nil && r.Hash == l.plan.last
	}
	l.poke()
	if probed && l.plan.probing {
		return l.probe()
	}
	return nil
}

// poke wakes the linker.
func (l *loop) poke() {
	select {
	case l.linkWake <- struct{}{}:
	default:
	}
}
