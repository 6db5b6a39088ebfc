package wire

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// Head says which chain the sender has now (docs/content-exchange.md, section 8). It
// takes the place of what its Hello said, and of announcing the block itself: who wants
// the block asks for it, once. It goes only to peers that have announced [CapContent].
type Head struct {
	TD   uint256.Int // total difficulty of the chain up to Hash, a hint as that in Hello
	Hash common.Hash
}

// ID returns [IDHead].
func (Head) ID() ID { return IDHead }

// Limit returns the limit of a number and a hash.
func (Head) Limit() Limit { return Limit{Bytes: headBytes, Items: 2} }

// AppendItems appends the total difficulty and the hash.
func (m Head) AppendItems(dst []byte) []byte {
	return appendHash(appendUint256(dst, &m.TD), m.Hash)
}

func (m Head) itemsLen() int { return uint256Size(&m.TD) + hashItem }

func parseHeadMessage(d *decoder, items int) (m Head, err error) {
	if items != 2 {
		return m, d.failf("number of items is %d, want 2, total difficulty and hash", items)
	}
	if m.TD, err = d.uint256("total difficulty"); err != nil {
		return m, err
	}
	m.Hash, err = d.hash("head hash")
	return m, err
}
