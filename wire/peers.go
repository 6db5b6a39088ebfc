package wire

import (
	"iter"
	"net/netip"

	"github.com/ethereum/go-ethereum/rlp"
)

// Peers answers a [GetPeers] with addresses of other nodes (section 2.4). It is
// a view over the entries as they arrived, good and bad. Build the list with
// [AppendPeer].
type Peers struct {
	Entries RawList
}

// PeerAddr is one entry of a [Peers]: where a node is said to listen. The
// protocol knows IPv4 only.
type PeerAddr struct {
	IP   [4]byte
	Port uint16
	Node NodeID
}

// AddrPort returns the address in the form that package net dials.
func (p PeerAddr) AddrPort() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4(p.IP), p.Port)
}

// AppendPeer appends an entry to the list of a [Peers], and returns the extended
// list.
func AppendPeer(list RawList, p PeerAddr) RawList {
	list = appendListHead(list, ipItem+rlp.IntSize(uint64(p.Port))+nodeItem)
	list = append(list, 0x80+byte(len(p.IP)))
	list = append(list, p.IP[:]...)
	list = rlp.AppendUint64(list, uint64(p.Port))
	return appendNodeID(list, p.Node)
}

const ipItem = 5 // 84 and an IPv4 address

// All returns the well-formed entries in order: lists of exactly an IPv4 address
// of four bytes, a port and a node id of 64 bytes. Others are skipped, since old
// clients send them in good faith (A31). Whether an address makes sense to dial
// is not looked at (A32).
func (m Peers) All() iter.Seq[PeerAddr] {
	return func(yield func(PeerAddr) bool) {
		for entry := range m.Entries.All() {
			if p, ok := parsePeerAddr(entry); ok && !yield(p) {
				return
			}
		}
	}
}

// ID returns [IDPeers].
func (Peers) ID() ID { return IDPeers }

// Limit returns the limit of everybody that an old client may know.
func (Peers) Limit() Limit { return Limit{Bytes: peersBytes, Items: MaxPeers} }

// AppendItems appends the entries.
func (m Peers) AppendItems(dst []byte) []byte { return append(dst, m.Entries...) }

func (m Peers) itemsLen() int { return len(m.Entries) }

func parsePeerAddr(entry []byte) (p PeerAddr, ok bool) {
	rest, _, err := rlp.SplitList(entry)
	if err != nil {
		return p, false
	}
	ip, rest, err := rlp.SplitString(rest)
	if err != nil || len(ip) != len(p.IP) {
		return p, false
	}
	port, rest, err := rlp.SplitUint64(rest)
	if err != nil || port > 0xffff {
		return p, false
	}
	node, rest, err := rlp.SplitString(rest)
	if err != nil || len(node) != len(p.Node) || len(rest) > 0 {
		return p, false
	}
	return PeerAddr{IP: [4]byte(ip), Port: uint16(port), Node: NodeID(node)}, true
}
