package node

import (
	"fmt"
	"math"
	"net"
	"sort"

	"github.com/shoalnet/shoal/peer"
	"github.com/shoalnet/shoal/pool"
)

// The limits of a node.
const (
	// DefaultMemory is what a node may use if nothing else is said: room for
	// 42 sessions at their worst, on any machine that one would run it on.
	DefaultMemory = 1 << 30

	// MinMemory is the least that a node can work with: what does not depend on
	// peers, and four of them.
	MinMemory = fixedMemory + minTransit + minSessions*peer.Memory

	// fixedMemory is what a node takes without any peer: the index of the store
	// (64 MiB of caches and tables), two caches for seals of up to 80 MiB each,
	// the program itself.
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
		limits.TotalBytes = transit(memory) * 2 / 3
	}
	if limits.HeldBytes == 0 {
		limits.HeldBytes = transit(memory) / 3
	}
	return budget{sessions: peers, pool: limits}, nil
}

// crowd counts accepted connections by address.
type crowd map[string]int

// enter takes a place for a connection, unless its address has too many.
func (c crowd) enter(a net.Addr) bool {
	host, ok := crowdHost(a)
	if ok && c[host] >= maxPerAddress {
		return false
	}
	if ok {
		c[host]++
	}
	return true
}

// leave gives the place back.
func (c crowd) leave(a net.Addr) {
	host, ok := crowdHost(a)
	if !ok {
		return
	}
	if c[host]--; c[host] == 0 {
		delete(c, host)
	}
}

// crowdHost returns the part of an address that is counted. It reports false for
// this machine's own.
func crowdHost(a net.Addr) (string, bool) {
	host, ip := hostOf(a)
	return host, ip == nil || !ip.IsLoopback()
}
