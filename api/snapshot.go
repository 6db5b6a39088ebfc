package api

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/shoalnet/shoal/downloader"
)

// Snapshot is all that a person sees of a node at a time. It is made for a page that asks
// for it every half second, and its size is bounded, however long the chain is.
type Snapshot struct {
	At      time.Time `json:"at"`
	Summary string    `json:"summary"` // what the node does now, in a sentence
	Status  Status    `json:"status"`
	Peers   Peers     `json:"peers"`
	Why     Spent     `json:"why_seconds"` // of all peers, those that have left too
	Traffic Traffic   `json:"traffic"`
	Chain   *Chain    `json:"chain,omitempty"` // nil: the node was too busy to say
}

// Traffic is what was sent, and what came of blocks and other content, in bytes.
type Traffic struct {
	Sent        uint64 `json:"sent"`
	Useful      uint64 `json:"useful"`
	Duplicate   uint64 `json:"duplicate"`
	Unrequested uint64 `json:"unrequested"`
	InFlight    int64  `json:"in_flight"` // expected
	Held        int64  `json:"held"`      // here, and not stored yet
}

// Chain is a picture of the chain by its blocks, counted from 1.
type Chain struct {
	Head  uint64 `json:"head"`  // youngest linked block
	To    uint64 `json:"to"`    // youngest block
	Known uint64 `json:"known"` // from here on hashes are known
	Width uint64 `json:"width"` // blocks in a stretch
	// Brought counts the blocks of each stretch, by the mark of who brought them.
	Brought  map[string][]uint32 `json:"brought"`
	InFlight []uint32            `json:"in_flight"`
	Marks    []Marked            `json:"marks"`
	Window   Window              `json:"window"`
}

// Marked is who has a mark.
type Marked struct {
	Mark    string `json:"mark"`
	Name    string `json:"name"`
	Present bool   `json:"present"` // it is connected
}

// Window is the part of the chain in which most is going on, block by block or nearly so.
type Window struct {
	From  uint64 `json:"from"`  // number of the first block
	Width uint64 `json:"width"` // blocks in a cell
	// Cells has two letters for each cell: one for its state (u unknown, w wanted, f in
	// flight, h held, l linked), and the mark, or a blank.
	Cells string `json:"cells"`
}

// surveyTimeout is how long a node may take to look at its chain. It takes a millisecond
// if it is not busy; a snapshot without the chain is better than none.
const surveyTimeout = 2 * time.Second

// Snapshot returns what a person sees. It is safe for concurrent use.
func (s *Server) Snapshot(ctx context.Context) Snapshot {
	a := shoalAPI{s}
	p, sent := s.cfg.Tracker.pool(), s.cfg.Node.Sent()
	shot := Snapshot{
		At: time.Now(), Status: a.Status(), Peers: a.Peers(), Why: a.Why().Total,
		Traffic: Traffic{sent, p.UsefulBytes, p.DuplicateBytes, p.UnrequestedBytes, p.InFlightBytes, p.HeldBytes},
	}
	shot.Summary = summaryOf(&shot, s.cfg.Tracker.notReady() == "")
	ctx, cancel := context.WithTimeout(ctx, surveyTimeout)
	defer cancel()
	if v, ok := s.cfg.Node.Survey(ctx); ok {
		shot.Chain = chainOf(&v)
	}
	return shot
}

// Past returns what happened after a note and a point, as far as it is remembered, oldest
// first. It is safe for concurrent use.
func (s *Server) Past(note, point uint64) ([]Note, []Point) {
	t := s.cfg.Tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.journal.since(note), t.history.since(point)
}

func chainOf(v *downloader.Survey) *Chain {
	c := &Chain{Head: v.Head, To: v.To, Known: v.Known, Width: v.Width, InFlight: v.InFlight, Brought: make(map[string][]uint32), Marks: []Marked{}}
	for m, counts := range v.Brought {
		name := markName(downloader.Mark(m))
		if counts != nil {
			c.Brought[name] = counts
		}
		if v.Names[m] != "" {
			c.Marks = append(c.Marks, Marked{name, v.Names[m], v.Present[m]})
		}
	}
	var cells strings.Builder
	for _, x := range v.Window.Cells {
		mark := markName(x.Mark)
		if mark == "" {
			mark = " "
		}
		cells.WriteByte("uwfhl"[x.State])
		cells.WriteString(mark)
	}
	c.Window = Window{v.Window.From, v.Window.Width, cells.String()}
	return c
}

// summaryOf says in a sentence what a node does. Figures that change all the time are not
// in it.
func summaryOf(s *Snapshot, ready bool) string {
	n := s.Status.Node
	peers := humanize.Comma(int64(n.Peers)) + " peers"
	if n.Peers == 1 {
		peers = "1 peer"
	}
	switch {
	case n.Sync != nil && n.Waiting != "":
		return "The sync waits: " + n.Waiting + "."
	case n.Sync != nil && n.Phase == downloader.Hashes.String():
		return fmt.Sprintf("Finding out the chain and fetching its blocks from %s.", peers)
	case n.Sync != nil:
		why := n.Sync.Why.Explain()
		if n.Sync.Why == Transferring {
			why = "their links are the limit" // of all of them
		}
		return fmt.Sprintf("Fetching blocks from %s; %s.", peers, why)
	case n.Peers == 0 && len(s.Peers.Connected) == 0:
		return "No peer is connected."
	case n.Waiting != "":
		return "Waiting: " + n.Waiting + "."
	case n.Phase != downloader.Idle.String():
		return fmt.Sprintf("Looking for the head of a chain among %s.", peers)
	case ready && n.Peers > 0:
		return fmt.Sprintf("In sync with %s at block %s.", peers, humanize.Comma(int64(s.Status.Head.Number)))
	case n.Peers == 0:
		return fmt.Sprintf("Serving the chain up to block %s; no peer offers one.", humanize.Comma(int64(s.Status.Head.Number)))
	}
	return fmt.Sprintf("Asking %s what they have.", peers)
}
