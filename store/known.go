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
// while the store is open. Each has two slots, the older of which goes to the next one. It
// is safe for concurrent use.
type known struct {
	mu    sync.Mutex
	slots [][2]knownSlot // nil until the first one; the younger one first
}

type knownSlot struct {
	hash   common.Hash
	number uint64
}

func (k *known) slotsOf(h common.Hash) *[2]knownSlot {
	if k.slots == nil {
		k.slots = make([][2]knownSlot, knownSlots/2)
	}
	return &k.slots[binary.BigEndian.Uint32(h[:])%(knownSlots/2)]
}

// add remembers a block.
func (k *known) add(h common.Hash, number uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.slotsOf(h)
	if s[0].hash != h {
		s[1] = s[0]
	}
	s[0] = knownSlot{h, number}
}

// unknown lists the blocks of a run that are not remembered under their numbers.
func (k *known) unknown(run []Link) (list []*Link) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range run {
		l := &run[i]
		want := knownSlot{l.Hash, l.Number}
		if s := k.slotsOf(l.Hash); s[0] != want && s[1] != want {
			list = append(list, l)
		}
	}
	return list
}
