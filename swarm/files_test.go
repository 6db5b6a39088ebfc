package swarm

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

const tree3 = 128*128*ChunkSize + 5*ChunkSize + 7 // bytes of a file with three levels of addresses

func TestPutAndOpen(t *testing.T) {
	f := New(new(Memory), Options{})
	names := []string{}
	for _, size := range []int64{0, 1, 4095, 4096, 4097, 10_000, 128 * ChunkSize, 128*ChunkSize + 1, 1<<20 + 5} {
		content := factBytes(size)
		want, _ := splitBytes(t, content)
		ref, n, err := f.Put(t.Context(), "a", bytes.NewReader(content))
		if err != nil || ref != want || n != uint64(size) {
			t.Fatalf("%x of %d bytes, %v; want %x of %d", ref, n, err, want, size)
		}
		names = append(names, hex.EncodeToString(ref[:]))
		x, err := f.Open(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		if x.Size() != size {
			t.Errorf("size %d, want %d", x.Size(), size)
		}
		if size > 10_000 { // it reads byte by byte
		} else if err := iotest.TestReader(x, content); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		x.Seek(0, io.SeekStart)
		var b bytes.Buffer
		if n, err := x.WriteTo(&b); err != nil || n != size || !bytes.Equal(b.Bytes(), content) {
			t.Errorf("%d bytes written, %v, want %d", n, err, size)
		}
		if p, err := f.Check(t.Context(), ref); err != nil || p.Held != p.Size || p.Size != uint64(size) {
			t.Errorf("%+v, %v: want all of %d", p, err, size)
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
		if _, err := x.ReadAt(make([]byte, 1), 0); size > 0 && err != os.ErrClosed {
			t.Errorf("reading when closed: %v", err)
		}
		if x.Close() != os.ErrClosed {
			t.Error("closed twice")
		}
	}
	small := New(new(Memory), Options{})
	for _, size := range []int64{0, 1, 5000} {
		if _, _, err := small.Put(t.Context(), "", &factContent{size: size}); err != nil {
			t.Fatal(err)
		}
	}
	if err := fstest.TestFS(small.FS(t.Context()), names[0], names[1]); err != nil {
		t.Error(err)
	}
	pins, err := f.Pins()
	if err != nil || len(pins) != len(names) || pins[1] != (Pin{common.HexToHash(names[1]), "a"}) {
		t.Errorf("pins %v, %v", pins, err)
	}
}

// TestNotHeld: without a source, what is missing is an error that says what.
func TestNotHeld(t *testing.T) {
	store := new(Memory)
	f := New(store, Options{})
	ref, _, err := f.Put(t.Context(), "", bytes.NewReader(factBytes(20*ChunkSize)))
	if err != nil {
		t.Fatal(err)
	}
	leaf := naiveAddress(append([]byte{0, 16, 0, 0, 0, 0, 0, 0}, factBytes(20 * ChunkSize)[7*ChunkSize:8*ChunkSize]...))
	store.DeleteChunks([]common.Hash{leaf})
	if err := f.Fetch(t.Context(), ref, FetchOptions{}); !errors.Is(err, ErrNotHeld) {
		t.Errorf("fetched: %v", err)
	}
	x, err := f.Open(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := x.ReadAt(make([]byte, 20*ChunkSize), 0); !errors.Is(err, ErrNotHeld) || n != 0 {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if n, err := x.ReadAt(make([]byte, ChunkSize), 6*ChunkSize); err != nil || n != ChunkSize {
		t.Errorf("read %d bytes beside it, %v", n, err)
	}
	if p, err := f.Check(t.Context(), ref); err != nil || p != (Progress{Size: 20 * ChunkSize, Held: 19 * ChunkSize}) {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := f.Open(t.Context(), leaf); !errors.Is(err, ErrNotHeld) {
		t.Errorf("opened: %v", err)
	}
}

// TestFetch: a tree comes from peers of which none has all of it; each chunk is asked
// for once, and never more at a time than the window.
func TestFetch(t *testing.T) {
	for _, size := range []int64{0, 5, 4097, 300*ChunkSize + 1, tree3} {
		if size == tree3 && !big {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			content := factBytes(size)
			ref, chunks := splitBytes(t, content)
			store := new(Memory)
			f, s := newNode(t, store, share(chunks, 4, 7)...)
			var last Progress
			if err := f.Fetch(t.Context(), ref, FetchOptions{Progress: func(p Progress) {
				if p.Held < last.Held || p.Fetched > p.Held {
					t.Errorf("%+v after %+v", p, last)
				}
				last = p
			}}); err != nil {
				t.Fatal(err)
			}
			if err := s.once(len(chunks)); err != nil {
				t.Error(err)
			}
			if last.Held != uint64(size) || last.Size != uint64(size) {
				t.Errorf("%+v at the end", last)
			}
			if s.mu.most > fetchWindow || len(s.mu.wanted) > 0 {
				t.Errorf("%d wanted at a time, %d at the end", s.mu.most, len(s.mu.wanted))
			}
			x, err := f.Open(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(x); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes, %v, want the content", len(got), err)
			}
			x.Close()
			// Again: nothing is missing.
			if err := f.Fetch(t.Context(), ref, FetchOptions{}); err != nil {
				t.Error(err)
			}
			if err := s.once(len(chunks)); err != nil {
				t.Error(err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.mu.cancel > 0 {
				t.Errorf("%d were cancelled", s.mu.cancel)
			}
		})
	}
}

// TestFetchResumes: what came before a fetch was stopped is not asked for again, and
// what was still wanted is cancelled.
func TestFetchResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref, chunks := splitBytes(t, factBytes(1000*ChunkSize))
		store := new(Memory)
		f, s := newNode(t, store, share(chunks, 3, 7)...)
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("enough")
		err := f.Fetch(ctx, ref, FetchOptions{Progress: func(p Progress) {
			if p.Held > 500*ChunkSize {
				cancel(stop)
			}
		}})
		if err != stop {
			t.Fatalf("ended by %v", err)
		}
		time.Sleep(time.Second) // what was on its way comes
		s.mu.Lock()
		if len(s.mu.wanted) > 0 || s.mu.cancel == 0 {
			t.Errorf("%d wanted, %d cancelled", len(s.mu.wanted), s.mu.cancel)
		}
		had := held(t, store)
		clear(s.mu.asked)
		s.mu.Unlock()
		if len(had) < 500 || len(had) > 900 {
			t.Errorf("%d of %d chunks came", len(had), len(chunks))
		}
		again := New(store, Options{Source: s}) // as after a restart
		s.files = again
		if err := again.Fetch(t.Context(), ref, FetchOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := s.once(len(chunks) - len(had)); err != nil {
			t.Error(err)
		}
	})
}

// TestSharedChunks: what two trees have in common is asked for once, and not cancelled
// while one of them still wants it.
func TestSharedChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := factBytes(200 * ChunkSize)
		ref1, chunks := splitBytes(t, content)
		ref2, more := splitBytes(t, append(slices.Clone(content), "and more"...))
		peer := map[common.Hash][]byte{} // has the inner chunks only, at first
		rest := map[common.Hash][]byte{}
		for _, m := range []map[common.Hash][]byte{chunks, more} {
			for a, p := range m {
				if span(p) > ChunkSize {
					peer[a] = p
				} else {
					rest[a] = p
				}
			}
		}
		all := len(peer) + len(rest)
		f, s := newNode(t, new(Memory), peer)
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- f.Fetch(ctx, ref1, FetchOptions{}) }()
		go func() { second <- f.Fetch(t.Context(), ref2, FetchOptions{Priority: -3}) }()
		time.Sleep(time.Second)
		s.mu.Lock()
		for a := range chunks {
			if rank, ok := s.mu.wanted[a]; ok && rank>>52 != -3 {
				t.Errorf("chunk %x is wanted with rank %d, want that of the more urgent tree", a[:4], rank)
			}
		}
		s.mu.Unlock()
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("ended by %v", err)
		}
		s.more(0, rest)
		if err := <-second; err != nil {
			t.Error(err)
		}
		if err := s.once(all); err != nil {
			t.Error(err)
		}
	})
}

