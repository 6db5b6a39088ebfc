package pool

import "time"

// Stats counts what a pool has done since it was made.
type Stats struct {
	Requests uint64 // requests handed out
	Asked    uint64 // keys in them
	Hedged   uint64 // keys asked a second time while in flight

	Useful, UsefulBytes           uint64 // what was wanted when it came
	Duplicates, DuplicateBytes    uint64 // what had come already
	Unrequested, UnrequestedBytes uint64 // what nobody had asked for

	Late     uint64 // times that a peer was late
	LinkSlow uint64 // times that our own link was found to be the cause

	// The present state.
	Wanted, InFlight, Held   int   // keys
	InFlightBytes, HeldBytes int64 // expected, arrived
	DuplicateTokens          int64 // bytes that may still be asked again
	LinkFactor               float64

	Classes [MaxClasses]ClassStats
}

// ClassStats counts what a pool has done in one class.
type ClassStats struct {
	Wanted, InFlight, Held int // keys, at present
	Useful, UsefulBytes    uint64
}

// Stats returns the counters and the present state.
func (p *Pool[P, K]) Stats() Stats {
	s := p.stats
	for c := range p.classes {
		s.Classes[c] = p.classes[c].stats
		s.Wanted += s.Classes[c].Wanted
		s.InFlight += s.Classes[c].InFlight
		s.Held += s.Classes[c].Held
	}
	s.InFlightBytes, s.HeldBytes = p.bytesInFlight, p.bytesHeld
	s.DuplicateTokens = int64(p.tokens)
	s.LinkFactor = p.linkFactor
	return s
}

// PeerStats counts what one peer has done, and how it was last measured.
type PeerStats struct {
	Requests                      uint64
	Useful, UsefulBytes           uint64
	Duplicates, DuplicateBytes    uint64
	Unrequested, UnrequestedBytes uint64
	Late                          uint64

	Rate          BytesPerSec
	RoundTrip     time.Duration
	InFlight      int // keys
	InFlightBytes int64
	Lacking       int
	Why           Why
	// Spent is how long each reason has kept the peer from doing more since it
	// joined. It adds up to that time. A peer that brings something counts as
	// transferring, unless it could bring more.
	Spent [NWhy]time.Duration
}

// PeerStats returns the counters of a peer; it reports false if there is no
// such peer.
func (p *Pool[P, K]) PeerStats(now time.Time, name P) (PeerStats, bool) {
	pr := p.peers[name]
	if pr == nil {
		return PeerStats{}, false
	}
	s := pr.stats
	s.Rate, s.RoundTrip = pr.rate, pr.rtt
	s.InFlight, s.InFlightBytes = pr.keys, pr.booked
	s.Lacking = len(pr.lackOrder)
	s.Why = pr.limit
	s.Spent = pr.spent
	s.Spent[pr.doing] += now.Sub(pr.since)
	return s, true
}

// EachInFlight calls visit for each key of a class and each peer that is asked for it
// now, peer after peer. It must not call the pool.
func (p *Pool[P, K]) EachInFlight(c Class, visit func(P, K)) {
	for _, pr := range p.order {
		for _, r := range pr.queue {
			if r.class != c || r.late || r.closed {
				continue
			}
			for k, key := range r.keys {
				i := p.slotOf(r, k)
				if i == 0 || p.keys.slot(i).state != inFlight {
					continue
				}
				if h := &p.flights[p.keys.slot(i).order].holders; h[0] == r || h[1] == r {
					visit(pr.name, key)
				}
			}
		}
	}
}

// account notes what a peer does from now on.
func (pr *peer[P, K]) account(now time.Time) {
	pr.spent[pr.doing] += now.Sub(pr.since)
	pr.since, pr.doing = now, pr.limit
	switch {
	case pr.late:
		pr.doing = WhyLate
	case pr.open > 0 && pr.limit != WhyCapped && pr.limit != WhyBudget && pr.limit != WhyChecking:
		pr.doing = WhyTransferring
	}
}

// Why says what keeps a peer from doing more. It is the answer to "why is it
// slow".
type Why uint8

// The reasons.
const (
	WhyUnknown       Why = iota
	WhyTransferring      // its pipe is full: the link is the limit
	WhyNothingWanted     // no key is waiting to be asked for
	WhyLacking           // it has shown that it lacks all that is wanted
	WhyLate              // it has not answered in time
	WhyChecking          // what has arrived is not yet checked and stored
	WhyBudget            // the bound on all bytes in flight is reached
	WhyTail              // the little that is left comes sooner from others
	WhyCapped            // as much is in flight as the cap lets through in time
	NWhy                 // how many reasons there are
)

var whyText = [NWhy]string{"unknown", "transferring", "nothing wanted", "lacking", "late", "checking", "budget", "tail", "capped"}

// String returns the reason in a word or two.
func (w Why) String() string {
	if w < NWhy {
		return whyText[w]
	}
	return "unknown"
}
