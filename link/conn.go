package link

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// Protocol is what both sides say in the handshake (ALPN, RFC 7301) that they speak inside:
// network protocol 30. Who has come to the wrong door learns it there.
const Protocol = "shoal/30"

const (
	// handshakeTimeout is how long a handshake may take, once there is a connection: two
	// round trips and a millisecond of work. Less would shut out who is behind a bad
	// line; ten times as much lets a stranger hold a place for a minute.
	handshakeTimeout = 5 * time.Second

	// greetingBytes is how much is read of somebody who has not proved yet who it is. Ours
	// takes two kilobytes. TLS alone would take a certificate of 256 KiB from anybody.
	greetingBytes = 16 << 10
)

// The ends of a handshake that somebody has to do something about.
var (
	// ErrRefused: the other side has closed the link when it had seen our key.
	ErrRefused = errors.New("link: the other side does not let our key in: its operator has to allow it")
	// ErrPlain: what the other side sends is no TLS.
	ErrPlain = errors.New("link: the other side does not speak TLS: it listens or has dialled in plain")
	// ErrTimeout: the handshake took too long.
	ErrTimeout = fmt.Errorf("link: no handshake within %v", handshakeTimeout)
)

// StrangerError is the end of a handshake with a key that nobody expected. Whether the other
// side really has that key was not looked into.
type StrangerError struct {
	ID   ID
	Want ID // who should have been there; zero: any of those that are let in
}

func (e *StrangerError) Error() string {
	if e.Want.IsZero() {
		return fmt.Sprintf("link: the key %v is not one of those that are let in", e.ID)
	}
	return fmt.Sprintf("link: the key there is %v, and should be %v: it is somebody else, or has a new key", e.ID, e.Want)
}

// Client makes an encrypted link of a connection that this side has dialled, to the node
// with an ID. It takes the connection over, and closes it if there is an error.
func (k *Key) Client(ctx context.Context, conn net.Conn, want ID) (*Conn, error) {
	return k.shake(ctx, conn, tls.Client, func(id ID) error {
		if id != want {
			return &StrangerError{ID: id, Want: want}
		}
		return nil
	})
}

// Server makes an encrypted link of a connection that the other side has dialled, if its
// node may come in. It takes the connection over, and closes it if there is an error. It may
// be called for many connections at once, which may be asked about at once too.
func (k *Key) Server(ctx context.Context, conn net.Conn, may func(ID) bool) (*Conn, error) {
	return k.shake(ctx, conn, tls.Server, func(id ID) error {
		if !may(id) {
			return &StrangerError{ID: id}
		}
		return nil
	})
}

func (k *Key) shake(ctx context.Context, raw net.Conn, side func(net.Conn, *tls.Config) *tls.Conn, check func(ID) error) (*Conn, error) {
	c := &Conn{raw: raw}
	guest := &guest{Conn: raw, left: greetingBytes}
	c.Conn = side(guest, &tls.Config{
		Certificates:           []tls.Certificate{k.cert},
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{Protocol},
		SessionTicketsDisabled: true, // each link proves its keys
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, // no authority vouches for anybody: the key itself is compared
		VerifyConnection: func(s tls.ConnectionState) error {
			if s.NegotiatedProtocol != Protocol {
				return fmt.Errorf("link: the other side speaks TLS, but not %s inside", Protocol)
			}
			c.peer = sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
			return check(c.peer)
		},
	})
	raw.SetDeadline(time.Now().Add(handshakeTimeout))
	err := c.HandshakeContext(ctx)
	if err == nil {
		guest.proved = true
		err = raw.SetDeadline(time.Time{})
	}
	if err == nil {
		return c, nil
	}
	raw.Close()
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return nil, ErrPlain
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, ErrTimeout
	}
	if _, ok := errors.AsType[*StrangerError](err); ok || ctx.Err() != nil {
		return nil, err
	}
	return nil, fmt.Errorf("link: handshake: %w", err)
}

// guest is a connection to somebody who may send only so much until it has proved who it is.
type guest struct {
	net.Conn
	left   int
	proved bool
}

func (g *guest) Read(p []byte) (int, error) {
	if g.proved {
		return g.Conn.Read(p)
	}
	if g.left == 0 {
		return 0, fmt.Errorf("it sends more than %d bytes without saying who it is", greetingBytes)
	}
	n, err := g.Conn.Read(p[:min(len(p), g.left)])
	g.left -= n
	return n, err
}

// Conn is an encrypted link. Make one with [Key.Client] or [Key.Server]. As any net.Conn it
// may be used by several goroutines. The end of what one side sends is the end of the
// connection below it, which anybody on the line can feign: what is spoken inside has to
// say itself that it is over.
type Conn struct {
	*tls.Conn
	raw   net.Conn
	peer  ID
	heard atomic.Bool // something has come
}

// Peer returns whom the other side has proved to be.
func (c *Conn) Peer() ID { return c.peer }

// Read implements net.Conn. Who listens looks at a key only after the one who dials is done
// with the handshake (RFC 8446, 2), so ErrRefused comes from the first Read.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.heard.Store(true)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" && !c.heard.Load() {
		err = fmt.Errorf("%w (%w)", ErrRefused, err)
	}
	return n, err
}

// CloseWrite ends what this side sends, and no more: the farewell of TLS would take its own
// time, whatever the deadlines.
func (c *Conn) CloseWrite() error {
	if half, ok := c.raw.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close closes the connection at once.
func (c *Conn) Close() error { return c.raw.Close() }

// SyscallConn returns the connection below as the system knows it, for its options.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.raw.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}
