package swarm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// waitedFor returns for how many chunks somebody waits at some files.
func waitedFor(f *Files) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.mu.wanted.chunks)
}

// TestFrom: a file goes through files in the middle, to two who want it at once; who
// brings it ends when nothing is wanted, or the bubble would not.
func TestFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := factBytes(700*ChunkSize + 5)
		far := New(new(Memory), Options{})
		source := From(far)
		near := New(new(Memory), Options{Source: source})
		readers := []*Files{
			New(new(Memory), Options{Source: From(near)}),
			New(new(Memory), Options{Source: source}),
		}
		ref, _, err := far.Put(t.Context(), "", bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		defer wg.Wait()
		for _, f := range readers {
			wg.Go(func() {
				if err := f.Fetch(t.Context(), ref, FetchOptions{}); err != nil {
					t.Error(err)
				}
				x, err := New(f.store, Options{}).Open(t.Context(), ref)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := io.ReadAll(x); err != nil || !bytes.Equal(got, content) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			})
		}
	})
}

// TestFromLater: what the others do not hold yet is waited for, until they put it or it is
// not wanted any more.
func TestFromLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := factBytes(300 * ChunkSize)
		ref, _ := splitBytes(t, content)
		alice := New(new(Memory), Options{})
		bob := New(new(Memory), Options{Source: From(alice)})

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := bob.Open(ctx, ref); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("opened what is nowhere: %v", err)
		}
		synctest.Wait()
		if n := waitedFor(alice); n > 0 {
			t.Errorf("%d chunks are waited for that nobody wants", n)
		}

		go func() {
			time.Sleep(time.Hour)
			if _, _, err := alice.Put(t.Context(), "", bytes.NewReader(content)); err != nil {
				t.Error(err)
			}
		}()
		if err := bob.Fetch(t.Context(), ref, FetchOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// TestPutOfWhatIsWaitedFor: who waits for a chunk gets it also if it is put here, and
// then the source is told.
func TestPutOfWhatIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := factBytes(300 * ChunkSize)
		ref, _ := splitBytes(t, content)
		f, source := newNode(t, new(Memory), nil)
		go func() {
			time.Sleep(time.Hour)
			if _, _, err := f.Put(t.Context(), "", bytes.NewReader(content)); err != nil {
				t.Error(err)
			}
		}()
		if err := f.Fetch(t.Context(), ref, FetchOptions{}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		source.mu.Lock()
		defer source.mu.Unlock()
		if n := len(source.mu.wanted); n > 0 {
			t.Errorf("%d chunks are still wanted of the source", n)
		}
	})
}

// blind is a store of which nobody can tell what is in it.
type blind struct{ Memory }

var errBlind = errors.New("blind")

func (b *blind) Has(common.Hash) (bool, error) { return false, errBlind }

// TestFromABrokenStore: who waits is told, and may ask again.
func TestFromABrokenStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice := New(new(blind), Options{})
		bob := New(new(Memory), Options{Source: From(alice)})
		for range 2 {
			if _, err := bob.Open(t.Context(), common.Hash{1}); !errors.Is(err, errBlind) {
				t.Errorf("want the error of the store: %v", err)
			}
		}
		if n := waitedFor(alice) + waitedFor(bob); n > 0 {
			t.Errorf("%d chunks are waited for", n)
		}
	})
}

// TestFetchIntoAFullStore: it says so, and goes on when there is room.
func TestFetchIntoAFullStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := factBytes(200 * ChunkSize)
		alice := New(new(Memory), Options{})
		bob := New(new(Memory), Options{Source: From(alice), Quota: 1 << 20})
		ref, _, err := alice.Put(t.Context(), "", bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		other, _, err := bob.Put(t.Context(), "", bytes.NewReader(factBytes(1 << 19)[1:]))
		if err != nil {
			t.Fatal(err)
		}
		if err := bob.Fetch(t.Context(), ref, FetchOptions{}); !errors.Is(err, ErrFull) {
			t.Errorf("want %v: %v", ErrFull, err)
		}
		if _, err := bob.Check(t.Context(), other); err != nil {
			t.Error(err)
		}
		if err := bob.Unpin(other); err != nil {
			t.Fatal(err)
		}
		if err := bob.Fetch(t.Context(), ref, FetchOptions{}); err != nil {
			t.Error(err)
		}
		if n := waitedFor(alice) + waitedFor(bob); n > 0 {
			t.Errorf("%d chunks are waited for", n)
		}
	})
}
