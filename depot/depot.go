package depot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
)

// openFiles is how many block indexes of archives are kept, of 64 KiB each. A sync goes
// from one end of the chain to the other: there are as many in use as there are peers.
const openFiles = 128

// archiveName is the name of an era1 archive: network, epoch, and four bytes of its root.
var (
	archiveNames = regexp.MustCompile(`\b([a-z0-9]+)-(\d{5})-[0-9a-f]{8}\.era1\b`)
	archiveName  = regexp.MustCompile(`^` + archiveNames.String() + `$`)
)

// Depot is the archives of one network at a [Source]. It is a store.Elsewhere. Its methods
// are safe for concurrent use.
type Depot struct {
	source Source
	net    *chain.Network
	pages  *pages
	names  map[uint64]string // by epoch

	mu   sync.Mutex
	open *simplelru.LRU[uint64, *archive.Era1At]
}

// New looks for the archives of a network at a source. Up to cache bytes of them are kept in
// memory, at least 8 MiB. All requests end with the context.
func New(ctx context.Context, source Source, net *chain.Network, cache int64) (*Depot, error) {
	if net.Format != chain.FormatFrontier {
		return nil, fmt.Errorf("depot: there are no era1 archives of %s", net.Name)
	}
	var all []string
	err := try(ctx, func() (err error) {
		all, err = source.List(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	open, err := simplelru.NewLRU[uint64, *archive.Era1At](openFiles, nil)
	if err != nil {
		return nil, err
	}
	d := &Depot{source: source, net: net, pages: newPages(ctx, source, cache), names: map[uint64]string{}, open: open}
	for _, name := range all {
		parts := archiveName.FindStringSubmatch(name)
		if parts == nil || parts[1] != net.Name {
			continue
		}
		epoch, err := strconv.ParseUint(parts[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("depot: %s: %w", name, err)
		}
		if other, twice := d.names[epoch]; twice {
			return nil, fmt.Errorf("depot: %s has two archives of epoch %d, %s and %s: take out the wrong one", source, epoch, other, name)
		}
		d.names[epoch] = name
	}
	if len(d.names) == 0 {
		return nil, fmt.Errorf("depot: %s has no era1 archives of %s, whose names are such as %s", source, net.Name, archive.Era1Name(net.Name, 0, common.Hash{}))
	}
	return d, nil
}

// NetworkOf returns the name of the network that most archives at a source are of, "" if
// there are none.
func NetworkOf(ctx context.Context, source Source) (string, error) {
	all, err := source.List(ctx)
	if err != nil {
		return "", err
	}
	count := map[string]int{}
	most := ""
	for _, name := range all {
		if parts := archiveName.FindStringSubmatch(name); parts != nil {
			if count[parts[1]]++; count[parts[1]] > count[most] {
				most = parts[1]
			}
		}
	}
	return most, nil
}

// Epochs returns the epochs that there are archives of, in order.
func (d *Depot) Epochs() []uint64 { return slices.Sorted(maps.Keys(d.names)) }

// AppendElsewhere implements store.Elsewhere.
func (d *Depot) AppendElsewhere(dst []byte, k store.Kind, h common.Hash, number uint64) ([]byte, error) {
	a, err := d.archive(number / archive.Epoch)
	if err == nil {
		switch k {
		case store.Block:
			dst, err = a.AppendBlock(dst, number, h)
		case store.Receipts:
			dst, err = a.AppendReceipts(dst, number, h)
		default:
			err = ErrNotThere
		}
	}
	if errors.Is(err, ErrNotThere) || errors.Is(err, archive.ErrNotThat) {
		err = fmt.Errorf("%w: %w", store.ErrGone, err)
	}
	return dst, err
}

// archive returns the archive of an epoch.
func (d *Depot) archive(epoch uint64) (*archive.Era1At, error) {
	name, ok := d.names[epoch]
	if !ok {
		return nil, fmt.Errorf("%w: %s has no archive of epoch %d", ErrNotThere, d.source, epoch)
	}
	d.mu.Lock()
	a, ok := d.open.Get(epoch)
	d.mu.Unlock()
	if ok {
		return a, nil
	}
	f, err := d.file(name)
	if err != nil {
		return nil, err
	}
	if a, err = archive.NewEra1At(name, f, f.size, d.net); err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.open.Add(epoch, a)
	d.mu.Unlock()
	return a, nil
}

// file returns a file of the source.
func (d *Depot) file(name string) (*file, error) {
	ctx, cancel := context.WithTimeout(d.pages.ctx, fetchTimeout)
	defer cancel()
	f := &file{pages: d.pages, name: name}
	err := try(ctx, func() (err error) {
		f.size, err = d.source.Size(ctx, name)
		return err
	})
	return f, err
}

// mayPass reports whether an error may be over when one tries again.
func mayPass(err error) bool {
	return !errors.Is(err, ErrNotThere) && !errors.Is(err, errRefused) && !errors.Is(err, context.Canceled)
}
