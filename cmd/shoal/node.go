package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/node"
)

// defaultPort is that of the protocol.
const defaultPort = "30303"

func newNode() *cobra.Command { return nodeCommand(nil) }

// nodeOptions are the flags of a node, which makes blocks if it has a miner.
type nodeOptions struct {
	chainOptions
	web    httpOptions
	listen string
	peers  []string
	miner  *miner
}

// nodeCommand is a command that runs a node, with a miner if one is given.
func nodeCommand(m *miner) *cobra.Command {
	o := &nodeOptions{miner: m}
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Serve the chain and keep it in sync until stopped",
		Long: `Serve the chain to whoever connects, and keep it in sync with the peers that are
named, and with others that these know of, unless --discover=false. The address that
it listens on is printed on standard output as the line "listening on ADDRESS". Stop it
with Ctrl-C.

Nodes that know each other's keys (see "shoal key") can meet over encrypted links: with
--tls-listen and --tls-allow on the one side, and --peer tls://HOST:PORT#KEY on the other.
A node with --tls-only meets nobody else.

"shoal status", "shoal status --why" and "shoal peers" ask a node that runs. With
--http-addr it also answers programs, in JSON-RPC over HTTP and WebSocket as other
Ethereum nodes do, as far as no state is needed (namespaces eth, net, web3, debug;
eth_subscribe to newHeads and syncing); Prometheus under /metrics; and who watches
over it under /healthz and /readyz.

With --archive it serves era1 archives as they are, in a directory, on a web server or
in a bucket, without importing them. Each is read once, the first time that it is seen,
and checked as an import would; what is kept on disk is an index of 160 bytes for each
block. The keys of a bucket come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, its
service from AWS_ENDPOINT_URL and AWS_REGION, or s3://BUCKET/PREFIX?endpoint=URL.`,
		Example: `  shoal node --listen 127.0.0.1:0
  shoal node --peer 192.0.2.7:30303 --peer 192.0.2.8:30303
  shoal node --archive s3://era1/mainnet?endpoint=https://storage.example.org
  shoal node --http-addr :8545 --upload-limit 2MB --max-peers 30`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ui, err := o.ui()
			if err != nil {
				return err
			}
			if err := o.check(cmd); err != nil {
				return err
			}
			return o.run(cmd.Context(), ui)
		},
	}
	o.add(cmd)
	o.find.addNAT(cmd)
	o.links.addListen(cmd)
	o.web.add(cmd)
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:"+defaultPort, "`address` to listen on; port 0 takes a free one")
	addPeers(cmd, &o.peers)
	return cmd
}

// check refuses what is wrong with the flags by themselves.
func (o *nodeOptions) check(cmd *cobra.Command) (err error) {
	if o.peers, err = checkPeers(o.peers); err != nil {
		return err
	}
	if err := checkListen("--listen", o.listen); err != nil {
		return err
	}
	if err := o.find.check(); err != nil {
		return err
	}
	if err := o.links.check(cmd, &o.find, o.peers); err != nil {
		return err
	}
	return o.web.check()
}

// run opens what the node works on, reads the archives that it has not seen, listens, and
// runs until it is stopped.
func (o *nodeOptions) run(ctx context.Context, ui *ui) (err error) {
	if o.miner != nil {
		if err := o.miner.check(&o.options, ui); err != nil {
			return err
		}
	}
	cfg, depot, err := o.configure(ctx, ui, o.peers)
	if err != nil {
		return err
	}
	defer closeStore(cfg.Store, &err)
	if depot != nil {
		if err := indexArchives(ctx, depot, cfg.Store, o.seals.importing(cfg.Network), ui); err != nil {
			return err
		}
	}
	addrs, err := o.links.listeners(&cfg, o.listen)
	if err != nil {
		return err
	}
	if err := o.web.listen(); err != nil {
		closeListeners(&cfg)
		return err
	}
	for _, l := range listenersOf(&cfg) {
		defer o.find.mapPort(l.Addr(), ui.Logger)()
	}
	w := newWatcher(ui)
	defer w.stop()
	w.up = func() { o.announce(&cfg, addrs, ui) }
	cfg.AwaitRoom = true
	if err := runNode(ctx, cfg, w, o.dataDir, &o.web, o.miner); err != nil {
		return err
	}
	h := api.HeadOf(cfg.Store.Head())
	ui.Info("node is down", "number", h.Number)
	if !o.json {
		return nil
	}
	return o.result(map[string]any{"listen": addrs, "head": h}, nil)
}

// announce says where the node can be reached, to programs that wait for it and to people.
func (o *nodeOptions) announce(cfg *node.Config, addrs []string, ui *ui) {
	to := os.Stdout
	if o.json {
		to = os.Stderr
	}
	if l := o.web.listener; l != nil {
		fmt.Fprintf(to, "answering on http://%s\n", l.Addr())
	}
	for _, a := range addrs {
		fmt.Fprintln(to, "listening on", a)
	}
	ui.Info("node is up", "listen", strings.Join(addrs, " "), "network", cfg.Network.Name, "number", cfg.Store.Head().Number)
	if key := cfg.Links.Key; key != nil {
		ui.Info("encrypted links prove that this node has its key", "key", key.ID().String())
	}
}

// checkListen refuses what is no address to listen on.
func checkListen(flag, addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return usage("%s %q: want host:port, such as 127.0.0.1:%s", flag, addr, defaultPort)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return usage("%s %q: %q is not a port", flag, addr, port)
	}
	return nil
}

// listenTCP listens, with a sentence for the usual mistake.
func listenTCP(flag, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s: %w; is another node running? port 0 takes a free one", flag, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return l, nil
}

func clientName() string { return "Shoal/" + version() }
