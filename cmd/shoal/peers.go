package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/store"
)

func newPeers() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "peers",
		Short: "Show who is connected, what is remembered of peers, and who is banned for what",
		Long: `Show the peers that are connected to the node that uses the data directory, if one
runs, with what each has brought and what it is doing; and the peers that gave cause
for it: their score, which comes back to 0 by half every ten minutes, until when they
are banned, and what they did.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := api.Peers{Connected: []api.Peer{}}
			err := o.askOrLook(cmd.Context(), "shoal_peers", &p, func(st *store.Store) error {
				list, err := node.Standings(st)
				p.Standings = append([]node.Standing{}, list...)
				return err
			})
			if err != nil {
				return err
			}
			return o.result(p, func(to io.Writer) { printPeers(to, &p, time.Now()) })
		},
	}
	o.add(cmd)
	return cmd
}

// visible is what somebody else says, without what would play with a terminal.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

// printable is what a peer says of itself, as far as it may go to a terminal.
func printable(s string) string {
	s = visible(s)
	if r := []rune(s); len(r) > maxName {
		return string(r[:maxName]) + "…"
	}
	return s
}

// maxName is how much of the name of a client is shown: that of version and platform
// is mostly shorter.
const maxName = 32

func printPeers(to io.Writer, p *api.Peers, now time.Time) {
	if len(p.Connected) > 0 {
		table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "peer\tlink\tclient\tfor\tblocks\tMB\tMB/s\tround trip\tin flight\tlate\twhat it is doing")
		for _, c := range p.Connected {
			from, over := "", "plain"
			if c.Key != "" {
				over = "key " + c.Key[:min(len(c.Key), 8)] + "…"
			}
			if c.Inbound {
				from = " (it dialled)"
			}
			fmt.Fprintf(table, "%s%s\t%s\t%s\t%s\t%d\t%.1f\t%.2f\t%.0f ms\t%d\t%d\t%v\n", c.Name, from, over, printable(c.Client), rough(c.Seconds),
				c.Blocks, float64(c.Bytes)/1e6, c.Rate/1e6, 1000*c.RoundTrip, c.InFlight, c.Late, c.Why)
		}
		table.Flush()
		fmt.Fprintln(to)
	}
	if len(p.Standings) == 0 {
		fmt.Fprintln(to, "no peer has done anything that would have to be remembered")
	}
	for _, s := range p.Standings {
		ban := "not banned"
		if s.Banned(now) {
			ban = "banned until " + s.Until.UTC().Format(time.DateTime)
		}
		fmt.Fprintf(to, "%s  score %.0f, %s\n", s.Who, s.Score, ban)
		for _, e := range s.Evidence {
			fmt.Fprintln(to, "   ", e)
		}
	}
}
