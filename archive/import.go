package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
)

// Importer is what Import writes to; *store.Store is one.
type Importer interface {
	Linked(common.Hash) (store.Link, bool, error)
	AppendRaw(dst []byte, hash common.Hash) ([]byte, error)
	Put([]store.Record) (int, error)
	Link([]store.Link) (store.Move, error)
}

// ErrNoParent: the first block of a file does not stand on a block that is here.
var ErrNoParent = errors.New("its parent is not in the store: import what comes before it first")

// ErrGenesis: a file begins with another genesis block.
var ErrGenesis = errors.New("it is the genesis block of another network")

// Imported says what Import has done.
type Imported struct {
	Blocks uint64 // read and in the store now
	Added  uint64 // of them, those that were not there before
	Moved  bool   // the head moved
}

// importBytes and importBlocks bound a batch of Import. Each batch costs two syncs
// of the disk; a bigger one only takes more memory.
const (
	importBytes  = 8 << 20
	importBlocks = 4096
)

// Import reads the rest of a chain file into a store. What has been read when an
// error occurs, or when the context is cancelled, is in the store. Errors of the
// file are *[Error]; the others are the store's. All rules for headers and uncles
// are checked, and the seals that [Options.Seal] stands for. The reader must check
// bodies: what is read with [Options.SkipBodies] is stored as it is.
func Import(ctx context.Context, r *Reader, net *chain.Network, to Importer) (done Imported, err error) {
	im := importer{net: net, to: to, reader: r}
	err = im.run(ctx, r)
	return im.done, err
}

// importer gathers blocks of one run, each on top of the one before.
type importer struct {
	net    *chain.Network
	to     Importer
	done   Imported
	reader *Reader
	last   store.Link     // zero before the first block
	before []*chain.Block // last and its ancestors, youngest first, for uncles
	sealed []Block        // of the batch, those whose seals are to be checked
	recs   []store.Record
	links  []store.Link
	bytes  int
}

func (im *importer) run(ctx context.Context, r *Reader) error {
	for ctx.Err() == nil {
		b, err := r.Next()
		if err == io.EOF {
			return im.flush()
		}
		if err != nil {
			return errors.Join(im.flush(), err)
		}
		if err := im.add(b); err != nil {
			return errors.Join(im.flush(), r.errorAt(b, err))
		}
	}
	return errors.Join(im.flush(), ctx.Err())
}

func (im *importer) add(b Block) error {
	if b.Number == 0 {
		if _, ok, err := im.to.Linked(b.Hash); err != nil {
			return err
		} else if !ok {
			return ErrGenesis
		}
		im.done.Blocks++
		return nil
	}
	// A hostile block #1 may name the zero hash, which is not a block's.
	if im.last.Hash != b.Parent || b.Parent == (common.Hash{}) {
		if err := im.flush(); err != nil {
			return err
		}
		parent, ok, err := im.to.Linked(b.Parent)
		if err != nil {
			return err
		}
		if !ok {
			return ErrNoParent
		}
		im.last = parent
		if err := im.ancestors(b.Parent); err != nil {
			return err
		}
	}
	if err := im.net.CheckLink(&im.before[0].Header, &b.Header); err != nil {
		return err
	}
	if err := im.net.CheckUncles(b.Block, im.before); err != nil {
		return err
	}
	td, err := im.net.TotalDifficulty(&im.last.TD, b.Block)
	if err != nil {
		return err
	}
	if b.TD != nil && !b.TD.Eq(&td) {
		return &chain.RuleError{Rule: chain.RuleTotalDifficulty, Number: b.Number, Hash: b.Hash, Have: b.TD.Dec(), Want: td.Dec()}
	}
	im.last = store.Link{Hash: b.Hash, Parent: b.Parent, Number: b.Number, TD: td}
	im.before = append([]*chain.Block{b.Block}, im.before[:min(len(im.before), chain.UncleDepth-1)]...)
	if o := &im.reader.opts; o.Seal != nil && (o.Sealed == nil || o.Sealed(b.Block)) {
		im.sealed = append(im.sealed, b)
	}
	im.links = append(im.links, im.last)
	im.recs = append(im.recs, store.Record{Hash: b.Hash, Number: b.Number, Raw: b.Raw()})
	im.bytes += len(b.Raw())
	if im.bytes >= importBytes || len(im.recs) >= importBlocks {
		return im.flush()
	}
	return nil
}

