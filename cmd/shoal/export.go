package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
)

func newExport() *cobra.Command {
	o := &options{}
	archives := &archiveOptions{}
	var (
		from, to uint64
		format   string
	)
	cmd := &cobra.Command{
		Use:   "export FILE | export --format era1 DIRECTORY",
		Short: "Export the canonical chain to files that other clients import",
		Long: `Export blocks of the canonical chain as an RLP stream, which "geth import" and
this program read. The extension of the file says whether it is compressed: ` + strings.Join(archive.WriteExtensions(), ", ") + `.

With --format era1, export complete epochs of 8192 blocks into a directory, each as
an era1 archive, byte for byte as the published ones are. That needs the receipts of
the blocks, which an import of era1 archives keeps.

A file appears when it is complete.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if format != "rlp" && format != "era1" {
				return usage("--format %q: there are rlp and era1", format)
			}
			ui, err := o.ui()
			if err != nil {
				return err
			}
			if err := archives.check(); err != nil {
				return err
			}
			st, net, _, err := o.openWith(cmd.Context(), archives, ui, reads)
			if err != nil {
				return err
			}
			defer closeStore(st, &err)
			h := st.Head()
			if !cmd.Flags().Changed("to") {
				to = h.Number
			}
			switch {
			case to > h.Number:
				return usage("--to %d is above the head, which is block %d", to, h.Number)
			case from > h.Number:
				return usage("--from %d is above the head, which is block %d", from, h.Number)
			case from > to:
				return usage("--from %d is above --to %d", from, to)
			}
			if format == "era1" {
				return o.exportEra1(cmd.Context(), st, net, from, to, args[0], ui)
			}
			w, err := archive.Create(args[0])
			if err != nil {
				return err
			}
			defer w.Abort()
			stop, step := watchBlocks("exporting", to-from+1, ui)
			err = archive.Export(cmd.Context(), st, from, to, w, step)
			stop()
			if err != nil {
				return err
			}
			if err := w.Commit(); err != nil {
				return err
			}
			blocks, bytes := w.Written()
			return o.result(map[string]any{"file": args[0], "blocks": blocks, "bytes": bytes, "from": from, "to": to}, func(out io.Writer) {
				fmt.Fprintf(out, "exported %d blocks, %d to %d, to %s\n", blocks, from, to, args[0])
			})
		},
	}
	o.add(cmd)
	archives.add(cmd)
	cmd.Flags().Uint64Var(&from, "from", 0, "`number` of the first block")
	cmd.Flags().Uint64Var(&to, "to", math.MaxUint64, "`number` of the last block (default: the head)")
	cmd.Flags().Lookup("to").DefValue = "0" // which is not shown
	cmd.Flags().StringVar(&format, "format", "rlp", "`format` of what is written: rlp or era1")
	return cmd
}

// era1JSON is how an era1 file that was written looks in JSON.
type era1JSON struct {
	File   string `json:"file"`
	From   uint64 `json:"from"`
	To     uint64 `json:"to"`
	Blocks uint64 `json:"blocks"`
	Bytes  int64  `json:"bytes"`
	Root   string `json:"root"`
}

// exportEra1 writes the epochs between two blocks.
func (o *options) exportEra1(ctx context.Context, st *store.Store, net *chain.Network, from, to uint64, dir string, ui *ui) error {
	first, end := archive.Epochs(net, from, to)
	if first == end {
		return fmt.Errorf("blocks %d to %d hold no complete epoch, which is %d blocks beginning with a multiple of that number", from, to, archive.Epoch)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	stop, step := watchBlocks("exporting", min((end-first)*archive.Epoch, to+1-first*archive.Epoch), ui)
	files := []era1JSON{}
	for epoch := first; epoch < end; epoch++ {
		f, err := archive.ExportEra1(ctx, st, net, epoch, dir, step)
		if err != nil {
			stop()
			return err
		}
		files = append(files, era1JSON{f.Path, f.First, f.First + f.Blocks - 1, f.Blocks, f.Bytes, f.Root.Hex()})
	}
	stop()
	return o.result(map[string]any{"files": files}, func(out io.Writer) {
		for _, f := range files {
			fmt.Fprintf(out, "exported %d blocks, %d to %d, to %s\n", f.Blocks, f.From, f.To, f.File)
		}
	})
}
