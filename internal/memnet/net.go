// Package memnet is a network in memory, for tests and simulations: hosts with
// addresses, links with rates and delays, and faults that can be switched while
// connections live. It speaks net.Listener and net.Conn, so the code under test does
// not know.
//
//	sea := memnet.New()
//	cod := sea.Host("10.0.0.1")
//	l, err := cod.Listen(30303)
//	…
//	hake := sea.Host("10.0.0.2")
//	hake.SetDelay(20 * time.Millisecond)
//	conn, err := hake.Dial(ctx, "10.0.0.1:30303")
//
// It is at home in a bubble of testing/synctest: whoever waits in it waits durably, and
// all time is that of package time. The byte that leaves a host waits its turn at
// the host's upload link, which serves one segment of each connection after the
// other, travels for the delays of both hosts, and waits again at the download link
// of the other host.
//
// It models what a program can see of TCP: order, bounded buffers, half-close, and
// resets. It knows no packets, no loss and no congestion: room in a buffer is known
// to the sender at once, and what a silent host misses arrives when it is healed.
package memnet

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Net is a network. It is safe for concurrent use, as are hosts, listeners and
// connections.
type Net struct {
	// mu guards everything in the network. Nobody holds it while waiting.
	mu    sync.Mutex
	hosts map[netip.Addr]*Host
}

// New returns a network without hosts.
func New() *Net { return &Net{hosts: make(map[netip.Addr]*Host)} }

// Host returns the host with an IP address, a new one the first time. Rates are
// unlimited at first, and there is no delay. It panics if ip is not an address.
func (n *Net) Host(ip string) *Host {
	addr := netip.MustParseAddr(ip)
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[addr]
	if h == nil {
		h = &Host{net: n, ip: addr, healed: sync.NewCond(&n.mu), listeners: make(map[int]*listener), conns: make(map[*conn]bool), port: firstPort}
		n.hosts[addr] = h
	}
	return h
}

// firstPort is where ports that nobody chose begin, as IANA recommends.
const firstPort = 49152

// Host is a machine in a network.
type Host struct {
	net       *Net
	ip        netip.Addr
	up, down  link
	delay     time.Duration
	healed    *sync.Cond // of net.mu
	listeners map[int]*listener
	conns     map[*conn]bool
	port      int // the next one that nobody chose
}

// BytesPerSec is a rate; 0 means no limit.
type BytesPerSec int

// SetUpload sets what all connections of the host together send.
func (h *Host) SetUpload(r BytesPerSec) { h.setRate(&h.up, r) }

// SetDownload sets what all connections of the host together receive.
func (h *Host) SetDownload(r BytesPerSec) { h.setRate(&h.down, r) }

func (h *Host) setRate(l *link, r BytesPerSec) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	l.rate = r
}

// SetDelay sets the host's share of the one-way delay to and from it: what travels
// between two hosts takes the delays of both.
func (h *Host) SetDelay(d time.Duration) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.delay = d
}

// Cut resets all connections of the host, at both ends and at once. Its listeners
// stay.
func (h *Host) Cut() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	for c := range maps.Clone(h.conns) {
		c.in.cut()
		c.out.cut()
		c.forget()
		c.in.from.forget()
	}
}

// Silence takes the host off the net: nothing passes in either direction and nothing
// is closed. Who dials it waits.
func (h *Host) Silence() { h.setSilent(true) }

// Heal ends the silence. What was held back goes on its way.
func (h *Host) Heal() { h.setSilent(false) }

func (h *Host) setSilent(silent bool) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.up.silent, h.down.silent = silent, silent
	h.up.serve(h.net)
	h.down.serve(h.net)
	h.healed.Broadcast()
}

// freePort returns a port that nobody uses.
func (h *Host) freePort() int {
	for {
		p := h.port
		if h.port++; h.port > 65535 {
			h.port = firstPort
		}
		taken := func(c *conn) bool { return c.local.Port == p }
		if h.listeners[p] == nil && !slices.ContainsFunc(slices.Collect(maps.Keys(h.conns)), taken) {
			return p
		}
	}
}

func (h *Host) addr(port int) *net.TCPAddr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(h.ip, uint16(port)))
}

// Dial connects to "ip:port". It takes a round trip. The error is a *net.OpError:
// with ECONNREFUSED if nobody listens there, with EHOSTUNREACH if there is no such
// host, with the context's if that ends before.
func (h *Host) Dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := h.dial(ctx, addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: named(addr), Err: err}
	}
	return c, nil
}

func (h *Host) dial(ctx context.Context, addr string) (*conn, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	to := h.net.hosts[at.Addr()]
	if to == nil {
		return nil, syscall.EHOSTUNREACH
	}
	if trip := 2 * (h.delay + to.delay); trip > 0 {
		h.net.mu.Unlock()
		t := time.NewTimer(trip)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
		h.net.mu.Lock()
	}
	for _, x := range []*Host{h, to} {
		stop := context.AfterFunc(ctx, func() {
			h.net.mu.Lock()
			defer h.net.mu.Unlock()
			x.healed.Broadcast()
		})
		for x.up.silent && ctx.Err() == nil {
			x.healed.Wait()
		}
		stop()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	l := to.listeners[int(at.Port())]
	if l == nil || len(l.backlog) >= maxBacklog {
		return nil, syscall.ECONNREFUSED
	}
	near, far := h.connect(to, int(at.Port()))
	l.backlog = append(l.backlog, far)
	l.came.Signal()
	return near, nil
}

// named is an address that was only written down.
type named string

func (named) Network() string  { return "tcp" }
func (a named) String() string { return string(a) }

// Listen listens on a port; 0 chooses one.
func (h *Host) Listen(port int) (net.Listener, error) {
	if port < 0 || port > 65535 {
		return nil, fmt.Errorf("memnet: there is no port %d", port)
	}
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if port == 0 {
		port = h.freePort()
	}
	if h.listeners[port] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: h.addr(port), Err: syscall.EADDRINUSE}
	}
	l := &listener{host: h, port: port, came: sync.NewCond(&h.net.mu)}
	h.listeners[port] = l
	return l, nil
}

// maxBacklog is how many connections wait to be accepted, the usual number of
// Linux for long. More are refused.
const maxBacklog = 128

// listener is a net.Listener of a host.
type listener struct {
	host    *Host
	port    int
	came    *sync.Cond // of net.mu
	backlog []*conn
	closed  bool
}

// Accept waits for the next connection.
func (l *listener) Accept() (net.Conn, error) {
	l.host.net.mu.Lock()
	defer l.host.net.mu.Unlock()
	for len(l.backlog) == 0 && !l.closed {
		l.came.Wait()
	}
	if l.closed {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.host.addr(l.port), Err: net.ErrClosed}
	}
	c := l.backlog[0]
	l.backlog = l.backlog[1:]
	return c, nil
}

// Close stops listening. Connections that were not accepted are closed.
func (l *listener) Close() error {
	l.host.net.mu.Lock()
	waiting := l.backlog
	l.backlog = nil
	if !l.closed {
		l.closed = true
		delete(l.host.listeners, l.port)
	}
	l.came.Broadcast()
	l.host.net.mu.Unlock()
	for _, c := range waiting {
		c.Close()
	}
	return nil
}

// Addr returns where the listener listens, a *net.TCPAddr.
func (l *listener) Addr() net.Addr { return l.host.addr(l.port) }
