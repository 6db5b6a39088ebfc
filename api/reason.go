package api

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/shoalnet/shoal/downloader"
	"github.com/shoalnet/shoal/pool"
)

// Reason says what a peer's time was spent with: with transferring, or with what
// kept it from it. Its text is part of the interface.
type Reason uint8

// The reasons. Each moment of each peer has one.
const (
	Transferring    Reason = iota // the link is the limit
	Capped                        // the limit that we have set is
	WaitingHashes                 // nothing to ask for: the next hashes have not come
	WaitingHead                   // nothing to ask for: the head of a chain is fetched
	WindowFull                    // as many bytes are in flight as memory allows
	Verifying                     // what has arrived is not yet checked
	Writing                       // what has arrived is not yet on the disk
	NothingEligible               // it lacks all that is wanted
	Late                          // it has not answered in time
	Tail                          // the little that is left comes sooner from others
	NothingToFetch                // it has nothing that we do not have
	reasons                       // how many there are
)

// Reasons lists all reasons.
func Reasons() (all []Reason) {
	for r := range reasons {
		all = append(all, r)
	}
	return all
}

var reasonText = [reasons]string{
	"transferring", "capped", "waiting for hashes", "waiting for a head", "window full", "verifying",
	"writing", "nothing eligible", "late", "tail", "nothing to fetch",
}

// Explain says in a sentence what a reason means, for people.
func (r Reason) Explain() string {
	return [reasons]string{
		"the peer's link is the limit",
		"--download-limit is the limit",
		"the next hashes of the chain have not come",
		"the head of the chain has not come",
		"as much is in flight as --memory allows",
		"the processor checks what has arrived",
		"the disk stores what has arrived",
		"the peer lacks all that is wanted",
		"the peer has not answered in time",
		"others bring the little that is left sooner",
		"the peer has nothing that is not here",
	}[min(r, reasons-1)]
}

// String returns the reason in a word or two, as JSON has it.
func (r Reason) String() string {
	if r < reasons {
		return reasonText[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// MarshalText implements encoding.TextMarshaler.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Reason) UnmarshalText(text []byte) error {
	for i, s := range reasonText {
		if s == string(text) {
			*r = Reason(i)
			return nil
		}
	}
	return fmt.Errorf("api: there is no reason %q", text)
}

// reasonOf turns a reason of the pool, which knows nothing of chains and disks, into
// one of ours, as a picture of the downloader explains it.
func reasonOf(p *downloader.Progress, why pool.Why) Reason {
	switch why {
	case pool.WhyTransferring:
		return Transferring
	case pool.WhyCapped:
		return Capped
	case pool.WhyLacking:
		return NothingEligible
	case pool.WhyLate:
		return Late
	case pool.WhyBudget:
		return WindowFull
	case pool.WhyTail:
		return Tail
	case pool.WhyChecking:
		return checking(p)
	}
	// Nothing more is wanted of it. Why not is a matter of the chain.
	switch p.Phase {
	case downloader.Idle:
		return NothingToFetch
	case downloader.Head:
		return WaitingHead
	case downloader.Hashes:
		return WaitingHashes
	}
	if p.Pool.InFlight == 0 {
		return checking(p)
	}
	return Tail // all that is left is asked of others
}

// checking says what becomes of that which is here and not yet done with.
func checking(p *downloader.Progress) Reason {
	if p.Unwritten > 0 {
		return Writing
	}
	return Verifying
}

// nowOf says what a peer is doing now.
func nowOf(p *downloader.Progress, q *downloader.PeerProgress) Reason {
	if r := reasonOf(p, q.Why); q.InFlight == 0 || r == Late || r == Capped || r == WindowFull {
		return r
	}
	return Transferring
}

// Spent is how much time was spent with each reason.
type Spent [reasons]time.Duration

func (s *Spent) add(o *Spent) {
	for i, d := range o {
		s[i] += d
	}
}

// Total is all of it.
func (s *Spent) Total() (sum time.Duration) {
	for _, d := range s {
		sum += d
	}
	return sum
}

// MarshalJSON writes the seconds of each reason.
func (s Spent) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, d := range s {
		if i > 0 {
			out = append(out, ',')
		}
		out = fmt.Appendf(out, "%q:%.1f", Reason(i), d.Seconds())
	}
	return append(out, '}'), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Spent) UnmarshalJSON(text []byte) error {
	var seconds map[Reason]float64
	if err := json.Unmarshal(text, &seconds); err != nil {
		return err
	}
	*s = Spent{}
	for r, d := range seconds {
		s[r] = time.Duration(d * float64(time.Second))
	}
	return nil
}
