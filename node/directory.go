package node

import (
	"net"
	"net/netip"

	"github.com/shoalnet/shoal/peer"
	"github.com/shoalnet/shoal/wire"
)

// introduce notes where a peer listens that has joined, and asks it for others.
func (n *Node) introduce(s *peer.Session) {
	if !n.cfg.Discover {
		return
	}
	n.mu.Lock()
	n.meets(s)
	if remote, ok := addrPort(s.RemoteAddr()); ok && !s.Inbound() {
		if _, ok := n.mu.meeting[remote]; ok {
			n.mu.meeting[remote] = true
		}
	}
	n.mu.Unlock()
	if s.Hello().Caps.Has(wire.CapPeers) { // A39
		s.GetPeers()
	}
}

// meets tells the book that a session goes on. Where a peer that has dialled us listens
// it says itself; that the address is its own we can see. Those that we meet over encrypted
// links are nobody's business. It is called with the lock held.
func (n *Node) meets(s *peer.Session) {
	at, ok := addrPort(s.RemoteAddr())
	if _, encrypted := n.mu.keys[s]; !ok || encrypted {
		return
	}
	hello := s.Hello()
	if s.Inbound() {
		at = netip.AddrPortFrom(at.Addr(), hello.Port)
	}
	if n.mu.book.hear(at, hello.Node, at.Addr()) {
		n.mu.book.met(at, hello.Node, n.cfg.Clock())
	}
}

// askAround tells the book who is still here, and asks them for addresses, as long as we
// look for peers.
func (n *Node) askAround() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.mu.ids {
		n.meets(s)
	}
	out := n.dialled()
	for _, s := range n.mu.ids {
		if out < outbound(n.budget.sessions) && s.Hello().Caps.Has(wire.CapPeers) {
			s.GetPeers()
		}
	}
}

// directory is the book as sessions see it.
type directory Node

// Peers implements peer.Directory.
func (d *directory) Peers(to *peer.Session) []wire.PeerAddr {
	remote, ok := addrPort(to.RemoteAddr())
	if !ok {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.book.share(remote.Addr(), d.cfg.Clock())
}

// Heard implements peer.Directory.
func (d *directory) Heard(from *peer.Session, list []wire.PeerAddr) {
	remote, ok := addrPort(from.RemoteAddr())
	if !ok {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range list[:min(len(list), heardAtOnce)] {
		if p.Node != d.session.Node {
			d.mu.book.hear(p.AddrPort(), p.Node, remote.Addr())
		}
	}
}

// saveBook writes the book to the store if it has changed.
func (n *Node) saveBook() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.mu.book.changed {
		return
	}
	raw, err := n.mu.book.save()
	if err == nil {
		err = n.cfg.Store.SetMeta(bookKey, raw)
	}
	if err != nil {
		n.log.Error("the address book cannot be saved", "err", err)
	}
}

// addrPort returns the IP address and port of a connection.
func addrPort(a net.Addr) (netip.AddrPort, bool) {
	at, err := netip.ParseAddrPort(a.String())
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), err == nil
}

// isLocal reports whether an address is in the operator's own networks.
func isLocal(a netip.Addr) bool { return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() }
