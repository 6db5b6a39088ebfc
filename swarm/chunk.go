package swarm

import (
	"encoding/binary"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
)

const (
	// ChunkSize is the most data in a chunk, in bytes.
	ChunkSize = 4096
	// SpanSize is the length of the span before the data.
	SpanSize = 8
	// MaxPayload is the length of the longest payload.
	MaxPayload = SpanSize + ChunkSize
	// Branches is the most addresses in a chunk.
	Branches = ChunkSize / common.HashLength
)

// Chunk is a payload under its address.
type Chunk struct {
	Address common.Hash
	Payload []byte // span and data
}

// span and data are the parts of a payload, which must have the length of one.
func span(payload []byte) uint64 { return binary.LittleEndian.Uint64(payload) }
func data(payload []byte) []byte { return payload[SpanSize:] }

// Address returns the address of a payload. It fails if it is too short or too long
// to be one.
func Address(payload []byte) (common.Hash, error) {
	if len(payload) < SpanSize || len(payload) > MaxPayload {
		return common.Hash{}, fmt.Errorf("swarm: payload of %d bytes, want %d to %d", len(payload), SpanSize, MaxPayload)
	}
	m := mergers.Get().(*merger)
	defer mergers.Put(m)
	return m.address(payload), nil
}

// Addresses appends the addresses of payloads to dst. It fails if one of them is too
// short or too long to be one.
func Addresses(dst []common.Hash, payloads ...[]byte) ([]common.Hash, error) {
	for _, p := range payloads {
		a, err := Address(p)
		if err != nil {
			return dst, err
		}
		dst = append(dst, a)
	}
	return dst, nil
}
