package wire

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
)

// Message is one message of the protocol. The set is closed: [Hello],
// [Disconnect], [Ping], [Pong], [GetPeers], [Peers], [Transactions], [Blocks],
// [GetTransactions], [GetBlockHashes], [BlockHashes], [GetBlocks], [GetContent],
// [Content], [Head] and [Unknown], all as values, not pointers. [Parse] and [Reader.Next]
// return no others.
type Message interface {
	// ID returns the number that the message begins with.
	ID() ID

	// Limit returns the most that a message of this type may carry. It does not
	// depend on the value.
	Limit() Limit

	// AppendItems appends the RLP of the items after the id to dst, and returns
	// the extended slice.
	AppendItems(dst []byte) []byte

	// itemsLen returns the length of what AppendItems appends, so that a frame's
	// header can be written before its content and nothing is moved.
	itemsLen() int
}

// Ping asks for a [Pong], to see whether anybody is there (section 2.3).
type Ping struct{}

// Pong answers a [Ping].
type Pong struct{}

// GetPeers asks for addresses of other peers (section 2.4). Some clients answer
// it late or never (A32).
type GetPeers struct{}

// GetTransactions asks for the pending transactions (section 2.5). Some clients
// do not answer when they have none (A33).
type GetTransactions struct{}

// ID returns [IDPing].
func (Ping) ID() ID { return IDPing }

// ID returns [IDPong].
func (Pong) ID() ID { return IDPong }

// ID returns [IDGetPeers].
func (GetPeers) ID() ID { return IDGetPeers }

// ID returns [IDGetTransactions].
func (GetTransactions) ID() ID { return IDGetTransactions }

// Limit returns the limit of a message without items.
func (Ping) Limit() Limit { return Limit{Bytes: emptyBytes} }

// Limit returns the limit of a message without items.
func (Pong) Limit() Limit { return Limit{Bytes: emptyBytes} }

// Limit returns the limit of a message without items.
func (GetPeers) Limit() Limit { return Limit{Bytes: emptyBytes} }

// Limit returns the limit of a message without items.
func (GetTransactions) Limit() Limit { return Limit{Bytes: emptyBytes} }

// AppendItems returns dst: there are none.
func (Ping) AppendItems(dst []byte) []byte { return dst }

// AppendItems returns dst: there are none.
func (Pong) AppendItems(dst []byte) []byte { return dst }

// AppendItems returns dst: there are none.
func (GetPeers) AppendItems(dst []byte) []byte { return dst }

// AppendItems returns dst: there are none.
func (GetTransactions) AppendItems(dst []byte) []byte { return dst }

func (Ping) itemsLen() int            { return 0 }
func (Pong) itemsLen() int            { return 0 }
func (GetPeers) itemsLen() int        { return 0 }
func (GetTransactions) itemsLen() int { return 0 }

// GetBlockHashes asks for the hashes of the ancestors of a block, youngest
// first, beginning with its parent (section 2.6, A3 and A4). The answer is a
// [BlockHashes], empty if the block is unknown.
type GetBlockHashes struct {
	Start common.Hash // the block whose ancestors are wanted; not part of the answer
	Max   uint64      // the most hashes to answer. Servers clamp it; send no more than 2^31-1 (A11)
}

// ID returns [IDGetBlockHashes].
func (GetBlockHashes) ID() ID { return IDGetBlockHashes }

// Limit returns the limit of a hash and a number.
func (GetBlockHashes) Limit() Limit { return Limit{Bytes: getBlockHashesBytes, Items: 2} }

// AppendItems appends the hash and the number.
func (m GetBlockHashes) AppendItems(dst []byte) []byte {
	dst = appendHash(dst, m.Start)
	return rlp.AppendUint64(dst, m.Max)
}

func (m GetBlockHashes) itemsLen() int { return hashItem + rlp.IntSize(m.Max) }

func parseGetBlockHashes(d *decoder, items int) (Message, error) {
	// A2: the operands are siblings of the id. Some drafts of the specification
	// nested them in a list; that is refused, not guessed at.
	if items != 2 {
		if d.kindNext() == rlp.List {
			return nil, d.fail("operands nested in a list, want them flat", nil)
		}
		return nil, d.failf("number of operands is %d, want 2, hash and max", items)
	}
	var m GetBlockHashes
	var err error
	if m.Start, err = d.hash("start hash"); err != nil {
		return nil, err
	}
	if m.Max, err = d.uint64("max"); err != nil { // A11
		return nil, err
	}
	return m, nil
}

// Unknown is a message of an id that the protocol does not define, or of the
// dead GetChain and NotInChain. Receivers ignore it, and nobody sends it (A27);
// it is a type so that a relay or a log can keep what arrived.
type Unknown struct {
	Kind  ID     // any id without a type of its own
	Items []byte // raw RLP of the items after the id, a view
}

// ID returns m.Kind.
func (m Unknown) ID() ID { return m.Kind }

// Limit returns the limit of messages that will be ignored.
func (Unknown) Limit() Limit { return Limit{Bytes: unknownBytes, Items: unknownItems} }

// AppendItems appends the items as they arrived.
func (m Unknown) AppendItems(dst []byte) []byte { return append(dst, m.Items...) }

func (m Unknown) itemsLen() int { return len(m.Items) }
