package depot

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// shelf is a source in memory that counts what it is asked for, and fails as often as told.
type shelf struct {
	files map[string][]byte

	mu       sync.Mutex
	requests int
	bytes    int
	biggest  int
	failing  int // requests
	err      error
}

func (s *shelf) String() string { return "a shelf" }

func (s *shelf) List(context.Context) ([]string, error) {
	var names []string
	for name := range s.files {
		names = append(names, name)
	}
	return names, s.fails()
}

func (s *shelf) Size(_ context.Context, name string) (int64, error) {
	if _, ok := s.files[name]; !ok {
		return 0, ErrNotThere
	}
	return int64(len(s.files[name])), s.fails()
}

func (s *shelf) ReadAt(_ context.Context, name string, p []byte, off int64) error {
	if err := s.fails(); err != nil {
		return err
	}
	s.mu.Lock()
	s.requests++
	s.bytes += len(p)
	s.biggest = max(s.biggest, len(p))
	s.mu.Unlock()
	data, ok := s.files[name]
	if !ok || off+int64(len(p)) > int64(len(data)) {
		return ErrNotThere
	}
	copy(p, data[off:])
	return nil
}

func (s *shelf) fails() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing > 0 {
		s.failing--
		return s.err
	}
	return nil
}

func random(n int) []byte {
	data := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(data)
	return data
}

// TestPages: whatever is read, and by how many at a time, is what is in the file, and no
// more is kept than should be.
func TestPages(t *testing.T) {
	data := random(50*pageSize + 12345)
	s := &shelf{files: map[string][]byte{"a": data}}
	f := &file{newPages(t.Context(), s, 0), "a", int64(len(data))}
	var wg sync.WaitGroup
	for w := range uint64(4) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, w))
			for range 300 {
				off := r.Int64N(int64(len(data)) + 10)
				p := make([]byte, r.IntN(2*pageSize))
				n, err := f.ReadAt(p, off)
				want := data[min(off, int64(len(data))):]
				want = want[:min(len(want), len(p))]
				if !bytes.Equal(p[:n], want) || (err == io.EOF) != (n < len(p)) || err != nil && err != io.EOF {
					t.Errorf("%d bytes at %d: %d, %v", len(p), off, n, err)
				}
			}
		})
	}
	wg.Wait()
	if n := f.kept.Len(); n > aheadPages {
		t.Errorf("%d pages are kept", n)
	}
}

// TestReadingOn: who reads on costs few requests and nothing twice; who looks at one place
// costs one page.
func TestReadingOn(t *testing.T) {
	data := random(100 * pageSize)
	s := &shelf{files: map[string][]byte{"a": data}}
	f := &file{newPages(t.Context(), s, 0), "a", int64(len(data))}
	if _, err := f.ReadAt(make([]byte, 100), 50*pageSize); err != nil || s.requests != 1 || s.bytes != pageSize {
		t.Errorf("one look: %d requests, %d bytes, %v", s.requests, s.bytes, err)
	}
	s.requests, s.bytes = 0, 0
	f = &file{newPages(t.Context(), s, 0), "a", int64(len(data))}
	got, err := io.ReadAll(io.NewSectionReader(f, 0, f.size))
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	// 1, 2, 4, 8, 16, 32, 32 and the rest.
	if s.requests != 8 || s.bytes != len(data) || s.biggest != aheadPages*pageSize {
		t.Errorf("%d requests for %d bytes, the biggest for %d", s.requests, s.bytes, s.biggest)
	}
}

// TestTogether: who waits for the same page waits for one request.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := random(pageSize)
		s := &shelf{files: map[string][]byte{"a": data}}
		f := &file{newPages(t.Context(), slow{s}, 0), "a", int64(len(data))}
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := f.ReadAt(make([]byte, 10), 5); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if s.requests != 1 {
			t.Errorf("%d requests", s.requests)
		}
	})
}

type slow struct{ *shelf }

func (s slow) ReadAt(ctx context.Context, name string, p []byte, off int64) error {
	time.Sleep(time.Second)
	return s.shelf.ReadAt(ctx, name, p, off)
}

// TestTries: an error that may pass is waited for, for some seconds; one that may not is
// told at once; and the end of the program ends the waiting.
func TestTries(t *testing.T) {
	errLink := errors.New("the link is down")
	for _, tt := range []struct {
		name    string
		failing int
		err     error
		ok      bool
		took    time.Duration
	}{
		{"passes", 3, errLink, true, 1750 * time.Millisecond},
		{"lasts", 100, errLink, false, 7750 * time.Millisecond},
		{"is final", 100, ErrNotThere, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &shelf{files: map[string][]byte{"a": random(10)}, failing: tt.failing, err: tt.err}
				f := &file{newPages(t.Context(), s, 0), "a", 10}
				began := time.Now()
				_, err := f.ReadAt(make([]byte, 10), 0)
				if (err == nil) != tt.ok || err != nil && !errors.Is(err, tt.err) {
					t.Errorf("got %v", err)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %v", took)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &shelf{files: map[string][]byte{"a": random(10)}, failing: 100, err: errLink}
		f := &file{newPages(ctx, s, 0), "a", 10}
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		if _, err := f.ReadAt(make([]byte, 10), 0); !errors.Is(err, context.Canceled) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
