package swarm

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"
)

// Store is where chunks are held. It is safe for concurrent use; [Files] alone changes
// it.
type Store interface {
	// Has reports whether a chunk is held.
	Has(addr common.Hash) (bool, error)
	// AppendChunk appends the payload of a chunk to dst. It returns an error that
	// is ErrNotHeld if there is none, and also if there is but it cannot be read any
	// more, so that it is fetched again.
	AppendChunk(dst []byte, addr common.Hash) ([]byte, error)
	// PutChunks adds chunks, all of which have been checked. When it returns, they
	// survive a crash. Those that are held already cost nothing.
	PutChunks(chunks []Chunk) error
	// DeleteChunks removes chunks. Those that are not held are passed over.
	DeleteChunks(addrs []common.Hash) error
	// Reclaim gives the room of what was removed back, as far as it is worth it.
	Reclaim() error
	// Chunks calls yield with each chunk that was held when it was called, or was
	// added since, in any order, until yield returns false.
	Chunks(yield func(addr common.Hash) bool) error
	// Size returns how many bytes all chunks have together.
	Size() (int64, error)
	// Value returns what SetValue has set, nil if it has not. A value that was set
	// survives a crash, and a crash while it is set leaves the old one.
	Value(name string) ([]byte, error)
	SetValue(name string, value []byte) error
}

// ErrNotHeld is what a Store returns of chunks that it does not have.
var ErrNotHeld = errors.New("swarm: the chunk is not held here")

// Memory is a Store in memory. The zero value is empty and ready.
type Memory struct {
	mu struct {
		sync.Mutex
		chunks map[common.Hash][]byte
		values map[string][]byte
		size   int64
	}
}

// Has reports whether a chunk is held.
func (m *Memory) Has(addr common.Hash) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.mu.chunks[addr]
	return ok, nil
}

// AppendChunk appends the payload of a chunk to dst, or returns ErrNotHeld.
func (m *Memory) AppendChunk(dst []byte, addr common.Hash) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.mu.chunks[addr]
	if !ok {
		return dst, ErrNotHeld
	}
	return append(dst, p...), nil
}

// PutChunks adds chunks, whose payloads are copied.
func (m *Memory) PutChunks(chunks []Chunk) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.chunks == nil {
		m.mu.chunks = make(map[common.Hash][]byte)
	}
	for _, c := range chunks {
		if _, ok := m.mu.chunks[c.Address]; !ok {
			m.mu.chunks[c.Address] = bytes.Clone(c.Payload)
			m.mu.size += int64(len(c.Payload))
		}
	}
	return nil
}

// DeleteChunks removes chunks.
func (m *Memory) DeleteChunks(addrs []common.Hash) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range addrs {
		m.mu.size -= int64(len(m.mu.chunks[a]))
		delete(m.mu.chunks, a)
	}
	return nil
}

// Reclaim has nothing to do.
func (m *Memory) Reclaim() error { return nil }

// Chunks calls yield with each chunk that was held when it was called.
func (m *Memory) Chunks(yield func(addr common.Hash) bool) error {
	m.mu.Lock()
	addrs := slices.Collect(maps.Keys(m.mu.chunks))
	m.mu.Unlock()
	for _, a := range addrs {
		if !yield(a) {
			break
		}
	}
	return nil
}

// Size returns how many bytes all chunks have together.
func (m *Memory) Size() (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.size, nil
}

// Value returns what SetValue has set.
func (m *Memory) Value(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.values[name], nil
}

// SetValue sets a value, which is copied.
func (m *Memory) SetValue(name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.values == nil {
		m.mu.values = make(map[string][]byte)
	}
	m.mu.values[name] = bytes.Clone(value)
	return nil
}
