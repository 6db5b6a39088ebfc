package depot

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/store"
)

// Registry is where the content of archives is made known; *store.Store is one.
type Registry interface {
	Linked(common.Hash) (store.Link, bool, error)
	AppendRaw(dst []byte, hash common.Hash) ([]byte, error)
	Register(store.Kind, []store.Record) (int, error)
	LinkHeld([]store.Link) (store.Move, error)
	Meta(key string) ([]byte, error)
	SetMeta(key string, value []byte) error
}

// Index reads all archives that have not been read before, oldest first, and makes their
// blocks and receipts known to a store that has the depot as its Elsewhere. Everything that
// an import checks is checked; [archive.Options] say what of seals. It is told of each file
// that is begun, and returns how many blocks are new. What has been read when an error
// occurs, or when the context is cancelled, stays known, and an archive that was read to its
// end is not read again.
func (d *Depot) Index(ctx context.Context, to Registry, opts archive.Options, begin func(name string, r *archive.Reader)) (added uint64, err error) {
	opts.Receipts = true
	for _, epoch := range d.Epochs() {
		name := d.names[epoch]
		if known, err := d.known(to, name); err != nil {
			return added, err
		} else if known {
			continue
		}
		done, err := d.indexFile(ctx, to, epoch, opts, begin)
		added += done.Added
		if errors.Is(err, archive.ErrNoParent) {
			err = fmt.Errorf("%w; there is no archive of epoch %d at %s", err, epoch-1, d.source)
		}
		if err != nil {
			return added, err
		}
	}
	return added, nil
}

// meta is the name under which the store remembers the last block of an archive.
func meta(name string) string { return "depot/" + name }

// known reports whether an archive was read to its end, and what it holds is still known.
func (d *Depot) known(to Registry, name string) (bool, error) {
	last, err := to.Meta(meta(name))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil || len(last) != common.HashLength {
		return false, err
	}
	_, linked, err := to.Linked(common.Hash(last))
	return linked, err
}

func (d *Depot) indexFile(ctx context.Context, to Registry, epoch uint64, opts archive.Options, begin func(string, *archive.Reader)) (archive.Imported, error) {
	name := d.names[epoch]
	f, err := d.file(name)
	if err != nil {
		return archive.Imported{}, err
	}
	r, err := archive.NewReader(name, io.NewSectionReader(f, 0, f.size), d.net, opts)
	if err != nil {
		return archive.Imported{}, err
	}
	if begin != nil {
		begin(name, r)
	}
	reg := &registrar{Registry: to, name: name, epoch: epoch}
	done, err := archive.Import(ctx, r, d.net, reg)
	if err != nil {
		return done, err
	}
	return done, to.SetMeta(meta(name), reg.last.Hash[:])
}

// registrar is a registry as an import sees it.
type registrar struct {
	Registry
	name  string
	epoch uint64
	last  store.Link
}

// Put implements archive.Importer.
func (r *registrar) Put(blocks []store.Record) (int, error) {
	for i := range blocks {
		// The archive in which a block is looked for follows from its number.
		if n := blocks[i].Number; n/archive.Epoch != r.epoch {
			return 0, fmt.Errorf("depot: %s has block %d, which does not belong to epoch %d: the file has a wrong name", r.name, n, r.epoch)
		}
	}
	return r.Register(store.Block, blocks)
}

// PutContent implements archive.Importer.
func (r *registrar) PutContent(k store.Kind, recs []store.Record) (int, error) {
	return r.Register(k, recs)
}

// LinkHeld implements archive.Importer.
func (r *registrar) LinkHeld(run []store.Link) (store.Move, error) {
	r.last = run[len(run)-1]
	return r.Registry.LinkHeld(run)
}
