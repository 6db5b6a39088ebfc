package simnet

import (
	"runtime"

	"github.com/shoalnet/shoal/pool"
)

// PoolKeys returns how many keys the pool has in the scenario at its peak.
func (s *Scenario) PoolKeys() int { return min(s.window(), s.Blocks) }

// PoolMemory measures what a pool with so many keys takes on the heap. Nothing else
// must allocate meanwhile.
func PoolMemory(keys int) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p := pool.New[int, key](pool.Config{})
	for i := range keys {
		p.Want(blocks, keyOf(i), int64(i), 0)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(p)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}
