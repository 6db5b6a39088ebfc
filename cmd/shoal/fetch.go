package main

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/spf13/cobra"
)

// fetchOptions are the flags of commands that fetch something from peers and end.
type fetchOptions struct {
	peers   []string
	timeout time.Duration
}

func (o *fetchOptions) add(cmd *cobra.Command) {
	addPeers(cmd, &o.peers)
	cmd.Flags().DurationVar(&o.timeout, "timeout", 0, "give up after this `time`, such as 90s or 2h (default: never)")
}

func addPeers(cmd *cobra.Command, peers *[]string) {
	cmd.Flags().StringArrayVar(peers, "peer", nil, "`address` of a peer, host:port; may be given again and again")
}

// check refuses what cannot be meant, and names each peer once.
func (o *fetchOptions) check() (err error) {
	if o.timeout < 0 {
		return usage("--timeout %v: want a positive time, such as 90s or 2h", o.timeout)
	}
	o.peers, err = checkPeers(o.peers)
	return err
}

// within bounds a context by the timeout, after which its cause is errTimeout.
func (o *fetchOptions) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, o.timeout, errTimeout)
}

var errTimeout = errors.New("timeout")

// checkPeers gives each address a port, and refuses what is no address.
func checkPeers(peers []string) ([]string, error) {
	var out []string
	seen := map[string]bool{}
	for _, p := range peers {
		host, port, err := net.SplitHostPort(p)
		if err != nil {
			host, port, err = net.SplitHostPort(net.JoinHostPort(p, defaultPort))
		}
		if err != nil || host == "" || port == "" {
			return nil, usage("--peer %q: want host:port, such as 192.0.2.7:%s", p, defaultPort)
		}
		if n, err := net.LookupPort("tcp", port); err != nil || n == 0 {
			return nil, usage("--peer %q: %q is not a port", p, port)
		}
		if addr := net.JoinHostPort(host, port); !seen[addr] {
			seen[addr] = true
			out = append(out, addr)
		}
	}
	return out, nil
}