// TestPriority: of two trees the more urgent one comes first.
func TestPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref1, chunks := splitBytes(t, factBytes(500*ChunkSize))
		ref2, more := splitBytes(t, factBytes(1 << 23)[1<<22:])
		maps.Copy(chunks, more)
		f, _ := newNode(t, new(Memory), chunks)
		var ended []int
		done := make(chan int, 2)
		for i, ref := range []common.Hash{ref1, ref2} {
			go func() {
				if err := f.Fetch(t.Context(), ref, FetchOptions{Priority: int8(5 - i)}); err != nil {
					t.Error(err)
				}
				done <- i
			}()
		}
		ended = append(ended, <-done, <-done)
		if !slices.Equal(ended, []int{1, 0}) {
			t.Errorf("ended in the order %v", ended)
		}
	})
}

// TestReadAhead: who reads straight on soon has a full pipe before him, and no more is
// asked for than that; who seeks elsewhere takes it back.
func TestReadAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := factBytes(24 << 20)
		ref, chunks := splitBytes(t, content)
		f, s := newNode(t, new(Memory), share(chunks, 4, 3)...)
		s.delay = 50 * time.Millisecond
		x, err := f.Open(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		buf := make([]byte, 32<<10)
		for off := 0; off < 8<<20; off += len(buf) {
			if _, err := io.ReadFull(x, buf); err != nil || !bytes.Equal(buf, content[off:off+len(buf)]) {
				t.Fatalf("at %d: %v", off, err)
			}
			s.mu.Lock()
			n := 0
			for a := range s.mu.wanted {
				if p := chunks[a]; span(p) <= ChunkSize {
					n++
				}
			}
			s.mu.Unlock()
			if n > mostAhead/ChunkSize+8 {
				t.Fatalf("%d chunks wanted at %d", n, off)
			}
		}
		// 2048 chunks, 64 at once from each of four peers: 8 round trips if the pipe was full.
		if took := time.Since(began); took > 40*s.delay {
			t.Errorf("took %v, want few round trips of %v", took, s.delay)
		}
		x.Seek(-int64(len(buf)), io.SeekEnd)
		if _, err := io.ReadFull(x, buf); err != nil || !bytes.Equal(buf, content[len(content)-len(buf):]) {
			t.Fatal(err)
		}
		s.mu.Lock()
		if len(s.mu.wanted) > 0 {
			t.Errorf("%d chunks still wanted", len(s.mu.wanted))
		}
		s.mu.Unlock()
		x.Close()
	})
}

