package main

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/node"
)

// TestWatcherForgets: a node that runs for months keeps nothing of those who have been
// there, for nobody will ask it for a report.
func TestWatcherForgets(t *testing.T) {
	w := newWatcher(&ui{Logger: slog.New(slog.DiscardHandler)})
	for i := range 100 {
		name := fmt.Sprintf("192.0.2.1:%d", 1000+i)
		w.event(node.NoChain{Addr: name})
		w.event(downloader.Joined{Peer: name})
		w.event(downloader.Left{PeerProgress: downloader.PeerProgress{Name: name}})
	}
	if n := len(w.gone) + len(w.failed) + len(w.dialled); n > 0 {
		t.Errorf("it remembers %d of those who are gone", n)
	}
}
