package wire

import (
	"encoding/binary"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"
)

// token begins every frame (section 1.1).
const token = "\x22\x40\x08\x91"

// frameHead is the length of what precedes the payload: token and length.
const frameHead = 8

// FrameSize returns the length of the frame that [AppendFrame] appends for m.
func FrameSize(m Message) int {
	return frameHead + int(rlp.ListSize(uint64(contentSize(m))))
}

// AppendFrame appends a whole frame with m to dst, and returns the extended
// slice. The items are copied once, to where they stay. The limit of m is not
// checked here, but by [Writer.Write].
func AppendFrame(dst []byte, m Message) []byte {
	size := FrameSize(m)
	dst = slices.Grow(dst, size)
	end := len(dst) + size
	dst = append(dst, token...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(size-frameHead))
	dst = appendListHead(dst, contentSize(m))
	dst = rlp.AppendUint64(dst, uint64(m.ID()))
	dst = m.AppendItems(dst)
	if len(dst) != end {
		panic("wire: " + m.ID().String() + ": items are not as long as they said")
	}
	return dst
}

// contentSize returns the length of id and items, without the list header.
func contentSize(m Message) int { return rlp.IntSize(uint64(m.ID())) + m.itemsLen() }

// appendListHead appends the header of a list whose content has size bytes.
func appendListHead(dst []byte, size int) []byte {
	return appendHead(dst, 0xc0, size)
}

// appendHead appends the header of an item of the class that begins at base:
// 0x80 for strings, 0xc0 for lists.
func appendHead(dst []byte, base byte, size int) []byte {
	if size < 56 {
		return append(dst, base+byte(size))
	}
	var be [8]byte
	binary.BigEndian.PutUint64(be[:], uint64(size))
	zeros := 0
	for be[zeros] == 0 {
		zeros++
	}
	dst = append(dst, base+55+byte(len(be)-zeros))
	return append(dst, be[zeros:]...)
}

func appendString[S string | []byte](dst []byte, s S) []byte {
	if len(s) == 1 && s[0] < 0x80 {
		return append(dst, s[0])
	}
	return append(appendHead(dst, 0x80, len(s)), s...)
}

func appendHash(dst []byte, h common.Hash) []byte {
	return append(append(dst, 0x80+common.HashLength), h[:]...)
}

func appendNodeID(dst []byte, id NodeID) []byte {
	return append(appendHead(dst, 0x80, len(id)), id[:]...)
}

func appendUint256(dst []byte, x *uint256.Int) []byte {
	if x.IsUint64() {
		return rlp.AppendUint64(dst, x.Uint64())
	}
	b, n := x.Bytes32(), x.ByteLen()
	return append(append(dst, 0x80+byte(n)), b[len(b)-n:]...)
}

func uint256Size(x *uint256.Int) int {
	if x.IsUint64() {
		return rlp.IntSize(x.Uint64())
	}
	return 1 + x.ByteLen()
}
