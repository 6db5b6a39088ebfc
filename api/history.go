package api

import (
	"slices"
	"time"

	"github.com/shoalnet/shoal/downloader"
)

// Point is how much came in a short time, by whom.
type Point struct {
	Seq     uint64    `json:"seq"` // from 1
	At      time.Time `json:"at"`  // its end
	Seconds float64   `json:"seconds"`
	// By is bytes of blocks a second, by the mark of who brought them.
	By map[string]float64 `json:"by"`
}

const (
	// pointTime is for how long a point stands, and maxPoints how many are
	// remembered: ten minutes, of which a screen shows each point. More would tell
	// less of what is going on now; for more there are metrics.
	pointTime = 2 * time.Second
	maxPoints = 300
)

// history is the latest points.
type history struct {
	seq    uint64
	points []Point
	began  time.Time // of the point that is being made
	bytes  [downloader.Marks]uint64
}

// came adds what a peer has brought.
func (h *history) came(m downloader.Mark, bytes uint64) {
	if m < downloader.Marks {
		h.bytes[m] += bytes
	}
}

// pass ends the point if it is time. One that took very long is none: the machine was
// asleep.
func (h *history) pass(now time.Time) {
	took := now.Sub(h.began)
	if took < pointTime {
		return
	}
	if took < maxGap {
		h.seq++
		p := Point{h.seq, now, took.Seconds(), make(map[string]float64)}
		for m, n := range h.bytes {
			if n > 0 {
				p.By[markName(downloader.Mark(m))] = float64(n) / took.Seconds()
			}
		}
		h.points = append(h.points, p)
		h.points = slices.Delete(h.points, 0, max(0, len(h.points)-maxPoints))
	}
	h.began, h.bytes = now, [downloader.Marks]uint64{}
}

// since returns the points after one, oldest first.
func (h *history) since(seq uint64) []Point {
	n := min(h.seq-min(seq, h.seq), uint64(len(h.points)))
	return slices.Clone(h.points[len(h.points)-int(n):])
}

// markName names a mark for people: a letter, + for the others, = for what was here
// before, and nothing for nobody.
func markName(m downloader.Mark) string {
	switch {
	case m < downloader.Others:
		return string(rune('A' + m))
	case m == downloader.Others:
		return "+"
	case m == downloader.Before:
		return "="
	}
	return ""
}
