package wire

import (
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"
)

// Parse returns the message in payload, which must hold exactly one: what
// follows the length in a frame. The message is a view over payload. Every error
// is a [*FormatError].
func Parse(payload []byte) (Message, error) {
	payload = slices.Clip(payload) // appending to a view must not write behind it
	d := decoder{payload: payload}
	limit, err := d.head(payload, len(payload))
	if err != nil {
		return nil, err
	}
	items, err := d.count(limit.Items)
	if err != nil {
		return nil, err
	}
	switch d.kind {
	case IDHello:
		return parseHello(&d, items)
	case IDDisconnect:
		return parseDisconnect(&d, items)
	case IDPing:
		return Ping{}, nil
	case IDPong:
		return Pong{}, nil
	case IDGetPeers:
		return GetPeers{}, nil
	case IDPeers:
		return Peers{d.rest}, nil // A31: entries are looked at one by one, later
	case IDTransactions:
		return Transactions{d.rest}, nil
	case IDBlocks:
		return parseBlocks(&d)
	case IDGetTransactions:
		return GetTransactions{}, nil
	case IDGetBlockHashes:
		return parseGetBlockHashes(&d, items)
	case IDBlockHashes:
		list, err := parseHashes(&d)
		if err != nil {
			return nil, err
		}
		return BlockHashes{list}, nil
	case IDGetBlocks:
		list, err := parseHashes(&d)
		if err != nil {
			return nil, err
		}
		return GetBlocks{list}, nil
	case IDGetContent:
		return parseGetContent(&d, items)
	case IDContent:
		return parseContent(&d, items)
	case IDHead:
		m, err := parseHeadMessage(&d, items)
		if err != nil {
			return nil, err
		}
		return m, nil
	}
	return Unknown{Kind: d.kind, Items: d.rest}, nil
}

// decoder walks over a payload. Its methods take the next item, named by what,
// off the front of rest.
type decoder struct {
	kind    ID
	hasID   bool
	payload []byte // all of it, or as much as has arrived
	rest    []byte // what has not been looked at
}

// maxHead is the length of payload that head needs to see at most: the list
// header of a payload of up to 4 GiB, and an id of 64 bits.
const maxHead = 5 + uint64Item

// head takes the list header and the id. It looks at the beginning of the
// payload only, of which n bytes are announced in total: all or maxHead of them
// are enough. It returns the limit of the message, which n is within.
func (d *decoder) head(begin []byte, n int) (Limit, error) {
	d.rest = begin
	if n == 0 { // A36
		return Limit{}, d.fail("empty payload, want a list", nil)
	}
	header, size := 1, uint64(0)
	switch b := begin[0]; {
	case b < 0xc0:
		return Limit{}, d.fail("payload is a string, want a list", nil)
	case b < 0xf8:
		size = uint64(b - 0xc0)
	default:
		header += int(b - 0xf7)
		if header > min(len(begin), 5) {
			return Limit{}, d.failf("size of the list does not fit the payload of %d bytes", n)
		}
		for _, b := range begin[1:header] {
			size = size<<8 | uint64(b)
		}
		if begin[1] == 0 || size < 56 {
			return Limit{}, d.fail("size of the list has more bytes than it needs", rlp.ErrCanonSize)
		}
	}
	if uint64(header)+size != uint64(n) { // A36: nothing may follow
		return Limit{}, d.failf("list of %d bytes in a payload of %d, want it filled exactly", uint64(header)+size, n)
	}
	d.rest = begin[header:]
	if size == 0 {
		return Limit{}, d.fail("empty list, want a message id", nil)
	}
	switch b := d.rest[0]; {
	case b >= 0xc0:
		return Limit{}, d.fail("message id is a list, want a number", nil)
	case b > 0x88:
		return Limit{}, d.fail("message id is wider than 64 bits", nil)
	}
	id, rest, err := rlp.SplitUint64(d.rest)
	if err != nil {
		return Limit{}, d.fail("message id is not a canonical number", err)
	}
	d.kind, d.hasID, d.rest = ID(id), true, rest
	limit := LimitOf(d.kind)
	if n > limit.Bytes {
		return Limit{}, d.failf("payload of %d bytes, want at most %d", n, limit.Bytes)
	}
	return limit, nil
}

