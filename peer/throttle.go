package peer

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

// Throttle bounds the bytes that all sessions that have it in their [Config] move in
// one direction. The sessions take turns, a chunk each, so one that has a lot to move
// gets no more than the others that have something, and a small message waits for
// one turn of each of them. It is safe for concurrent use; nil bounds nothing.
type Throttle struct {
	limit  *rate.Limiter
	perSec int
	chunk  int
}

const (
	// MinThrottle is the least rate, in bytes a second, that a Throttle can have.
	// Below, keeping some dozen sessions alive takes a good part of it, and a
	// single block is many seconds of work.
	MinThrottle = 16 << 10

	// throttleCredit is how much time may be made up for: a goroutine that wakes
	// late has not lost what it could have moved meanwhile. A second of it would
	// be a burst that a router on the way throws away; without any, a busy machine
	// reaches half of the rate.
	throttleCredit = 50 * time.Millisecond

	// throttleChunk is how long a turn takes. More lets a small message wait
	// longer behind many sessions; a tenth of it is below what timers and system
	// calls are worth.
	throttleChunk = 10 * time.Millisecond
	minChunk      = 1 << 10

	// throttleWindow is over which time the rate is kept: in any ten seconds, no
	// more passes than ten times the rate, the credit included.
	throttleWindow = 10 * time.Second

	// answerTime bounds how long an answer keeps a throttled session busy, at a
	// time when the others are too. Our own requests wait behind it, and the other
	// side's patience is measured in seconds. A tenth of it would be answers of a
	// block or two, each with a frame and a look into the store of its own.
	answerTime = 500 * time.Millisecond
)

// NewThrottle returns a throttle of so many bytes a second, at least [MinThrottle].
func NewThrottle(bytesPerSec int64) *Throttle {
	perSec := int(max(bytesPerSec, MinThrottle))
	chunk := min(max(share(perSec, throttleChunk), minChunk), writePart)
	credit := max(share(perSec, throttleCredit), chunk)
	within := float64(perSec) - float64(credit)/throttleWindow.Seconds()
	t := &Throttle{limit: rate.NewLimiter(rate.Limit(within), credit), perSec: perSec, chunk: chunk}
	t.limit.AllowN(time.Now(), credit) // it begins without
	return t
}

// share is how many bytes pass in a time.
func share(perSec int, d time.Duration) int { return int(float64(perSec) * d.Seconds()) }

// part is how many of n bytes are moved in one turn.
func (t *Throttle) part(n int) int {
	if t == nil {
		return n
	}
	return min(n, t.chunk)
}

// pass books n bytes, no more than a turn has, and waits until they may pass. It does
// not wait any longer than the context lasts: the little that is to be moved at the
// end of a session is only booked. It reports whether it has waited.
func (t *Throttle) pass(ctx context.Context, n int) (waited bool) {
	if t == nil {
		return false
	}
	now := time.Now()
	delay := t.limit.ReserveN(now, n).DelayFrom(now)
	if delay == 0 || ctx.Err() != nil {
		return false
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return true
}

// answerBytes bounds an answer, which is at most limit bytes: less the more sessions
// wait for their turn.
func (t *Throttle) answerBytes(limit int) int {
	if t == nil {
		return limit
	}
	debt := max(0, -t.limit.Tokens()) // a chunk for each session that waits
	return min(limit, max(minChunk, int(float64(share(t.perSec, answerTime))/(1+debt/float64(t.chunk)))))
}
