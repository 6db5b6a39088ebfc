package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/swarm"
)

func newGet() *cobra.Command {
	o := &options{}
	from := &fetchOptions{}
	var out string
	cmd := &cobra.Command{
		Use:   "get REFERENCE",
		Short: "Write a file to disk or to standard output, from peers if need be",
		Long: `Write the file with the reference to --out, or to standard output. Every byte of it
is checked against the reference. The file appears when it is complete.

What is not held in the data directory is fetched from the peers, from all of them at
once, each for what it has. A get that was interrupted goes on where it was.`,
		Example: `  shoal get REFERENCE -o photo.jpg --peer 192.0.2.7:30303 --peer 192.0.2.8:30303`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ui, err := o.ui()
			if err != nil {
				return err
			}
			ref, err := parseRef(args[0])
			if err != nil {
				return err
			}
			if out == "" && o.json {
				return usage("--json needs --out: standard output cannot take both the file and the result")
			}
			if err := from.check(); err != nil {
				return err
			}
			as := reads
			if len(from.peers) > 0 {
				as = makes
			}
			st, net, err := o.open(ui.Logger, as)
			if err != nil {
				return err
			}
			defer closeStore(st, &err)
			var fetched uint64
			began := time.Now()
			if len(from.peers) > 0 {
				ctx, cancel := from.within(cmd.Context())
				defer cancel()
				cfg := node.Config{Network: net, Store: st, Peers: from.peers, FilesOnly: true}
				if err := new(linkOptions).configure(&cfg, o.dataDir); err != nil {
					return err
				}
				fetched, err = fetchFile(ctx, cfg, ref, ui)
				if errors.Is(err, errTimeout) {
					return incomplete("get %x: not all of it has come after %v; what has come stays", ref, from.timeout)
				}
				if err != nil {
					return fmt.Errorf("get %x: %w", ref, err)
				}
			}
			took := time.Since(began).Seconds()
			files := swarm.New(swarm.OnDisk(st), swarm.Options{})
			n, err := writeFile(cmd.Context(), files, ref, out, ui)
			if errors.Is(err, swarm.ErrNotHeld) {
				return fmt.Errorf("get %x: not all of it is in this data directory, and no --peer is named: %w", ref, err)
			}
			if err != nil {
				return fmt.Errorf("get %x: %w", ref, err)
			}
			if out == "" {
				return nil
			}
			return o.result(map[string]any{"file": out, "bytes": n, "fetched_bytes": fetched, "fetch_seconds": took}, func(to io.Writer) {
				fmt.Fprintf(to, "wrote %d bytes to %s\n", n, out)
			})
		},
	}
	o.add(cmd)
	cmd.Flags().StringVarP(&out, "out", "o", "", "`file` to write (default: standard output)")
	from.add(cmd)
	return cmd
}

// fetchFile fetches what is missing of a file, and returns how many bytes that was.
func fetchFile(ctx context.Context, cfg node.Config, ref common.Hash, ui *ui) (fetched uint64, err error) {
	cfg.Client, cfg.Logger = clientName(), ui.Logger
	n, err := node.New(cfg)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var ended sync.WaitGroup
	defer ended.Wait()
	defer cancel(nil)
	ended.Go(func() {
		if err := n.Run(ctx); err != nil {
			cancel(err)
		}
	})
	b := newBar("fetching", decor.SizeB1024(0), ui)
	defer b.stop()
	err = n.Files().Fetch(ctx, ref, swarm.FetchOptions{Progress: func(p swarm.Progress) {
		fetched = p.Fetched
		b.set(int64(p.Held), int64(p.Size), "")
	}})
	return fetched, err
}

// writeFile writes a file to a path, where it appears when it is complete, or to standard
// output. It returns its length.
func writeFile(ctx context.Context, files *swarm.Files, ref common.Hash, path string, ui *ui) (n int64, err error) {
	x, err := files.Open(ctx, ref)
	if err != nil {
		return 0, err
	}
	defer x.Close()
	if path == "" {
		return io.Copy(os.Stdout, x)
	}
	f, err := archive.NewDraft(path)
	if err != nil {
		return 0, err
	}
	defer f.Abort() // does nothing after Commit
	b := newBar("writing "+path, decor.SizeB1024(0), ui)
	n, err = io.Copy(f, &countingReader{x, func(done int64) { b.set(done, x.Size(), "") }, 0})
	b.stop()
	if err != nil {
		return n, err
	}
	return n, f.Commit(path)
}
