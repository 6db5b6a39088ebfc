package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/store"
)

// defaultPort is that of the protocol.
const defaultPort = "30303"

func newNode() *cobra.Command {
	o := &options{}
	var listen string
	var peers []string
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Serve the chain and keep it in sync until stopped",
		Long: `Serve the chain to whoever connects, and keep it in sync with the peers that are
named. The address that it listens on is printed on standard output as the line
"listening on ADDRESS". Stop it with Ctrl-C.`,
		Example: `  shoal node --listen 127.0.0.1:0
  shoal node --peer 192.0.2.7:30303 --peer 192.0.2.8:30303`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ui, err := o.ui()
			if err != nil {
				return err
			}
			if peers, err = checkPeers(peers); err != nil {
				return err
			}
			st, net, err := o.open(ui.Logger)
			if err != nil {
				return err
			}
			defer closeStore(st, &err)
			l, err := listenTCP(listen)
			if err != nil {
				return err
			}
			if !o.json {
				fmt.Println("listening on", l.Addr())
			}
			ui.Info("node is up", "listen", l.Addr().String(), "network", net.Name, "head", st.Head().Number)
			w := newWatcher(ui)
			defer w.stop()
			n, err := node.New(node.Config{
				Network: net, Store: st, Listener: l, Peers: peers, Client: clientName(), Events: w.event, Logger: ui.Logger,
			})
			if err != nil {
				l.Close()
				return err
			}
			if err := n.Run(cmd.Context()); err != nil {
				return err
			}
			h := headOf(st.Head())
			ui.Info("node is down", "head", h.Number)
			if o.json {
				return o.result(map[string]any{"listen": l.Addr().String(), "head": h}, nil)
			}
			return nil
		},
	}
	o.add(cmd)
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:"+defaultPort, "`address` to listen on; port 0 takes a free one")
	cmd.Flags().StringArrayVar(&peers, "peer", nil, "`address` of a peer, host:port; may be given again and again")
	return cmd
}

func newSync() *cobra.Command {
	o := &options{}
	var peers []string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "sync --peer ADDRESS...",
		Short: "Sync to the best chain that the peers offer, then stop",
		Long: `Sync to the best chain that the named peers offer, then stop. A sync that was
interrupted goes on where it was; nothing that is stored is fetched again. A peer
that cannot be reached does not matter as long as another one can.`,
		Example: `  shoal sync --peer 192.0.2.7:30303 --peer 192.0.2.8:30303 --timeout 1h`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ui, err := o.ui()
			if err != nil {
				return err
			}
			if len(peers) == 0 {
				return usage("name at least one peer with --peer host:port")
			}
			if peers, err = checkPeers(peers); err != nil {
				return err
			}
			st, net, err := o.open(ui.Logger)
			if err != nil {
				return err
			}
			defer closeStore(st, &err)
			ctx := cmd.Context()
			if timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, timeout, errTimeout)
				defer cancel()
			}
			w := newWatcher(ui)
			report, err := syncTo(ctx, st, net, peers, w)
			w.stop()
			if errors.Is(err, errTimeout) {
				return incomplete("not in sync after %v: %s", timeout, w.state())
			}
			if err != nil {
				return err
			}
			return o.result(report, func() {
				fmt.Printf("in sync: %v\n%d blocks fetched, %d duplicates\n", report.Head, report.Fetched, report.Duplicates)
			})
		},
	}
	o.add(cmd)
	cmd.Flags().StringArrayVar(&peers, "peer", nil, "`address` of a peer, host:port; may be given again and again")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "give up after this `time`, such as 90s or 2h (default: never)")
	return cmd
}

var errTimeout = errors.New("timeout")

// syncReport is the result of a sync.
type syncReport struct {
	Head       head       `json:"head"`
	Fetched    uint64     `json:"fetched"`        // blocks
	Bytes      uint64     `json:"bytes"`          // of them
	Received   uint64     `json:"received_bytes"` // with hashes and all else
	Duplicates uint64     `json:"duplicate_blocks"`
	Peers      []peerLine `json:"peers"`
	Seconds    float64    `json:"seconds"`
}

// peerLine is one peer's share.
type peerLine struct {
	ID     string `json:"id"`
	Blocks uint64 `json:"blocks"`
	Bytes  uint64 `json:"bytes"`
}

// syncTo runs a node without a listener until there is nothing left to fetch.
func syncTo(ctx context.Context, st *store.Store, net *chain.Network, peers []string, w *watcher) (syncReport, error) {
	began := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w.await(len(peers), func() { cancel(errDone) })
	n, err := node.New(node.Config{Network: net, Store: st, Peers: peers, Client: clientName(), Events: w.event, Logger: w.ui.Logger})
	if err != nil {
		return syncReport{}, err
	}
	err = n.Run(ctx)
	if cause := context.Cause(ctx); err == nil || errors.Is(err, cause) {
		err = cause
	}
	r := w.report()
	r.Head = headOf(st.Head())
	r.Seconds = time.Since(began).Seconds()
	if errors.Is(err, errDone) {
		err = nil
	}
	return r, err
}

