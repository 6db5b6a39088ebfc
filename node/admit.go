package node

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/shoalnet/shoal/peer"
	"github.com/shoalnet/shoal/wire"
)

// accept takes connections until the context is cancelled, and gives each to meet.
func (n *Node) accept(ctx context.Context, l net.Listener, meet func(context.Context, net.Conn)) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, maxStrangers+n.budget.sessions) // one for each connection
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			// Out of file descriptors, for one: wait for some to be closed.
			n.log.Warn("accepting a connection", "err", err)
			select {
			case <-time.After(redialMin):
				continue
			case <-ctx.Done():
				return nil
			}
		}
		if !n.enter(conn) {
			conn.Close()
			continue
		}
		select {
		case slots <- struct{}{}:
			wg.Go(func() {
				defer func() { <-slots }()
				defer n.leave(conn)
				meet(ctx, conn)
			})
		default:
			n.leave(conn)
			conn.Close()
		}
	}
}

func (n *Node) enter(conn net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.crowd.enter(conn.RemoteAddr())
}

func (n *Node) leave(conn net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.crowd.leave(conn.RemoteAddr())
}

// admit refuses a second session with the same peer, and more sessions than the
// node has room for.
func (n *Node) admit(s *peer.Session) error {
	id := s.Hello().Node
	n.mu.Lock()
	key, encrypted := n.mu.keys[s]
	n.mu.Unlock()
	if st, banned := n.memory.banned(whoIs(s, key), n.cfg.Clock()); banned {
		n.log.Info("refusing a banned peer", "peer", st.Who, "until", st.Until.UTC().Format(time.DateTime))
		return &peer.Disconnected{Reason: wire.ReasonUselessPeer}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.mu.ids[id] != nil:
		return &peer.Disconnected{Reason: wire.ReasonAlreadyConnected}
	case !encrypted && n.knows(id):
		n.log.Info("refusing in plain whom we meet over an encrypted link", "peer", s.RemoteAddr().String())
		return &peer.Disconnected{Reason: wire.ReasonUselessPeer}
	case n.full(s.Inbound() && !encrypted) && !n.evict():
		return &peer.Disconnected{Reason: wire.ReasonTooManyPeers}
	}
	n.mu.ids[id] = s
	if encrypted {
		n.mu.known[key] = id
	}
	return nil
}

// full reports whether there is no place for one more session. Those that have dialled us
// leave some to the peers that we dial: they could not take all, or who fills the others
// would cut us off from the network. It is called with the lock held.
func (n *Node) full(inbound bool) bool {
	places := n.budget.sessions
	if !inbound {
		return len(n.mu.ids) >= places
	}
	kept := min(len(n.cfg.Peers), places/2)
	if n.cfg.Discover {
		kept = max(kept, outbound(places))
	}
	in := len(n.mu.ids) - n.dialled()
	return in >= places-kept || len(n.mu.ids) >= places
}

// evict ends the session that is of least use to anybody, so that there is a place for
// another one: it has dialled us and then done nothing. It reports false if all are of
// use. It is called with the lock held.
func (n *Node) evict() bool {
	var idle *peer.Session
	for _, s := range n.mu.ids {
		age := time.Since(s.Since())
		chatter := idleBytes + uint64(age.Seconds()*idleRate)
		if s.Inbound() && age >= idleAfter && s.Received()+s.Sent() < chatter && (idle == nil || s.Since().Before(idle.Since())) {
			idle = s
		}
	}
	if idle == nil {
		return false
	}
	delete(n.mu.ids, idle.Hello().Node)
	idle.Disconnect(wire.ReasonTooManyPeers)
	return true
}
