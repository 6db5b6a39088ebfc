package peer

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/shoalnet/shoal/wire"
)

// Memory is the most that one session holds: a message while it arrives, requests
// that wait to be served, an answer while it is sent, and the hashes that are asked for next.
const Memory = wire.MaxFrame + maxPendingBytes + serveBytes + 33*serveHashes

// What a peer may make us do. Both limits are far beyond what an honest peer needs,
// so that they bound harm and nothing else.
const (
	// serveWork is how much work a second is done for a peer, in look-ups of the
	// store, after serveBurst at once. A peer that is a gigabit away and takes
	// blocks of 600 bytes needs 200,000 in the burst and half of that in the
	// long run, being busy with them too; what is over waits, and then the
	// queue of requests fills (maxPending). Ten times as much would let
	// one peer have a core for itself.
	serveWork  = 100_000
	serveBurst = 2 * serveWork

	// requestWork is what a request costs besides what is looked up for it, so
	// that no more than a thousand a second are served, and hashesForWork is how
	// many hashes are read in the time of one look-up: they lie side by side.
	requestWork   = 100
	hashesForWork = 16

	// chatterRate is how many bytes a second a peer may send that no request of
	// ours has called for, after chatterBurst at once: pings, peers, transactions,
	// announcements, messages that nobody knows. A block a second of the
	// biggest kind ever seen is a tenth of it. chatterCost is added for each
	// message, because each costs more than its bytes.
	chatterRate  = 1 << 20
	chatterBurst = 32 << 20
	chatterCost  = 256
)

// limiter bounds what a peer may make us do.
type limiter struct {
	serving *rate.Limiter // for the writer
	chatter *rate.Limiter // for the reader
}

func newLimiter() limiter {
	return limiter{rate.NewLimiter(serveWork, serveBurst), rate.NewLimiter(chatterRate, chatterBurst)}
}

// delay books the work for a request and returns how long it has to wait.
func (l *limiter) delay(request wire.Message, now time.Time) time.Duration {
	work := requestWork
	switch r := request.(type) {
	case wire.GetBlocks:
		work += r.Len()
	case wire.GetContent:
		work += r.Len()
	case wire.GetBlockHashes:
		work += int(min(r.Max, serveHashes)) / hashesForWork
	}
	return l.serving.ReserveN(now, work).DelayFrom(now)
}

// unasked books bytes that no request of ours has called for. An error means that
// they are too many.
func (l *limiter) unasked(bytes int, now time.Time) error {
	if !l.chatter.AllowN(now, bytes+chatterCost) {
		return &Violation{Reason: wire.ReasonUselessPeer, What: "floods us with what nobody asked for"}
	}
	return nil
}
