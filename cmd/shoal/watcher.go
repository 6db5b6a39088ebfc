package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/link"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/peer"
	"github.com/shoalnet/shoal/wire"
)

// waitingInterval is how often a sync that nobody is connected to says what it waits for: it may
// do so for ever, and a screen on which nothing moves does not say whether the program does. Ten
// times as often the lines would push away what was logged before.
const waitingInterval = 15 * time.Second

// watcher follows the events of a node: it logs them, draws the progress, adds up
// the shares, and knows when a sync is done.
type watcher struct {
	ui *ui

	mu      sync.Mutex
	tracker *api.Tracker
	up      func() // called when the node can be asked; nil: nothing is
	moved   func() // called when the head has moved; nil: nothing is

	bar  *bar                      // while a chain is being fetched, on a terminal
	line time.Time                 // when a line about it was last logged
	gone []downloader.PeerProgress // peers that have left, if there will be a report
	last downloader.Progress

	untried map[string]bool     // addresses that have neither answered nor failed yet
	failed  map[string]error    // addresses that were no good when last tried, and why
	dialled map[string][]string // addresses by the name of the peer that was found there
	joined  int                 // peers that are connected
	settled bool
	// receipts says that theirs are waited for too, up to the head that we are settled
	// at; receipted is up to which head they are here.
	receipts        bool
	head, receipted common.Hash
	// unproven is how many of them claim more than they could show.
	unproven int
	done     func()
}

func newWatcher(u *ui) *watcher {
	return &watcher{ui: u, tracker: api.NewTracker(), failed: map[string]error{}, dialled: map[string][]string{}}
}

// await has done called when every address has been tried and nothing is left to
// fetch from those that answered.
func (w *watcher) await(addresses []string, done func()) {
	w.untried, w.done, w.line = map[string]bool{}, done, time.Now()
	for _, a := range addresses {
		if at, err := link.ParseAddr(a); err == nil { // else the node says so
			w.untried[at.HostPort] = true
		}
	}
}

// dial connects to an address, and notes which peer is there: events name peers,
// an address may be the name of a host.
func (w *watcher) dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	name := conn.RemoteAddr().String()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.dialled[name], addr) {
		w.dialled[name] = append(w.dialled[name], addr)
	}
	return conn, nil
}

// tried notes what came of the addresses of a peer; err is nil if it has joined.
func (w *watcher) tried(name string, err error) {
	for _, addr := range append(w.dialled[name], name) {
		delete(w.untried, addr)
		if err == nil {
			delete(w.failed, addr)
		} else {
			w.failed[addr] = err
		}
	}
}

var errNoChain = errors.New("it serves no chain")

func (w *watcher) event(e any) {
	w.tracker.Event(e)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case node.DialFailed:
		level := slog.LevelDebug
		if w.failed[e.Addr] == nil { // once is enough for people
			level = slog.LevelInfo
		}
		w.ui.Log(context.Background(), level, "no connection", "peer", e.Addr, "err", e.Err, "again", e.Again)
		delete(w.untried, e.Addr)
		w.failed[e.Addr] = e.Err
	case node.NoChain:
		if w.done != nil { // else whoever connects would be remembered for ever
			w.tried(e.Addr, errNoChain)
		}
		w.ui.Info("peer serves no chain", "peer", e.Addr)
	case downloader.Joined:
		w.joined++
		w.tried(e.Peer, nil)
		w.settled = false
		w.ui.Info("peer joined", "peer", e.Peer, "td", e.Claim.TD.Dec())
	case downloader.Left:
		w.joined--
		if w.done != nil {
			w.gone = append(w.gone, e.PeerProgress)
		}
		w.ui.Info("peer left", "peer", e.Name)
	case downloader.Started:
		w.settled = false
		w.ui.Info("fetching a chain", "head", e.Head, "number", e.Number, "td", e.TD.Dec(), "resumed", e.Resumed)
		if w.bar == nil && w.ui.bars {
			w.bar = newBar("blocks", nil, w.ui)
		}
	case downloader.Progress:
		w.last = e
		if e.Phase == downloader.Idle {
			if w.done != nil && w.joined == 0 && e.At.Sub(w.line) >= waitingInterval {
				w.line = e.At
				w.ui.Info("still waiting for a peer", "why", w.state())
			}
			break
		}
		switch n := w.tracker.Node(); {
		case w.bar == nil && e.At.Sub(w.line) >= lineInterval:
			w.line = e.At
			w.logProgress(&n)
		case w.bar != nil && n.Sync != nil:
			w.bar.set(int64(n.Sync.Here), int64(n.Sync.All), progressRest(&n))
		}
	case downloader.Finished:
		w.endBar()
		w.ui.Info("chain fetched", "head", e.Head, "canonical", e.Moved)
	case downloader.Abandoned:
		w.endBar()
		w.ui.Warn("chain given up", "head", e.Head, "why", e.Why)
	case downloader.HeadMoved:
		if w.moved != nil {
			w.moved()
		}
		if e.Reorged {
			w.ui.Info("reorg", "from", e.Old.Number, "to", e.New.Number, "ancestor", e.Ancestor)
		}
	case downloader.Settled:
		w.settled, w.unproven, w.head = true, e.Unproven, e.Head.Hash
		switch {
		case w.joined == 0:
		case e.Unproven > 0:
			w.ui.Warn("in sync; some peers claim more and do not send it", "number", e.Head.Number, "head", e.Head.Hash, "unproven", e.Unproven)
		default:
			w.ui.Info("in sync with all peers", "number", e.Head.Number, "head", e.Head.Hash)
		}
	case downloader.Full:
		w.ui.Error("going on when there is room; what is here is served", "kind", e.Kind, "err", e.Err)
	case node.FilesFull:
		w.ui.Error("files are not fetched for want of room", "err", e.Err)
	case downloader.ReceiptsHere:
		w.receipted = e.Head.Hash
		w.ui.Info("receipts are complete", "number", e.Head.Number)
	case downloader.Late:
		w.ui.Info("peer is late", "peer", e.Peer, "blocks", e.Keys)
	case downloader.Dropped:
		w.ui.Warn("peer dropped", "peer", e.Peer, "why", e.Evidence)
	}
	if w.done != nil && w.settled && w.joined > w.unproven && len(w.untried) == 0 && !w.receiptsMissing() {
		w.done()
	}
}

