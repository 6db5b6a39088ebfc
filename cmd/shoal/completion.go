package main

import (
	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
)

// complete tells shells what can be said for the flags of all commands.
func complete(root *cobra.Command) error {
	var networks []string
	for _, n := range chain.Networks() {
		networks = append(networks, n.Name)
	}
	values := map[string][]string{
		"format": {"rlp", "era1"}, "log-level": {"debug", "info", "warn", "error"}, "nat": {"none", "any", "upnp", "pmp"}, "network": networks,
		"seals": {downloader.SealAll.String(), downloader.SealSample.String(), downloader.SealNone.String()},
	}
	for _, cmd := range root.Commands() {
		for flag, list := range values {
			if cmd.Flags().Lookup(flag) == nil {
				continue
			}
			if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp)); err != nil {
				return err
			}
		}
		for _, flag := range []string{"datadir", "archive"} {
			if cmd.Flags().Lookup(flag) == nil {
				continue
			}
			if err := cmd.MarkFlagDirname(flag); err != nil {
				return err
			}
		}
	}
	return root.MarkPersistentFlagFilename(configFlag, "toml")
}
