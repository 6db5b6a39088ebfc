package downloader

import (
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
)

// follower is what the linker needs of a block.
type follower struct {
	header chain.Header // without what aliases the block's bytes
	work   uint256.Int  // what the block adds to the total difficulty
}

// newFollower takes from a block what the linker needs.
func newFollower(net *chain.Network, b *chain.Block) (follower, error) {
	work, err := net.Work(b)
	return follower{b.Header.Detached(), work}, err
}

// recent remembers blocks that have just been stored, so that the linker, which
// mostly follows close behind, need not read them back. It is safe for concurrent
// use.
type recent struct {
	mu struct {
		sync.Mutex
		blocks []follower // a ring: the oldest is overwritten first
		next   int
		at     map[common.Hash]int
	}
}

// recentBlocks bounds the memory: half a kilobyte each. Less than one write of small
// blocks would be of no use.
const recentBlocks = 16 << 10

func newRecent() *recent {
	r := &recent{}
	r.mu.at = make(map[common.Hash]int)
	return r
}

// add remembers blocks.
func (r *recent) add(blocks []follower) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range blocks {
		h := blocks[i].header.Hash
		if len(r.mu.blocks) < recentBlocks {
			r.mu.at[h] = len(r.mu.blocks)
			r.mu.blocks = append(r.mu.blocks, blocks[i])
			continue
		}
		n := r.mu.next
		r.mu.next = (n + 1) % recentBlocks
		if old := r.mu.blocks[n].header.Hash; r.mu.at[old] == n {
			delete(r.mu.at, old)
		}
		r.mu.at[h], r.mu.blocks[n] = n, blocks[i]
	}
}

// append appends the first of the hashes' blocks to dst, up to one that is not here,
// and returns how many of the hashes after them are not here either.
func (r *recent) append(dst []follower, hashes []common.Hash) (list []follower, missing int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for ; n < len(hashes); n++ {
		i, ok := r.mu.at[hashes[n]]
		if !ok {
			break
		}
		dst = append(dst, r.mu.blocks[i])
	}
	for _, h := range hashes[n:] {
		if _, ok := r.mu.at[h]; ok {
			break
		}
		missing++
	}
	return dst, missing
}
