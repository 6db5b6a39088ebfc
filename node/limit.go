package node

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"sort"
	"time"

	"github.com/shoalnet/shoal/peer"
	"github.com/shoalnet/shoal/pool"
)

// The limits of a node.
const (
	// DefaultMemory is what a node may use if nothing else is said: room for
	// 41 sessions at their worst, on any machine that one would run it on.
	DefaultMemory = 1 << 30

	// MinMemory is the least that a node can work with: what does not depend on
	// peers, and four of them.
	MinMemory = fixedMemory + minTransit + minSessions*peer.Memory

	// fixedMemory is what a node takes without any peer: the index of the store
	// (32 MiB of caches and tables, and what its allocator adds), two caches for
	// seals of up to 80 MiB each, the program itself.
	fixedMemory = 256 << 20

	// minTransit and maxTransit bound the bytes of blocks between the wire and
	// the disk: asked for, being checked, waiting to be written. An eighth of
	// what is left is theirs. More than the maximum brings no speed.
	minTransit = 12 << 20
	maxTransit = 96 << 20

	// maxSessions bounds the connections of both directions if nothing else is
	// said, whatever the memory: a few dozen peers fill any link.
	minSessions = 4
	maxSessions = 64

	// maxStrangers bounds the accepted connections whose handshake is not over.
	// They cost a few kilobytes each; more than that are closed at once.
	maxStrangers = 128

	// maxPerAddress bounds the accepted connections from one address, so that
	// one machine cannot take all places; several honest nodes may share an
	// address. Connections on this machine are not bounded by it.
	maxPerAddress = 4

	// maxPerSubnet bounds them from one network of 256 addresses (of IPv6, one site),
	// unless it is a private one.
	maxPerSubnet = 16

	// A peer that has dialled us, and after idleAfter has exchanged no more with us than
	// idleBytes and idleRate bytes a second, which are a greeting and pings, gives way to
	// another one if there is no place. One that brings or takes blocks is above that
	// even on a chain with a block a minute.
	idleAfter = 5 * time.Minute
	idleBytes = 4 << 10
	idleRate  = 8
)

// budget is how a node divides its memory.
type budget struct {
	sessions int
	pool     pool.Config
}

// transit is how much of the memory is for blocks between the wire and the disk.
func transit(memory int64) int64 {
	return min(max((memory-fixedMemory)/8, minTransit), maxTransit)
}

// RoomFor returns how many peers fit into so much memory at their worst.
func RoomFor(memory int64) int {
	return int(max(0, memory-fixedMemory-transit(memory)) / peer.Memory)
}

// MemoryFor returns how much memory it takes to have so many peers. It is a whole
// number of MiB.
func MemoryFor(peers int) int64 {
	n := sort.Search(math.MaxInt32, func(mib int) bool { return RoomFor(int64(mib)<<20) >= peers })
	return max(int64(n)<<20, MinMemory)
}

// divide divides the memory of a node. What is set in the given limits of the pool
// stays. The rest of the memory goes to sessions at their worst; they are mostly
// far from it. If a number of peers is given, there must be room for them.
func divide(memory int64, peers int, limits pool.Config) (budget, error) {
	if memory == 0 {
		memory = DefaultMemory
	}
	if memory < MinMemory {
		return budget{}, fmt.Errorf("node: %d MiB of memory are too little: it takes %d MiB", memory>>20, MinMemory>>20)
	}
	room := RoomFor(memory)
	switch {
	case peers < 0:
		return budget{}, fmt.Errorf("node: there cannot be %d peers", peers)
	case peers > room:
		return budget{}, fmt.Errorf("node: %d MiB of memory have room for %d peers: %d take %d MiB", memory>>20, room, peers, MemoryFor(peers)>>20)
	case peers == 0:
		peers = min(room, maxSessions)
	}
	if limits.TotalBytes == 0 {
		limits.TotalBytes = transit(memory)
	}
	if limits.HeldBytes == 0 {
		limits.HeldBytes = transit(memory) / 3
	}
	return budget{sessions: peers, pool: limits}, nil
}

// crowd counts accepted connections by address and by network.
type crowd map[netip.Prefix]int

// enter takes a place for a connection, unless there are too many from where it comes.
func (c crowd) enter(a net.Addr) bool {
	from := crowded(a)
	for p, most := range from {
		if c[p] >= most {
			return false
		}
	}
	for p := range from {
		c[p]++
	}
	return true
}

// leave gives the place back.
func (c crowd) leave(a net.Addr) {
	for p := range crowded(a) {
		if c[p]--; c[p] == 0 {
			delete(c, p)
		}
	}
}

// crowded returns the address and the network that a connection is counted under, and how
// many of each there may be. This machine's own addresses are not counted.
func crowded(a net.Addr) map[netip.Prefix]int {
	at, ok := addrPort(a)
	if ip := at.Addr(); ok && !ip.IsLoopback() {
		one := netip.PrefixFrom(ip, ip.BitLen())
		if isLocal(ip) {
			return map[netip.Prefix]int{one: maxPerAddress}
		}
		bits := 24
		if ip.Is6() {
			bits = 48
		}
		return map[netip.Prefix]int{one: maxPerAddress, netip.PrefixFrom(ip, bits).Masked(): maxPerSubnet}
	}
	return nil
}
