package depot

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/singleflight"
)

const (
	// pageSize is the least that is read from a source: some hundred small blocks, or one
	// of the biggest. At a tenth, a request to a bucket would cost more than it brings; at
	// ten times, looking at one block would.
	pageSize = 256 << 10

	// aheadPages is how many pages one request brings at the most to those who read on. At
	// 50 ms for a request that is 160 MB a second.
	aheadPages = 32

	// fetchTries and fetchTimeout bound how long a page may take: a source that is away
	// for some seconds is waited for, and after half a minute whoever asked is told. The
	// first pause is fetchPause; each is twice as long as the one before.
	fetchTries   = 6
	fetchTimeout = 30 * time.Second
	fetchPause   = 250 * time.Millisecond

	// fetchers is how many requests go on at the same time. Each takes up to twice
	// aheadPages of memory; more of them would not fill the link better.
	fetchers = 4
)

// Memory returns how much memory a depot may take with such a cache.
func Memory(cache int64) int64 {
	return max(cache, aheadPages*pageSize) + fetchers*2*aheadPages*pageSize
}

type pageKey struct {
	name string
	n    int64
}

// page is a part of a file. Run is how many pages came with it in one request.
type page struct {
	bytes []byte
	run   int64
}

// pages reads files of a source by pages and keeps the latest. It is safe for concurrent
// use; who waits for the same page waits for one request.
type pages struct {
	ctx     context.Context
	source  Source
	flights singleflight.Group
	slots   chan struct{} // one for each request

	mu   sync.Mutex
	kept *simplelru.LRU[pageKey, page]
}

// newPages returns pages of up to so many bytes, at least those of one request.
func newPages(ctx context.Context, source Source, bytes int64) *pages {
	kept, err := simplelru.NewLRU[pageKey, page](int(max(bytes/pageSize, aheadPages)), nil)
	if err != nil { // only for a size that is not positive
		panic(err)
	}
	return &pages{ctx: ctx, source: source, slots: make(chan struct{}, fetchers), kept: kept}
}

// file is a file that is read by pages.
type file struct {
	*pages
	name string
	size int64
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		if off >= f.size {
			return n, io.EOF
		}
		b, err := f.page(off / pageSize)
		if err != nil {
			return n, err
		}
		m := copy(p[n:], b[off%pageSize:])
		n, off = n+m, off+int64(m)
	}
	return n, nil
}

// page returns a page, which must not be changed.
func (f *file) page(n int64) ([]byte, error) {
	key := pageKey{f.name, n}
	f.mu.Lock()
	have, ok := f.kept.Get(key)
	before, follows := f.kept.Peek(pageKey{f.name, n - 1})
	f.mu.Unlock()
	if ok {
		return have.bytes, nil
	}
	run := int64(1)
	if follows {
		run = min(2*before.run, aheadPages)
	}
	got, err, _ := f.flights.Do(f.name+"/"+strconv.FormatInt(n, 10), func() (any, error) { return f.fetch(n, run) })
	if err != nil {
		return nil, err
	}
	return got.([]byte), nil
}

// fetch reads pages from n on, and returns the first.
func (f *file) fetch(n, run int64) ([]byte, error) {
	f.slots <- struct{}{}
	defer func() { <-f.slots }()
	run = min(run, (f.size-n*pageSize+pageSize-1)/pageSize)
	all := make([]byte, min(run*pageSize, f.size-n*pageSize))
	if err := f.read(all, n*pageSize); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range run {
		// Each has memory of its own, or one that is kept would keep all.
		b := all[i*pageSize : min((i+1)*pageSize, int64(len(all)))]
		f.kept.Add(pageKey{f.name, n + i}, page{append(make([]byte, 0, len(b)), b...), run})
	}
	return all[:min(pageSize, len(all))], nil
}

// read reads from the source, several times if need be.
func (f *file) read(p []byte, off int64) error {
	ctx, cancel := context.WithTimeout(f.ctx, fetchTimeout)
	defer cancel()
	return try(ctx, func() error { return f.source.ReadAt(ctx, f.name, p, off) })
}

// try calls a function until it succeeds, or fails for good.
func try(ctx context.Context, do func() error) error {
	for pause, i := fetchPause, 1; ; pause, i = 2*pause, i+1 {
		err := do()
		if err == nil || i == fetchTries || !mayPass(err) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		}
	}
}
