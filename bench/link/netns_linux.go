package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// In calls a function in a network namespace, "" for that of this process. Sockets
// that it opens stay there.
func In(namespace string, f func() error) error {
	if namespace == "" {
		return f()
	}
	failed := make(chan error, 1) // one
	go func() {
		// The thread is not unlocked: it ends with the goroutine, so nobody
		// else gets one that is in the wrong namespace.
		runtime.LockOSThread()
		failed <- func() error {
			ns, err := os.Open(filepath.Join(namespaces, namespace))
			if err != nil {
				return fmt.Errorf("link: %w", err)
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("link: entering %s: %w", namespace, err)
			}
			return f()
		}()
	}()
	return <-failed
}

// Listen listens at the end of a link, on a free port. Where the kernel shapes the
// link, what is accepted sends with the congestion control that most of the internet
// uses, whatever this machine's is.
func (e End) Listen() (l net.Listener, err error) {
	var cfg net.ListenConfig
	if e.Namespace != "" {
		cfg.Control = func(_, _ string, raw syscall.RawConn) (err error) {
			err2 := raw.Control(func(fd uintptr) {
				err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic")
			})
			return errors.Join(err, err2)
		}
	}
	err = In(e.Namespace, func() (err error) {
		l, err = cfg.Listen(context.Background(), "tcp", net.JoinHostPort(e.Host, "0"))
		return err
	})
	return l, err
}

// Unacknowledged returns how many bytes written to a TCP connection the other side
// has not acknowledged yet.
func Unacknowledged(conn *net.TCPConn) int {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	raw.Control(func(fd uintptr) {
		if m, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
			n = m
		}
	})
	return n
}
