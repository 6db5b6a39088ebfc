package swarm

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"
)

// From returns a Source that takes chunks from other files in this process: those of
// another node, or a store that is bigger and slower. What these do not hold either is
// asked of their own source, and waited for if they have none.
func From(other *Files) Source {
	n := &neighbour{other: other}
	n.mu.links = make(map[*Files]*link)
	return n
}

type neighbour struct {
	other *Files
	mu    struct {
		sync.Mutex
		links map[*Files]*link // to those who want something
	}
}

// link is what one of those who ask wants of the other files. A goroutine brings it, as
// long as there is anything.
type link struct {
	waiter *waiter // at the other files
	queue  []any   // []Want and []common.Hash, for waiter, in order
}

func (n *neighbour) Want(by *Files, wants []Want)          { n.tell(by, wants) }
func (n *neighbour) Cancel(by *Files, addrs []common.Hash) { n.tell(by, addrs) }

func (n *neighbour) tell(by *Files, x any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.mu.links[by]
	if l == nil {
		l = &link{waiter: n.other.newWaiter()}
		n.mu.links[by] = l
		go n.bring(by, l)
	}
	l.queue = append(l.queue, x)
	l.waiter.wake.ring()
}

func (n *neighbour) bring(to *Files, l *link) {
	for more := true; more; {
		n.mu.Lock()
		queue := l.queue
		l.queue = nil
		n.mu.Unlock()
		for _, x := range queue {
			switch x := x.(type) {
			case []Want:
				l.want(to, x)
			case []common.Hash:
				l.waiter.drop(x)
			}
		}
		for some := range slices.Chunk(l.waiter.take(), batchChunks) {
			n.hand(to, l, some)
		}
		n.mu.Lock()
		if more = l.queue != nil || !l.waiter.idle(); !more {
			delete(n.mu.links, to)
		}
		n.mu.Unlock()
		if more {
			<-l.waiter.wake
		}
	}
}

// want waits for chunks. Those who ask are told if that is not possible.
func (l *link) want(to *Files, wants []Want) {
	err := l.waiter.want(wants...)
	if err == nil {
		return
	}
	for _, w := range wants {
		l.waiter.drop([]common.Hash{w.Address})
		to.fail(w.Address, err)
	}
}

// hand delivers chunks that the other files hold.
func (n *neighbour) hand(to *Files, l *link, some []arrival) {
	var chunks []Chunk
	for _, a := range some {
		var payload []byte
		if a.err == nil {
			a.err = n.other.Payloads([]common.Hash{a.addr}, func(p []byte) bool {
				payload = bytes.Clone(p)
				return false
			})
		}
		switch {
		case a.err != nil:
			to.fail(a.addr, a.err)
		case payload == nil: // gone again already
			l.want(to, []Want{{Address: a.addr}})
		default:
			chunks = append(chunks, Chunk{a.addr, payload})
		}
	}
	to.Deliver(context.Background(), chunks) // those who wait are told of an error
}
