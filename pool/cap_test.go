package pool_test

import (
	"testing"
	"time"

	"github.com/shoalnet/shoal/pool"
)

// TestCap: peers could bring far more than is let through. What comes is all that
// may, no more is in flight than that takes, nobody is late for it, and whoever gets
// less than its link could carry is told why.
func TestCap(t *testing.T) {
	const delay = 25 * time.Millisecond
	for _, tt := range []struct {
		name  string
		peers int
		cap   pool.BytesPerSec
		size  int
		delay time.Duration
		least float64 // share of the cap
	}{
		{"half of the links", 8, 10 * mbit * 8, 20_000, delay, 0.98},
		{"a tenth", 8, 2 * mbit * 8, 20_000, delay, 0.98},
		{"a crowd", 200, 20 * mbit, 20_000, delay, 0.98},
		{"tiny blocks", 8, 10 * mbit, 600, delay, 0.98},
		{"far away", 8, 20 * mbit, 20_000, 100 * time.Millisecond, 0.98},
		{"a single peer", 1, 2 * mbit, 20_000, delay, 0.98},
		{"a block takes longer than the pipe", 4, 16 << 10, 30_000, delay, 0.95},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, pool.Config{Cap: tt.cap}, tt.size)
			w.cap = float64(tt.cap)
			for range tt.peers {
				w.add(&simPeer{rate: 20 * mbit, delay: tt.delay})
			}
			n := int(20*w.cap/float64(tt.size)) + 10
			for k := range n {
				w.pool.Want(blocks, k, int64(k), tt.size)
			}
			most, capped := int64(0), false
			for range 1000 { // looks at it every 20 ms
				w.at(w.now.Add(time.Duration(len(w.queue))*20*time.Millisecond), func() {
					most = max(most, w.pool.Stats().InFlightBytes)
					for _, p := range w.peers {
						s, _ := w.pool.PeerStats(w.now, p.id)
						capped = capped || s.Why == pool.WhyCapped
					}
				})
			}
			took := w.run(10 * time.Minute)
			s := w.pool.Stats()
			share := float64(s.UsefulBytes) / w.cap / took.Seconds()
			t.Logf("%.3f of the cap in %v, at most %d bytes in flight, %d late, %d duplicates", share, took, most, s.Late, s.Duplicates)
			if share < tt.least || share > 1 {
				t.Errorf("%.3f of the cap has come", share)
			}
			// A round trip, half a second, and one key that begins in it.
			trip := 2*tt.delay.Seconds() + float64(tt.size)*(1/(20*mbit)+1/w.cap)
			if pipe := int64(w.cap*(min(trip, 0.5)+0.5)) + int64(tt.size); most > pipe {
				t.Errorf("%d bytes were in flight, want at most %d", most, pipe)
			}
			if s.Late > 0 || s.LinkSlow > 0 || s.Duplicates > 0 {
				t.Errorf("%d times late, link slow %d times, %d duplicates", s.Late, s.LinkSlow, s.Duplicates)
			}
			if !capped {
				t.Error("nobody was told that it is capped")
			}
		})
	}
}

// TestCapStall: who stalls behind a cap loses its work, and the cap is filled by the
// others.
func TestCapStall(t *testing.T) {
	w := newWorld(t, pool.Config{Cap: 40 * mbit}, 20_000)
	w.cap = 40 * mbit
	for i := range 8 {
		p := w.add(&simPeer{rate: 20 * mbit, delay: 25 * time.Millisecond})
		if i < 2 {
			p.stallAt = w.now.Add(5 * time.Second)
		}
	}
	for k := range 5000 {
		w.pool.Want(blocks, k, int64(k), 0)
	}
	took := w.run(10 * time.Minute)
	s := w.pool.Stats()
	if share := float64(s.UsefulBytes) / w.cap / took.Seconds(); share < 0.95 {
		t.Errorf("%.3f of the cap has come", share)
	}
	for _, p := range w.peers {
		if s, _ := w.pool.PeerStats(w.now, p.id); (s.Late > 0) != !p.stallAt.IsZero() {
			t.Errorf("peer %d was late %d times", p.id, s.Late)
		}
	}
}
