package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/store"
)

// askTimeout is how long a node may take to answer: it looks at what it knows, so
// that a second is long already.
const askTimeout = 10 * time.Second

// ask asks the node that uses the data directory. The error is api.ErrNotRunning if
// there is none.
func (o *options) ask(ctx context.Context, method string, answer any) error {
	if o.network != "" {
		if _, err := chain.NetworkByName(o.network); err != nil {
			return usage("--network: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	c, err := api.Dial(ctx, o.dataDir)
	if err != nil {
		return err
	}
	defer c.Close()
	var s api.Status
	err = c.CallContext(ctx, &s, "shoal_status")
	if err == nil && o.network != "" && s.Network != o.network {
		return fmt.Errorf("the data directory belongs to another network: %s holds %q", o.dataDir, s.Network)
	}
	if err == nil {
		err = c.CallContext(ctx, answer, method)
	}
	for _, end := range []error{io.EOF, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNREFUSED, os.ErrNotExist} {
		if errors.Is(err, end) { // just now
			return api.ErrNotRunning
		}
	}
	if err != nil {
		return fmt.Errorf("asking the node that runs: %s: %w", method, err)
	}
	return nil
}

func newStatus() *cobra.Command {
	o := &options{}
	var why bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what a data directory holds, and what the node that uses it is doing",
		Long: `Show what a data directory holds, and, if a node or a sync is running that uses it,
what it is doing.

With --why it shows where the time went since the node runs. Each moment of each
connected peer is put down to one reason:

` + reasonHelp() + `
Only "transferring" brings blocks, and "capped" as many as you allow. What else has a
large share is what makes it slow.`,
		Example: `  shoal status
  shoal status --why
  shoal status --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if why {
				return o.showWhy(cmd.Context())
			}
			var s api.Status
			err := o.askOrLook(cmd.Context(), "shoal_status", &s, func(st *store.Store) error {
				s = api.StatusOf(st)
				return nil
			})
			if err != nil {
				return err
			}
			return o.result(s, func(to io.Writer) { printStatus(to, &s, time.Now()) })
		},
	}
	o.add(cmd)
	cmd.Flags().BoolVar(&why, "why", false, "show where the time went: what makes it slow")
	return cmd
}

// reasonHelp lists the reasons.
func reasonHelp() (text string) {
	for _, r := range api.Reasons() {
		text += fmt.Sprintf("  %-18s %s\n", r, r.Explain())
	}
	return text
}

func printStatus(to io.Writer, s *api.Status, now time.Time) {
	fmt.Fprintf(to, "network  %s\ngenesis  %s\nhead     %v\nblocks   %d held\n", s.Network, s.Genesis.Hex(), s.Head, s.Blocks)
	if p := s.Plan; p != nil {
		fmt.Fprintf(to, "fetching block %d %s, %d hashes known\n", p.Number, p.Hash.Hex(), p.Hashes)
	}
	n := s.Node
	if n == nil {
		fmt.Fprintln(to, "running  no")
		return
	}
	fmt.Fprintf(to, "running  %s for %s, %d peers\n", n.Client, rough(now.Sub(n.Since).Seconds()), n.Peers)
	if n.Links > 0 {
		fmt.Fprintf(to, "links    %d encrypted\n", n.Links)
	}
	switch {
	case n.Sync != nil:
		fmt.Fprintf(to, "         %s\n", progressLine(n))
	case n.Waiting != "":
		fmt.Fprintf(to, "waiting  %s\n", n.Waiting)
	case n.Phase == "idle":
		fmt.Fprintln(to, "         nothing to fetch")
	}
}

func (o *options) showWhy(ctx context.Context) error {
	var w api.Why
	err := o.ask(ctx, "shoal_why", &w)
	if errors.Is(err, api.ErrNotRunning) {
		return fmt.Errorf("no node runs with %s: --why is about one that does", o.dataDir)
	}
	if err != nil {
		return err
	}
	return o.result(w, func(to io.Writer) { printWhy(to, &w) })
}

func printWhy(to io.Writer, w *api.Why) {
	total := w.Total.Total()
	if total == 0 {
		fmt.Fprintln(to, "no peer has been connected yet")
		return
	}
	fmt.Fprintf(to, "where the time of all peers went, %s in all\n\n", rough(total.Seconds()))
	var list []api.Reason
	for _, r := range api.Reasons() {
		if w.Total[r] > 0 {
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(a, b api.Reason) int { return cmp.Compare(w.Total[b], w.Total[a]) })
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, r := range list {
		fmt.Fprintf(table, "  %v\t%5.1f %%\t%s\t%s\n", r, 100*w.Total[r].Seconds()/total.Seconds(), rough(w.Total[r].Seconds()), r.Explain())
	}
	table.Flush()
	if len(w.Peers) == 0 {
		return
	}
	fmt.Fprintln(to)
	table = tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "seconds\t")
	for _, r := range list {
		fmt.Fprintf(table, "%v\t", r)
	}
	fmt.Fprintln(table, "now\t")
	for _, p := range w.Peers {
		fmt.Fprintf(table, "%s\t", p.Name)
		for _, r := range list {
			fmt.Fprintf(table, "%.0f\t", p.Spent[r].Seconds())
		}
		fmt.Fprintf(table, "%v\t\n", p.Now)
	}
	table.Flush()
}
