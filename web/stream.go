package web

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/shoalnet/shoal/api"
)

const (
	// interval is how often a snapshot is sent: the node itself looks up as often.
	interval = 500 * time.Millisecond

	// maxViewers bounds how many may look at once. Each costs a goroutine, a connection
	// and some 30 KB a second; ten times as many would be a dashboard for a crowd, and
	// for that there are metrics.
	maxViewers = 16

	// writeTimeout is how long a viewer may take to read a snapshot. Whoever takes
	// longer is disconnected; its browser connects again.
	writeTimeout = 5 * time.Second
)

// stream serves snapshots as server-sent events.
type stream struct {
	source  Source
	viewers chan struct{} // one slot for each

	// The last snapshot as an event, made for whoever asks first. Those who ask
	// meanwhile wait for it.
	mu   sync.Mutex
	made time.Time
	last []byte
}

func newStream(source Source) *stream {
	return &stream{source: source, viewers: make(chan struct{}, maxViewers)}
}

// ServeHTTP implements http.Handler. It returns when the viewer has left, or reads too
// slowly.
func (s *stream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Browsers say who asks. No other page may, if only because it could take all the
	// places; what it would get it could not read.
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		http.Error(w, "only the page of this server may ask", http.StatusForbidden)
		return
	}
	select {
	case s.viewers <- struct{}{}:
		defer func() { <-s.viewers }()
	default:
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many are looking at this node already", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Time{}) // nothing more is read: the request is not late
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var note, point uint64
	for {
		event := s.past(&note, &point)
		event = append(event, s.snapshot(r.Context())...)
		control.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := w.Write(event); err != nil {
			return
		}
		if err := control.Flush(); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// past makes an event of what happened after a note and a point, and moves them on; nil
// if nothing has.
func (s *stream) past(note, point *uint64) []byte {
	notes, points := s.source.Past(*note, *point)
	if len(notes)+len(points) == 0 {
		return nil
	}
	if n := len(notes); n > 0 {
		*note = notes[n-1].Seq
	}
	if n := len(points); n > 0 {
		*point = points[n-1].Seq
	}
	return event("past", struct {
		Notes  []api.Note  `json:"notes"`
		Points []api.Point `json:"points"`
	}{notes, points})
}

// snapshot returns the present one as an event. It is not to be changed.
func (s *stream) snapshot(ctx context.Context) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.made) >= interval*9/10 { // the tickers of viewers are not in step
		shot := event("snapshot", s.source.Snapshot(ctx))
		if ctx.Err() != nil {
			return nil // the viewer has left in the middle
		}
		s.last, s.made = shot, now
	}
	return s.last
}

// event makes a server-sent event. JSON has no line breaks, so the data is one line.
func event(name string, data any) []byte {
	var b bytes.Buffer
	b.WriteString("event: " + name + "\ndata: ")
	if err := json.NewEncoder(&b).Encode(data); err != nil { // ends the line
		return []byte(": this cannot be shown: " + err.Error() + "\n\n") // a comment
	}
	b.WriteString("\n")
	return b.Bytes()
}
