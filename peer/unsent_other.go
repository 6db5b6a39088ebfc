//go:build !linux

package peer

import "net"

// limitUnsent keeps the kernel from holding much that is not sent, where that is known how.
func limitUnsent(net.Conn) {}
