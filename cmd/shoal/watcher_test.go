package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

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

// TestWatcherWaits: a sync that finds nobody says so now and then, and why, for it may wait
// for ever.
func TestWatcherWaits(t *testing.T) {
	var log strings.Builder
	w := newWatcher(&ui{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	const addr = "192.0.2.1:30303"
	w.await([]string{addr}, func() { t.Error("it is done") })
	w.event(node.DialFailed{Addr: addr, Err: errors.New("refused")})
	begun := w.line
	for at := time.Second; at <= 2*waitingInterval; at += time.Second {
		w.event(downloader.Progress{At: begun.Add(at)})
	}
	want := `msg="still waiting for a peer" why="no peer is connected; ` + addr + `: refused"`
	if n := strings.Count(log.String(), want); n != 2 {
		t.Errorf("in %v it says so %d times, want 2:\n%s", 2*waitingInterval, n, log.String())
	}
}