// logProgress logs how a sync goes: a line to read, or numbers for a program.
func (w *watcher) logProgress(n *api.Node) {
	switch s := n.Sync; {
	case !w.ui.json:
		w.ui.Info(progressLine(n))
	case s == nil:
		w.ui.Info("looking for the head of a chain", "peers", n.Peers, "late", n.Late, "waiting", n.Waiting)
	default:
		w.ui.Info("fetching", "done", s.Here, "all", s.All, "blocks_per_second", s.BlocksPerSec, "bytes_per_second", s.BytesPerSec,
			"hashes", s.Hashes, "linked", s.Linked, "peers", n.Peers, "late", n.Late, "why", s.Why.String(), "waiting", n.Waiting)
	}
}

func (w *watcher) receiptsMissing() bool { return w.receipts && w.receipted != w.head }

func (w *watcher) endBar() {
	if w.bar != nil {
		w.bar.stop()
		w.bar = nil
	}
}

func (w *watcher) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endBar()
}

// outcome is the last state.
func (w *watcher) outcome() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state()
}

// state says what is going on, for a person who waits. The caller holds the lock.
func (w *watcher) state() string {
	switch {
	case w.joined == 0 && len(w.failed) > 0:
		why := []string{"no peer is connected"}
		foreign := false
		for _, addr := range slices.Sorted(maps.Keys(w.failed)) {
			err := w.failed[addr]
			why = append(why, fmt.Sprintf("%s: %v", addr, err))
			v, ok := errors.AsType[*peer.Violation](err)
			foreign = foreign || ok && v.Reason == wire.ReasonWrongGenesis
		}
		if foreign {
			why = append(why, "for the chain of another network there are --network and a directory of its own, --datadir")
		}
		return strings.Join(why, "; ")
	case w.joined == 0:
		return "no peer has answered"
	case w.last.At.IsZero():
		return "waiting for an answer from " + strings.Join(slices.Sorted(maps.Keys(w.untried)), ", ")
	case w.settled && w.receiptsMissing():
		return "receipts are missing, and no connected peer sends them"
	}
	n := w.tracker.Node()
	return progressLine(&n)
}

// report adds up what came from whom.
func (w *watcher) report() syncReport {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := syncReport{
		Fetched: w.last.Stored, Bytes: w.last.Bytes, Peers: []peerLine{},
		Duplicates: w.last.Pool.Duplicates, DuplicateBytes: w.last.Pool.DuplicateBytes,
	}
	at := map[string]int{}
	for _, p := range append(w.gone, w.last.Peers...) {
		i, ok := at[p.Name]
		if !ok {
			i = len(r.Peers)
			at[p.Name] = i
			r.Peers = append(r.Peers, peerLine{ID: p.Name})
		}
		r.Peers[i].Blocks += p.Useful
		r.Peers[i].Bytes += p.UsefulBytes
		r.Received += p.Received
	}
	return r
}
