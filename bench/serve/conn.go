package serve

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoalnet/shoal/bench/link"
)

// shaper is a peer's faults and counters. All its connections share it.
type shaper struct {
	Role
	clock *clock

	written, up atomic.Int64

	mu    sync.Mutex
	conns map[*conn]bool
	next  time.Time // when a paced peer may send again

	firstBlocks, firstHashes, lastHashes atomic.Int64 // since Begin, 0 for never
	hashes                               atomic.Int64
	chunks                               atomic.Int64 // bytes
}

// clock knows when Begin was.
type clock struct{ begun atomic.Pointer[time.Time] }

// since returns the time since Begin, 0 before it.
func (c *clock) since() time.Duration {
	if t := c.begun.Load(); t != nil {
		return time.Since(*t)
	}
	return 0
}

// reset forgets what was counted before Begin.
func (s *shaper) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written.Store(0)
	s.up.Store(0)
	s.firstBlocks.Store(0)
	s.firstHashes.Store(0)
	s.lastHashes.Store(0)
	s.hashes.Store(0)
	s.chunks.Store(0)
}

// down is how many bytes have arrived at the client.
func (s *shaper) down() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.written.Load()
	for c := range s.conns {
		n -= int64(link.Unacknowledged(c.TCPConn))
	}
	return max(n, 0)
}

// rate is how fast the peer may send now; 0: without limit.
func (s *shaper) rate() float64 {
	if s.Slow > 0 && s.clock.since() >= s.Slow {
		return s.SlowRate
	}
	return s.Rate
}

func (s *shaper) stalled() bool { return s.Stall > 0 && s.clock.since() >= s.Stall }

// book returns how many of n bytes may be sent, and waits until then.
func (s *shaper) book(n int) int {
	rate := s.rate()
	if rate == 0 {
		return n
	}
	n = min(n, max(packet, int(rate*pace.Seconds())))
	s.mu.Lock()
	now := time.Now()
	if s.next.Before(now) {
		s.next = now
	}
	wait := s.next.Sub(now)
	s.next = s.next.Add(time.Duration(float64(n) / rate * float64(time.Second)))
	s.mu.Unlock()
	time.Sleep(wait)
	return n
}

// A paced peer sends what is due in a pace at once, and at least a packet: short
// enough that a fault shows as what it is, long enough for the timers.
const (
	pace   = 10 * time.Millisecond
	packet = 1448
)

// conn is a connection with the faults of its peer.
type conn struct {
	*net.TCPConn
	*shaper
	in   net.Conn // where delayed bytes are read from; nil without a delay
	gone atomic.Bool
}

// shape puts the faults of a peer into a connection.
func (s *shaper) shape(tcp *net.TCPConn) *conn {
	c := &conn{TCPConn: tcp, shaper: s}
	s.mu.Lock()
	s.conns[c] = true
	s.mu.Unlock()
	if s.Delay > 0 {
		var out net.Conn
		c.in, out = net.Pipe()
		go s.delay(tcp, out)
	}
	return c
}

// chunk is what has arrived, and until when it is held back.
type chunk struct {
	data []byte
	due  time.Time
}

// delay hands what comes from the client on, each byte a round trip later.
func (s *shaper) delay(from net.Conn, to net.Conn) {
	held := make(chan chunk, 4096) // more than requests within a round trip
	go func() {
		defer to.Close()
		for c := range held {
			time.Sleep(time.Until(c.due))
			if _, err := to.Write(c.data); err != nil {
				break
			}
		}
		for range held { // the reader must not wait for nobody
		}
	}()
	defer close(held)
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			held <- chunk{append([]byte(nil), buf[:n]...), time.Now().Add(s.Delay)}
		}
		if err != nil {
			return
		}
	}
}

func (c *conn) Read(p []byte) (n int, err error) {
	if c.in != nil {
		n, err = c.in.Read(p)
	} else {
		n, err = c.TCPConn.Read(p)
	}
	c.up.Add(int64(n))
	if err != nil {
		c.gone.Store(true)
	}
	return n, err
}

func (c *conn) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		for c.stalled() {
			if c.gone.Load() {
				return n, net.ErrClosed
			}
			time.Sleep(pace)
		}
		m, err := c.TCPConn.Write(p[:c.book(min(len(p), writePart))])
		c.written.Add(int64(m))
		n, p = n+m, p[m:]
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// writePart is how much is written between two looks at the faults.
const writePart = 64 << 10

// ReadFrom keeps io.Copy from going around Write.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r)
}

func (c *conn) Close() error {
	gone := c.gone.Swap(true)
	c.mu.Lock()
	if c.conns[c] && gone { // what is on its way comes to nobody
		c.written.Add(-int64(link.Unacknowledged(c.TCPConn)))
	}
	delete(c.conns, c)
	c.mu.Unlock()
	if c.in != nil {
		c.in.Close()
	}
	return c.TCPConn.Close()
}

func (c *conn) SetReadDeadline(t time.Time) error {
	if c.in != nil {
		return c.in.SetReadDeadline(t)
	}
	return c.TCPConn.SetReadDeadline(t)
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	if !t.IsZero() && t.Before(time.Now()) {
		c.gone.Store(true)
	}
	return c.TCPConn.SetWriteDeadline(t)
}

func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}
