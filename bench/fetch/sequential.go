package fetch

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/pool"
	"github.com/shoalnet/shoal/store"
)

// sequentially is Shoal with one peer, of which it asks for one thing at a time: the
// pool gets a pipe that one request fills.
func sequentially(ctx context.Context, cfg *Config) (r Result, err error) {
	network := chain.Dev
	st, err := openEmpty(filepath.Join(cfg.Dir, "sequential"), network)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n, err := node.New(node.Config{
		Network: network, Store: st, Peers: cfg.Addrs[:1], Client: "lab",
		Pool: pool.Config{PeerBytes: cfg.Request},
		Events: func(e any) {
			if s, ok := e.(downloader.Settled); ok && s.Head.Hash == cfg.Head {
				cancel()
			}
		},
	})
	if err != nil {
		return r, err
	}
	if err := n.Run(ctx); err != nil {
		return r, err
	}
	if st.Head().Hash != cfg.Head {
		return r, errors.New("it was stopped before its end")
	}
	return r, nil
}

// openEmpty makes a store that holds the genesis block.
func openEmpty(dir string, network *chain.Network) (*store.Store, error) {
	g, err := network.GenesisBlock()
	if err != nil {
		return nil, err
	}
	td, err := network.TotalDifficulty(new(uint256.Int), g)
	if err != nil {
		return nil, err
	}
	return store.Open(dir, store.Options{Network: network.Name, Genesis: store.Genesis{
		Record: store.Record{Hash: g.Hash, Raw: g.Raw()}, TD: td,
	}})
}
