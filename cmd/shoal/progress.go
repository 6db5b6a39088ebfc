package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/shoalnet/shoal/archive"
)

// lineInterval is how often a line about progress is logged where there is no
// terminal to draw a bar on.
const lineInterval = 5 * time.Second

// bar shows how far something is: as a progress bar on a terminal, otherwise as a
// line now and then.
type bar struct {
	name string
	ui   *ui

	mpb   *mpb.Progress // nil without a terminal
	bar   *mpb.Bar
	extra atomic.Pointer[string] // what stands behind the bar

	mu   sync.Mutex
	line time.Time
}

func newBar(name string, unit any, u *ui) *bar {
	b := &bar{name: name, ui: u, line: time.Now()}
	b.extra.Store(new(string))
	if !u.bars {
		return b
	}
	b.mpb = mpb.New(mpb.WithOutput(os.Stderr), mpb.WithWidth(40), mpb.WithRefreshRate(200*time.Millisecond))
	counters := decor.CountersNoUnit("%d / %d", decor.WCSyncSpace)
	if _, bytes := unit.(decor.SizeB1024); bytes {
		counters = decor.Counters(decor.SizeB1024(0), "% .1f / % .1f", decor.WCSyncSpace)
	}
	b.bar = b.mpb.New(0, mpb.BarStyle().Lbound("[").Rbound("]"), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(name)),
		mpb.AppendDecorators(decor.Percentage(decor.WCSyncSpace), counters,
			decor.Any(func(decor.Statistics) string { return " " + *b.extra.Load() })))
	u.out.redirect(b.mpb) // log lines go above the bar
	return b
}

// set says how far it is.
func (b *bar) set(done, all int64, extra string) {
	b.extra.Store(&extra)
	if b.bar != nil {
		b.bar.SetTotal(max(all, done+1), false) // complete only when we say so
		b.bar.SetCurrent(done)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); now.Sub(b.line) >= lineInterval {
		b.line = now
		if b.ui.json {
			b.ui.Info(b.name, "done", done, "all", all)
			return
		}
		share := 0.0
		if all > 0 {
			share = 100 * float64(done) / float64(all)
		}
		b.ui.Info(b.name, "done", fmt.Sprintf("%d/%d (%.1f %%)", done, all, share), "state", extra)
	}
}

func (b *bar) stop() {
	if b.mpb != nil {
		b.bar.Abort(true)
		b.ui.out.redirect(os.Stderr)
		b.mpb.Wait()
	}
}

// lineWriter is where log lines go. It can be turned to another writer.
type lineWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}

func (w *lineWriter) redirect(to io.Writer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = to
}

// watchFile shows how much of a file has been read, until the returned function
// is called.
func watchFile(name string, r *archive.Reader, u *ui) (stop func()) {
	b := newBar(name, decor.SizeB1024(0), u)
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				read, size := r.Progress()
				b.set(read, size, "")
			case <-end:
				return
			}
		}
	})
	return func() {
		close(end)
		wg.Wait()
		b.stop()
	}
}

// watchBlocks shows how many blocks of a number have been worked on: step is
// called after each.
func watchBlocks(name string, total uint64, u *ui) (stop, step func()) {
	b := newBar(name, nil, u)
	n := int64(0)
	return b.stop, func() {
		if n++; n%256 == 0 {
			b.set(n, int64(total), "")
		}
	}
}
