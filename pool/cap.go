package pool

import (
	"math"
	"time"
)

// A cap is kept by whoever reads from the network: it leaves bytes in the hands of
// their senders. The pool only sees to it that no more is asked for than passes
// through the cap in time, so that what is in flight is never late for our own
// sake, and that it says so: WhyCapped.

// capBytes is how much may be in flight with a cap: what passes in a round trip and
// pipeTime. The round trip is the least of all, because those of peers that were
// first asked while others filled the cap have our own wait in them.
func (p *Pool[P, K]) capBytes() int64 {
	return p.cfg.Cap.bytes(min(p.outlook.trip, pipeTime) + pipeTime)
}

// capRoom is how many bytes more may be asked for within the cap.
func (p *Pool[P, K]) capRoom() int64 {
	if p.cfg.Cap <= 0 {
		return math.MaxInt64
	}
	return p.capBytes() - p.bytesInFlight
}

// busyWhy is the reason of a peer whose pipe is full. Behind a cap its pipe is as
// short as the cap makes it.
func (p *Pool[P, K]) busyWhy() Why {
	if p.cfg.Cap > 0 && p.bytesInFlight >= p.capBytes()/10*9 {
		return WhyCapped
	}
	return WhyTransferring
}

// capTime is how long so many bytes more take to pass through the cap, behind
// everything that is in flight.
func (p *Pool[P, K]) capTime(bytes int64) time.Duration {
	if p.cfg.Cap <= 0 {
		return 0
	}
	return p.cfg.Cap.duration(p.bytesInFlight + bytes)
}

// capWait is the least time that a request of so many bytes gets.
func (p *Pool[P, K]) capWait(bytes int64) time.Duration {
	return time.Duration(deadlineFactor * float64(p.capTime(bytes)))
}

// full says what keeps a peer from being asked for more although its own pipe has
// room, WhyUnknown if nothing does. A peer that is late is only probed, with a
// single key, and that must be possible while others fill the cap.
func (p *Pool[P, K]) full(pr *peer[P, K]) Why {
	switch {
	case pr.open > 0 && p.memory() >= p.budget:
		if p.bytesHeld > p.bytesInFlight {
			return WhyChecking
		}
		return WhyBudget
	case pr.late || p.cfg.Cap <= 0:
		return WhyUnknown
	}
	least := int64(1)
	if pr.rate > 0 {
		least = min(pr.requestBytes(&p.cfg), p.cfg.Cap.bytes(requestTime))/2 + 1
	}
	if p.capRoom() < least {
		return WhyCapped
	}
	return WhyUnknown
}
