package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/node"
)

func newSync() *cobra.Command {
	o := &chainOptions{}
	from := &fetchOptions{}
	cmd := &cobra.Command{
		Use:   "sync --peer ADDRESS...",
		Short: "Sync to the best chain that the peers offer, then stop",
		Long: `Sync to the best chain that the named peers offer, then stop. Other peers that they
know of help to fetch it, unless --discover=false. A sync that was interrupted goes on
where it was; nothing that is stored is fetched again. A peer that cannot be reached
does not matter as long as another one can.`,
		Example: `  shoal sync --peer 192.0.2.7:30303 --peer 192.0.2.8:30303 --timeout 1h`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ui, err := o.ui()
			if err != nil {
				return err
			}
			if len(from.peers) == 0 {
				return usage("name at least one peer with --peer host:port")
			}
			if err := from.check(); err != nil {
				return err
			}
			if err := o.links.check(cmd, &o.find, from.peers); err != nil {
				return err
			}
			cfg, _, err := o.configure(cmd.Context(), ui, from.peers)
			if err != nil {
				return err
			}
			defer closeStore(cfg.Store, &err)
			ctx, cancel := from.within(cmd.Context())
			defer cancel()
			w := newWatcher(ui)
			w.receipts = o.receipts
			report, err := syncTo(ctx, cfg, w, o.dataDir)
			w.stop()
			if errors.Is(err, errTimeout) {
				return incomplete("not in sync after %v: %s", from.timeout, w.outcome())
			}
			if err != nil {
				return err
			}
			return o.result(report, func(to io.Writer) {
				fmt.Fprintf(to, "in sync: %v\n%d blocks fetched, %d duplicates\n", report.Head, report.Fetched, report.Duplicates)
			})
		},
	}
	o.add(cmd)
	from.add(cmd)
	return cmd
}

// syncReport is the result of a sync.
type syncReport struct {
	Head           api.Head   `json:"head"`
	Fetched        uint64     `json:"fetched"`        // blocks
	Bytes          uint64     `json:"bytes"`          // of them
	Received       uint64     `json:"received_bytes"` // with hashes and all else
	Duplicates     uint64     `json:"duplicate_blocks"`
	DuplicateBytes uint64     `json:"duplicate_bytes"`
	Peers          []peerLine `json:"peers"`
	Seconds        float64    `json:"seconds"` // until all was here; saying goodbye takes a round trip more
}

// peerLine is one peer's share.
type peerLine struct {
	ID     string `json:"id"`
	Blocks uint64 `json:"blocks"`
	Bytes  uint64 `json:"bytes"`
}

// syncTo runs a node without a listener until there is nothing left to fetch.
func syncTo(ctx context.Context, cfg node.Config, w *watcher, dir string) (syncReport, error) {
	began := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var took time.Duration
	w.await(cfg.Peers, func() {
		if took == 0 {
			took = time.Since(began)
		}
		cancel(errDone)
	})
	cfg.Dial = w.dial
	err := runNode(ctx, cfg, w, dir, &httpOptions{}, nil)
	if cause := context.Cause(ctx); err == nil || errors.Is(err, cause) {
		err = cause
	}
	r := w.report()
	r.Head = api.HeadOf(cfg.Store.Head())
	if errors.Is(err, errDone) {
		err = nil
	} else {
		took = time.Since(began)
	}
	r.Seconds = took.Seconds()
	return r, err
}

var errDone = errors.New("done")
