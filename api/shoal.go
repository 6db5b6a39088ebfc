package api

import (
	"context"
	"encoding/json"
	"time"

	"github.com/shoalnet/shoal/node"
)

// shoalAPI is the namespace shoal. Each method is a call without parameters.
type shoalAPI struct{ s *Server }

// Status is shoal_status.
func (a shoalAPI) Status() Status {
	s := a.s
	status := StatusOf(s.cfg.Store)
	n := s.cfg.Tracker.Node()
	n.Client, n.Since = s.cfg.Client, s.began
	for _, p := range s.cfg.Node.Peers() {
		if !p.Key.IsZero() {
			n.Links++
		}
	}
	status.Node = &n
	return status
}

// Why is shoal_why.
func (a shoalAPI) Why() Why { return a.s.cfg.Tracker.Why() }

// View is what somebody sees who looks at a node now: a snapshot, and what happened lately.
type View struct {
	Snapshot
	Notes  []Note  `json:"notes"` // oldest first, as the points
	Points []Point `json:"points"`
}

// View is shoal_view.
func (a shoalAPI) View(ctx context.Context) View {
	notes, points := a.s.Past(0, 0)
	return View{a.s.Snapshot(ctx), notes, points}
}

// Peers is shoal_peers.
func (a shoalAPI) Peers() Peers {
	s := a.s
	list := Peers{Connected: []Peer{}, Standings: s.cfg.Node.Standings()}
	if list.Standings == nil {
		list.Standings = []node.Standing{}
	}
	now := time.Now()
	scores := make(map[string]float64)
	for i := range list.Standings {
		scores[list.Standings[i].Who] = list.Standings[i].ScoreAt(now)
	}
	shares := s.cfg.Tracker.shares()
	for _, p := range s.cfg.Node.Peers() {
		peer := Peer{
			Name: p.Name, Client: p.Client, Inbound: p.Inbound, Seconds: time.Since(p.Since).Seconds(),
			Received: p.Received, Sent: p.Sent, Why: NothingToFetch, Score: scores[p.Who],
		}
		if !p.Key.IsZero() {
			peer.Key = p.Key.String()
		}
		if q, ok := shares[p.Name]; ok {
			head := q.Claim.Head
			peer.Head, peer.TD = &head, json.Number(q.Claim.TD.Dec())
			peer.Blocks, peer.Bytes, peer.Duplicates, peer.Late = q.Useful, q.UsefulBytes, q.Duplicates, q.PeerStats.Late
			peer.Rate, peer.RoundTrip, peer.InFlight = float64(q.Rate), q.RoundTrip.Seconds(), q.InFlight
			peer.Mark = markName(q.Mark)
			peer.Why, peer.Spent = q.track.now, q.track.spent
		}
		list.Connected = append(list.Connected, peer)
	}
	return list
}
