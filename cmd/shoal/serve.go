package main

import (
	"context"
	"sync"

	"github.com/shoalnet/shoal/api"
	"github.com/shoalnet/shoal/node"
)

// runNode runs a node, shows its events, and answers who asks what it is doing.
func runNode(ctx context.Context, cfg node.Config, w *watcher, dir string) error {
	cfg.Client, cfg.Events, cfg.Logger = clientName(), w.event, w.ui.Logger
	n, err := node.New(cfg)
	if err != nil {
		if cfg.Listener != nil {
			cfg.Listener.Close()
		}
		return err
	}
	s, err := api.NewServer(api.Config{Store: cfg.Store, Node: n, Tracker: w.tracker, Client: cfg.Client, Logger: cfg.Logger})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	if socket, err := api.ListenSocket(dir); err != nil {
		w.ui.Warn("\"shoal status\" and \"shoal peers\" cannot ask this node", "err", err)
	} else {
		wg.Go(func() { s.ServeSocket(ctx, socket) })
	}
	if w.up != nil {
		w.up()
	}
	return n.Run(ctx)
}
