package downloader

import (
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/pool"
	"github.com/shoalnet/shoal/store"
)

// Event is something that happened. It is one of the types below.
type Event interface{ event() }

// Started: a chain has been chosen and its head block is here.
type Started struct {
	Head    common.Hash
	Number  uint64
	TD      uint256.Int // as claimed
	Resumed bool        // it had been begun before this process
}

// Progress is a picture of the present state, sent at regular intervals while
// something is going on.
type Progress struct {
	Phase   Phase
	Head    store.Head  // ours
	Target  uint64      // number of the head that is being fetched, 0 if none
	TD      uint256.Int // claimed for it
	Hashes  uint64      // walked so far
	Missing uint64      // hashes that are still to be walked, at the most
	Fed     uint64      // hashes handed to the pool, or found in the store
	Stored  uint64      // blocks stored by this process
	Bytes   uint64      // and their size
	Pool    pool.Stats
	Peers   []PeerProgress
	At      time.Time
	// Unwritten is how many blocks wait for the disk. What else the pool holds is
	// being checked.
	Unwritten int
	// Waiting says what everything waits for, if it does.
	Waiting string
}

// PeerProgress is what one peer contributes.
type PeerProgress struct {
	Name     string
	Claim    Claim
	Received uint64 // bytes of all kinds
	Mark     Mark   // under which its blocks are counted
	pool.PeerStats
}

// Phase is what the downloader is doing.
type Phase uint8

// The phases. Fetching goes on during Hashes too.
const (
	Idle     Phase = iota // nothing to do: no peer offers more than we have
	Head                  // fetching a chain's head block
	Hashes                // walking its hashes, and fetching blocks
	Fetching              // fetching blocks; all hashes are known
)

// String returns the phase in a word: idle, head, hashes or blocks.
func (p Phase) String() string { return [...]string{"idle", "head", "hashes", "blocks"}[p] }

// HeadMoved: the canonical chain has moved.
type HeadMoved struct{ store.Move }

// Finished: the chain that was being fetched is linked up to its head. Moved says
// whether it turned out heavier than what we had.
type Finished struct {
	Head  common.Hash
	Moved bool
}

// Abandoned: the chain that was being fetched has been given up.
type Abandoned struct {
	Head common.Hash
	Why  string
}

// Settled: nothing is left to do, no connected peer offers more than we have. It
// is sent each time that state is reached, after a Progress.
type Settled struct {
	Head store.Head
	// Unproven is how many connected peers claim more and have brought nothing of
	// it when they were asked. They are asked again.
	Unproven int
}

// Full: content has arrived for which the disk has no room. It is tried again until there
// is some; until then not much more is asked for.
type Full struct {
	Kind store.Kind
	Err  error
}

// ReceiptsHere: the receipts of all blocks up to the head are here.
type ReceiptsHere struct{ Head store.Head }

// Joined and Left: a peer has come or gone, after having contributed this.
type (
	Joined struct {
		Peer  string
		Claim Claim
	}
	Left struct{ PeerProgress }
)

// Late: a peer did not answer in time and lost its work.
type Late struct {
	Peer string
	Keys int
}

// Stalled: nothing useful has come for some time although content is wanted and
// peers are idle. They are all asked again, whatever was learnt of them before. If
// one of them has what is wanted, there is a fault in the scheduler.
type Stalled struct {
	For    time.Duration
	Wanted common.Hash // head of the chain that is being fetched
	Idle   []string    // peers that nothing is expected from
	Progress
}

// Dropped: a peer was disconnected for what it did.
type Dropped struct {
	Peer string
	*Offence
}

func (Started) event()      {}
func (Progress) event()     {}
func (HeadMoved) event()    {}
func (Finished) event()     {}
func (Abandoned) event()    {}
func (Settled) event()      {}
func (Full) event()         {}
func (ReceiptsHere) event() {}
func (Joined) event()       {}
func (Left) event()         {}
func (Late) event()         {}
func (Stalled) event()      {}
func (Dropped) event()      {}
