package downloader

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
)

// follower is what is needed of a block to link it.
type follower struct {
	header chain.Header // without what aliases the block's bytes
	work   uint256.Int  // what the block adds to the total difficulty
}

// gather reads the blocks of hashes that follow on each other, as many as are stored, and
// says how many. If the last run was whole, this one probably is too, and is read in parts at
// the same time: after a quick walk most of a chain is here before its oldest block, and then
// the rest of the cores would wait for one.
func (l *linker) gather(hashes []common.Hash, r *linked) (n int, err error) {
	size := max(1, len(hashes))
	if l.behind {
		size = linkPart
	}
	l.blocks = slices.Grow(l.blocks[:0], len(hashes))[:len(hashes)]
	type part struct {
		read int // blocks
		err  error
	}
	parts := make([]part, (len(hashes)+size-1)/size)
	var done sync.WaitGroup
	for i := range parts {
		p, from := &parts[i], i*size
		hashes := hashes[from:min(from+size, len(hashes))]
		done.Go(func() {
			p.read, p.err = l.gatherPart(hashes, l.blocks[from:])
		})
	}
	done.Wait()
	for _, p := range parts {
		n += p.read
		if p.err == nil {
			continue
		}
		l.at = l.next - 1 - uint64(n)
		switch {
		case errors.Is(p.err, store.ErrNotFound):
			return n, nil
		case isMissing(p.err):
			r.missing = hashes[n]
			return n, nil
		}
		return n, p.err
	}
	return n, nil
}

// gatherPart reads blocks until one is not there or not good, and says how many were.
func (l *linker) gatherPart(hashes []common.Hash, into []follower) (read int, err error) {
	net := l.d.cfg.Network
	var b chain.Block
	err = l.d.cfg.Store.Each(hashes, func(raw []byte) error {
		if err := b.ReparseAs(net.Format, hashes[read], raw); err != nil {
			return err
		}
		f := &into[read]
		if f.work, err = net.Work(&b); err != nil {
			return err
		}
		f.header = b.Header
		f.header.Detach()
		read++
		return nil
	})
	return read, err
}

// follow reads blocks that follow on each other, the oldest first, as many as are stored,
// and prepares their linking.
func (l *linker) follow(hashes []common.Hash, r *linked) error {
	n, err := l.gather(hashes, r)
	if err != nil {
		return err
	}
	parent, td := l.parent, l.td.TD
	for i := range n {
		l.at = l.next - 1 - uint64(i)
		header := &l.blocks[i].header
		ok, err := l.follows(parent, header, r)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if td, err = l.d.cfg.Network.AddWork(&td, header, &l.blocks[i].work); err != nil {
			return err
		}
		l.links = append(l.links, store.Link{Hash: header.Hash, Parent: header.Parent, Number: header.Number, TD: td})
		parent = header
	}
	if parent != l.parent {
		l.parent = new(chain.Header)
		*l.parent = *parent // which is in memory that is used again
	}
	return nil
}

// follows checks what must hold between a stored block and its ancestors, and its seal if
// that was put off. The ancestors are stored, too. It reports false if one of these blocks
// is not there any more.
func (l *linker) follows(parent, header *chain.Header, r *linked) (bool, error) {
	if err := l.d.cfg.Network.CheckLink(parent, header); err != nil {
		return false, err
	}
	if ok, err := l.checkDeferred(header, r); !ok || err != nil {
		return false, err
	}
	if !header.HasUncles() {
		return true, nil
	}
	return l.checkUncles(header.Hash, r)
}

// checkDeferred checks the seal of a stored block if that was put off until now. Which
// these were is forgotten when a plan is closed or the process ends: of blocks that may
// be from before then as many are chosen anew, which is as good, since nobody knew them.
// It reports false if the block is not there any more.
func (l *linker) checkDeferred(header *chain.Header, r *linked) (bool, error) {
	h := header.Hash
	_, put := l.d.later.Load(h)
	if !put && !(l.d.again.Load() && l.wantsSeals(header.Number) && rand.IntN(probeStretch) == 0) {
		return true, nil
	}
	b, err := l.read(h, r) // with what the header lost when it was kept
	if err != nil || b == nil {
		return false, err
	}
	if err := l.d.cfg.Sealer.CheckSeal(&b.Header); err != nil {
		return false, err
	}
	l.d.later.Delete(h)
	return true, nil
}

// checkUncles checks the uncles of a stored block against its ancestors, all of which
// are stored too, and, as the policy says, their seals. It reports false if one of them is
// not there any more.
func (l *linker) checkUncles(h common.Hash, r *linked) (bool, error) {
	b, err := l.read(h, r)
	if err != nil || b == nil {
		return false, err
	}
	var ancestors []*chain.Block
	for at := b; at.Number > 0 && len(ancestors) < chain.UncleDepth; {
		a, err := l.read(at.Parent, r)
		if err != nil || a == nil {
			return false, err
		}
		ancestors = append(ancestors, a)
		at = a
	}
	if err := l.d.cfg.Network.CheckUncles(b, ancestors); err != nil {
		return false, err
	}
	cfg := &l.d.cfg
	if !l.wantsSeals(b.Number) || cfg.Seals == SealSample && rand.IntN(sealOneIn) != 0 {
		return true, nil
	}
	for u, err := range b.Uncles() {
		if err == nil {
			err = cfg.Sealer.CheckSeal(u)
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// wantsSeals reports whether seals are checked at a height at all.
func (l *linker) wantsSeals(number uint64) bool {
	cfg := &l.d.cfg
	return cfg.Sealer != nil && cfg.Seals != SealNone && number > l.d.vouch.Load()
}

// read returns a stored block, nil if it is not there. Each block has memory of
// its own, because its header outlives the next read.
func (l *linker) read(h common.Hash, r *linked) (*chain.Block, error) {
	raw, err := l.d.cfg.Store.AppendRaw(nil, h)
	if err != nil {
		if !isMissing(err) {
			return nil, err
		}
		if !errors.Is(err, store.ErrNotFound) {
			r.missing = h
		}
		return nil, nil
	}
	return l.d.cfg.Network.ParseBlockAs(h, raw)
}

// isOfBlock reports whether an error says that a block is not in order.
func isOfBlock(err error) bool {
	_, isRule := errors.AsType[*chain.RuleError](err)
	_, isFormat := errors.AsType[*chain.FormatError](err)
	return isRule || isFormat
}
