package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/depot"
	"github.com/shoalnet/shoal/node"
)

// chainOptions are the flags of commands that run a node with a chain: where that is, what
// of it is checked and fetched, what it may use, and where peers and archives come from.
type chainOptions struct {
	options
	seals    sealOptions
	limits   limitOptions
	find     discoverOptions
	archives archiveOptions
	links    linkOptions
	receipts bool
}

func (o *chainOptions) add(cmd *cobra.Command) {
	o.options.add(cmd)
	o.seals.add(cmd)
	o.limits.add(cmd)
	o.find.add(cmd)
	o.archives.add(cmd)
	o.links.add(cmd)
	cmd.Flags().BoolVar(&o.receipts, "receipts", false,
		"fetch the receipts of the canonical chain too, from the peers that have them")
}

// configure opens the store, which is made if there is none, and returns what a node needs
// that is the same for all commands. The archives are nil if none are named. The caller
// closes the store.
func (o *chainOptions) configure(ctx context.Context, ui *ui, peers []string) (cfg node.Config, from *depot.Depot, err error) {
	if err := o.seals.check(); err != nil {
		return cfg, nil, err
	}
	if err := o.archives.check(); err != nil {
		return cfg, nil, err
	}
	if err := o.limits.configure(&cfg, o.archives.reserved()); err != nil {
		return cfg, nil, err
	}
	if cfg.Store, cfg.Network, from, err = o.openWith(ctx, &o.archives, ui, makes); err != nil {
		return cfg, nil, err
	}
	cfg.Receipts, cfg.Discover, cfg.Peers = o.receipts, o.find.discover, peers
	o.seals.configure(&cfg, cfg.Network)
	if err = o.links.configure(&cfg, o.dataDir); err != nil {
		closeStore(cfg.Store, &err)
		return cfg, nil, err
	}
	return cfg, from, nil
}
