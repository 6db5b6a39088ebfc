package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/link"
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
	cmd.Flags().StringArrayVar(peers, "peer", nil, "`address` of a peer, host:port, or tls://host:port#KEY for an encrypted link; may be given again and again")
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
	seen := map[string]link.Addr{}
	for _, p := range peers {
		at := p
		if _, _, err := net.SplitHostPort(p); err != nil && !strings.ContainsAny(p, "/#") {
			at = net.JoinHostPort(p, defaultPort)
		}
		addr, err := link.ParseAddr(at)
		switch {
		case err != nil && strings.ContainsAny(p, "/#"):
			return nil, usage("--peer: %w", err)
		case err != nil:
			return nil, usage("--peer %q: want host:port, such as 192.0.2.7:%s", p, defaultPort)
		}
		_, port, _ := net.SplitHostPort(addr.HostPort)
		if n, err := net.LookupPort("tcp", port); err != nil || n == 0 {
			return nil, usage("--peer %q: %q is not a port", p, port)
		}
		switch was, ok := seen[addr.HostPort]; {
		case ok && was != addr:
			return nil, usage("--peer %s: it is named as %s too; which is right?", addr, was)
		case !ok:
			seen[addr.HostPort] = addr
			out = append(out, addr.String())
		}
	}
	return out, nil
}