// ancestors reads the block with the given hash and those before it.
func (im *importer) ancestors(h common.Hash) error {
	im.before = nil
	for len(im.before) < chain.UncleDepth {
		raw, err := im.to.AppendRaw(nil, h)
		if err != nil {
			return err
		}
		b, err := im.net.ParseBlock(raw)
		if err != nil {
			return err
		}
		im.before = append(im.before, b)
		if b.Number == 0 {
			break
		}
		h = b.Parent
	}
	return nil
}

// checkSeals checks the seals that were chosen, on all cores. It returns the first
// block whose seal is false, and why.
func (im *importer) checkSeals() (common.Hash, error) {
	errs := make([]error, len(im.sealed))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(errs)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(errs); i = int(next.Add(1)) - 1 {
				errs[i] = im.checkSeal(im.sealed[i].Block)
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return im.sealed[i].Hash, im.reader.errorAt(im.sealed[i], err)
		}
	}
	return common.Hash{}, nil
}

// checkSeal checks the seals of a block and of its uncles.
func (im *importer) checkSeal(b *chain.Block) error {
	seal := im.reader.opts.Seal
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

// flush stores and links what has been gathered, up to the first false seal. What
// fails is not tried again: the error ends the import.
func (im *importer) flush() (err error) {
	recs, links := im.recs, im.links
	bad, sealErr := im.checkSeals()
	if sealErr != nil {
		n := slices.IndexFunc(links, func(l store.Link) bool { return l.Hash == bad })
		recs, links = recs[:n], links[:n]
	}
	im.recs, im.links, im.sealed, im.bytes = im.recs[:0], im.links[:0], im.sealed[:0], 0
	defer func() { err = errors.Join(err, sealErr) }()
	if len(recs) == 0 {
		return nil
	}
	added, err := im.to.Put(recs)
	if err != nil {
		return err
	}
	im.done.Added += uint64(added)
	move, err := im.to.Link(links)
	if err != nil {
		return err
	}
	im.done.Blocks += uint64(len(recs))
	im.done.Moved = im.done.Moved || move.Moved()
	return nil
}

// errorAt says where in the file the block is that cannot be imported. Errors
// of the store it leaves as they are.
func (r *Reader) errorAt(b Block, err error) error {
	_, rule := errors.AsType[*chain.RuleError](err)
	_, format := errors.AsType[*chain.FormatError](err)
	if !rule && !format && !errors.Is(err, ErrNoParent) && !errors.Is(err, ErrGenesis) {
		return err
	}
	return &Error{File: r.name, Number: b.Number, NumberKnown: true, Offset: b.Offset, Err: err}
}

// Exporter is what Export reads from; *store.Store is one.
type Exporter interface {
	CanonicalHashes(from, to uint64) iter.Seq2[common.Hash, error]
	AppendRaw(dst []byte, hash common.Hash) ([]byte, error)
}

// Export writes the blocks from number first to number last, both included, of
// the canonical chain, fewer if the chain ends before. It calls progress, if not
// nil, after each block. It neither commits nor aborts the writer.
func Export(ctx context.Context, from Exporter, first, last uint64, w *Writer, progress func()) error {
	var buf []byte
	for h, err := range from.CanonicalHashes(first, last) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if buf, err = from.AppendRaw(buf[:0], h); err != nil {
			return err
		}
		if err := w.Append(buf); err != nil {
			return err
		}
		if progress != nil {
			progress()
		}
	}
	return nil
}
