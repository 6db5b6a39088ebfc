package archive

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
)

// Importer is what Import writes to; *store.Store is one.
type Importer interface {
	Linked(common.Hash) (store.Link, bool, error)
	AppendRaw(dst []byte, hash common.Hash) ([]byte, error)
	Put([]store.Record) (int, error)
	PutContent(store.Kind, []store.Record) (int, error)
	LinkHeld([]store.Link) (store.Move, error)
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
	// Receipts: of so many blocks, receipts are in the store that were not there.
	// Blocks with equal receipts count once.
	Receipts uint64
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
// bodies: what is read with [Options.SkipBodies] is stored as it is. Receipts are
// stored too if they are read, see [Options.Receipts].
func Import(ctx context.Context, r *Reader, net *chain.Network, to Importer) (done Imported, err error) {
	im := importer{trail: trail{net: net}, seals: seals{reader: r}, to: to, reader: r}
	err = im.run(ctx, r)
	return im.done, err
}

// importer gathers blocks of one run, each on top of the one before.
type importer struct {
	trail
	seals    // of the batch
	to       Importer
	done     Imported
	reader   *Reader
	recs     []store.Record
	receipts []store.Record
	links    []store.Link
	bytes    int
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
	if err := im.follow(b); err != nil {
		return err
	}
	im.seals.add(b)
	im.links = append(im.links, im.last)
	im.recs = append(im.recs, store.Record{Hash: b.Hash, Number: b.Number, Raw: b.Raw()})
	if b.Receipts != nil && b.HasReceipts() {
		im.receipts = append(im.receipts, store.Record{Hash: b.ReceiptRoot, Number: b.Number, Raw: b.Receipts})
	}
	im.bytes += len(b.Raw()) + len(b.Receipts)
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

// flush stores and links what has been gathered, up to the first false seal. What
// fails is not tried again: the error ends the import.
func (im *importer) flush() (err error) {
	recs, links, receipts := im.recs, im.links, im.receipts
	bad, sealErr := im.seals.check()
	if sealErr != nil {
		n := slices.IndexFunc(links, func(l store.Link) bool { return l.Hash == bad })
		recs, links = recs[:n], links[:n]
	}
	im.recs, im.links, im.receipts, im.bytes = im.recs[:0], im.links[:0], im.receipts[:0], 0
	defer func() { err = errors.Join(err, sealErr) }()
	if len(recs) == 0 {
		return nil
	}
	added, err := im.to.Put(recs)
	if err != nil {
		return err
	}
	im.done.Added += uint64(added)
	if len(receipts) > 0 {
		if added, err = im.to.PutContent(store.Receipts, receipts); err != nil {
			return err
		}
		im.done.Receipts += uint64(added)
	}
	move, err := im.to.LinkHeld(links)
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
