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
func newFollower(net *chain.Network, b *chain.Block) (*follower, error) {
	f := &follower{header: b.Header.Detached()}
	work, err := net.Work(b)
	f.work = work
	return f, err
}

// recent remembers blocks that have just been stored, so that the linker, which
// mostly follows close behind, need not read them back. It is safe for concurrent
// use.
type recent struct {
	mu struct {
		sync.Mutex
		blocks map[common.Hash]*follower
		order  []common.Hash // a ring: the oldest is overwritten first
		next   int
	}
}

// recentBlocks bounds the memory: half a kilobyte each.
const recentBlocks = 16 << 10

func newRecent() *recent {
	r := &recent{}
	r.mu.blocks = make(map[common.Hash]*follower)
	r.mu.order = make([]common.Hash, recentBlocks)
	return r
}

func (r *recent) add(f *follower) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.mu.blocks, r.mu.order[r.mu.next])
	r.mu.order[r.mu.next] = f.header.Hash
	r.mu.next = (r.mu.next + 1) % recentBlocks
	r.mu.blocks[f.header.Hash] = f
}

// take returns a block and forgets it; nil if it is not there.
func (r *recent) take(h common.Hash) *follower {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.mu.blocks[h]
	delete(r.mu.blocks, h)
	return f
}
