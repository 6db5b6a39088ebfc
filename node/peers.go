package node

import (
	"context"
	"slices"
	"time"

	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/link"
	"github.com/shoalnet/shoal/peer"
)

// PeerInfo is a peer that is connected.
type PeerInfo struct {
	Name           string // as events have it: its address
	Client         string // what it says it is
	Inbound        bool   // it has dialled us
	Since          time.Time
	Received, Sent uint64 // bytes
	// Key is what the peer has proved to be, over an encrypted link; zero: it is in plain.
	Key link.ID
	// Who is the name under which its [Standing] is remembered, "" if nothing tells it
	// from others.
	Who string
}

// Peers returns the connected peers, whoever has been here longest first. It is safe
// for concurrent use.
func (n *Node) Peers() []PeerInfo {
	n.mu.Lock()
	keys := make(map[*peer.Session]link.ID, len(n.mu.ids))
	for _, s := range n.mu.ids {
		keys[s] = n.mu.keys[s]
	}
	n.mu.Unlock()
	list := make([]PeerInfo, 0, len(keys))
	for s, key := range keys {
		list = append(list, PeerInfo{
			Name: remote{s}.String(), Client: s.Hello().Client, Inbound: s.Inbound(),
			Since: s.Since(), Received: s.Received(), Sent: s.Sent(), Key: key, Who: whoIs(s, key),
		})
	}
	slices.SortFunc(list, func(a, b PeerInfo) int { return a.Since.Compare(b.Since) })
	return list
}

// Sent returns how many bytes have been sent to peers since the node runs, to those that
// have left too. It is safe for concurrent use.
func (n *Node) Sent() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	sum := n.mu.sent
	for _, s := range n.mu.ids {
		sum += s.Sent()
	}
	return sum
}

// Survey returns a picture of the chain by its blocks; see [downloader.Downloader.Survey].
func (n *Node) Survey(ctx context.Context) (downloader.Survey, bool) { return n.down.Survey(ctx) }

// Standings returns what is remembered of peers, the worst first. It is safe for
// concurrent use.
func (n *Node) Standings() []Standing { return n.memory.list(time.Now()) }
