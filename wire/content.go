package wire

import (
	"fmt"
	"iter"

	"github.com/ethereum/go-ethereum/rlp"
)

// ContentKind says what an address in a [GetContent] is made from, and so how
// the payload under it is checked (docs/content-exchange.md, section 4).
type ContentKind uint8

// The kinds that are defined. Others are not malformed: a peer has none of them.
const (
	// ContentChunk is up to 4096 bytes behind their span of eight, under the
	// root of Swarm's binary Merkle tree.
	ContentChunk ContentKind = 1
	// ContentReceipts is the RLP list of the receipts of a block, under their
	// receipts root.
	ContentReceipts ContentKind = 2
)

// String returns the name of the kind, or its number if it is not defined.
func (k ContentKind) String() string {
	switch k {
	case ContentChunk:
		return "chunk"
	case ContentReceipts:
		return "receipts"
	}
	return fmt.Sprintf("content of kind %d", uint8(k))
}

// GetContent asks for content of one kind by address. It goes only to peers
// that have announced [CapContent]; the answer is a [Content]. There is at
// least one address.
type GetContent struct {
	Kind     ContentKind
	HashList // the addresses
}

// Content answers a [GetContent], item by item: the first payload is what is
// held under the first address, and so on. An empty payload says that nothing is
// held there. There may be fewer payloads than addresses: nothing is said about
// the rest.
type Content struct {
	Kind     ContentKind
	Payloads PayloadList
}

// ID returns [IDGetContent].
func (GetContent) ID() ID { return IDGetContent }

// ID returns [IDContent].
func (Content) ID() ID { return IDContent }

// Limit returns the limit of a kind and the longest list of addresses.
func (GetContent) Limit() Limit { return Limit{Bytes: getContentBytes, Items: 1 + MaxContent} }

// Limit returns the limit of the biggest answer.
func (Content) Limit() Limit { return Limit{Bytes: MaxFrame, Items: 1 + MaxContent} }

// AppendItems appends the kind and the addresses.
func (m GetContent) AppendItems(dst []byte) []byte {
	return append(rlp.AppendUint64(dst, uint64(m.Kind)), m.HashList...)
}

// AppendItems appends the kind and the payloads.
func (m Content) AppendItems(dst []byte) []byte {
	return append(rlp.AppendUint64(dst, uint64(m.Kind)), m.Payloads...)
}

func (m GetContent) itemsLen() int { return rlp.IntSize(uint64(m.Kind)) + len(m.HashList) }
func (m Content) itemsLen() int    { return rlp.IntSize(uint64(m.Kind)) + len(m.Payloads) }

// PayloadList is a sequence of byte strings as on the wire, each with its RLP
// header. In a parsed message it is a view over the payload of the frame. Build
// one with [AppendPayload].
type PayloadList []byte

// AppendPayload appends the item for one address to a list, and returns the
// extended list: the payload, or the word that it is not held if it is empty.
func AppendPayload(list PayloadList, payload []byte) PayloadList {
	return appendString(list, payload)
}

// Len returns the number of items. It walks the list.
func (l PayloadList) Len() int { return RawList(l).Len() }

// All returns the payloads in order, without their headers, each a view. Those
// that are empty are not held.
func (l PayloadList) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest := []byte(l); len(rest) > 0; {
			payload, after, err := rlp.SplitString(rest)
			if err != nil || !yield(payload[:len(payload):len(payload)]) {
				return
			}
			rest = after
		}
	}
}

func parseGetContent(d *decoder, items int) (Message, error) {
	var m GetContent
	var err error
	if m.Kind, err = d.contentKind(items); err != nil {
		return nil, err
	}
	if items == 1 {
		return nil, d.fail("no address, want at least one", nil)
	}
	m.HashList, err = parseHashes(d)
	return m, err
}

func parseContent(d *decoder, items int) (Message, error) {
	var m Content
	var err error
	if m.Kind, err = d.contentKind(items); err != nil {
		return nil, err
	}
	m.Payloads = d.rest
	for len(d.rest) > 0 {
		if _, err := d.string("payload"); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// contentKind takes the kind, which must be there.
func (d *decoder) contentKind(items int) (ContentKind, error) {
	if items == 0 {
		return 0, d.fail("no items, want a kind of content", nil)
	}
	s, err := d.scalar("kind of content", 1)
	if err != nil || len(s) == 0 {
		return 0, err
	}
	return ContentKind(s[0]), nil
}
