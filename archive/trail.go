package archive

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
)

// trail is the end of a chain that is being checked block after block.
type trail struct {
	net    *chain.Network
	last   store.Link     // the last block, zero before the first
	before []*chain.Block // it and its ancestors, youngest first, for uncles
}

// follow checks a block against the last one, which is its parent, and takes its place.
func (t *trail) follow(b Block) error {
	if err := t.net.CheckLink(&t.before[0].Header, &b.Header); err != nil {
		return err
	}
	if err := t.net.CheckUncles(b.Block, t.before); err != nil {
		return err
	}
	return t.take(b)
}

// take makes a block the last one, with the total difficulty that follows from its
// parent's, which must be that of the file if it has one.
func (t *trail) take(b Block) error {
	td, err := t.net.TotalDifficulty(&t.last.TD, b.Block)
	if err != nil {
		return err
	}
	if b.TD != nil && !b.TD.Eq(&td) {
		return &chain.RuleError{Rule: chain.RuleTotalDifficulty, Number: b.Number, Hash: b.Hash, Have: b.TD.Dec(), Want: td.Dec()}
	}
	t.last = store.Link{Hash: b.Hash, Parent: b.Parent, Number: b.Number, TD: td}
	t.before = append([]*chain.Block{b.Block}, t.before[:min(len(t.before), chain.UncleDepth-1)]...)
	return nil
}

// seals are blocks whose seals are to be checked, together on all cores.
type seals struct {
	reader *Reader
	blocks []Block
}

// add chooses a block or not, as the options say. A genesis block has no seal: it is what it
// is by its hash.
func (s *seals) add(b Block) {
	if o := &s.reader.opts; o.Seal != nil && b.Number > 0 && (o.Sealed == nil || o.Sealed(b.Block)) {
		s.blocks = append(s.blocks, b)
	}
}

// check checks the seals of the blocks that were added since the last call. It returns
// the first block whose seal is false, and why.
func (s *seals) check() (common.Hash, error) {
	blocks := s.blocks
	s.blocks = s.blocks[:0]
	errs := make([]error, len(blocks))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(errs)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(errs); i = int(next.Add(1)) - 1 {
				errs[i] = checkSeal(s.reader.opts.Seal, blocks[i].Block)
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return blocks[i].Hash, s.reader.errorAt(blocks[i], err)
		}
	}
	return common.Hash{}, nil
}

// checkSeal checks the seals of a block and of its uncles.
func checkSeal(seal func(*chain.Header) error, b *chain.Block) error {
	if err := seal(&b.Header); err != nil {
		return err
	}
	for u, err := range b.Uncles() {
		if err == nil {
			err = seal(u)
		}
		if err != nil {
			return fmt.Errorf("uncle: %w", err)
		}
	}
	return nil
}
