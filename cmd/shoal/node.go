package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/node"
)

// defaultPort is that of the protocol.
const defaultPort = "30303"

func newNode() *cobra.Command {
	o := &options{}
	seals := &sealOptions{}
	limits := &limitOptions{}
	web := &httpOptions{}
	var listen string
	var peers []string
	var receipts bool
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Serve the chain and keep it in sync until stopped",
		Long: `Serve the chain to whoever connects, and keep it in sync with the peers that are
named. The address that it listens on is printed on standard output as the line
"listening on ADDRESS". Stop it with Ctrl-C.

"shoal status", "shoal status --why" and "shoal peers" ask a node that runs. With
--http-addr it also answers programs, in JSON-RPC over HTTP and WebSocket as other
Ethereum nodes do, as far as no state is needed (namespaces eth, net, web3, debug;
eth_subscribe to newHeads and syncing); Prometheus under /metrics; and who watches
over it under /healthz and /readyz.`,
		Example: `  shoal node --listen 127.0.0.1:0
  shoal node --peer 192.0.2.7:30303 --peer 192.0.2.8:30303
  shoal node --http-addr :8545 --upload-limit 2MB --max-peers 30`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ui, err := o.ui()
			if err != nil {
				return err
			}
			if peers, err = checkPeers(peers); err != nil {
				return err
			}
			if err := checkListen(listen); err != nil {
				return err
			}
			if err := web.check(); err != nil {
				return err
			}
			var cfg node.Config
			if err := limits.configure(&cfg); err != nil {
				return err
			}
			st, net, err := o.open(ui.Logger)
			if err != nil {
				return err
			}
			defer closeStore(st, &err)
			if err := seals.configure(&cfg, net); err != nil {
				return err
			}
			l, err := listenTCP(listen)
			if err != nil {
				return err
			}
			if err := web.listen(); err != nil {
				l.Close()
				return err
			}
			to := os.Stdout
			if o.json {
				to = os.Stderr
			}
			w := newWatcher(ui)
			defer w.stop()
			w.up = func() {
				if web.listener != nil {
					fmt.Fprintf(to, "answering on http://%s\n", web.listener.Addr())
				}
				fmt.Fprintln(to, "listening on", l.Addr())
				ui.Info("node is up", "listen", l.Addr().String(), "network", net.Name, "head", st.Head().Number)
			}
			cfg.Network, cfg.Store, cfg.Listener, cfg.Peers, cfg.Receipts = net, st, l, peers, receipts
			if err := runNode(cmd.Context(), cfg, w, o.dataDir, web); err != nil {
				return err
			}
			h := api.HeadOf(st.Head())
			ui.Info("node is down", "head", h.Number)
			if o.json {
				return o.result(map[string]any{"listen": l.Addr().String(), "head": h}, nil)
			}
			return nil
		},
	}
	o.add(cmd)
	seals.add(cmd)
	limits.add(cmd)
	web.add(cmd)
	cmd.Flags().BoolVar(&receipts, "receipts", false, receiptsUsage)
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:"+defaultPort, "`address` to listen on; port 0 takes a free one")
	addPeers(cmd, &peers)
	return cmd
}

func newSync() *cobra.Command {
	o := &options{}
	seals := &sealOptions{}
	limits := &limitOptions{}
	from := &fetchOptions{}
	var receipts bool
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
			if len(from.peers) == 0 {
				return usage("name at least one peer with --peer host:port")
			}
			if err := from.check(); err != nil {
				return err
			}
			var cfg node.Config
			if err := limits.configure(&cfg); err != nil {
				return err
			}
			st, net, err := o.open(ui.Logger)
			if err != nil {
				return err
			}
			defer closeStore(st, &err)
			ctx, cancel := from.within(cmd.Context())
			defer cancel()
			cfg.Network, cfg.Store, cfg.Peers = net, st, from.peers
			if err := seals.configure(&cfg, net); err != nil {
				return err
			}
			cfg.Receipts = receipts
			w := newWatcher(ui)
			w.receipts = receipts
			report, err := syncTo(ctx, cfg, w, o.dataDir)
			w.stop()
			if errors.Is(err, errTimeout) {
				return incomplete("not in sync after %v: %s", from.timeout, w.state())
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
	seals.add(cmd)
	limits.add(cmd)
	from.add(cmd)
	cmd.Flags().BoolVar(&receipts, "receipts", false, receiptsUsage)
	return cmd
}

const receiptsUsage = "fetch the receipts of the canonical chain too, from the peers that have them"

// syncReport is the result of a sync.
type syncReport struct {
	Head           api.Head   `json:"head"`
	Fetched        uint64     `json:"fetched"`        // blocks
	Bytes          uint64     `json:"bytes"`          // of them
	Received       uint64     `json:"received_bytes"` // with hashes and all else
	Duplicates     uint64     `json:"duplicate_blocks"`
	DuplicateBytes uint64     `json:"duplicate_bytes"`
	Peers          []peerLine `json:"peers"`
	Seconds        float64    `json:"seconds"`
}

// peerLine is one peer's share.
type peerLine struct {
	ID     string `json:"id"`
	Blocks uint64 `json:"blocks"`
	Bytes  uint64 `json:"bytes"`
}

// syncTo runs a node without a listener until there is nothing left to fetch.
func syncTo(ctx context.Context, cfg node.Config, w *watcher, dir string) (syncReport, error) {
	began := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w.await(cfg.Peers, func() { cancel(errDone) })
	cfg.Dial = w.dial
	err := runNode(ctx, cfg, w, dir, &httpOptions{})
	if cause := context.Cause(ctx); err == nil || errors.Is(err, cause) {
		err = cause
	}
	r := w.report()
	r.Head = api.HeadOf(cfg.Store.Head())
	r.Seconds = time.Since(began).Seconds()
	if errors.Is(err, errDone) {
		err = nil
	}
	return r, err
}

var errDone = errors.New("done")

// checkListen refuses what is no address to listen on.
func checkListen(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return usage("--listen %q: want host:port, such as 127.0.0.1:%s", addr, defaultPort)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return usage("--listen %q: %q is not a port", addr, port)
	}
	return nil
}

