package api

import (
	"time"

	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/pool"
)

// What others than people ask of a tracker.

// changed returns a channel that is closed when the head or what is fetched changes.
func (t *Tracker) changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.change == nil {
		t.change = make(chan struct{})
	}
	return t.change
}

// tellChange wakes those who wait for a change. It is called with the lock held.
func (t *Tracker) tellChange() {
	if t.change != nil {
		close(t.change)
		t.change = nil
	}
}

// span returns the numbers of the head when the present sync began and of the head
// of the chain that is fetched. It reports false if none is.
func (t *Tracker) span() (from, to uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.from, t.last.Target, t.last.Target > 0
}

// pool returns the counts of the pool.
func (t *Tracker) pool() pool.Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last.Pool
}

// lastSign returns when the node has last shown a sign of life; began is when it has
// begun.
func (t *Tracker) lastSign(began time.Time) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last.At.IsZero() {
		return began
	}
	return t.last.At
}

// notReady says why the node does not have all that its peers have, as far as it
// knows; "" if it has.
func (t *Tracker) notReady() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch p := &t.last; {
	case p.At.IsZero():
		return "the node has just begun"
	case p.Phase == downloader.Idle && (len(p.Peers) == 0 || t.settled):
		return ""
	case p.Phase == downloader.Idle:
		return "the node has not found out yet what its peers have"
	}
	return "the node is fetching a chain"
}
