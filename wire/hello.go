package wire

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"
)

// Hello is the first message in each direction (section 2.1). It introduces the
// sender and states its chain as it was at that moment; nothing refreshes it
// (A20). Parsing checks the shape only: whether version, network, genesis and
// node id suit is for the session to say (section 8.1).
type Hello struct {
	Version uint64      // protocol version, see [Version]
	Network uint256.Int // network id, 0 for the public net; private ones were up to 256 bits (A24)
	Client  string      // free text, any bytes: quote it when printing
	Caps    Caps
	Port    uint16 // where the sender listens, 0 for nowhere
	Node    NodeID
	TD      uint256.Int // total difficulty of the chain up to Best, a hint (A18)
	Best    common.Hash // the sender's head
	Genesis common.Hash
	Extra   []byte // raw RLP of items after the tenth, ignored but kept (A22); a view. Empty to send
}

// Caps is the set of what a peer can do, as bits. Unknown bits are kept.
type Caps uint64

// The capabilities of protocol 30 (section 2.1), of which a full node has all
// three, and that of the content exchange, which the clients of 2014 ignore.
const (
	CapPeers        Caps = 1 << iota // answers GetPeers
	CapTransactions                  // relays transactions
	CapChain                         // answers GetBlockHashes and GetBlocks
	CapContent                       // sends and answers GetContent; nothing of it goes to peers without
)

// Has reports whether all capabilities of want are in c.
func (c Caps) Has(want Caps) bool { return c&want == want }

// String returns the names of the capabilities joined by "|", or "none".
func (c Caps) String() string {
	var names []string
	for _, bit := range []struct {
		cap  Caps
		name string
	}{{CapPeers, "peers"}, {CapTransactions, "transactions"}, {CapChain, "chain"}, {CapContent, "content"}} {
		if c.Has(bit.cap) {
			names = append(names, bit.name)
			c &^= bit.cap
		}
	}
	if c != 0 {
		names = append(names, fmt.Sprintf("0x%x", uint64(c)))
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, "|")
}

// NodeID names a node. It has the size of a public key, but nothing proves that
// its bearer owns the private one (A38).
type NodeID [64]byte

// String returns the first eight bytes in hexadecimal, enough to tell nodes
// apart in a log. For the whole id use hex.EncodeToString(id[:]).
func (id NodeID) String() string { return hex.EncodeToString(id[:8]) + "…" }

// MarshalText writes the whole id in hexadecimal.
func (id NodeID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText reads what MarshalText has written.
func (id *NodeID) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != len(id) {
		return fmt.Errorf("wire: %q is not a node id of %d hexadecimal digits", text, 2*len(id))
	}
	*id = NodeID(raw)
	return nil
}

// IsZero reports whether all bytes are zero, which is no valid id (A38).
func (id NodeID) IsZero() bool { return id == NodeID{} }

const nodeItem = 66 // b8 40 and a node id

// helloFields is the number of items after the id that make a Hello of protocol
// 30. One more, with the id, is the length that identifies it (section 0.2).
const helloFields = 9

// ID returns [IDHello].
func (Hello) ID() ID { return IDHello }

// Limit returns the limit of a Hello with room for items to be ignored.
func (Hello) Limit() Limit { return Limit{Bytes: helloBytes, Items: helloItems} }

// AppendItems appends the nine fields, and Extra.
func (m Hello) AppendItems(dst []byte) []byte {
	dst = rlp.AppendUint64(dst, m.Version)
	dst = appendUint256(dst, &m.Network)
	dst = appendString(dst, m.Client)
	dst = rlp.AppendUint64(dst, uint64(m.Caps))
	dst = rlp.AppendUint64(dst, uint64(m.Port))
	dst = appendNodeID(dst, m.Node)
	dst = appendUint256(dst, &m.TD)
	dst = appendHash(dst, m.Best)
	dst = appendHash(dst, m.Genesis)
	return append(dst, m.Extra...)
}

func (m Hello) itemsLen() int {
	return rlp.IntSize(m.Version) +
		uint256Size(&m.Network) +
		int(rlp.StringSize(m.Client)) +
		rlp.IntSize(uint64(m.Caps)) +
		rlp.IntSize(uint64(m.Port)) +
		nodeItem +
		uint256Size(&m.TD) +
		hashItem + hashItem +
		len(m.Extra)
}

func parseHello(d *decoder, items int) (Message, error) {
	if err := checkGeneration(d, items); err != nil {
		return nil, err
	}
	var m Hello
	var err error
	if m.Version, err = d.uint64("protocol version"); err != nil {
		return nil, err
	}
	if m.Network, err = d.uint256("network id"); err != nil {
		return nil, err
	}
	if m.Client, err = d.text("client id", MaxClient); err != nil {
		return nil, err
	}
	caps, err := d.uint64("capability mask")
	if err != nil {
		return nil, err
	}
	m.Caps = Caps(caps)
	if m.Port, err = d.uint16("listening port"); err != nil {
		return nil, err
	}
	if m.Node, err = d.nodeID("node id"); err != nil {
		return nil, err
	}
	if m.TD, err = d.uint256("total difficulty"); err != nil {
		return nil, err
	}
	if m.Best, err = d.hash("best hash"); err != nil {
		return nil, err
	}
	if m.Genesis, err = d.hash("genesis hash"); err != nil {
		return nil, err
	}
	m.Extra = d.rest
	return m, nil
}

// checkGeneration refuses the Hello of another generation of the protocol. The
// version field cannot tell, both kinds of protocol 30 carried 30; the number of
// items does, and the list in the place of the client id (section 0.2, A22).
func checkGeneration(d *decoder, items int) error {
	split := false
	for i, rest := 0, d.rest; i < 3 && len(rest) > 0; i++ {
		var kind rlp.Kind
		kind, _, rest, _ = rlp.Split(rest)
		split = i == 2 && kind == rlp.List
	}
	n := items + 1 // the id is an item
	var whose string
	switch {
	case split, n == 6:
		whose = "the split P2P protocol"
	case items >= helloFields:
		return nil
	case n == 9:
		whose = "protocol 27 or 28"
	case n == 7:
		whose = "PoC-5 or older"
	default:
		whose = "no known protocol"
	}
	err := d.newError(fmt.Sprintf("number of items is %d, as of %s; want the 10 of protocol 30", n, whose), nil)
	err.generation = true
	return err
}
