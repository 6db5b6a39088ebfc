package node

import (
	"slices"
	"time"

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
			Since: s.Since(), Received: s.Received(), Sent: s.Sent(), Key: key,
		})
	}
	slices.SortFunc(list, func(a, b PeerInfo) int { return a.Since.Compare(b.Since) })
	return list
}

// Standings returns what is remembered of peers, the worst first. It is safe for
// concurrent use.
func (n *Node) Standings() []Standing { return n.memory.list(time.Now()) }
