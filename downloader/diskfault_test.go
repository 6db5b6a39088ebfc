package downloader_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/faultfs"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/store"
)

// diskFault runs a sync on a disk that fails at the k-th operation, then on the same
// disk after it has been repaired. It returns what was hit, "" if nothing was.
func diskFault(t *testing.T, c *testbed.Branch, fault faultfs.Fault, k int) (hit string) {
	t.Helper()
	inBubble(t, func(t *testing.T, w *world) {
		w.stop() // the data directory is there; package store tests its making
		stored := &noted{hashes: map[common.Hash]bool{}}
		w.tune = func(cfg *downloader.Config) { stored.Store, cfg.Store = cfg.Store, stored }
		disk := faultfs.Wrap(w.fs)
		w.disk = disk
		ended := make(chan error, 1)
		w.ended = func(err error) { ended <- err }
		w.start()
		disk.Arm(fault, k)
		a := w.join(&actor{name: "a", chain: c, delay: 5 * ms, rate: 200e3, hashes: 40})
		b := w.join(&actor{name: "b", chain: c, delay: 10 * ms, rate: 100e3, hashes: 40})
		var stopped error
		for range 1000 {
			select {
			case stopped = <-ended:
			case <-time.After(20 * ms):
			}
			if stopped != nil || w.store.Head().Hash == c.Head().Hash {
				break
			}
		}
		hit = disk.Hit()
		if stopped == nil && w.store.Head().Hash != c.Head().Hash {
			t.Fatalf("after op %d, %s: neither an error nor the chain\n%s", k, hit, w.story())
		}
		if stopped != nil {
			if !errors.Is(stopped, fault.Err) || fault.Err == faultfs.Full().Err && !strings.Contains(stopped.Error(), "the disk is full, free space and start again") {
				t.Fatalf("after op %d, %s: the error does not say what is wrong: %v", k, hit, stopped)
			}
		}
		w.honest(a, b)
		w.mu.Lock()
		for _, e := range w.events {
			switch e.(type) {
			case downloader.Dropped, downloader.Abandoned:
				t.Errorf("after op %d, %s: %T %+v", k, hit, e, e)
			}
		}
		w.mu.Unlock()
		w.closing = func(error) {} // it may tell of the fault again
		w.stop()
		disk.Repair()
		w.tune, w.ended, w.closing = nil, nil, nil
		w.start()
		for h := range stored.hashes {
			if ok, err := w.store.Has(h); err != nil || !ok {
				t.Fatalf("after op %d, %s: block %x is lost: %v", k, hit, h, err)
			}
		}
		w.served = map[common.Hash]int{}
		for _, x := range c.Blocks {
			if ok, _ := w.store.Has(x.Hash); ok {
				w.served[x.Hash] = 1 // once is enough
			}
		}
		a = w.join(&actor{name: "a", chain: c, delay: 5 * ms})
		b = w.join(&actor{name: "b", chain: c, delay: 10 * ms})
		w.settled(c)
		w.once()
		w.honest(a, b)
	})
	return hit
}

// noted is a store that remembers what it was given and has said to be durable.
type noted struct {
	downloader.Store
	mu     sync.Mutex
	hashes map[common.Hash]bool
}

func (s *noted) Put(recs []store.Record) (int, error) {
	n, err := s.Store.Put(recs)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range recs {
		if err == nil {
			s.hashes[recs[i].Hash] = true
		}
	}
	return n, err
}

// everyFault hits each operation of a sync in turn.
func everyFault(t *testing.T, fault faultfs.Fault) {
	c := testbed.Grow(t, nil, 0, 1, 0, 150)
	step := 1
	if testing.Short() {
		step = 3
	}
	n, sites := 0, map[string]int{}
	for k := 0; ; k += step {
		hit := diskFault(t, c, fault, k)
		if hit == "" {
			break
		}
		n++
		sites[faultfs.Site(hit)]++
	}
	t.Logf("%d operations failed: %v", n, sites)
	if n < 5 {
		t.Error("the sync is too small for this test")
	}
}

// TestF9DiskFullDuringASync: whatever finds no room, the sync stops with a sentence,
// no block is taken for invalid, and no peer is to blame. With room it goes on, and
// fetches nothing again.
func TestF9DiskFullDuringASync(t *testing.T) { everyFault(t, faultfs.Full()) }

// TestF10WriteErrorsDuringASync: half a write, and a sync that fails.
func TestF10WriteErrorsDuringASync(t *testing.T) {
	t.Run("half a write", func(t *testing.T) { everyFault(t, faultfs.Torn()) })
	t.Run("sync", func(t *testing.T) { everyFault(t, faultfs.Unsynced()) })
}
