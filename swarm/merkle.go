package swarm

import (
	"encoding/binary"
	"sync"

	"github.com/cloudflare/circl/simd/keccakf1600"
	"github.com/ethereum/go-ethereum/common"
)

const (
	segment = common.HashLength
	pair    = 2 * segment
	lanes   = 4 // permutations that are done at once
	rate    = 136
	levels  = 7 // of pairs over 128 segments
)

// merger computes the binary Merkle tree of a chunk, four pairs at a time with
// vector instructions. All of its inputs are shorter than the rate of the digest, so
// each of them is one permutation.
type merger struct {
	state keccakf1600.StateX4
	words []uint64 // of the state: word j of lane i is words[j*lanes+i]
	level [ChunkSize]byte
}

// mergers reuses them. They are too big for the stack, and their state must not move.
var mergers = sync.Pool{New: func() any { return newMerger() }}

func newMerger() *merger {
	m := new(merger)
	m.words = m.state.Initialize(false)
	return m
}

// empties are the roots of trees over zeros: of one segment, of two, of four and so
// on. Most chunks of addresses at the end of a file are short, and need not digest
// their zeros.
var empties = sync.OnceValue(func() (roots [levels][segment]byte) {
	m := newMerger()
	for i := range levels - 1 {
		copy(m.level[:], roots[i][:])
		copy(m.level[segment:], roots[i][:])
		m.digest(pair, 1)
		copy(roots[i+1][:], m.level[:])
	}
	return roots
})

// address returns the address of a payload of a valid length.
func (m *merger) address(payload []byte) common.Hash {
	empties := empties()
	n := copy(m.level[:], data(payload))
	full := max(segment, (n+segment-1)/segment*segment)
	clear(m.level[n:full])
	n = full / segment // how many are not the root of zeros only
	for i := range levels {
		if n%2 == 1 {
			copy(m.level[n*segment:], empties[i][:])
			n++
		}
		n /= 2
		m.digest(pair, n)
	}
	var last [SpanSize + segment]byte
	copy(last[:], payload[:SpanSize])
	copy(last[SpanSize:], m.level[:segment])
	copy(m.level[:], last[:])
	m.digest(len(last), 1)
	return common.Hash(m.level[:segment])
}

// digest replaces n inputs of a size, which lie side by side in m.level, by their
// digests. The size must be a multiple of eight.
func (m *merger) digest(size, n int) {
	for from := 0; from < n; from += lanes {
		clear(m.words)
		most := min(lanes, n-from)
		for i := range most {
			in := m.level[(from+i)*size:][:size]
			for j := range size / 8 {
				m.words[j*lanes+i] = binary.LittleEndian.Uint64(in[8*j:])
			}
			m.words[size/8*lanes+i] = 0x01 // the original padding
			m.words[(rate/8-1)*lanes+i] = 0x80 << 56
		}
		m.state.Permute()
		for i := range most {
			out := m.level[(from+i)*segment:][:segment]
			for j := range segment / 8 {
				binary.LittleEndian.PutUint64(out[8*j:], m.words[j*lanes+i])
			}
		}
	}
}
