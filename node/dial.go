package node

import (
	"context"
	"net"
	"time"

	"github.com/shoalnet/shoal/link"
)

// DialFailed: an address could not be connected to, or the session with it is
// over. It will be tried again.
type DialFailed struct {
	Addr  string // host:port
	Err   error
	Again time.Duration // when
}

const (
	// dialTimeout is how long a connection may take.
	dialTimeout = 10 * time.Second

	// redialMin and redialMax bound the time until a lost or refused connection
	// is tried again. It doubles with each failure in a row.
	redialMin = 500 * time.Millisecond
	redialMax = time.Minute

	// goodSession is how long a session must have lasted for the next try to
	// be as soon as after the first failure.
	goodSession = 10 * time.Second
)

// keepDialling holds a connection to an address.
func (n *Node) keepDialling(ctx context.Context, addr link.Addr) {
	wait := redialMin
	for {
		began := time.Now()
		err := n.dial(ctx, addr)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) >= goodSession {
			wait = redialMin
		}
		n.cfg.emit(DialFailed{addr.HostPort, err, wait})
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		wait = min(2*wait, redialMax)
	}
}

func (n *Node) dial(ctx context.Context, addr link.Addr) error {
	conn, err := n.connect(ctx, addr)
	if err != nil {
		return err
	}
	return n.run(ctx, conn, false)
}

// connect opens a connection, which is an encrypted link if the address has a key.
func (n *Node) connect(ctx context.Context, addr link.Addr) (net.Conn, error) {
	dial := n.cfg.Dial
	if dial == nil {
		dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := dial(ctx, addr.HostPort)
	if err != nil || addr.ID.IsZero() {
		return conn, err
	}
	return n.cfg.Links.Key.Client(ctx, conn, addr.ID)
}
