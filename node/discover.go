package node

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/shoalnet/shoal/link"
	"github.com/shoalnet/shoal/peer"
	"github.com/shoalnet/shoal/wire"
)

const (
	// maxOutbound is how many peers are looked for, if the node has places for twice as
	// many: more bring no speed, and each is a place taken from somebody who cannot
	// be dialled.
	maxOutbound = 16

	// maxDialling is how many addresses of the book are dialled at once, maxNear how
	// many peers of one network (see group) the book leads to.
	maxDialling = 4
	maxNear     = 2

	// discoverInterval is how often places are looked for to fill, askInterval how
	// often peers are asked for addresses, and saveInterval how often the book is
	// saved if it has changed.
	discoverInterval = time.Second
	askInterval      = 5 * time.Minute
	saveInterval     = time.Minute
)

// outbound is how many of a number of places are kept for peers that we dial.
func outbound(sessions int) int { return min(maxOutbound, sessions/2) }

// discover keeps looking for peers until the context is cancelled: it asks those that are
// connected for addresses, and dials addresses while there are places.
func (n *Node) discover(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, maxDialling)
	tick := time.NewTicker(discoverInterval)
	defer tick.Stop()
	asked, saved := time.Now(), time.Now()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			n.saveBook()
			return
		}
		now := time.Now()
		if now.Sub(saved) >= saveInterval {
			saved = now
			n.saveBook()
		}
		if now.Sub(asked) >= askInterval {
			asked = now
			n.askAround()
		}
		for addr := range n.toDial(cap(slots) - len(slots)) {
			slots <- struct{}{}
			wg.Go(func() {
				err := n.meet(ctx, addr, func() { <-slots })
				n.log.Debug("address of the book", "addr", addr, "err", err)
			})
		}
	}
}

// toDial chooses at most so many addresses that are to be dialled now.
func (n *Node) toDial(most int) map[netip.AddrPort]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make(map[netip.AddrPort]bool)
	near := make(map[netip.Prefix]int)
	here := make(map[wire.NodeID]bool)
	out := n.dialled()
	for id := range n.mu.ids {
		here[id] = true
	}
	for addr, joined := range n.mu.meeting {
		near[group(addr.Addr())]++
		if !joined { // else it is one of the sessions
			out++
		}
	}
	now := n.cfg.Clock()
	for ; len(list) < most && out < outbound(n.budget.sessions); out++ {
		addr, ok := n.mu.book.pick(now, func(a *address) bool {
			_, banned := n.memory.banned(nameOf(a.Addr), now)
			_, meeting := n.mu.meeting[a.Addr]
			return banned || meeting || here[a.Node] || n.knows(a.Node) || n.links.named(a.Addr) ||
				!isLocal(a.Addr.Addr()) && near[group(a.Addr.Addr())] >= maxNear
		})
		if !ok {
			break
		}
		list[addr] = true
		near[group(addr.Addr())]++
		n.mu.meeting[addr] = false
	}
	return list
}

// dialled counts the sessions that we have dialled. It is called with the lock held.
func (n *Node) dialled() (out int) {
	for _, s := range n.mu.ids {
		if !s.Inbound() {
			out++
		}
	}
	return out
}

// meet dials an address of the book and runs a session there. It calls dialled when it
// is known whether that has come about.
func (n *Node) meet(ctx context.Context, addr netip.AddrPort, dialled func()) error {
	conn, err := n.connect(ctx, link.Addr{HostPort: addr.String()})
	dialled()
	if err == nil {
		err = n.run(ctx, conn, false)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.cfg.Clock()
	switch {
	case errors.Is(err, peer.ErrSelf):
		n.mu.book.isOwn(addr)
	case n.mu.meeting[addr] || isReason(err, wire.ReasonAlreadyConnected):
		n.mu.book.left(addr, now)
	case ctx.Err() == nil:
		n.mu.book.failed(addr, now)
	}
	delete(n.mu.meeting, addr)
	return err
}

func isReason(err error, r wire.Reason) bool {
	d, ok := errors.AsType[*peer.Disconnected](err)
	return ok && d.Reason == r
}

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
