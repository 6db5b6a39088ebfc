package peer

import (
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shoalnet/shoal/link"
)

// TestUnsent: what waits in the kernel is bounded for a connection in plain and for the one
// below an encrypted link.
func TestUnsent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	key, err := link.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, encrypt := range map[string]func(net.Conn) (net.Conn, error){
		"plain":     func(conn net.Conn) (net.Conn, error) { return conn, nil },
		"encrypted": func(conn net.Conn) (net.Conn, error) { return key.Client(t.Context(), conn, key.ID()) },
	} {
		tcp, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer tcp.Close()
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()
		go key.Server(t.Context(), far, func(link.ID) bool { return true })
		conn, err := encrypt(tcp)
		if err != nil {
			t.Fatal(err)
		}
		New(conn, false, &Config{})
		raw, err := tcp.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var got int
		raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT) })
		if err != nil || got != unsentBytes {
			t.Errorf("%s: %d bytes may wait, %v; want %d", name, got, err, unsentBytes)
		}
	}
}
