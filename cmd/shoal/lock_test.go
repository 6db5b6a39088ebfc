package main

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/shoalnet/shoal/archive"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/store"
)

// smallNode runs a node with a chain of some blocks of the network dev, and returns its
// address.
func smallNode(t testing.TB) (addr string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "source")
	file := filepath.Join(t.TempDir(), "chain.rlp")
	w, err := archive.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for b := range chaingen.Generate(chaingen.Config{Blocks: 50}) {
		w.Append(b.Raw())
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	shoal(t, "import", "--datadir", dir, "--network", "dev", file)
	_, addr = startNode(t, "--datadir", dir, "--listen", "127.0.0.1:0")
	return addr
}

// TestADirectoryThatIsLookedInto: who needs a data directory waits for somebody who has it
// for a moment.
func TestADirectoryThatIsLookedInto(t *testing.T) {
	t.Parallel()
	addr := smallNode(t)
	dir := filepath.Join(t.TempDir(), "data")
	again := []string{"sync", "--datadir", dir, "--network", "dev", "--peer", addr}
	shoal(t, again...)
	for _, args := range [][]string{again, {"export", "--datadir", dir, filepath.Join(t.TempDir(), "chain.rlp")}} {
		st, err := store.Open(dir, store.Options{MustExist: true})
		if err != nil {
			t.Fatal(err)
		}
		p := start(t, args...)
		p.await(t, "waiting for another process to be done with the data directory")
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		p.succeed(t)
	}
}

// TestStatusDuringASync: a sync does not notice that somebody asks for its status all the
// time, also while it opens its directory and while it ends, and is told it each time.
func TestStatusDuringASync(t *testing.T) {
	t.Parallel()
	addr := smallNode(t)
	for range 5 {
		dir := filepath.Join(t.TempDir(), "data")
		p := start(t, "sync", "--datadir", dir, "--network", "dev", "--peer", addr)
		var askers sync.WaitGroup
		for range 3 {
			askers.Go(func() {
				for over := false; !over; {
					select {
					case <-p.ended:
						over = true // once more
					default:
					}
					q := start(t, "status", "--datadir", dir)
					if code, err := q.wait(); err != nil || code != exitOK && !strings.Contains(q.all.String(), "no store in this directory") {
						t.Errorf("status: exit code %d (%v): %s", code, err, q.all)
					}
				}
			})
		}
		p.succeed(t)
		askers.Wait()
	}
}
