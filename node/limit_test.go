package node

import (
	"fmt"
	"net"
	"testing"

	"github.com/shoalnet/shoal/peer"
	"github.com/shoalnet/shoal/pool"
)

// TestDivide: whatever the memory, what all parts may take together at their worst
// fits in.
func TestDivide(t *testing.T) {
	for _, c := range []struct {
		memory   int64
		peers    int // asked for
		sessions int // 0: an error
	}{
		{MinMemory - 1, 0, 0},
		{MinMemory, 0, minSessions},
		{512 << 20, 0, 13},
		{0, 0, 41},
		{2 << 30, 0, maxSessions},
		{1 << 40, 0, maxSessions},
		{-1, 0, 0},
		{0, 41, 41},
		{0, 42, 0},
		{0, 1, 1},
		{0, -1, 0},
		{MemoryFor(256), 256, 256},
		{MemoryFor(256) - 1<<20, 256, 0},
		{MemoryFor(1), 1, 1},
	} {
		b, err := divide(c.memory, c.peers, pool.Config{})
		if (err == nil) != (c.sessions > 0) || b.sessions != c.sessions {
			t.Errorf("%d MiB: %d sessions, %v; want %d", c.memory>>20, b.sessions, err, c.sessions)
			continue
		}
		if err != nil {
			continue
		}
		memory := c.memory
		if memory == 0 {
			memory = DefaultMemory
		}
		if sum := fixedMemory + b.pool.TotalBytes + int64(b.sessions)*peer.Memory; sum > memory {
			t.Errorf("%d MiB: the parts may take %d MiB together", memory>>20, sum>>20)
		}
	}
	if b, err := divide(0, 0, pool.Config{TotalBytes: 1, HeldBytes: 2}); err != nil || b.pool.TotalBytes != 1 || b.pool.HeldBytes != 2 {
		t.Errorf("limits that are set have become %+v, %v", b.pool, err)
	}
}

// TestCrowd: an address has maxPerAddress places, and gets back those that it gives
// up; other addresses and this machine are not concerned.
func TestCrowd(t *testing.T) {
	c := make(crowd)
	a := func(ip string, port int) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: port} }
	for i := range maxPerAddress {
		if !c.enter(a("192.0.2.1", i+1)) {
			t.Fatalf("connection %d is refused", i+1)
		}
	}
	if c.enter(a("192.0.2.1", 99)) {
		t.Error("one too many is let in")
	}
	if !c.enter(a("192.0.2.2", 1)) {
		t.Error("another address is refused")
	}
	c.leave(a("192.0.2.1", 1))
	if !c.enter(a("192.0.2.1", 99)) {
		t.Error("a place that was given up is not given again")
	}
	for i := range 10 * maxPerAddress {
		if !c.enter(a("127.0.0.1", i+1)) || !c.enter(a("::1", i+1)) {
			t.Fatal("this machine is refused")
		}
	}
	// A network has maxPerSubnet, of which five are taken, and a private one any number.
	for i := range maxPerSubnet - maxPerAddress - 1 {
		if !c.enter(a(fmt.Sprintf("192.0.2.%d", 100+i), 1)) {
			t.Fatalf("address %d of a network is refused", i)
		}
	}
	if c.enter(a("192.0.2.200", 1)) {
		t.Error("one too many of a network is let in")
	}
	if !c.enter(a("192.0.3.200", 1)) {
		t.Error("another network is refused")
	}
	c.leave(a("192.0.3.200", 1))
	for i := range 5 * maxPerSubnet {
		if !c.enter(a(fmt.Sprintf("10.0.0.%d", i), 1)) {
			t.Fatal("a private network is refused")
		}
	}
	for i := range maxPerSubnet - maxPerAddress - 1 {
		c.leave(a(fmt.Sprintf("192.0.2.%d", 100+i), 1))
	}
	for i := range 5 * maxPerSubnet {
		c.leave(a(fmt.Sprintf("10.0.0.%d", i), 1))
	}
	for i := range maxPerAddress {
		c.leave(a("192.0.2.1", i+1))
	}
	c.leave(a("192.0.2.2", 1))
	if len(c) > 0 {
		t.Errorf("%v is remembered of addresses that have left", c)
	}
}
