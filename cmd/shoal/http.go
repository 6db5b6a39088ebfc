package main

import (
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/api"
)

// httpOptions are the flags about who may ask a node over HTTP.
type httpOptions struct {
	addr     string
	txIndex  bool // transactions are found by their hash
	page     bool // everybody who may connect sees the page
	who      api.HTTPConfig
	listener net.Listener // from listen on; nil: nobody may ask
}

func (o *httpOptions) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.addr, "http-addr", "",
		"`address` to answer on over HTTP and WebSocket: a page for people, JSON-RPC, /metrics, /healthz and /readyz; :8545 is 127.0.0.1:8545 (default: none)")
	f.BoolVar(&o.page, "http-page", false,
		"serve the page, which shows who the peers are, also where others than this machine can connect")
	f.StringSliceVar(&o.who.Hosts, "http-host", nil,
		"`name` under which the server may be called, beyond addresses and localhost; * is any")
	f.StringSliceVar(&o.who.Origins, "http-origin", nil,
		"`origin` of web pages that may ask, such as https://example.org; * is any")
	f.BoolVar(&o.txIndex, "tx-index", false,
		"find transactions by their hash; it reads every block once, and takes some 14 bytes of disk for each transaction")
}

// check refuses what is no address or no origin. An address without a host is this machine's
// own: to let others ask, name the address that they reach.
func (o *httpOptions) check() error {
	for _, origin := range o.who.Origins {
		if origin != "*" && !strings.Contains(origin, "://") {
			return usage("--http-origin %q: want an origin, such as https://example.org, or *", origin)
		}
	}
	if o.addr == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(o.addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return usage("--http-addr %q: want host:port, such as 127.0.0.1:8545, or :8545", o.addr)
	}
	if host == "" {
		o.addr = net.JoinHostPort("127.0.0.1", port)
	}
	for i, h := range o.who.Hosts {
		o.who.Hosts[i] = strings.ToLower(h)
	}
	return nil
}

// showsPage reports whether the page is served: to our own machine always, to others if
// they may see who our peers are.
func (o *httpOptions) showsPage() bool {
	a, ok := o.listener.Addr().(*net.TCPAddr)
	return o.page || ok && a.IP.IsLoopback()
}

// listen listens where the flag says.
func (o *httpOptions) listen() (err error) {
	if o.addr == "" {
		return nil
	}
	o.listener, err = listenTCP("--http-addr", o.addr)
	return err
}
