package peer

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// watchedReader notes since when the reader waits: as long as bytes come, a peer
// is alive, and while a handler or the throttle keeps us from reading, its silence is
// ours. What the throttle has not let through yet has not come.
type watchedReader struct{ s *Session }

func (r watchedReader) Read(p []byte) (int, error) {
	throttle := r.s.cfg.Download
	r.s.waiting.Store(int64(time.Since(r.s.born)))
	n, err := r.s.conn.Read(p[:throttle.part(len(p))])
	r.s.waiting.Store(-1)
	if n > 0 {
		throttle.pass(r.s.ctx, n)
	}
	return n, err
}

// silence is how long nothing has moved.
func (s *Session) silence() time.Duration {
	since := s.waiting.Load()
	if since < 0 {
		return 0
	}
	return time.Since(s.born) - time.Duration(max(since, s.moved.Load()))
}

// pacedWriter gives every part of a frame its own time, so that a big answer over
// a slow link is not cut off while it moves. It tells what an error of the
// connection means to the session.
type pacedWriter struct{ s *Session }

func (w pacedWriter) Write(p []byte) (n int, err error) {
	throttle := w.s.cfg.Upload
	for len(p) > 0 && err == nil {
		part := throttle.part(min(len(p), writePart))
		if throttle.pass(w.s.ctx, part) {
			w.s.moved.Store(int64(time.Since(w.s.born))) // that it was quiet is our doing
		}
		begun := time.Now()
		w.s.conn.SetWriteDeadline(begun.Add(writeTimeout))
		if w.s.ctx.Err() != nil {
			w.s.conn.SetWriteDeadline(w.s.over())
		}
		var m int
		m, err = w.s.conn.Write(p[:part])
		n, p = n+m, p[m:]
		if err == nil && time.Since(begun) >= slowWrite {
			w.s.moved.Store(int64(time.Since(w.s.born)))
		}
	}
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, ErrTimeout
	}
	return n, fmt.Errorf("%w: writing: %w", ErrClosed, err)
}
