package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/store"
)

func newImport() *cobra.Command {
	o := &options{}
	seals := &sealOptions{}
	var receipts bool
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Import blocks from chain files",
		Long: `Import blocks from era1 archives, from RLP streams as "geth export" writes them,
or from text files with one block in hexadecimal a line, each plain or gzipped.
The content tells which it is. Blocks are checked as they are read. Where a file
is damaged, the import stops and says where; what came before stays imported.

Era1 archives have the receipts of the blocks too. They are checked against the
headers and kept, which "export --format era1" needs. A receipt takes 270 bytes and
what it logs. --receipts=false leaves them out.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) (err error) {
			ui, err := o.ui()
			if err != nil {
				return err
			}
			for _, f := range files { // a typing error should not make a data directory
				if _, err := os.Stat(f); err != nil {
					return err
				}
			}
			if err := seals.check(); err != nil {
				return err
			}
			if o.network == "" { // a new data directory is for the network of the files
				o.network, err = o.networkIfNew(ui.Logger, func() (string, error) {
					net, err := o.networkOf(files[0])
					if err != nil {
						return "", err
					}
					return net.Name, nil
				})
				if err != nil {
					return err
				}
			}
			st, net, err := o.open(ui.Logger, makes)
			if err != nil {
				return err
			}
			defer closeStore(st, &err)
			opts := seals.importing(net)
			opts.Receipts = receipts
			var total archive.Imported
			for _, f := range files {
				r, err := archive.Open(f, net, opts)
				if err != nil {
					return err
				}
				stop := watchFile("importing "+f, r, ui)
				done, err := archive.Import(cmd.Context(), r, net, st)
				stop()
				r.Close()
				total.Blocks += done.Blocks
				total.Added += done.Added
				total.Receipts += done.Receipts
				if err != nil {
					return importHint(err, net.Name, total.Blocks)
				}
			}
			h := api.HeadOf(st.Head())
			return o.result(map[string]any{"blocks": total.Blocks, "added": total.Added, "receipts": total.Receipts, "head": h}, func(to io.Writer) {
				fmt.Fprintf(to, "imported %d blocks, %d of them new; head is %v\n", total.Blocks, total.Added, h)
			})
		},
	}
	o.add(cmd)
	seals.addPolicy(cmd)
	cmd.Flags().BoolVar(&receipts, "receipts", true, "keep the receipts that era1 archives have")
	return cmd
}

// networkIfNew returns the network that a new data directory is for, as far as what it
// begins with tells, and "" for one that exists.
func (o *options) networkIfNew(log *slog.Logger, tell func() (string, error)) (string, error) {
	err := o.patiently(log, func() error {
		_, err := store.NetworkOf(o.dataDir)
		return err
	})
	if !errors.Is(err, store.ErrNotExist) {
		return "", err
	}
	return tell()
}

// importHint adds what to do to errors that have a usual cause, and what is here in spite of it.
func importHint(err error, network string, imported uint64) error {
	switch {
	case errors.Is(err, archive.ErrGenesis):
		return fmt.Errorf("%w; this data directory is for %s: name the file's network with --network, and a directory for it with --datadir", err, network)
	case imported > 0 && !errors.Is(err, context.Canceled):
		return fmt.Errorf("%w; the %d blocks before it are imported and stay", err, imported)
	}
	return err
}

// fileSize is for people: how much a demo or a file weighs.
func fileSize(path string) int64 {
	if fi, err := os.Stat(path); err == nil {
		return fi.Size()
	}
	return 0
}
