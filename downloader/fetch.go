package downloader

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/pool"
	"github.com/shoalnet/shoal/store"
)

// summary is what the loop needs of a block.
type summary struct {
	hash, parent common.Hash
	number, time uint64
	difficulty   uint256.Int
}

func summarise(h *chain.Header) summary {
	return summary{h.Hash, h.Parent, h.Number, h.Time, h.Difficulty}
}

// checked is what was found out about a block.
type checked struct {
	summary       // if err is nil
	err     error // nil if the block is in order
}

// inspect parses a block, recomputes its body roots, and checks its seal unless the
// sealer is nil. The memory of b is used for that and free afterwards.
func inspect(net *chain.Network, sealer Sealer, block Block, b *chain.Block) (c checked) {
	if c.err = b.ReparseAs(net.Format, block.Hash, block.Raw); c.err != nil {
		return c
	}
	if c.err = net.CheckBlock(b); c.err != nil {
		return c
	}
	if sealer != nil {
		if c.err = sealer.CheckSeal(&b.Header); c.err != nil {
			return c
		}
	}
	c.summary = summarise(&b.Header)
	return c
}

// checkTask is some of the blocks of an answer.
type checkTask struct {
	blocks []Block
	found  []checked // where the checker puts what it finds
	done   *sync.WaitGroup
}

// check is a checker: it checks all but seals.
func check(ctx context.Context, d *Downloader) {
	var b chain.Block
	for {
		select {
		case t := <-d.checks:
			for i, block := range t.blocks {
				t.found[i] = inspect(d.cfg.Network, nil, block, &b)
			}
			b = chain.Block{} // which would keep the bytes
			t.done.Done()
		case <-ctx.Done():
			return
		}
	}
}

// Blocks hands over the answer to GetBlocks. The downloader owns the bytes. It waits
// until the blocks are checked, on as many cores as there are: who brings more than
// can be checked is not read from meanwhile.
func (d *Downloader) Blocks(ctx context.Context, p Peer, a Answer) {
	m := blocksCame{p, a, make([]checked, len(a.Blocks))}
	var done sync.WaitGroup
	for from := 0; from < len(a.Blocks) && a.ID < directID; from += checkChunk {
		to := min(from+checkChunk, len(a.Blocks))
		done.Add(1)
		select {
		case d.checks <- checkTask{a.Blocks[from:to], m.found[from:to], &done}:
		case <-ctx.Done():
			done.Done()
			done.Wait()
			return
		}
	}
	done.Wait()
	d.send(ctx, m)
}

type blocksCame struct {
	peer   Peer
	answer Answer
	found  []checked // of the answer's blocks; not if the loop asked on its own
}

// apply tells the pool what has arrived, and takes what is of use.
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
	l.items = l.items[:0]
	for _, b := range m.answer.Blocks {
		l.items = append(l.items, pool.Item[common.Hash]{Key: b.Hash, Size: len(b.Raw)})
	}
	mem := &memory{users: 1, free: m.answer.Free}
	defer mem.leave()
	var seals []Block
	for i, v := range l.pool.Deliver(m.answer.At, m.peer, m.answer.ID, l.items, m.answer.Closed) {
		b := m.answer.Blocks[i]
		if v != pool.Useful {
			continue
		}
		if m.found[i].err == nil && l.wantsSeal(b.Hash) {
			seals = append(seals, b)
			continue
		}
		if err := l.take(m.peer, b, &m.found[i], mem); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(seals, sealChunk) {
		mem.users++
		l.toSeal = append(l.toSeal, sealTask{peer: m.peer, blocks: chunk, memory: mem, sealer: l.cfg.Sealer})
	}
	return nil
}

// take passes a good block on to the writer, and returns a bad one to the pool. A body
// that is not what the header says is the fault of whoever sent it: a hash covers only
// the header.
func (l *loop) take(peer Peer, b Block, c *checked, mem *memory) error {
	if c.err != nil {
		return l.refuse(peer, b.Hash, c.err)
	}
	k := l.keeping[store.Block]
	mem.users++
	k.queue = append(k.queue, arrival{store.Record{Hash: b.Hash, Number: c.number, Raw: b.Raw}, mem})
	at, ok := l.places[b.Hash]
	if !ok {
		return nil
	}
	delete(l.places, b.Hash)
	l.came(peer, at.index, len(b.Raw))
	_, err := l.located(&c.summary, at)
	return err
}

// sealTask is blocks whose seals are to be checked, all from one peer.
type sealTask struct {
	peer   Peer
	blocks []Block
	memory *memory // of the blocks, unless it is the target
	sealer Sealer  // nil: everything but the seal
	target bool    // the head block of the target
}

// sealed is what was found.
type sealed struct {
	task  sealTask
	found []checked
}

// seal checks blocks with their seals, for which the loop does not wait either.
func seal(ctx context.Context, d *Downloader, tasks <-chan sealTask) {
	for {
		select {
		case t := <-tasks:
			r := sealed{t, make([]checked, len(t.blocks))}
			for i, block := range t.blocks {
				r.found[i] = inspect(d.cfg.Network, t.sealer, block, new(chain.Block))
			}
			d.send(ctx, r)
		case <-ctx.Done():
			return
		}
	}
}

func (m sealed) apply(l *loop) error {
	if m.task.target {
		if err := m.found[0].err; err != nil {
			return l.targetFailed(m.task, err)
		}
		return l.targetChecked(m.task.blocks[0].Raw, &m.found[0].summary)
	}
	defer m.task.memory.leave()
	for i, b := range m.task.blocks {
		if err := l.take(m.task.peer, b, &m.found[i], m.task.memory); err != nil {
			return err
		}
	}
	return nil
}

// refuse deals with a block that is not in order. If its body is not what its header
// says, whoever sent it has lied, and the block is fetched from somebody else. If
// the header itself breaks a rule, nobody can serve a better one under its hash:
// then it is the chain that is false.
func (l *loop) refuse(peer Peer, hash common.Hash, err error) error {
	if !isOfBlock(err) {
		return err // ours: nobody is to blame
	}
	if !ofHeader(err) {
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
func (l *loop) targetFailed(t sealTask, err error) error {
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
