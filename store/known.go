package store

import (
	"encoding/binary"
	"sync"

	"github.com/ethereum/go-ethereum/common"
)

// knownSlots is how many blocks that were put or read a moment ago are remembered: 2.5
// MiB. They are linked soon, some thousands behind, and a look into the index costs
// more than all the rest of linking a small block.
const knownSlots = 1 << 16

// known remembers the numbers of blocks that are held: a block is never taken out
// while the store is open. Each has one slot, where the next one takes its place. It is
// safe for concurrent use.
type known struct {
	mu    sync.Mutex
	slots []knownSlot // nil until the first one
}

type knownSlot struct {
	hash   common.Hash
	number uint64
}

func (k *known) slot(h common.Hash) *knownSlot {
	if k.slots == nil {
		k.slots = make([]knownSlot, knownSlots)
	}
	return &k.slots[binary.BigEndian.Uint32(h[:])%knownSlots]
}

// add remembers a block.
func (k *known) add(h common.Hash, number uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	*k.slot(h) = knownSlot{h, number}
}

// unknown lists the blocks of a run that are not remembered under their numbers.
func (k *known) unknown(run []Link) (list []*Link) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range run {
		if l := &run[i]; *k.slot(l.Hash) != (knownSlot{l.Hash, l.Number}) {
			list = append(list, l)
		}
	}
	return list
}
