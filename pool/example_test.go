package pool_test

import (
	"fmt"
	"time"

	"github.com/shoalnet/shoal/pool"
)

// A download of three blocks from one peer, which answers only the first two
// when it is first asked.
func Example() {
	const blocks pool.Class = 0
	now := time.Date(2014, 8, 30, 11, 31, 0, 0, time.UTC)
	p := pool.New[string, string](pool.Config{})
	p.Join(now, "alice", blocks)
	for rank, key := range []string{"block 1", "block 2", "block 3"} {
		p.Want(blocks, key, int64(rank), 0)
	}
	for p.Len() > 0 {
		for _, r := range p.Reserve(now) {
			fmt.Println("ask", r.Peer, "for", r.Keys)
			now = now.Add(50 * time.Millisecond)
			items := []pool.Item[string]{{Key: r.Keys[0], Size: 540}}
			for i, v := range p.Deliver(now, r.Peer, r.ID, items, true) {
				if v == pool.Useful {
					p.Done(items[i].Key) // checked and stored
				}
			}
		}
	}
	// Output:
	// ask alice for [block 1]
	// ask alice for [block 2 block 3]
	// ask alice for [block 3]
}
