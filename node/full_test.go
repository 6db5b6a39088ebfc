package node_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/testbed"
	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/store"
	"github.com/shoalnet/shoal/swarm"
)

// smallDisk is a disk that may be full for segments, which take nearly all the room.
type smallDisk struct {
	vfs.FS
	full atomic.Bool
}

func (d *smallDisk) err(name string) error {
	if d.full.Load() && strings.HasSuffix(name, ".seg") {
		return syscall.ENOSPC
	}
	return nil
}

func (d *smallDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.err(name); err != nil {
		return nil, err
	}
	return d.FS.Create(name, c)
}

func (d *smallDisk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(name, c, opts...)
	return &smallFile{f, d, name}, err
}

type smallFile struct {
	vfs.File
	disk *smallDisk
	name string
}

func (f *smallFile) WriteAt(p []byte, at int64) (int, error) {
	if err := f.disk.err(f.name); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, at)
}

// TestF9FullDiskOfANode: a node whose disk is full says so and serves what it has. With
// room it goes on, fetches nothing twice, and has blamed nobody.
func TestF9FullDiskOfANode(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 600)
	inBubble(t, func(t *testing.T, w *world) {
		a, b := w.honest("a", c, honestRate), w.honest("b", c, honestRate)
		disk := &smallDisk{FS: vfs.NewMem()}
		v := w.nodeOn(disk, "victim", testbed.NewBranch(t, chain.Dev, c, 200, nil), func(cfg *node.Config) { cfg.AwaitRoom = true }, a.addr, b.addr)
		v.until("a hundred blocks", func(e any) bool {
			p, ok := e.(downloader.Progress)
			return ok && p.Stored > 100
		})
		disk.full.Store(true)
		v.until("the full disk", func(e any) bool {
			f, ok := e.(downloader.Full)
			return ok && f.Kind == store.Block && store.NoRoom(f.Err)
		})
		time.Sleep(10 * time.Minute)
		here := testbed.NewBranch(t, chain.Dev, c, int(v.store.Head().Number), nil)
		w.node("reader", nil, nil, v.addr).settled(here)
		if n := len(eventsOf[downloader.Full](v)); n != 1 {
			t.Errorf("it was said %d times that the disk is full", n)
		}
		disk.full.Store(false)
		v.settled(c)
		v.fair()
		v.frugal()
		v.bounded()
		if s := v.last().Pool; s.Duplicates > 0 {
			t.Errorf("%d blocks came twice", s.Duplicates)
		}
	})
}

// TestF9FullDiskForFiles and for the quota: who fetches is told, the node stays, and the
// next fetch goes on where the first one ended.
func TestF9FullDiskForFiles(t *testing.T) {
	for name, full := range map[string]error{"quota": swarm.ErrFull, "disk": syscall.ENOSPC} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				file := make([]byte, 3_000_000)
				rand.NewChaCha8([32]byte{1}).Read(file)
				a := w.honest("a", nil, 1e6)
				ref, _, err := a.node.Files().Put(t.Context(), "", bytes.NewReader(file))
				if err != nil {
					t.Fatal(err)
				}
				disk := &smallDisk{FS: vfs.NewMem()}
				v := w.nodeOn(disk, "victim", nil, func(cfg *node.Config) {
					if full == swarm.ErrFull {
						cfg.FileQuota = 5_000_000
					}
				}, a.addr)
				files := v.node.Files()
				other, _, err := files.Put(t.Context(), "", bytes.NewReader(file[1:2_500_000]))
				if err != nil {
					t.Fatal(err)
				}
				err = files.Fetch(t.Context(), ref, swarm.FetchOptions{Progress: func(p swarm.Progress) {
					disk.full.Store(full == syscall.ENOSPC && p.Held > 1_000_000)
				}})
				if !errors.Is(err, full) {
					t.Fatalf("want %v: %v", full, err)
				}
				time.Sleep(time.Second) // it says so beside
				if len(eventsOf[node.FilesFull](v)) == 0 {
					t.Error("the node does not say so")
				}
				before, err := files.Check(t.Context(), ref)
				if err != nil || before.Held == 0 {
					t.Errorf("of the file is here: %+v, %v", before, err)
				}
				disk.full.Store(false)
				if err := files.Unpin(other); err != nil {
					t.Fatal(err)
				}
				var last swarm.Progress
				if err := files.Fetch(t.Context(), ref, swarm.FetchOptions{Progress: func(p swarm.Progress) { last = p }}); err != nil {
					t.Fatal(err)
				}
				if last.Held != last.Size || last.Fetched > last.Size-before.Held {
					t.Errorf("%+v after %+v", last, before)
				}
				v.fair()
			})
		})
	}
}
