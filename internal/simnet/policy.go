package simnet

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Policy decides who is asked for what. Time is what has passed since the start of
// the run; peers and blocks are numbers, block 0 the oldest. Its methods are called
// for what happens, and [Policy.Step] after each such event and when
// [Policy.Next] has come.
type Policy interface {
	Join(now time.Duration, peer int)
	Leave(now time.Duration, peer int)
	// Known says that the hashes of all blocks from this one up are known.
	Known(now time.Duration, from int)
	// Walks says that a peer is asked for so many bytes of hashes, and Walked that it
	// has answered with so many. When all hashes are known, the peer is negative.
	Walks(now time.Duration, peer int, bytes int64)
	Walked(now time.Duration, peer int, bytes int64)
	// Deliver takes an answer, which may be less than was asked for. It reports
	// for each block whether it was of use. A block is of use once, but for
	// those that are found to be junk.
	Deliver(now time.Duration, a Answer) []bool
	// Checked says that blocks that were of use have been checked and stored; or,
	// if not ok, that they are junk and wanted again. Their peer is then
	// disconnected.
	Checked(now time.Duration, peer int, blocks []int, ok bool)
	Step(now time.Duration)
	// Next returns when Step wants to be called if nothing happens before. It
	// reports false if only an event can change anything.
	Next() (time.Duration, bool)
	// Why says why an idle peer has no work.
	Why(peer int) Reason
}

// Answer is what a peer sends for a request.
type Answer struct {
	Peer   int
	ID     uint64 // as in Send
	Blocks []int
	Sizes  []int
}

// Network is what a policy can do.
type Network interface {
	// Send asks a peer for blocks. The slice is the network's from then on.
	Send(peer int, id uint64, blocks []int)
	// Drop disconnects a peer; Leave is called at once.
	Drop(peer int)
	// Received returns how many bytes have come from a peer so far, those of
	// answers that are not complete included.
	Received(peer int) int64
}

// Setup is what a policy starts with.
type Setup struct {
	Network Network
	Rand    *rand.Rand
	Blocks  int
	Window  int // most keys in the pool, for shoal
}

// Shoal is the name of the policy that is package pool.
const Shoal = "shoal"

// policies are all policies, in the order in which they are shown.
var policies = []struct {
	name, about string
	make        func(Setup) Policy
}{
	{Shoal, "package pool, driven as the downloader drives it", newShoal},
	{"poc6", "reimpl: Ethereum PoC-6 of 2014, equal shares on a tick", newPoC6},
	{"geth1", "reimpl: geth 1.0 of 2015 (eth/60), one growing request at a time", newGeth1},
	{"msgrate", "reimpl: today's geth, one request sized by rate at a time", newMsgrate},
	{"bitcoin", "reimpl: Bitcoin Core, 16 blocks a peer in a window of 1024", newBitcoin},
	{"torrent", "reimpl: BitTorrent (libtorrent), a queue of 3 s of work", newTorrent},
}

// Policies returns the names of all policies: shoal, then the re-implementations.
func Policies() []string {
	var names []string
	for _, p := range policies {
		names = append(names, p.name)
	}
	return names
}

// AboutPolicy returns a line on a policy; it is empty for one that does not exist.
func AboutPolicy(name string) string {
	for _, p := range policies {
		if p.name == name {
			return p.about
		}
	}
	return ""
}

// newPolicy returns a policy by its name.
func newPolicy(name string, s Setup) (Policy, error) {
	for _, p := range policies {
		if p.name == name {
			return p.make(s), nil
		}
	}
	return nil, fmt.Errorf("simnet: unknown policy %q: there are %s", name, strings.Join(Policies(), ", "))
}

// Reason is what a peer's link does, or why it does nothing.
type Reason uint8

// The reasons.
const (
	Transferring Reason = iota // it carries blocks or hashes
	RoundTrip                  // a request or an answer is under way, and nothing behind it
	Capped                     // the client's own link is full
	Hashes                     // no hash is known that could be asked for
	Window                     // the window or the budget of bytes in flight is full
	Checking                   // what has come is not yet checked
	Ineligible                 // the peer lacks all that is wanted
	Snubbed                    // it was late and is not asked now
	Pacing                     // the policy waits for a tick or another answer
	Tail                       // nothing is left, or the rest comes sooner from others
	reasons
)

var reasonText = [reasons]string{
	"transferring", "round trip", "capped", "hashes", "window", "checking", "ineligible", "snubbed", "pacing", "tail",
}

func (r Reason) String() string {
	if r < reasons {
		return reasonText[r]
	}
	return "unknown"
}

// MarshalText writes a reason as its name.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the name of a reason.
func (r *Reason) UnmarshalText(text []byte) error {
	i := slices.Index(reasonText[:], string(text))
	if i < 0 {
		return fmt.Errorf("simnet: unknown reason %q", text)
	}
	*r = Reason(i)
	return nil
}
