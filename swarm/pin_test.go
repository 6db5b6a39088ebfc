package swarm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"pgregory.net/rapid"
)

// TestCollect: whatever is put, pinned and unpinned, a collection leaves exactly the
// chunks of what is pinned.
func TestCollect(t *testing.T) {
	var contents [6][]byte
	var trees [6]map[common.Hash][]byte
	for n := range contents {
		contents[n] = factBytes(int64(n) * 27 * ChunkSize) // they begin alike
		_, trees[n] = naiveSplit(contents[n])
	}
	rapid.Check(t, func(t *rapid.T) {
		store := new(Memory)
		f := New(store, Options{})
		files := map[int]common.Hash{}
		pinned := map[int]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				n := rapid.IntRange(0, 5).Draw(t, "file")
				ref, _, err := f.Put(t.Context(), fmt.Sprint(n), bytes.NewReader(contents[n]))
				if err != nil {
					t.Fatal(err)
				}
				files[n], pinned[n] = ref, true
			},
			"unpin": func(t *rapid.T) {
				n := rapid.IntRange(0, 5).Draw(t, "file")
				if err := f.Unpin(files[n]); (err == nil) != pinned[n] || err != nil && !errors.Is(err, ErrNotPinned) {
					t.Fatalf("unpinning %d: %v", n, err)
				}
				delete(pinned, n)
			},
			"collect": func(t *rapid.T) {
				if _, err := f.Collect(t.Context()); err != nil {
					t.Fatal(err)
				}
				want := map[common.Hash][]byte{}
				for n := range pinned {
					maps.Copy(want, trees[n])
				}
				if got := store.mu.chunks; !maps.EqualFunc(got, want, bytes.Equal) {
					t.Fatalf("%d chunks left, want %d", len(got), len(want))
				}
				if size, _ := store.Size(); len(want) == 0 && size != 0 {
					t.Fatalf("%d bytes in no chunks", size)
				}
			},
			"": func(t *rapid.T) {
				pins, err := New(store, Options{}).Pins() // as after a restart
				if err != nil || len(pins) != len(pinned) {
					t.Fatalf("%d pins, %v, want %d", len(pins), err, len(pinned))
				}
			},
		})
	})
}

// TestQuota: what is not pinned goes when there is need for room; what is pinned does
// not, and then there is none.
func TestQuota(t *testing.T) {
	store := new(Memory)
	f := New(store, Options{Quota: 1 << 20})
	half := factBytes(300 << 10)
	ref1, _, err := f.Put(t.Context(), "", bytes.NewReader(half))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 { // each fits beside the first one, once the one before is gone
		content := bytes.Repeat([]byte{byte(i), 1, 2}, 200<<10)
		for j := range content {
			content[j] += byte(j >> 12)
		}
		ref, _, err := f.Put(t.Context(), "", bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		if p, err := f.Check(t.Context(), ref); err != nil || p.Held < p.Size {
			t.Errorf("%+v, %v", p, err)
		}
		if err := f.Unpin(ref); err != nil {
			t.Fatal(err)
		}
	}
	if p, err := f.Check(t.Context(), ref1); err != nil || p.Held != p.Size {
		t.Errorf("%+v, %v: want what is pinned", p, err)
	}
	if _, _, err := f.Put(t.Context(), "", &factContent{size: 2 << 20}); !errors.Is(err, ErrFull) {
		t.Errorf("two megabytes more: %v", err)
	}
	if size, _ := store.Size(); size > 1<<20 {
		t.Errorf("%d bytes held", size)
	}
	if _, _, err := f.Put(t.Context(), "", bytes.NewReader(half)); err != nil {
		t.Errorf("the same again: %v", err)
	}
}

// collectingReader collects before each read.
type collectingReader struct {
	io.Reader
	collect func()
}

func (r collectingReader) Read(p []byte) (int, error) {
	r.collect()
	return r.Reader.Read(p)
}

// TestCollectWhilePutting: what is being put stays, though nothing is pinned yet; and a
// chunk of it that was there before stays, too.
func TestCollectWhilePutting(t *testing.T) {
	store := new(Memory)
	f := New(store, Options{})
	content := factBytes(1500 * ChunkSize)
	if _, err := f.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	calls := 0
	ref, _, err := f.Put(t.Context(), "", collectingReader{bytes.NewReader(content), func() {
		if calls++; calls%97 == 0 {
			if n, err := f.Collect(t.Context()); err != nil || n > 0 {
				t.Errorf("%d chunks collected, %v", n, err)
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := f.Check(t.Context(), ref); err != nil || p.Held != p.Size {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestCollectWhileFetching: over and over, and yet the tree is whole in the end, also
// where its chunks were held before and nobody had a right to them.
func TestCollectWhileFetching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := factBytes(3000 * ChunkSize)
		ref, chunks := splitBytes(t, content)
		store := new(Memory)
		n := 0
		for a, p := range chunks { // junk that is part of it
			if n++; n%3 == 0 {
				store.PutChunks([]Chunk{{a, p}})
			}
		}
		f, _ := newNode(t, store, share(chunks, 3, 1)...)
		ctx, cancel := context.WithCancel(t.Context())
		collected := make(chan bool)
		go func() {
			defer close(collected)
			for ctx.Err() == nil {
				if _, err := f.Collect(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				time.Sleep(100 * time.Microsecond)
			}
		}()
		if err := f.Fetch(t.Context(), ref, FetchOptions{Progress: func(p Progress) {
			if p.Held == p.Size { // while it is in use
				if c, err := f.Check(ctx, ref); err != nil || c.Held != c.Size {
					t.Errorf("%+v, %v", c, err)
				}
			}
		}}); err != nil {
			t.Error(err)
		}
		cancel()
		<-collected
	})
}

func TestDamagedPins(t *testing.T) {
	store := new(Memory)
	f := New(store, Options{})
	store.SetValue(pinsValue, []byte("junk"))
	if _, err := f.Pins(); err == nil {
		t.Error("pins of junk")
	}
	if err := f.Pin(Pin{Ref: common.Hash{1}}); err == nil {
		t.Error("pinned over junk")
	}
	if _, err := f.Collect(t.Context()); err == nil {
		t.Error("collected when nobody knows what is pinned")
	}
}