// count returns the number of items in rest, which may be up to most, and
// checks that each is one: its header canonical, its end within the payload.
func (d *decoder) count(most int) (int, error) {
	items := d.rest
	n := 0
	for ; len(d.rest) > 0; n++ {
		if n == most {
			return 0, d.failf("number of items exceeds %d", most)
		}
		if d.skipHash() {
			continue
		}
		_, _, after, err := rlp.Split(d.rest)
		if err != nil {
			return 0, d.fail("malformed item", err)
		}
		d.rest = after
	}
	d.rest = items
	return n, nil
}

// skipHash takes a hash of full width and reports true, or nothing at all. The items of the
// longest messages are hashes, and this takes a tenth of the time of looking at an item.
func (d *decoder) skipHash() bool {
	if len(d.rest) < hashItem || d.rest[0] != 0x80+common.HashLength {
		return false
	}
	d.rest = d.rest[hashItem:]
	return true
}

// kindNext returns the kind of the next item, or rlp.Byte if there is none.
func (d *decoder) kindNext() rlp.Kind {
	kind, _, _, err := rlp.Split(d.rest)
	if err != nil {
		return rlp.Byte
	}
	return kind
}

// string takes a string of any length.
func (d *decoder) string(what string) ([]byte, error) {
	s, rest, err := rlp.SplitString(d.rest)
	if err != nil {
		return nil, d.fail(what+" is not a string", err)
	}
	d.rest = rest
	return s, nil
}

// sized takes a string of exactly size bytes. The errors point at its header.
func (d *decoder) sized(what string, size int) ([]byte, error) {
	at := d.rest
	s, err := d.string(what)
	if err == nil && len(s) != size {
		d.rest = at
		return nil, d.failf("%s of %d bytes, want %d", what, len(s), size)
	}
	return s, err
}

func (d *decoder) hash(what string) (common.Hash, error) {
	s, err := d.sized(what, common.HashLength)
	if err != nil {
		return common.Hash{}, err
	}
	return common.Hash(s), nil
}

func (d *decoder) nodeID(what string) (NodeID, error) {
	s, err := d.sized(what, len(NodeID{}))
	if err != nil {
		return NodeID{}, err
	}
	return NodeID(s), nil
}

// text takes a string of up to most bytes.
func (d *decoder) text(what string, most int) (string, error) {
	at := d.rest
	s, err := d.string(what)
	if err != nil {
		return "", err
	}
	if len(s) > most {
		d.rest = at
		return "", d.failf("%s of %d bytes, want at most %d", what, len(s), most)
	}
	return string(s), nil
}

// scalar takes a number of up to size bytes, without leading zeros (section 1.3,
// A23).
func (d *decoder) scalar(what string, size int) ([]byte, error) {
	at := d.rest
	s, err := d.string(what)
	switch {
	case err != nil:
		return nil, err
	case len(s) > 0 && s[0] == 0:
		d.rest = at
		return nil, d.fail(what+" has a leading zero", rlp.ErrCanonInt)
	case len(s) > size:
		d.rest = at
		return nil, d.failf("%s of %d bits, want at most %d", what, 8*len(s), 8*size)
	}
	return s, nil
}

func (d *decoder) uint64(what string) (uint64, error) {
	s, err := d.scalar(what, 8)
	var x uint64
	for _, b := range s {
		x = x<<8 | uint64(b)
	}
	return x, err
}

func (d *decoder) uint16(what string) (uint16, error) {
	s, err := d.scalar(what, 2)
	var x uint16
	for _, b := range s {
		x = x<<8 | uint16(b)
	}
	return x, err
}

func (d *decoder) uint256(what string) (x uint256.Int, err error) {
	s, err := d.scalar(what, 32)
	x.SetBytes(s)
	return x, err
}

// fail returns an error that points at the next item.
func (d *decoder) fail(what string, cause error) error { return d.newError(what, cause) }

func (d *decoder) failf(format string, args ...any) error {
	return d.newError(fmt.Sprintf(format, args...), nil)
}

func (d *decoder) newError(what string, cause error) *FormatError {
	return &FormatError{
		Kind:   d.kind,
		HasID:  d.hasID,
		Offset: frameHead + len(d.payload) - len(d.rest),
		What:   what,
		Err:    cause,
	}
}
