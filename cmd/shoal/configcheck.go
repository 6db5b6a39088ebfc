package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/p2p/nat"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/depot"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/node"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check a configuration file",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		// Not like all other commands: these begin by refusing what is wrong.
		PersistentPreRunE: func(*cobra.Command, []string) error { return nil },
		Long: `Every flag of every command can also be given in a configuration file, which
--config or the variable SHOAL_CONFIG names, and in the environment. It has the same name
everywhere. The first of these that there is counts:

  --http-addr :8545             on the command line
  SHOAL_HTTP_ADDR=:8545         in the environment
  [node]                        in the table of the command in the file
  http-addr = ":8545"
  http-addr = ":8545"           at the top of the file, for all commands that have the flag

The file is in TOML. Flags that may be given again and again are lists there, and have
commas between their values in the environment.`,
	}
	cmd.AddCommand(newConfigCheck())
	return cmd
}

func newConfigCheck() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say what is wrong with a configuration file and with the environment",
		Long: `Say all that is wrong with a configuration file, by default the one that --config or
SHOAL_CONFIG names, and with the variables of the environment whose names begin with
SHOAL_: names that no command has, and values that are none. Nothing is opened, dialled or
listened on.`,
		Example: `  shoal config check /etc/shoal.toml`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var c config
			var err error
			if len(args) == 1 {
				c, err = readConfig(args[0])
			} else {
				c, err = loadConfig(cmd)
			}
			if err != nil {
				return err
			}
			problems := c.problems()
			if err := o.result(map[string]any{"file": c.path, "problems": append([]string{}, problems...)}, func(to io.Writer) {
				for _, p := range problems {
					fmt.Fprintln(to, p)
				}
				if len(problems) == 0 {
					fmt.Fprintln(to, "nothing is wrong")
				}
			}); err != nil {
				return err
			}
			if len(problems) > 0 {
				return usage("problems with the configuration: %d", len(problems))
			}
			return nil
		},
	}
	o.addJSON(cmd)
	return cmd
}

// problems says all that is wrong with a file and with the environment.
func (c *config) problems() []string {
	root := newRoot() // its flags are set below
	problems := c.check(root)
	add := func(err error) {
		if err != nil && !slices.Contains(problems, err.Error()) {
			problems = append(problems, err.Error())
		}
	}
	flags := map[string]bool{envName(configFlag): true}
	for _, cmd := range root.Commands() {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !configurable(f) {
				return
			}
			flags[envName(f.Name)] = true
			try := func(where string, value any) {
				err := set(cmd.Flags(), f, where, value)
				if err == nil {
					if err = checkValue(f); err != nil {
						err = fmt.Errorf("%s: %w", where, err)
					}
				}
				add(err)
			}
			if value, where, ok := c.lookup(cmd, f.Name); ok {
				try(where, value)
			}
			if text := os.Getenv(envName(f.Name)); text != "" {
				try(envName(f.Name), splitEnv(f, text))
			}
		})
	}
	for _, v := range slices.Sorted(slices.Values(os.Environ())) {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, envPrefix) && !strings.HasPrefix(name, testPrefix) && !flags[name] {
			add(fmt.Errorf("%s: no command has this flag", name))
		}
	}
	return problems
}

// checkValue says what is wrong with the value of a flag that is more than a text or a
// number, as the commands do when they run.
func checkValue(f *pflag.Flag) (err error) {
	text := f.Value.String()
	switch flag := "--" + f.Name; f.Name {
	case "archive":
		if text != "" {
			_, err = depot.Open(text)
		}
	case "archive-cache":
		_, err = parseSize(flag, text, 0, "")
	case "checkpoint":
		for _, h := range f.Value.(pflag.SliceValue).GetSlice() {
			if _, err = parseHash(h); err != nil {
				break
			}
		}
	case "download-limit", "upload-limit":
		_, err = parseRate(flag, text)
	case "http-addr":
		err = (&httpOptions{addr: text}).check()
	case "http-origin":
		err = (&httpOptions{who: api.HTTPConfig{Origins: f.Value.(pflag.SliceValue).GetSlice()}}).check()
	case "listen":
		err = checkListen(flag, text)
	case formatFlag:
		_, err = (&logOptions{level: "info", format: text}).parse()
	case "log-level":
		_, err = (&logOptions{level: text, format: formatText}).parse()
	case "memory":
		_, err = parseSize(flag, text, node.MinMemory, "")
	case "nat":
		_, err = nat.Parse(text)
	case "network":
		if text != "" {
			_, err = chain.NetworkByName(text)
		}
	case "peer":
		_, err = checkPeers(f.Value.(pflag.SliceValue).GetSlice())
	case "quota":
		_, err = (&quotaOption{text}).bytes()
	case "tls-allow":
		_, err = parseKeys(flag, f.Value.(pflag.SliceValue).GetSlice())
	case "tls-listen":
		err = checkListen(flag, text)
	case "seals":
		_, err = downloader.ParsePolicy(text)
	}
	return err
}
