package store

import (
	"encoding/binary"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// The first byte of every index key; drawn in the package doc.
const (
	prefixBlock        = 'b'
	prefixSealed       = 'g'
	prefixSealedChunks = 'h'
	prefixChunk        = 'k'
	prefixMeta         = 'm'
	prefixCanon        = 'n'
	prefixPlan         = 'p'
	prefixReceipts     = 'r'
	prefixSide         = 's'
	prefixTx           = 't'
	prefixForeign      = 'u'
)

// Names under prefixMeta.
const (
	metaCheckpoint = "checkpoint"
	metaChunks     = "chunks"
	metaElsewhere  = "elsewhere"
	metaFormat     = "format"
	metaGenesis    = "genesis"
	metaNetwork    = "network"
	metaPlan       = "plan"
	metaTxs        = "transactions"
	metaUpgrade    = "upgrade"
)

type hashKey [1 + common.HashLength]byte

func sideKey(h common.Hash) hashKey { return prefixedHash(prefixSide, h) }

func prefixedHash(prefix byte, h common.Hash) (k hashKey) {
	k[0] = prefix
	copy(k[1:], h[:])
	return k
}

type numberKey [1 + 8]byte

func canonKey(run uint64) numberKey  { return prefixedNumber(prefixCanon, run) }
func planKey(index uint64) numberKey { return prefixedNumber(prefixPlan, index) }
func keyNumber(key []byte) uint64    { return binary.BigEndian.Uint64(key[1:]) }
func metaKey(name string) []byte     { return append([]byte{prefixMeta}, name...) }
func foreignKey(name string) []byte  { return append([]byte{prefixForeign}, name...) }
func prefixEnd(prefix byte) []byte   { return []byte{prefix + 1} }

func prefixedNumber(prefix byte, n uint64) (k numberKey) {
	k[0] = prefix
	binary.BigEndian.PutUint64(k[1:], n)
	return k
}

// place says where a record is, and the block's number.
type place struct {
	segment uint32 // 0: elsewhere
	offset  uint32
	length  uint32 // of the raw bytes
	number  uint64
}

// end is the offset of the first byte behind the record.
func (p place) end() int64 { return int64(p.offset) + recordHeader + int64(p.length) }

const placeSize = 20

func (p place) put(b []byte) {
	binary.BigEndian.PutUint32(b[0:], p.segment)
	binary.BigEndian.PutUint32(b[4:], p.offset)
	binary.BigEndian.PutUint32(b[8:], p.length)
	binary.BigEndian.PutUint64(b[12:], p.number)
}

func decodePlace(b []byte) (place, error) {
	if len(b) != placeSize {
		return place{}, fmt.Errorf("store: index is corrupt: a place of %d bytes", len(b))
	}
	return place{
		segment: binary.BigEndian.Uint32(b[0:]),
		offset:  binary.BigEndian.Uint32(b[4:]),
		length:  binary.BigEndian.Uint32(b[8:]),
		number:  binary.BigEndian.Uint64(b[12:]),
	}, nil
}

func appendTD(b []byte, td *uint256.Int) []byte {
	return appendWide(b, td, td.ByteLen())
}

// appendSide encodes the value of an 's' entry.
func appendSide(b []byte, l *Link) []byte {
	b = binary.BigEndian.AppendUint64(b, l.Number)
	b = append(b, l.Parent[:]...)
	return appendTD(b, &l.TD)
}

func decodeSide(h common.Hash, b []byte) (Link, error) {
	if len(b) < 40 || len(b) > 72 {
		return Link{}, badValue(prefixSide, b)
	}
	l := Link{Hash: h, Number: binary.BigEndian.Uint64(b), Parent: common.Hash(b[8:40])}
	l.TD.SetBytes(b[40:])
	return l, nil
}

// checkpoint is how far the segments of a family are indexed, and how many blocks,
// or chunks, the index holds. It is part of every batch that adds to them.
type checkpoint struct {
	segment uint32 // 0: nothing written yet
	offset  uint32
	held    uint64
}

func (c checkpoint) encode() []byte {
	b := binary.BigEndian.AppendUint32(nil, c.segment)
	b = binary.BigEndian.AppendUint32(b, c.offset)
	return binary.BigEndian.AppendUint64(b, c.held)
}

func decodeCheckpoint(b []byte) (checkpoint, error) {
	if len(b) != 16 {
		return checkpoint{}, badValue(prefixMeta, b)
	}
	return checkpoint{
		segment: binary.BigEndian.Uint32(b),
		offset:  binary.BigEndian.Uint32(b[4:]),
		held:    binary.BigEndian.Uint64(b[8:]),
	}, nil
}

func badValue(prefix byte, b []byte) error {
	return fmt.Errorf("store: index is corrupt: value of a %q key has %d bytes", prefix, len(b))
}
