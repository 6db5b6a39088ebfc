package node

import (
	"context"
	"errors"
	"math/rand/v2"
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

	// discoverInterval is how often places are looked for to fill, half of it more or less:
	// two nodes that dial each other in the same moment refuse each other's session, since
	// each has one already, and would do so again and again if they kept the same time.
	// askInterval is how often peers are asked for addresses, and saveInterval how often
	// the book is saved if it has changed.
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
	asked, saved := time.Now(), time.Now()
	for {
		select {
		case <-time.After(discoverInterval/2 + rand.N(discoverInterval)):
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
