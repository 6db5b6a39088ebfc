package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
)

// Importer is what Import writes to; *store.Store is one.
type Importer interface {
	Linked(common.Hash) (store.Link, bool, error)
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
// file are *[Error]; the others are the store's. The reader must check bodies:
// what is read with [Options.SkipBodies] is stored as it is.
func Import(ctx context.Context, r *Reader, net *chain.Network, to Importer) (done Imported, err error) {
	im := importer{net: net, to: to}
	err = im.run(ctx, r)
	return im.done, err
}

// importer gathers blocks of one run, each on top of the one before.
type importer struct {
	net   *chain.Network
	to    Importer
	done  Imported
	last  store.Link // zero before the first block
	recs  []store.Record
	links []store.Link
	bytes int
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
	}
	if im.last.Number+1 != b.Number {
		return &chain.RuleError{Rule: chain.RuleNumber, Number: b.Number, Hash: b.Hash, Have: fmt.Sprint(b.Number), Want: fmt.Sprint(im.last.Number + 1)}
	}
	td, err := im.net.TotalDifficulty(&im.last.TD, b.Block)
	if err != nil {
		return err
	}
	if b.TD != nil && !b.TD.Eq(&td) {
		return &chain.RuleError{Rule: chain.RuleTotalDifficulty, Number: b.Number, Hash: b.Hash, Have: b.TD.Dec(), Want: td.Dec()}
	}
	im.last = store.Link{Hash: b.Hash, Parent: b.Parent, Number: b.Number, TD: td}
	im.links = append(im.links, im.last)
	im.recs = append(im.recs, store.Record{Hash: b.Hash, Number: b.Number, Raw: b.Raw()})
	im.bytes += len(b.Raw())
	if im.bytes >= importBytes || len(im.recs) >= importBlocks {
		return im.flush()
	}
	return nil
}

// flush stores and links what has been gathered. What fails is not tried again:
// the error ends the import.
func (im *importer) flush() error {
	recs, links := im.recs, im.links
	im.recs, im.links, im.bytes = recs[:0], links[:0], 0
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
