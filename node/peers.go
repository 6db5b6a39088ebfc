package node

import (
	"maps"
	"slices"
	"time"

	"github.com/shoalnet/shoal/peer"
)

// PeerInfo is a peer that is connected.
type PeerInfo struct {
	Name           string // as events have it: its address
	Client         string // what it says it is
	Inbound        bool   // it has dialled us
	Since          time.Time
	Received, Sent uint64 // bytes
}

// Peers returns the connected peers, whoever has been here longest first. It is safe
// for concurrent use.
func (n *Node) Peers() []PeerInfo {
	n.mu.Lock()
	sessions := slices.Collect(maps.Values(n.mu.ids))
	n.mu.Unlock()
	list := make([]PeerInfo, 0, len(sessions))
	for _, s := range sessions {
		list = append(list, infoOf(s))
	}
	slices.SortFunc(list, func(a, b PeerInfo) int { return a.Since.Compare(b.Since) })
	return list
}

func infoOf(s *peer.Session) PeerInfo {
	return PeerInfo{
		Name: remote{s}.String(), Client: s.Hello().Client, Inbound: s.Inbound(),
		Since: s.Since(), Received: s.Received(), Sent: s.Sent(),
	}
}

// Standings returns what is remembered of peers, the worst first. It is safe for
// concurrent use.
func (n *Node) Standings() []Standing { return n.memory.list(time.Now()) }
