package peer

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// memConn is one end of a connection in memory. It behaves as TCP where a session
// can tell: bounded buffers, deadlines, half-close, and a reset that throws away
// what was on its way if an end is closed before it has read everything. Nobody
// in it holds a lock while he waits, so virtual time passes.
type memConn struct {
	in, out *stream
	name    string
	reads   *deadline // of in
	writes  *deadline // of out
}

// stream is one direction.
type stream struct {
	limit int
	mu    struct {
		sync.Mutex
		changed *sync.Cond
		buf     []byte
		stalled bool // nothing arrives for now
		eof     bool // the sender has closed it
		gone    bool // the receiver has
		reset   bool // what is here is lost
	}
}

// deadline wakes those who wait in a stream. Its time is guarded by the stream.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

// memPipe returns the two ends of a connection that holds at most limit bytes in
// each direction.
func memPipe(limit int) (a, b *memConn) {
	there, back := newStream(limit), newStream(limit)
	a = &memConn{in: back, out: there, name: "a", reads: new(deadline), writes: new(deadline)}
	b = &memConn{in: there, out: back, name: "b", reads: new(deadline), writes: new(deadline)}
	return a, b
}

func newStream(limit int) *stream {
	s := &stream{limit: limit}
	s.mu.changed = sync.NewCond(&s.mu)
	return s
}

// change does something to a stream and wakes everybody.
func (s *stream) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	s.mu.changed.Broadcast()
}

func (c *memConn) Read(p []byte) (int, error) {
	s := c.in
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.mu.gone:
			return 0, net.ErrClosed
		case c.reads.passed():
			return 0, os.ErrDeadlineExceeded
		case s.mu.reset:
			return 0, syscall.ECONNRESET
		case s.mu.stalled:
		case len(s.mu.buf) > 0:
			n := copy(p, s.mu.buf)
			s.mu.buf = s.mu.buf[n:]
			s.mu.changed.Broadcast()
			return n, nil
		case s.mu.eof:
			return 0, io.EOF
		}
		s.mu.changed.Wait()
	}
}

func (c *memConn) Write(p []byte) (n int, err error) {
	s := c.out
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.mu.eof:
			return n, net.ErrClosed
		case c.writes.passed():
			return n, os.ErrDeadlineExceeded
		case s.mu.gone:
			return n, syscall.EPIPE
		case len(p) == 0:
			return n, nil
		case len(s.mu.buf) < s.limit:
			m := min(len(p), s.limit-len(s.mu.buf))
			s.mu.buf = append(s.mu.buf, p[:m]...)
			n, p = n+m, p[m:]
			s.mu.changed.Broadcast()
			continue
		}
		s.mu.changed.Wait()
	}
}

// CloseWrite ends what this side sends; it may read on.
func (c *memConn) CloseWrite() error {
	c.out.change(func() { c.out.mu.eof = true })
	return nil
}

func (c *memConn) Close() error {
	unread := false
	c.in.change(func() { unread, c.in.mu.gone = len(c.in.mu.buf) > 0, true })
	c.out.change(func() {
		c.out.mu.eof = true
		c.out.mu.reset = c.out.mu.reset || unread
	})
	c.SetDeadline(time.Time{}) // stops the timers
	return nil
}

// stall holds back what the other side sends, or lets it through again.
func (c *memConn) stall(on bool) { c.in.change(func() { c.in.mu.stalled = on }) }

func (c *memConn) set(s *stream, d *deadline, t time.Time) error {
	s.change(func() {
		if d.timer != nil {
			d.timer.Stop()
		}
		d.at, d.timer = t, nil
		if wait := time.Until(t); !t.IsZero() && wait > 0 {
			d.timer = time.AfterFunc(wait, func() { s.change(func() {}) })
		}
	})
	return nil
}

func (c *memConn) SetReadDeadline(t time.Time) error  { return c.set(c.in, c.reads, t) }
func (c *memConn) SetWriteDeadline(t time.Time) error { return c.set(c.out, c.writes, t) }

func (c *memConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *memConn) LocalAddr() net.Addr  { return memAddr(c.name) }
func (c *memConn) RemoteAddr() net.Addr { return memAddr("the other of " + c.name) }

type memAddr string

func (memAddr) Network() string  { return "memory" }
func (a memAddr) String() string { return string(a) }

func TestMemConn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a, b := memPipe(4)
		wrote := make(chan error, 1)
		go func() {
			_, err := a.Write([]byte("herrings"))
			wrote <- errors.Join(err, a.CloseWrite())
		}()
		if got, err := io.ReadAll(b); string(got) != "herrings" || err != nil {
			t.Fatalf("read %q, %v", got, err)
		}
		if err := <-wrote; err != nil {
			t.Fatal(err)
		}

		begun := time.Now()
		a.SetReadDeadline(begun.Add(time.Second))
		b.SetWriteDeadline(begun.Add(3 * time.Second))
		_, err := a.Read(make([]byte, 1))
		if took := time.Since(begun); !errors.Is(err, os.ErrDeadlineExceeded) || took != time.Second {
			t.Fatalf("read ends with %v after %v", err, took)
		}
		n, err := b.Write([]byte("herrings"))
		if took := time.Since(begun); n != 4 || !errors.Is(err, os.ErrDeadlineExceeded) || took != 3*time.Second {
			t.Fatalf("write of %d ends with %v after %v", n, err, took)
		}

		a.Close() // with herr unread
		b.SetDeadline(time.Time{})
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) && err != io.EOF {
			t.Fatalf("read from a closed connection: %v", err)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Fatalf("write to a closed connection: %v", err)
		}
		b.Close()
	})
}
