package store

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/ethereum/go-ethereum/common"
)

// knownSets is how many pairs of blocks that were put or read a moment ago are remembered:
// 1 MiB. They are linked soon, some thousands behind, and a look into the index costs more
// than all the rest of linking a small block. A tenth of it would forget some of what is
// linked at once; ten times as much would not stay in the caches of a core.
const knownSets = 1 << 16

// known remembers blocks that are held, and their numbers: a block is never taken out while
// the store is open. Each has two places, the older of which goes to the next one. A block
// is told by 64 bits; to make another one with the same takes 2⁶⁴ blocks, and then it would
// be linked without being held. It is safe for concurrent use; of two that come at the same
// moment one may be forgotten.
type known struct {
	sets [knownSets][2]atomic.Uint64
}

func (k *known) find(h *common.Hash, number uint64) (set *[2]atomic.Uint64, mark uint64) {
	first := binary.BigEndian.Uint64(h[:])
	return &k.sets[first>>32%knownSets], (first ^ binary.BigEndian.Uint64(h[8:])) + number
}

// add remembers a block.
func (k *known) add(h *common.Hash, number uint64) {
	set, mark := k.find(h, number)
	if first := set[0].Load(); first != mark {
		set[1].Store(first)
		set[0].Store(mark)
	}
}

// unknown lists the blocks of a run that are not remembered under their numbers.
func (k *known) unknown(run []Link) (list []*Link) {
	for i := range run {
		l := &run[i]
		if set, mark := k.find(&l.Hash, l.Number); set[0].Load() != mark && set[1].Load() != mark {
			list = append(list, l)
		}
	}
	return list
}
