package main

import (
	"log/slog"
	"net"
	"net/netip"

	"github.com/ethereum/go-ethereum/p2p/nat"
	"github.com/spf13/cobra"
)

// discoverOptions are the flags about finding and being found.
type discoverOptions struct {
	discover bool
	nat      string
	mapper   nat.Interface // nil: no port is mapped
}

func (o *discoverOptions) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.discover, "discover", true,
		"ask peers for the addresses of others, dial those, and tell others of them; they are kept in the data directory")
}

func (o *discoverOptions) addNAT(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.nat, "nat", "none",
		"`how` the router is asked to let others connect: none, any, upnp, pmp, or pmp:IP with the router's address")
}

// check refuses what is no way to map a port.
func (o *discoverOptions) check() (err error) {
	if o.mapper, err = nat.Parse(o.nat); err != nil {
		return usage("--nat %q: there are none, any, upnp, pmp and pmp:IP", o.nat)
	}
	return nil
}

// mapPort has the router pass connections on to the port that is listened on, until the
// function that it returns is called.
func (o *discoverOptions) mapPort(listen net.Addr, log *slog.Logger) (stop func()) {
	at, err := netip.ParseAddrPort(listen.String())
	if o.mapper == nil || err != nil {
		return func() {}
	}
	if at.Addr().IsLoopback() {
		log.Warn("--nat does nothing: the node listens on this machine only; see --listen", "listen", listen.String())
		return func() {}
	}
	end, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		nat.Map(o.mapper, end, "tcp", int(at.Port()), int(at.Port()), "shoal")
	}()
	log.Info("asking the router for a port", "nat", o.mapper.String(), "port", at.Port())
	return func() { close(end); <-over }
}
