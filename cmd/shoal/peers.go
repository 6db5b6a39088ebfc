package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/node"
)

func newPeers() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "peers",
		Short: "Show what is remembered of peers, and who is banned for what",
		Long: `Show the peers that gave cause for it: their score, which comes back to 0 by half
every ten minutes, until when they are banned, and what they did. The node that uses
the data directory must be stopped.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) (err error) {
			ui, err := o.ui()
			if err != nil {
				return err
			}
			st, _, err := o.openExisting(ui.Logger)
			if err != nil {
				return err
			}
			defer closeStore(st, &err)
			list, err := node.Standings(st)
			if err != nil {
				return err
			}
			if list == nil {
				list = []node.Standing{}
			}
			return o.result(map[string]any{"peers": list}, func() {
				if len(list) == 0 {
					fmt.Println("no peer has done anything that would have to be remembered")
				}
				for _, p := range list {
					ban := "not banned"
					if p.Banned(time.Now()) {
						ban = "banned until " + p.Until.UTC().Format(time.DateTime)
					}
					fmt.Printf("%s  score %.0f, %s\n", p.Who, p.Score, ban)
					for _, e := range p.Evidence {
						fmt.Println("   ", e)
					}
				}
			})
		},
	}
	o.add(cmd)
	return cmd
}