// TestRandomReads: anything that is read anywhere, by several at once, is the content.
func TestRandomReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := factBytes(2<<20 + 77)
		ref, chunks := splitBytes(t, content)
		f, s := newNode(t, new(Memory), share(chunks, 4, 3)...)
		x, err := f.Open(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan bool)
		for seed := range uint64(4) {
			go func() {
				defer func() { done <- true }()
				r := rand.New(rand.NewPCG(seed, 5))
				for range 30 {
					off := r.IntN(len(content))
					p := make([]byte, r.IntN(1<<r.IntN(18)))
					n, err := x.ReadAt(p, int64(off))
					want := content[off:min(off+len(p), len(content))]
					if !bytes.Equal(p[:n], want) || (n < len(p)) != (err == io.EOF) || err != nil && err != io.EOF {
						t.Errorf("%d bytes at %d: %d, %v", len(p), off, n, err)
					}
				}
			}()
		}
		for range 4 {
			<-done
		}
		x.Close()
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.mu.wanted) > 0 {
			t.Errorf("%d chunks still wanted", len(s.mu.wanted))
		}
	})
}

// TestOpenGivesUp: nobody has it, until the context ends.
func TestOpenGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := newNode(t, new(Memory), map[common.Hash][]byte{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := f.Open(ctx, common.Hash{1}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("opened: %v", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.mu.wanted) > 0 || s.mu.cancel != 1 || len(f.mu.uses) > 0 {
			t.Errorf("%d wanted, %d cancelled, %d in use", len(s.mu.wanted), s.mu.cancel, len(f.mu.uses))
		}
	})
}
