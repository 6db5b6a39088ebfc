package main

import (
	"bytes"
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/store"
)

// leastEvery is the least time between blocks: each is at least a second younger than its
// parent, and faster ones would soon be from the future.
const leastEvery = time.Second

// miner makes blocks of a development chain, which has no seals: empty ones, on top of
// whatever is the head.
type miner struct {
	every time.Duration
	most  uint64
	seed  uint64
}

func newMine() *cobra.Command {
	m := new(miner)
	cmd := nodeCommand(m)
	cmd.Use = "mine"
	cmd.Short = "Run a node of a development chain that makes blocks"
	cmd.Long = `Run a node like "shoal node" does, of the network dev, which also makes a block every
now and then: empty ones without a proof of work, on top of the heaviest chain that it
knows. With several of them, and others that do not mine, one can watch how blocks
spread, and how chains that grew apart come together again.`
	cmd.Example = `  shoal mine --network dev --datadir a --listen 127.0.0.1:30303 --every 2s
  shoal mine --network dev --datadir b --listen 127.0.0.1:30304 --peer 127.0.0.1:30303 --seed 2`
	f := cmd.Flags()
	f.DurationVar(&m.every, "every", 5*time.Second, "`time` between the blocks that this node makes, at least 1s")
	f.Uint64Var(&m.most, "blocks", 0, "`number` of blocks to make, then only serve; 0: without end")
	f.Uint64Var(&m.seed, "seed", 1, "`number` that makes the blocks of one node differ from those of another")
	return cmd
}

// check refuses what cannot be mined, before a data directory is made.
func (m *miner) check(o *options, ui *ui) error {
	net, err := o.awaitNetwork(ui.Logger)
	switch {
	case err != nil:
		return err
	case net != chain.Dev:
		return usage("blocks can be made for --network dev only: those of %s need a proof of work", net.Name)
	case m.every < leastEvery:
		return usage("--every %v: want at least %v, because each block is that much younger than its parent", m.every, leastEvery)
	}
	return nil
}

// run makes blocks until the context is cancelled.
func (m *miner) run(ctx context.Context, net *chain.Network, st *store.Store, n *node.Node) error {
	tick := time.NewTicker(m.every)
	defer tick.Stop()
	for i := uint64(0); m.most == 0 || i < m.most; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if err := m.mine(ctx, net, st, n); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// mine makes one block. It comes in as from a file, and so is checked like any other.
func (m *miner) mine(ctx context.Context, net *chain.Network, st *store.Store, n *node.Node) error {
	old := st.Head()
	raw, err := st.AppendRaw(nil, old.Hash)
	if err != nil {
		return err
	}
	parent, err := net.ParseBlockAs(old.Hash, raw)
	if err != nil {
		return err
	}
	now := func() uint64 { return uint64(time.Now().Unix()) }
	g, err := chaingen.New(chaingen.Config{Network: net, Seed: m.seed, Clock: now}.From(parent))
	if err != nil {
		return err
	}
	b := g.Next()
	r, err := archive.NewReader("a block made here", bytes.NewReader(b.Raw()), net, archive.Options{})
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := archive.Import(ctx, r, net, st); err != nil {
		return err
	}
	if head := st.Head(); head.Hash == b.Hash { // else somebody was faster
		n.HeadMoved(ctx, store.Move{Old: old, New: head, Ancestor: old.Number})
	}
	return nil
}
