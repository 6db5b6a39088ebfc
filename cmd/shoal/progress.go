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
	"github.com/shoalnet/shoal/downloader"
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
	if !isTerminal(os.Stderr) {
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

// syncLine says in one line how a sync goes.
type syncLine struct {
	at    time.Time
	bytes uint64
	rate  float64 // bytes a second, moving average
}

// describe returns the blocks that are here and that are wanted, and the rest of
// the line.
func (s *syncLine) describe(p downloader.Progress) (done, all int64, text string) {
	if d := p.At.Sub(s.at).Seconds(); !s.at.IsZero() && d > 0 {
		rate := float64(p.Bytes-s.bytes) / d
		s.rate += (rate - s.rate) * min(1, d/3)
	}
	s.at, s.bytes = p.At, p.Bytes
	left := uint64(p.Pool.Wanted+p.Pool.InFlight+p.Pool.Held) + (p.Hashes - p.Fed) + p.Missing
	total := p.Hashes + p.Missing
	busy, late := 0, 0
	for _, q := range p.Peers {
		if q.InFlight > 0 {
			busy++
		}
		if q.Why.String() == "late" {
			late++
		}
	}
	dup := 0.0
	if p.Pool.UsefulBytes > 0 {
		dup = 100 * float64(p.Pool.DuplicateBytes) / float64(p.Pool.UsefulBytes)
	}
	text = fmt.Sprintf("%s %.1f MB/s dup %.1f %% hashes %d linked %d peers %d busy/%d late",
		p.Phase, s.rate/1e6, dup, p.Hashes, p.Head.Number, busy, late)
	if s.rate > 0 && p.Pool.Useful > 0 && left > 0 && p.Phase == downloader.Fetching {
		mean := float64(p.Pool.UsefulBytes) / float64(p.Pool.Useful)
		eta := time.Duration(float64(left) * mean / s.rate * float64(time.Second))
		text += " ETA " + eta.Round(time.Second).String()
	}
	if p.Waiting != "" {
		text += " waiting: " + p.Waiting
	}
	return int64(total - min(left, total)), int64(total), text
}
