package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/txindex"
	"github.com/shoalnet/shoal/web"
)

// runNode runs a node, shows its events, and answers who asks what it is doing: over
// the socket of the data directory, and over HTTP if there is a listener for it. A miner,
// if there is one, makes blocks on top of its chain.
func runNode(ctx context.Context, cfg node.Config, w *watcher, dir string, o *httpOptions, m *miner) error {
	cfg.Client, cfg.Events, cfg.Logger = clientName(), w.event, w.ui.Logger
	n, err := node.New(cfg)
	if err != nil {
		closeListeners(&cfg)
		return err
	}
	ask := api.Config{
		Network: cfg.Network, Store: cfg.Store, Node: n, Listening: cfg.Listener != nil || cfg.Links.Listener != nil,
		Tracker: w.tracker, Client: cfg.Client, Logger: cfg.Logger,
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	if o.txIndex {
		index, err := txindex.New(cfg.Network, cfg.Store)
		if err != nil {
			return err
		}
		ask.Transactions, w.moved = index, index.Poke
		wg.Go(func() { keepIndexing(ctx, index, w.ui.Logger) })
	}
	s, err := api.NewServer(ask)
	if err != nil {
		return err
	}
	if socket, err := api.ListenSocket(dir); err != nil {
		w.ui.Warn("\"shoal status\" and \"shoal peers\" cannot ask this node", "err", err)
	} else {
		wg.Go(func() { s.ServeSocket(ctx, socket) })
	}
	if o.listener != nil {
		if o.showsPage() {
			o.who.Page = web.New(s)
		}
		wg.Go(func() {
			if err := s.ServeHTTP(ctx, o.listener, o.who); err != nil {
				w.ui.Error("nobody can ask this node over HTTP any more", "err", err)
			}
		})
	}
	if w.up != nil {
		w.up()
	}
	if m != nil {
		wg.Go(func() {
			if err := m.run(ctx, cfg.Network, cfg.Store, n); err != nil {
				w.ui.Error("no more blocks are made", "err", err)
			}
		})
	}
	return n.Run(ctx)
}

// indexPause is how long the index of transactions rests when the store, or what it reads
// from, has failed: archives may be away for a while.
const indexPause = time.Minute

// keepIndexing follows the chain with the index until the context is done.
func keepIndexing(ctx context.Context, index *txindex.Index, log *slog.Logger) {
	for {
		err := index.Run(ctx)
		if err == nil {
			return
		}
		log.Error("transactions of new blocks are not found until this works again", "err", err, "again", indexPause)
		select {
		case <-time.After(indexPause):
		case <-ctx.Done():
			return
		}
	}
}
