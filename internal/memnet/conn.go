package memnet

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// bufferBytes is how much of a direction may be under way or unread until a writer
// has to wait: what the socket buffers of both ends come to.
const bufferBytes = 256 << 10

// conn is one end of a connection.
type conn struct {
	host          *Host
	local, remote *net.TCPAddr
	in, out       *stream
	reads, writes deadline
}

// connect makes a connection to another host's port and returns its ends.
func (h *Host) connect(to *Host, port int) (near, far *conn) {
	there, back := newStream(h.net), newStream(h.net)
	local, remote := h.addr(h.freePort()), to.addr(port)
	near = &conn{host: h, local: local, remote: remote, in: back, out: there}
	far = &conn{host: to, local: remote, remote: local, in: there, out: back}
	there.from, there.to = near, far
	back.from, back.to = far, near
	h.conns[near], to.conns[far] = true, true
	return near, far
}

// forget takes the end off its host.
func (c *conn) forget() { delete(c.host.conns, c) }

// deadline wakes those who wait in a stream.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

// set changes the deadline of those who wait for the condition.
func (d *deadline) set(t time.Time, waiting *sync.Cond) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = t
	if !t.IsZero() && !d.passed() {
		d.timer = time.AfterFunc(time.Until(t), func() {
			waiting.L.Lock()
			defer waiting.L.Unlock()
			waiting.Broadcast()
		})
	}
	waiting.Broadcast()
}

// Read reads what has arrived, and waits if that is nothing.
func (c *conn) Read(p []byte) (int, error) {
	s := c.in
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	for {
		switch {
		case s.gone:
			return 0, c.fail("read", net.ErrClosed)
		case c.reads.passed():
			return 0, c.fail("read", os.ErrDeadlineExceeded)
		case s.broken:
			return 0, c.fail("read", syscall.ECONNRESET)
		case len(p) == 0:
			return 0, nil
		case len(s.arrived) > 0:
			n := copy(p, s.arrived)
			if s.arrived = s.arrived[n:]; len(s.arrived) == 0 {
				s.arrived = nil
			}
			s.held -= n
			s.changed.Broadcast()
			return n, nil
		case s.ended == fin:
			return 0, io.EOF
		case s.ended == rst:
			return 0, c.fail("read", syscall.ECONNRESET)
		}
		s.changed.Wait()
	}
}

// Write returns when the last byte has found room in the buffer.
func (c *conn) Write(p []byte) (n int, err error) {
	s := c.out
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	for {
		switch {
		case n > 0 && len(p) == 0: // whatever has become of it
			return n, nil
		case c.in.gone:
			return n, c.fail("write", net.ErrClosed)
		case c.writes.passed():
			return n, c.fail("write", os.ErrDeadlineExceeded)
		case s.broken || c.in.ended == rst:
			return n, c.fail("write", syscall.ECONNRESET)
		case s.shut: // by CloseWrite
			return n, c.fail("write", syscall.EPIPE)
		case len(p) == 0:
			return n, nil
		case s.held < bufferBytes:
			m := min(len(p), bufferBytes-s.held)
			s.send(p[:m], open)
			n, p = n+m, p[m:]
			continue
		}
		s.changed.Wait()
	}
}

// CloseWrite ends what this end sends. It may read on.
func (c *conn) CloseWrite() error {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	if c.in.gone {
		return c.fail("close", net.ErrClosed)
	}
	c.finish()
	return nil
}

// finish sends the end once.
func (c *conn) finish() {
	if !c.out.shut {
		c.out.shut = true
		c.out.send(nil, fin)
		c.out.changed.Broadcast()
	}
}

// Close ends both directions. What was written still arrives, unless there was
// something to be read: then, as with TCP, the connection is reset, and what has not
// left the host is lost.
func (c *conn) Close() error {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	if c.in.gone {
		return c.fail("close", net.ErrClosed)
	}
	unread := len(c.in.arrived)
	c.in.gone, c.in.arrived = true, nil
	c.in.held -= unread
	if unread > 0 {
		c.out.abort()
	}
	c.finish()
	c.reads.set(time.Time{}, c.in.changed)
	c.writes.set(time.Time{}, c.out.changed)
	c.forget()
	return nil
}

func (c *conn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// LocalAddr returns a *net.TCPAddr.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns a *net.TCPAddr.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SetReadDeadline sets until when reads wait.
func (c *conn) SetReadDeadline(t time.Time) error { return c.set(&c.reads, t, c.in) }

// SetWriteDeadline sets until when writes wait.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.set(&c.writes, t, c.out) }

// SetDeadline sets both.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *conn) set(d *deadline, t time.Time, s *stream) error {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	if c.in.gone {
		return c.fail("set", net.ErrClosed)
	}
	d.set(t, s.changed)
	return nil
}
