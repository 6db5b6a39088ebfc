package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/shoalnet/shoal/link"
	"github.com/shoalnet/shoal/wire"
)

// Links says how nodes are met over encrypted links (package link), on which both sides
// prove who they are. The zero value is a node that meets everybody in plain.
type Links struct {
	// Key is that of this node. It is needed if anything else here is set, and for peers
	// that have one.
	Key *link.Key
	// Listener accepts encrypted links and nothing else; nil: nobody can open one. Run
	// closes it.
	Listener net.Listener
	// Allow are those who may open one, beside the peers with a key that are dialled.
	Allow []link.ID
	// Only: nothing is spoken in plain. The node has no other listener and only peers with
	// a key, and does not discover others.
	Only bool
}

// links is what a node makes of its addresses and keys. It does not change.
type links struct {
	peers   []link.Addr
	plain   map[string]bool  // peers in plain, by address
	private map[string]bool  // peers with a key, by nameOf
	allowed map[link.ID]bool // who may come in
	// strangers bounds what is logged of those who may not: knocking costs them nothing.
	strangers rate.Sometimes
}

// newLinks checks that a configuration does not say one thing and its opposite.
func newLinks(cfg *Config) (*links, error) {
	l := &links{
		plain: make(map[string]bool), private: make(map[string]bool), allowed: make(map[link.ID]bool),
		strangers: rate.Sometimes{First: strangersFirst, Interval: strangersInterval},
	}
	for _, id := range cfg.Links.Allow {
		l.allowed[id] = true
	}
	for _, text := range cfg.Peers {
		addr, err := link.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("node: a peer: %w", err)
		}
		l.peers = append(l.peers, addr)
		if addr.ID.IsZero() {
			l.plain[addr.HostPort] = true
			continue
		}
		l.allowed[addr.ID] = true
		if at, err := netip.ParseAddrPort(addr.HostPort); err == nil { // else it is a name
			l.private[nameOf(at)] = true
		}
	}
	twice := slices.IndexFunc(l.peers, func(a link.Addr) bool { return !a.ID.IsZero() && l.plain[a.HostPort] })
	switch {
	case twice >= 0:
		return nil, fmt.Errorf("node: %s cannot be both in plain and over an encrypted link", l.peers[twice].HostPort)
	case cfg.Links.Key == nil && (len(l.allowed) > 0 || cfg.Links.Listener != nil || cfg.Links.Only):
		return nil, errors.New("node: encrypted links need a key of this node")
	case cfg.Links.Only && (cfg.Listener != nil || len(l.plain) > 0 || cfg.Discover):
		return nil, errors.New("node: with encrypted links only there can be no listener in plain, no peer without a key and no discovery")
	}
	return l, nil
}

// named reports whether an address is that of a peer that is dialled anyhow: in plain, or,
// if it is on the machine of one with a key, never in plain.
func (l *links) named(at netip.AddrPort) bool { return l.plain[at.String()] || l.private[nameOf(at)] }

// knows reports whether a node is one that we have met over an encrypted link. It is called
// with the lock held.
func (n *Node) knows(id wire.NodeID) bool {
	for _, known := range n.mu.known { // as many as there are keys
		if known == id {
			return true
		}
	}
	return false
}

const (
	// strangersFirst is how many refused links are logged in any case, and strangersInterval
	// how often one is after that. An operator who has forgotten a key sees it at once;
	// a flood of strangers fills some hundred kilobytes a day.
	strangersFirst    = 16
	strangersInterval = time.Minute
)

// letIn runs a session over an encrypted link that somebody has opened who may.
func (n *Node) letIn(ctx context.Context, conn net.Conn) {
	c, err := n.cfg.Links.Key.Server(ctx, conn, func(id link.ID) bool { return n.links.allowed[id] })
	switch {
	case err == nil:
		n.run(ctx, c, true)
	case ctx.Err() == nil:
		n.links.strangers.Do(func() { n.log.Warn("refusing a link", "peer", conn.RemoteAddr().String(), "why", err) })
	}
}
