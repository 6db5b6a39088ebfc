package simnet

import "time"

// event is something that happens at an instant. What the numbers mean depends on
// the kind.
type event struct {
	at   time.Duration
	seq  uint64 // events of one instant happen in the order in which they were planned
	kind eventKind
	peer int32
	gen  uint32 // of the connection or the transfer that it belongs to
	msg  *message
}

type eventKind uint8

const (
	requestComes eventKind = iota // at the peer
	answerSent                    // its last byte has left the peer
	answerComes                   // its last byte is at the client's link
	answerPassed                  // it has passed that link
	blocksChecked
	walkLate
	peerJoins
	peerLeaves
	peerStalls
	peerSlows
	linkChanges
	sampleDue
)

// message is a request and then the answer to it.
type message struct {
	id     uint64
	blocks []int
	sizes  []int
	bytes  int64
	hashes int  // of the walk, instead of blocks: so many
	from   int  // below this block
	junk   bool // the blocks are not what they claim to be
}

// agenda is a binary heap of events by time.
type agenda []event

func (a agenda) before(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].seq < a[j].seq
}

func (a *agenda) push(e event) {
	*a = append(*a, e)
	h := *a
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h.before(i, parent) {
			break
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
}

func (a *agenda) pop() event {
	h := *a
	top, last := h[0], len(h)-1
	h[0], h[last] = h[last], event{}
	h = h[:last]
	*a = h
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if h.before(child, least) {
				least = child
			}
		}
		if least == i {
			return top
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
