package serve

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
)

// Walk says which chain is derived: one of empty blocks from a seed.
type Walk struct {
	Seed   uint64
	Blocks uint64
}

// derived is a chain that is not stored. It holds one block of each stretch, from
// which the others are made again when somebody asks, and for each block its number
// in a table by hash, 16 bytes for each block of the chain. A chain as long as that
// of mainnet at the end of proof of work takes 270 MB so; its blocks would take
// 8 GB.
type derived struct {
	cfg  chaingen.Config
	head Head

	marks []*chain.Block // the last block before each stretch
	table []entry        // by bits of the hash, with linear probing

	mu     sync.Mutex
	recent []*stretch // the youngest last
}

// entry is a block in the table: its number, 0 if the entry is free, and some more of its
// hash. To look at the block itself would cost making a stretch again.
type entry struct {
	number uint32
	tag    uint32
}

// stretch is a run of blocks that has been made again.
type stretch struct {
	first  uint64 // number
	blocks []*chain.Block
}

const (
	// stretchBlocks is how many blocks are made again at a time, in some
	// milliseconds; a request for 8192 hashes takes three stretches at the most.
	// With ten times as many, each probe would cost a tenth of a second.
	stretchBlocks = 4096
	// keepStretches bounds the stretches that are kept, 4 MB each: requests for
	// blocks are spread over those that are being fetched.
	keepStretches = 32
)

// derive makes the chain once, to know its marks and hashes, which takes about two
// microseconds for a block.
func derive(network *chain.Network, w Walk) (*derived, error) {
	d := &derived{cfg: chaingen.Config{Network: network, Seed: w.Seed}}
	size := uint64(1024)
	for size < 2*w.Blocks {
		size *= 2
	}
	d.table = make([]entry, size)
	genesis, err := network.GenesisBlock()
	if err != nil {
		return nil, err
	}
	g, err := chaingen.New(d.cfg)
	if err != nil {
		return nil, err
	}
	td, err := network.TotalDifficulty(new(uint256.Int), genesis)
	if err != nil {
		return nil, err
	}
	d.marks = append(d.marks, genesis)
	for b := range g.Blocks(w.Blocks) {
		i := d.slot(b.Hash)
		for d.table[i].number != 0 {
			i = (i + 1) % uint64(len(d.table))
		}
		d.table[i] = entry{uint32(b.Number), tag(b.Hash)}
		td.Add(&td, &b.Difficulty)
		if b.Number%stretchBlocks == 0 {
			d.marks = append(d.marks, b)
		}
	}
	d.head = Head{Number: g.Head().Number, Hash: g.Head().Hash, TD: td}
	return d, nil
}

func (d *derived) slot(h common.Hash) uint64 {
	return binary.BigEndian.Uint64(h[:]) & uint64(len(d.table)-1)
}

func tag(h common.Hash) uint32 { return binary.BigEndian.Uint32(h[8:]) }

// block returns the block of a number above 0. It needs mu.
func (d *derived) block(n uint64) (*chain.Block, error) {
	first := (n-1)/stretchBlocks*stretchBlocks + 1
	for i, s := range d.recent {
		if s.first == first {
			d.recent = append(slices.Delete(d.recent, i, i+1), s)
			return s.blocks[n-first], nil
		}
	}
	g, err := chaingen.New(d.cfg.From(d.marks[first/stretchBlocks]))
	if err != nil {
		return nil, fmt.Errorf("serve: block %d: %w", n, err)
	}
	s := &stretch{first: first}
	for b := range g.Blocks(min(stretchBlocks, d.head.Number-first+1)) {
		s.blocks = append(s.blocks, b)
	}
	if len(d.recent) >= keepStretches {
		d.recent = slices.Delete(d.recent, 0, 1)
	}
	d.recent = append(d.recent, s)
	return s.blocks[n-first], nil
}

// find returns the block of a hash, nil if there is none. It needs mu.
func (d *derived) find(h common.Hash) (*chain.Block, error) {
	for i := d.slot(h); d.table[i].number != 0; i = (i + 1) % uint64(len(d.table)) {
		if d.table[i].tag != tag(h) {
			continue
		}
		b, err := d.block(uint64(d.table[i].number))
		if err != nil || b.Hash == h {
			return b, err
		}
	}
	return nil, nil
}

// AppendAncestors appends the hashes below a block.
func (d *derived) AppendAncestors(dst []common.Hash, hash common.Hash, most int) ([]common.Hash, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := d.find(hash)
	if b == nil {
		return dst, err
	}
	n := b.Number
	for ; most > 0 && n > 1; most-- {
		n--
		if b, err = d.block(n); err != nil {
			return dst, err
		}
		dst = append(dst, b.Hash)
	}
	if most > 0 && n == 1 {
		dst = append(dst, d.marks[0].Hash)
	}
	return dst, nil
}

// AppendBlocks appends the blocks that there are.
func (d *derived) AppendBlocks(dst []byte, hashes []common.Hash, most, limit int) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	start, n := len(dst), 0
	for _, h := range hashes {
		b, err := d.find(h)
		if err != nil {
			return dst, err
		}
		if b == nil {
			continue
		}
		if n == most || n > 0 && len(dst)-start+len(b.Raw()) > limit {
			break
		}
		dst = append(dst, b.Raw()...)
		n++
	}
	return dst, nil
}
