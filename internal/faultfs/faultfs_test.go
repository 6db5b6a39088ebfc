package faultfs_test

import (
	"errors"
	"io"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoalnet/shoal/internal/faultfs"
)

func TestFaultsHitTheOperationThatIsAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		fault faultfs.Fault
		after int
		errs  [3]error // of create, write and sync
		left  string   // what the file then holds
		hit   string
	}{
		"full at once":      {faultfs.Full(), 0, [3]error{syscall.ENOSPC}, "", "create dir/000007.seg"},
		"full at the write": {faultfs.Full(), 1, [3]error{nil, syscall.ENOSPC, syscall.ENOSPC}, "four", "write dir/000007.seg"},
		"full at the sync":  {faultfs.Full(), 2, [3]error{nil, nil, syscall.ENOSPC}, "fourfour", "sync dir/000007.seg"},
		"torn":              {faultfs.Torn(), 0, [3]error{nil, syscall.EIO, nil}, "four", "write dir/000007.seg"},
		"unsynced":          {faultfs.Unsynced(), 0, [3]error{nil, nil, syscall.EIO}, "fourfour", "sync dir/000007.seg"},
		"late":              {faultfs.Full(), 3, [3]error{}, "fourfour", ""},
	} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewMem()
			if err := mem.MkdirAll("dir", 0o755); err != nil {
				t.Fatal(err)
			}
			disk := faultfs.Wrap(mem)
			disk.Arm(c.fault, c.after)
			f, err := disk.Create("dir/000007.seg", vfs.WriteCategoryUnspecified)
			if !errors.Is(err, c.errs[0]) {
				t.Fatalf("create: %v, want %v", err, c.errs[0])
			}
			if err == nil {
				if _, err := f.Write([]byte("fourfour")); !errors.Is(err, c.errs[1]) {
					t.Errorf("write: %v, want %v", err, c.errs[1])
				}
				if err := f.Sync(); !errors.Is(err, c.errs[2]) {
					t.Errorf("sync: %v, want %v", err, c.errs[2])
				}
				if got := content(t, mem); got != c.left {
					t.Errorf("the file holds %q, want %q", got, c.left)
				}
			}
			if got := disk.Hit(); got != c.hit {
				t.Errorf("hit %q, want %q", got, c.hit)
			}
			disk.Repair()
			if c.errs[0] != nil {
				return
			}
			if _, err := f.Write([]byte("four")); err != nil {
				t.Error("after the repair:", err)
			}
			if got := content(t, mem); got != c.left+"four" {
				t.Errorf("after the repair the file holds %q", got)
			}
			f.Close()
		})
	}
	if got := faultfs.Site("write dir/000007.seg"); got != "write dir/.seg" {
		t.Errorf("site %q", got)
	}
}

func content(t *testing.T, fs vfs.FS) string {
	t.Helper()
	f, err := fs.Open("dir/000007.seg")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
