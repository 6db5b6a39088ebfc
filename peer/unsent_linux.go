package peer

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unsentBytes is how much may wait in the kernel for the link to have room, beyond what is
// on its way: a short answer with hashes is not behind megabytes of blocks then, but at the
// most a hundredth of a second of a link of 50 Mbit/s. A tenth of it would be filled too
// rarely to keep a fast link busy; ten times as much is what hashes would wait for.
const unsentBytes = 64 << 10

// limitUnsent sets that for a connection. One that is not TCP, or a kernel that does not
// know of it, only makes hashes wait.
func limitUnsent(conn net.Conn) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentBytes)
	})
}