var errDone = errors.New("done")

// listenTCP listens, with a sentence for the usual mistakes.
func listenTCP(addr string) (net.Listener, error) {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, usage("--listen %q: want host:port, such as 127.0.0.1:%s", addr, defaultPort)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w; is another node running? port 0 takes a free one", err)
	}
	return l, nil
}

// checkPeers gives each address a port, and refuses what is no address.
func checkPeers(peers []string) ([]string, error) {
	var out []string
	seen := map[string]bool{}
	for _, p := range peers {
		host, port, err := net.SplitHostPort(p)
		if err != nil {
			host, port, err = net.SplitHostPort(net.JoinHostPort(p, defaultPort))
		}
		if err != nil || host == "" || port == "" {
			return nil, usage("--peer %q: want host:port, such as 192.0.2.7:%s", p, defaultPort)
		}
		if _, err := net.LookupPort("tcp", port); err != nil {
			return nil, usage("--peer %q: %q is not a port", p, port)
		}
		if addr := net.JoinHostPort(host, port); !seen[addr] {
			seen[addr] = true
			out = append(out, addr)
		}
	}
	return out, nil
}

func clientName() string { return "Shoal/" + version() }

// watcher follows the events of a node: it logs them, draws the progress, adds up
// the shares, and knows when a sync is done.
type watcher struct {
	ui *ui

	mu   sync.Mutex
	bar  *bar // while a chain is being fetched
	line syncLine
	text string
	gone []downloader.PeerProgress // peers that have left
	last downloader.Progress

	addresses int             // to be tried before all is done
	failed    map[string]bool // of them, those that cannot be reached
	joined    int             // peers that are connected
	settled   bool
	done      func()
}

func newWatcher(u *ui) *watcher {
	return &watcher{ui: u, failed: map[string]bool{}}
}

// await has done called when every address has been tried and nothing is left to
// fetch from those that answered.
func (w *watcher) await(addresses int, done func()) { w.addresses, w.done = addresses, done }

func (w *watcher) event(e any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case node.DialFailed:
		w.failed[e.Addr] = true
		w.ui.Debug("no connection", "peer", e.Addr, "err", e.Err, "again", e.Again)
		if w.joined == 0 {
			w.text = fmt.Sprintf("no peer can be reached; %s: %v", e.Addr, e.Err)
		}
	case node.NoChain:
		w.failed[e.Addr] = true
		w.ui.Info("peer serves no chain", "peer", e.Addr)
	case downloader.Joined:
		w.joined++
		w.settled = false
		w.ui.Info("peer joined", "peer", e.Peer, "td", e.Claim.TD.Dec())
	case downloader.Left:
		w.joined--
		w.gone = append(w.gone, e.PeerProgress)
		w.ui.Info("peer left", "peer", e.Name)
	case downloader.Started:
		w.settled = false
		w.ui.Info("fetching a chain", "head", e.Head, "number", e.Number, "td", e.TD.Dec(), "resumed", e.Resumed)
		if w.bar == nil {
			w.bar = newBar("blocks", nil, w.ui)
		}
	case downloader.Progress:
		w.last = e
		if e.Phase == downloader.Idle {
			break
		}
		done, all, text := w.line.describe(e)
		w.text = text
		if w.bar != nil {
			w.bar.set(done, all, text)
		}
	case downloader.Finished:
		w.endBar()
		w.ui.Info("chain fetched", "head", e.Head, "canonical", e.Moved)
	case downloader.Abandoned:
		w.endBar()
		w.ui.Warn("chain given up", "head", e.Head, "why", e.Why)
	case downloader.HeadMoved:
		if e.Reorged {
			w.ui.Info("reorg", "from", e.Old.Number, "to", e.New.Number, "ancestor", e.Ancestor)
		}
	case downloader.Settled:
		w.settled = true
		w.ui.Info("in sync with all peers", "number", e.Head.Number, "head", e.Head.Hash)
	case downloader.Late:
		w.ui.Info("peer is late", "peer", e.Peer, "blocks", e.Keys)
	case downloader.Dropped:
		w.ui.Warn("peer dropped", "peer", e.Peer, "why", e.Evidence)
	}
	if w.done != nil && w.settled && w.joined > 0 && w.joined+len(w.failed) >= w.addresses {
		w.done()
	}
}

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

// state says what is going on, for a person who waits.
func (w *watcher) state() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.text == "" {
		return "no peer has answered"
	}
	return w.text
}

// report adds up what came from whom.
func (w *watcher) report() syncReport {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := syncReport{Fetched: w.last.Stored, Bytes: w.last.Bytes, Duplicates: w.last.Pool.Duplicates, Peers: []peerLine{}}
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
