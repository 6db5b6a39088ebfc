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
// file are *[Error]; the others are the store's.
func Import(ctx context.Context, r *Reader, net *chain.Network, to Importer) (done Imported, err error) {
	im := importer{net: net, to: to, done: &done}
	for ctx.Err() == nil {
		b, err := r.Next()
		if err == io.EOF {
			return done, im.flush()
		}
		if err != nil {
			return done, errors.Join(im.flush(), err)
		}
		if err := im.add(b); err != nil {
			flushed := im.flush()
			_, broken := errors.AsType[*chain.RuleError](err)
			if broken || errors.Is(err, ErrNoParent) || errors.Is(err, ErrGenesis) {
				err = r.errorAt(b, err)
			}
			return done, errors.Join(flushed, err)
		}
	}
	return done, errors.Join(im.flush(), ctx.Err())
}

// importer gathers blocks of one run, each on top of the one before.
type importer struct {
	net   *chain.Network
	to    Importer
	done  *Imported
	last  store.Link
	recs  []store.Record
	links []store.Link
	bytes int
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
	if im.last.Hash != b.Parent {
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

// flush stores and links what has been gathered.
func (im *importer) flush() error {
	if len(im.recs) == 0 {
		return nil
	}
	added, err := im.to.Put(im.recs)
	if err != nil {
		return err
	}
	move, err := im.to.Link(im.links)
	if err != nil {
		return err
	}
	im.done.Blocks += uint64(len(im.recs))
	im.done.Added += uint64(added)
	im.done.Moved = im.done.Moved || move.Moved()
	im.recs, im.links, im.bytes = im.recs[:0], im.links[:0], 0
	return nil
}

// errorAt says where in the file the block is that cannot be imported.
func (r *Reader) errorAt(b Block, err error) error {
	return &Error{File: r.name, Number: b.Number, NumberKnown: true, Offset: b.Offset, Err: err}
}

// Exporter is what Export reads from; *store.Store is one.
type Exporter interface {
	CanonicalHashes(from, to uint64) iter.Seq2[common.Hash, error]
	AppendRaw(dst []byte, hash common.Hash) ([]byte, error)
}

// Export writes the blocks from number from to number to, both included, of the
// canonical chain. It calls progress, if not nil, after each block. It neither
// commits nor aborts the writer.
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
