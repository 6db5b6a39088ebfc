package main

import (
	"context"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/depot"
	"github.com/shoalnet/shoal/store"
)

// defaultArchiveCache is how much of archives is kept in memory: what a few peers that sync
// at different heights are about to ask for.
const defaultArchiveCache = 64 << 20

// archiveOptions are the flags about archives that are read where they are.
type archiveOptions struct {
	place     string
	cache     string
	cacheSize int64
	source    depot.Source // from check on; nil: there are none
}

func (o *archiveOptions) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.place, "archive", "",
		"`place` of era1 archives to use as they are, without importing them: a directory, https://SERVER/PATH or s3://BUCKET/PREFIX")
	f.StringVar(&o.cache, "archive-cache", humanize.IBytes(defaultArchiveCache),
		"`size` of what is kept of archives in memory, a part of --memory")
}

// check refuses what is no place.
func (o *archiveOptions) check() (err error) {
	if o.place == "" {
		return nil
	}
	if o.cacheSize, err = parseSize("--archive-cache", o.cache, 0, ""); err != nil {
		return err
	}
	if o.source, err = depot.Open(o.place); err != nil {
		return usage("--archive: %w", err)
	}
	return nil
}

// reserved is how much of the memory archives may take.
func (o *archiveOptions) reserved() int64 {
	if o.source == nil {
		return 0
	}
	return depot.Memory(o.cacheSize)
}

// openWith opens the store together with the archives.
func (o *options) openWith(ctx context.Context, from *archiveOptions, ui *ui, as access) (*store.Store, *chain.Network, *depot.Depot, error) {
	if from.source != nil && o.network == "" && as == makes {
		name, err := o.networkIfNew(ui.Logger, func() (string, error) { return depot.NetworkOf(ctx, from.source) })
		if err != nil {
			return nil, nil, nil, err
		}
		o.network = name
	}
	if from.source == nil {
		st, net, err := o.open(ui.Logger, as)
		if err != nil {
			return nil, nil, nil, err
		}
		if yes, err := st.HasElsewhere(); err != nil || yes {
			closeStore(st, &err)
			if err == nil {
				err = usage("blocks of %s are in archives: say where these are with --archive", o.dataDir)
			}
			return nil, nil, nil, err
		}
		return st, net, nil, nil
	}
	net, err := o.awaitNetwork(ui.Logger)
	if err != nil {
		return nil, nil, nil, err
	}
	d, err := depot.New(ctx, from.source, net, from.cacheSize)
	if err != nil {
		return nil, nil, nil, err
	}
	var st *store.Store
	err = o.patiently(ui.Logger, func() (err error) {
		st, err = openStore(o.dataDir, net, ui.Logger, d, as)
		return err
	})
	return st, net, d, err
}

// indexArchives makes what is in the archives known to the store.
func indexArchives(ctx context.Context, d *depot.Depot, st *store.Store, opts archive.Options, ui *ui) error {
	stop := func() {}
	files := 0
	added, err := d.Index(ctx, st, opts, func(name string, r *archive.Reader) {
		stop()
		files++
		stop = watchFile(fmt.Sprintf("reading %s for the first time", name), r, ui)
	})
	stop()
	if err != nil {
		return err
	}
	ui.Info("archives are served as they are", "archives", len(d.Epochs()), "new_archives", files, "new_blocks", added, "number", st.Head().Number)
	return nil
}
