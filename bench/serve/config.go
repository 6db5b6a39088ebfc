package serve

import (
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/bench/link"
)

// Kind is what a peer speaks.
type Kind string

// The kinds.
const (
	Shoal   Kind = "shoal"   // protocol 30
	Swarm   Kind = "swarm"   // protocol 30, without a chain: half of the chunks of the file
	HTTP    Kind = "http"    // the file
	Torrent Kind = "torrent" // the file, as a seed
	Bitswap Kind = "bitswap" // half of the pieces of the file, as a node of IPFS
	Raw     Kind = "raw"     // the file, or zeros without end, over TCP as it is
)

// Config says what a process serves.
type Config struct {
	// Store is the data directory with the chain, and Head the last block that is
	// served of it: a long chain serves for all short ones.
	Store string
	Head  Head
	// Walk, if not nil, takes the place of Store: a chain of so many empty blocks
	// that is derived instead of stored, see [Walk].
	Walk *Walk
	// File holds the same bytes for those that know no chain, and Torrent
	// describes it.
	File, Torrent string

	Roles []Role
}

// Head is the end of the chain that is served.
type Head struct {
	Number uint64
	Hash   common.Hash
	TD     uint256.Int
}

// Role is one peer.
type Role struct {
	Kind Kind
	link.End

	// Delay is the round trip that is added to the link's own: bytes from the
	// client are seen so much later.
	Delay time.Duration
	// Rate is what it sends in bytes a second where no link holds it to that; 0:
	// as much as it can.
	Rate float64
	// Stall is when it stops to send, for ever, and Slow when it slows down to
	// SlowRate, in bytes a second. Both count from Begin; 0: never.
	Stall, Slow time.Duration
	SlowRate    float64

	// Provider is the number of a peer that holds half of the file; see [Holds].
	Provider int

	// For protocol 30. Head, if its number is not 0, is where the chain ends for
	// this peer alone.
	Head   Head
	Items  int           // most blocks in an answer, 0 for no limit
	Hashes int           // most hashes in an answer, 0 for no limit
	Think  time.Duration // before each answer with blocks
	// Liar claims a chain that is heavier than that of all others, and whose
	// hashes, below its head, are those of nothing.
	Liar bool
}

// check refuses what would make no sense.
func (c *Config) check() error {
	for i, r := range c.Roles {
		switch {
		case r.Kind == Shoal && c.Store == "" && c.Walk == nil:
			return fmt.Errorf("serve: role %d serves a chain, and there is none", i)
		case r.Kind != Shoal && r.Kind != Raw && c.File == "":
			return fmt.Errorf("serve: role %d serves a file, and there is none", i)
		case r.Slow > 0 && r.SlowRate <= 0:
			return fmt.Errorf("serve: role %d is slow at no rate", i)
		}
	}
	return nil
}

// Stats is what the peers of a process have done since Begin.
type Stats struct {
	Peers []PeerStats
	// Seconds is how long that has been.
	Seconds float64
}

// PeerStats is what one peer has done.
type PeerStats struct {
	// Down is how many bytes the client has received, Up how many it has sent.
	Down, Up int64
	// Samples is Down at each multiple of [SampleInterval].
	Samples []int64
	// FirstBlocks is when blocks were first asked for, FirstHashes and LastHashes
	// when hashes were first asked for and last sent; in seconds, negative for
	// never.
	FirstBlocks, FirstHashes, LastHashes float64
	Hashes                               int64 // sent
	Chunks                               int64 // bytes of chunks that were sent
}

// SampleInterval is how often it is noted how much each peer has sent: often
// enough to see the last hundredth of a download of some seconds.
const SampleInterval = 20 * time.Millisecond
