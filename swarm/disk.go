package swarm

import (
	"errors"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/store"
)

// Disk is a Store on disk: the chunks of a data directory, beside whatever chain it has.
type Disk struct{ store *store.Store }

// OnDisk returns the chunks of a data directory.
func OnDisk(s *store.Store) Disk { return Disk{s} }

// Has reports whether a chunk is held.
func (d Disk) Has(addr common.Hash) (bool, error) { return d.store.HasContent(store.Chunk, addr) }

// AppendChunk appends the payload of a chunk to dst. One that is damaged counts as not
// held; it is put again when it comes.
func (d Disk) AppendChunk(dst []byte, addr common.Hash) ([]byte, error) {
	p, err := d.store.AppendContent(dst, store.Chunk, addr)
	if errors.Is(err, store.ErrNotFound) {
		return dst, ErrNotHeld
	}
	if _, corrupt := errors.AsType[*store.CorruptError](err); corrupt {
		if err := d.store.DropChunks([]common.Hash{addr}); err != nil {
			return dst, err
		}
		return dst, errors.Join(ErrNotHeld, err)
	}
	return p, err
}

// PutChunks adds chunks.
func (d Disk) PutChunks(chunks []Chunk) error {
	recs := make([]store.Record, len(chunks))
	for i, c := range chunks {
		recs[i] = store.Record{Hash: c.Address, Raw: c.Payload}
	}
	_, err := d.store.PutContent(store.Chunk, recs)
	return err
}

// DeleteChunks removes chunks.
func (d Disk) DeleteChunks(addrs []common.Hash) error { return d.store.DropChunks(addrs) }

// Reclaim gives the room of what was removed back to the disk.
func (d Disk) Reclaim() error {
	_, err := d.store.Reclaim()
	return err
}

// Chunks calls yield with each chunk.
func (d Disk) Chunks(yield func(addr common.Hash) bool) error { return d.store.EachChunk(yield) }

// Size returns how much room the chunks take on disk. That of removed ones counts until
// it is reclaimed, which may leave up to a quarter of it.
func (d Disk) Size() (int64, error) { return d.store.ChunkBytes() }

// Value returns what SetValue has set.
func (d Disk) Value(name string) ([]byte, error) {
	v, err := d.store.Meta(name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return v, err
}

// SetValue sets a value.
func (d Disk) SetValue(name string, value []byte) error { return d.store.SetMeta(name, value) }
