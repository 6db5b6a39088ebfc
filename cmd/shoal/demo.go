package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/store"
)

// demoBlocks is how many blocks the demo generates where there is no real chain.
const demoBlocks = 8192

// demoReport is the result of the demo.
type demoReport struct {
	Source     string     `json:"source"`
	Network    string     `json:"network"`
	Blocks     uint64     `json:"blocks"` // that the fifth node has at the end, without the genesis block
	Head       api.Head   `json:"head"`
	Peers      []peerLine `json:"peers"`
	Duplicates uint64     `json:"duplicate_blocks"`
	Overhead   float64    `json:"overhead"` // bytes beyond the blocks, as a share of them
	Seconds    float64    `json:"seconds"`
}

func newDemo() *cobra.Command {
	o := &options{}
	var peers int
	cmd := &cobra.Command{
		Use:   "demo [FILE]",
		Short: "Watch a sync from several nodes on this machine",
		Long: `Start several nodes on the loopback interface that serve the chain of FILE, sync an
empty node from all of them at once, and check that it ends where the file does.
Everything is in temporary directories that are removed at the end. Seals are not
checked, so that what you see is the transfer.

Without FILE it takes the first 8192 blocks of Sepolia, if the Go tool finds them in
the source of go-ethereum, which comes with the source of this program; otherwise it
generates a chain.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if peers < 1 || peers > 32 {
				return usage("--peers %d: want 1 to 32", peers)
			}
			ui, err := o.ui()
			if err != nil {
				return err
			}
			dir, err := os.MkdirTemp("", "shoal-demo-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			d := demo{ui: ui, dir: dir, quiet: o.json}
			if len(args) == 1 {
				d.file, d.source = args[0], args[0]
				d.net, err = o.networkOf(args[0])
			} else {
				err = d.choose(cmd.Context())
			}
			if err != nil {
				return err
			}
			r, err := d.run(cmd.Context(), peers)
			if err != nil {
				return err
			}
			return o.result(r, r.print)
		},
	}
	o.addNetwork(cmd)
	cmd.Flags().Lookup("network").Usage = "`name` of the network of FILE (default: found from its first block)"
	o.log.add(cmd)
	cmd.Flags().Lookup("log-level").DefValue = "warn"
	o.log.level = "warn"
	cmd.Flags().Set("log-level", "warn")
	o.addJSON(cmd)
	cmd.Flags().IntVar(&peers, "peers", 4, "`number` of nodes that serve the chain")
	return cmd
}

// networkOf returns the network of the flag, or the one whose genesis block a file
// begins with or stands on.
func (o *options) networkOf(file string) (*chain.Network, error) {
	if o.network != "" {
		net, err := chain.NetworkByName(o.network)
		if err != nil {
			return nil, usage("--network: %w", err)
		}
		return net, nil
	}
	var first error // if no network can have such a block
	readable := false
	for _, net := range chain.Networks() {
		r, err := archive.Open(file, net, archive.Options{SkipBodies: true})
		if err != nil {
			return nil, err
		}
		b, err := r.Next()
		r.Close()
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		readable = true
		genesis, err := net.GenesisBlock()
		if err != nil {
			return nil, err
		}
		if b.Hash == genesis.Hash || b.Parent == genesis.Hash {
			return net, nil
		}
	}
	if !readable {
		return nil, first
	}
	return nil, usage("%s begins with no genesis block that is known: name its network with --network", file)
}

// demo is a running demo.
type demo struct {
	ui     *ui
	dir    string
	quiet  bool
	source string // for people
	file   string // "" if the chain is generated
	net    *chain.Network
}

// choose finds real blocks, or else settles for generated ones.
func (d *demo) choose(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/ethereum/go-ethereum").Output()
	if dir := strings.TrimSpace(string(out)); err == nil && dir != "" {
		file := filepath.Join(dir, "core", "rawdb", "eradb", "testdata", "sepolia-00000-643a00f7.era1")
		if fileSize(file) > 0 {
			d.file, d.net, d.source = file, chain.Sepolia, "the first 8192 blocks of Sepolia, from "+filepath.Base(file)
			return nil
		}
	}
	d.net, d.source = chain.Dev, fmt.Sprintf("a generated chain of %d blocks; the real one of Sepolia was not found", demoBlocks)
	return nil
}

// fill puts the chain into a store.
func (d *demo) fill(ctx context.Context, st *store.Store) error {
	if d.file == "" {
		file := filepath.Join(d.dir, "generated.rlp")
		if fileSize(file) == 0 {
			w, err := archive.Create(file)
			if err != nil {
				return err
			}
			defer w.Abort()
			for b := range chaingen.Generate(chaingen.Config{Network: d.net, Seed: 1, Blocks: demoBlocks, Txs: 2}) {
				if err := w.Append(b.Raw()); err != nil {
					return err
				}
			}
			if err := w.Commit(); err != nil {
				return err
			}
		}
		d.file = file
	}
	r, err := archive.Open(d.file, d.net, archive.Options{SkipLinks: true})
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = archive.Import(ctx, r, d.net, st)
	return err
}

// run starts the nodes, waits until the empty one is in sync, and checks it.
func (d *demo) run(ctx context.Context, peers int) (r demoReport, err error) {
	d.say("chain: %s\n", d.source)
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var addrs []string
	var want store.Head
	var stores []*store.Store
	failures := make(chan error, peers) // one for each node
	defer func() {
		cancel()
		wg.Wait()
		for _, st := range stores { // not before the nodes have stopped
			closeStore(st, &err)
		}
		close(failures)
		for e := range failures {
			err = errors.Join(err, e)
		}
	}()
	for i := range peers {
		st, err := openStore(filepath.Join(d.dir, fmt.Sprintf("source-%d", i+1)), d.net, d.ui.Logger, nil, makes)
		if err != nil {
			return r, err
		}
		stores = append(stores, st)
		if err := d.fill(ctx, st); err != nil {
			return r, err
		}
		want = st.Head()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return r, err
		}
		n, err := node.New(node.Config{Network: d.net, Store: st, Listener: l, Client: clientName(), Logger: d.ui.Logger})
		if err != nil {
			return r, err
		}
		addrs = append(addrs, l.Addr().String())
		wg.Go(func() {
			if err := n.Run(ctx); err != nil {
				failures <- err
			}
		})
		d.say("node %d serves %d blocks on %s\n", i+1, want.Number, l.Addr())
	}
	st, err := openStore(filepath.Join(d.dir, "empty"), d.net, d.ui.Logger, nil, makes)
	if err != nil {
		return r, err
	}
	defer closeStore(st, &err)
	w := newWatcher(d.ui)
	cfg := node.Config{Network: d.net, Store: st, Peers: addrs, Seals: downloader.SealNone}
	s, err := syncTo(ctx, cfg, w, filepath.Join(d.dir, "empty"))
	w.stop()
	if err != nil {
		return r, err
	}
	got := st.Head()
	if got != want {
		return r, fmt.Errorf("the synced node ends at %v, the chain at %v", api.HeadOf(got), api.HeadOf(want))
	}
	r = demoReport{
		Source: d.source, Network: d.net.Name, Blocks: got.Number, Head: api.HeadOf(got), Peers: s.Peers,
		Duplicates: s.Duplicates, Seconds: s.Seconds,
	}
	if s.Bytes > 0 {
		r.Overhead = float64(s.Received)/float64(s.Bytes) - 1
	}
	return r, nil
}

func (d *demo) say(format string, args ...any) {
	if !d.quiet {
		fmt.Printf(format, args...)
	}
}

// print shows the report as a small table.
func (r demoReport) print(to io.Writer) {
	fmt.Fprintln(to)
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "peer\tblocks\tshare\tMB\t")
	for i, p := range r.Peers {
		fmt.Fprintf(t, "%d  %s\t%d\t%.1f %%\t%.2f\t\n", i+1, p.ID, p.Blocks, 100*float64(p.Blocks)/float64(max(r.Blocks, 1)), float64(p.Bytes)/1e6)
	}
	t.Flush()
	fmt.Fprintf(to, "\n%d blocks in %.2f s, %d duplicate blocks, %.1f %% of the traffic beyond the blocks themselves\n",
		r.Blocks, r.Seconds, r.Duplicates, 100*r.Overhead)
	fmt.Fprintf(to, "head and total difficulty agree with the chain: %v\n", r.Head)
}
