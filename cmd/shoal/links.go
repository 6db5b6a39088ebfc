package main

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/link"
	"github.com/shoalnet/shoal/node"
)

// keyFile is where a data directory has the key of its node.
const keyFile = "node.key"

func newKey() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Print the key that others know a node by over encrypted links",
		Long: `Print the key that others know the node of a data directory by, over encrypted links. If
it has none yet, it is made: the secret half is in the file node.key, which only its owner
may read, and never leaves it.

A node takes encrypted links on the address of --tls-listen, from those whose keys it is
given with --tls-allow, and dials those that --peer tls://HOST:PORT#KEY names. Both sides
prove that they have the key that the other one expects.`,
		Example: `  shoal key --datadir a
  shoal node --datadir a --tls-only --tls-listen 192.0.2.7:30303 --tls-allow KEY-OF-B
  shoal node --datadir b --tls-only --peer tls://192.0.2.7:30303#KEY-OF-A`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			key, err := link.LoadKey(filepath.Join(o.dataDir, keyFile))
			if err != nil {
				return err
			}
			return o.result(map[string]any{"key": key.ID().String(), "file": filepath.Join(o.dataDir, keyFile)}, func(to io.Writer) {
				fmt.Fprintln(to, key.ID())
			})
		},
	}
	o.addDataDir(cmd)
	o.addJSON(cmd)
	return cmd
}

// linkOptions are the flags about encrypted links. The zero value dials them, if peers have
// keys.
type linkOptions struct {
	only    bool
	listen  string
	allow   []string
	allowed []link.ID // what check has read of allow
}

func (o *linkOptions) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.only, "tls-only", false,
		"speak over encrypted links only: with those peers that have a key, and nobody else; no --discover, no --listen")
}

func (o *linkOptions) addListen(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.listen, "tls-listen", "",
		"`address` to take encrypted links on, from the keys of --tls-allow and --peer (default: none)")
	f.StringArrayVar(&o.allow, "tls-allow", nil,
		"`key` of a node that may open an encrypted link, as its \"shoal key\" prints it; may be given again and again")
}

// check refuses what cannot be meant together with the other flags of a command.
func (o *linkOptions) check(cmd *cobra.Command, find *discoverOptions, peers []string) (err error) {
	if o.only {
		if i := slices.IndexFunc(peers, func(p string) bool { return !hasKey(p) }); i >= 0 {
			return usage("--tls-only: --peer %s has no key: want tls://host:port#KEY", peers[i])
		}
		if f := cmd.Flag("listen"); f != nil && f.Changed {
			return usage("--tls-only: --listen is for connections in plain: want --tls-listen")
		}
		if find.discover && cmd.Flag("discover").Changed {
			return usage("--tls-only: --discover leads to nodes without a key")
		}
		find.discover = false
	}
	if o.allowed, err = parseKeys("--tls-allow", o.allow); err != nil {
		return err
	}
	switch known := len(o.allow) > 0 || slices.ContainsFunc(peers, hasKey); {
	case o.listen == "" && len(o.allow) > 0:
		return usage("--tls-allow: nobody can come: want --tls-listen too")
	case o.listen != "" && !known:
		return usage("--tls-listen %s: nobody may come: want the key of somebody, with --tls-allow", o.listen)
	case o.listen != "":
		return checkListen("--tls-listen", o.listen)
	}
	return nil
}

// parseKeys reads keys of nodes.
func parseKeys(flag string, texts []string) (keys []link.ID, err error) {
	for _, t := range texts {
		id, err := link.ParseID(t)
		if err != nil {
			return nil, usage("%s: %w", flag, err)
		}
		keys = append(keys, id)
	}
	return keys, nil
}

// configure turns the flags, which have been checked, into what a node needs, whose peers
// are named already. The key of the data directory is made if it is needed and there is none.
func (o *linkOptions) configure(cfg *node.Config, dataDir string) (err error) {
	cfg.Links.Only, cfg.Links.Allow = o.only, o.allowed
	if !o.only && o.listen == "" && !slices.ContainsFunc(cfg.Peers, hasKey) {
		return nil
	}
	if cfg.Links.Key, err = link.LoadKey(filepath.Join(dataDir, keyFile)); err != nil {
		return err
	}
	// One list of peers serves all nodes of a network.
	cfg.Peers = slices.DeleteFunc(cfg.Peers, func(p string) bool {
		a, err := link.ParseAddr(p)
		return err == nil && a.ID == cfg.Links.Key.ID()
	})
	return nil
}

// hasKey reports whether a peer is met over an encrypted link.
func hasKey(peer string) bool {
	a, err := link.ParseAddr(peer)
	return err == nil && !a.ID.IsZero()
}

// listeners opens those of a node, with the address in plain that a flag says, unless that
// is not to be. It returns the addresses as others may dial them.
func (o *linkOptions) listeners(cfg *node.Config, plain string) (addrs []string, err error) {
	if !o.only {
		if cfg.Listener, err = listenTCP("--listen", plain); err != nil {
			return nil, err
		}
		addrs = append(addrs, cfg.Listener.Addr().String())
	}
	if o.listen != "" {
		if cfg.Links.Listener, err = listenTCP("--tls-listen", o.listen); err != nil {
			closeListeners(cfg)
			return nil, err
		}
		addrs = append(addrs, link.Addr{HostPort: cfg.Links.Listener.Addr().String(), ID: cfg.Links.Key.ID()}.String())
	}
	return addrs, nil
}

// listenersOf returns the listeners that a node has.
func listenersOf(cfg *node.Config) (list []net.Listener) {
	for _, l := range []net.Listener{cfg.Listener, cfg.Links.Listener} {
		if l != nil {
			list = append(list, l)
		}
	}
	return list
}

// closeListeners closes those of a node that does not come to run.
func closeListeners(cfg *node.Config) {
	for _, l := range listenersOf(cfg) {
		l.Close()
	}
}