// listenTCP listens, with a sentence for the usual mistake.
func listenTCP(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("--listen: %w; is another node running? port 0 takes a free one", err)
	}
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	return l, nil
}

func clientName() string { return "Shoal/" + version() }

// watcher follows the events of a node: it logs them, draws the progress, adds up
// the shares, and knows when a sync is done.
type watcher struct {
	ui *ui

	mu      sync.Mutex
	tracker *api.Tracker
	up      func() // called when the node can be asked; nil: nothing is

	bar  *bar                      // while a chain is being fetched, on a terminal
	line time.Time                 // when a line about it was last logged
	gone []downloader.PeerProgress // peers that have left
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
	w.untried, w.done = map[string]bool{}, done
	for _, a := range addresses {
		w.untried[a] = true
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
	peer := conn.RemoteAddr().String()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.dialled[peer], addr) {
		w.dialled[peer] = append(w.dialled[peer], addr)
	}
	return conn, nil
}

// tried notes what came of the addresses of a peer; err is nil if it has joined.
func (w *watcher) tried(peer string, err error) {
	for _, addr := range append(w.dialled[peer], peer) {
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
		w.tried(e.Addr, errNoChain)
		w.ui.Info("peer serves no chain", "peer", e.Addr)
	case downloader.Joined:
		w.joined++
		w.tried(e.Peer, nil)
		w.settled = false
		w.ui.Info("peer joined", "peer", e.Peer, "td", e.Claim.TD.Dec())
	case downloader.Left:
		w.joined--
		w.gone = append(w.gone, e.PeerProgress)
		w.ui.Info("peer left", "peer", e.Name)
	case downloader.Started:
		w.settled = false
		w.ui.Info("fetching a chain", "head", e.Head, "number", e.Number, "td", e.TD.Dec(), "resumed", e.Resumed)
		if w.bar == nil && isTerminal(os.Stderr) {
			w.bar = newBar("blocks", nil, w.ui)
		}
	case downloader.Progress:
		w.last = e
		if e.Phase == downloader.Idle {
			break
		}
		switch n := w.tracker.Node(); {
		case w.bar == nil && e.At.Sub(w.line) >= lineInterval:
			w.line = e.At
			w.ui.Info(progressLine(&n))
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
		if e.Reorged {
			w.ui.Info("reorg", "from", e.Old.Number, "to", e.New.Number, "ancestor", e.Ancestor)
		}
	case downloader.Settled:
		w.settled, w.unproven, w.head = true, e.Unproven, e.Head.Hash
		switch {
		case w.joined == 0:
		case e.Unproven > 0:
			w.ui.Warn("in sync; some peers claim more and do not send it", "number", e.Head.Number, "head", e.Head.Hash, "of them", e.Unproven)
		default:
			w.ui.Info("in sync with all peers", "number", e.Head.Number, "head", e.Head.Hash)
		}
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

// state says what is going on, for a person who waits.
func (w *watcher) state() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.joined == 0 && len(w.failed) > 0:
		var why []string
		for _, addr := range slices.Sorted(maps.Keys(w.failed)) {
			why = append(why, fmt.Sprintf("%s: %v", addr, w.failed[addr]))
		}
		return "no peer is connected; " + strings.Join(why, "; ")
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
