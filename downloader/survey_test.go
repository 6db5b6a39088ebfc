package downloader_test

import (
	"context"
	"testing"
	"time"

	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/internal/testbed"
)

// survey asks for a picture and checks what is always true of one.
func (w *world) survey() downloader.Survey {
	w.Helper()
	s, ok := w.down.Survey(w.ctx)
	if !ok {
		w.Fatal("no survey")
	}
	n := int((s.To + s.Width - 1) / s.Width)
	if len(s.InFlight) != n || s.Head > s.To || s.Known > s.To+1 {
		w.Fatalf("%d stretches of %d blocks, head %d, known from %d, of %d", len(s.InFlight), s.Width, s.Head, s.Known, s.To)
	}
	win := s.Window
	if last := win.From + uint64(len(win.Cells))*win.Width - 1; win.From == 0 || last >= s.To+win.Width {
		w.Fatalf("the window is %d to %d, of %d", win.From, last, s.To)
	}
	for i, c := range win.Cells {
		first := win.From + uint64(i)*win.Width
		if (c.State == downloader.StateLinked) != (first <= s.Head) && win.Width == 1 {
			w.Fatalf("block %d is %+v, and linked is all up to %d", first, c, s.Head)
		}
	}
	return s
}

// TestSurvey: during a sync, the picture shows what is here, on its way, and unknown; at
// its end, who brought how much.
func TestSurvey(t *testing.T) {
	c := testbed.Grow(t, nil, 0, 1, 0, 3000)
	inBubble(t, func(t *testing.T, w *world) {
		var peers []*actor
		for _, n := range []string{"a", "b", "c"} {
			peers = append(peers, w.join(&actor{name: n, chain: c, delay: 20 * ms, rate: 2e5}))
		}
		var states [8]int
		moving := 0
		for range 20 {
			time.Sleep(100 * ms)
			s := w.survey()
			flying, brought := 0, 0
			for i, n := range s.InFlight {
				flying += int(n)
				for _, b := range s.Brought {
					if b != nil {
						brought += int(b[i])
					}
				}
			}
			if flying > 0 && brought > 0 {
				moving++
			}
			for _, x := range s.Window.Cells {
				states[x.State]++
				if x.State == downloader.StateInFlight && x.Mark == downloader.Unmarked && brought > 2000 {
					t.Error("a block is asked of somebody who has no mark")
				}
			}
		}
		for st := downloader.StateWanted; st <= downloader.StateHeld; st++ {
			if states[st] == 0 {
				t.Errorf("nothing was ever seen in state %d: %v", st, states)
			}
		}
		if moving == 0 {
			t.Error("blocks were never seen on their way")
		}
		w.settled(c)
		s := w.survey()
		if s.Head != 3000 || s.To != 3000 || s.Window.Width != 1 {
			t.Errorf("at the end: %d of %d, cells of %d", s.Head, s.To, s.Window.Width)
		}
		all := 0
		for _, p := range peers {
			for m, name := range s.Names {
				if name != p.name {
					continue
				}
				sum := 0
				for _, n := range s.Brought[m] {
					sum += int(n)
				}
				if all += sum; sum < p.given-1 || sum > p.given || !s.Present[m] {
					t.Errorf("%s gave %d blocks and is said to have brought %d", name, p.given, sum)
				}
			}
		}
		if all != 3000 {
			t.Errorf("%d blocks have a mark", all)
		}
		for i, x := range s.Window.Cells {
			if x.State != downloader.StateLinked || x.Mark >= downloader.Others {
				t.Errorf("cell %d is %+v", i, x)
			}
		}
		peers[0].leave()
		if s = w.survey(); s.Present[0] && s.Present[1] && s.Present[2] {
			t.Error("nobody has left")
		}
	})
}

// TestSurveyOfNobody: without a chain there is a picture too, and after the end of the
// loop nobody waits for one.
func TestSurveyOfNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		if s := w.survey(); s.To != 0 || len(s.Window.Cells) != 0 {
			t.Errorf("%+v", s)
		}
	})
	d := downloader.New(downloader.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, ok := d.Survey(ctx); ok {
		t.Error("a loop that does not run has answered")
	}
}
