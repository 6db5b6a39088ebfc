package api

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/shoalnet/shoal/node"
	"github.com/shoalnet/shoal/store"
)

// Status is what a data directory holds, and what the node that uses it is doing.
// Without a node that runs, only the first part is there.
type Status struct {
	Network string      `json:"network"`
	Genesis common.Hash `json:"genesis"`
	Head    Head        `json:"head"`
	Blocks  uint64      `json:"blocks"` // held, linked or not
	// Plan is the chain whose blocks are being fetched, nil if there is none.
	Plan *Plan `json:"fetching,omitempty"`
	// Node is the running node, nil if none runs.
	Node *Node `json:"node,omitempty"`
}

// Head is the youngest block of the canonical chain.
type Head struct {
	Number uint64      `json:"number"`
	Hash   common.Hash `json:"hash"`
	TD     json.Number `json:"td"`
}

// HeadOf returns a head of the store.
func HeadOf(h store.Head) Head { return Head{h.Number, h.Hash, json.Number(h.TD.Dec())} }

// String returns number, hash and total difficulty for people.
func (h Head) String() string {
	return fmt.Sprintf("block %d %s, total difficulty %s", h.Number, h.Hash.Hex(), h.TD)
}

// Plan is a chain that is being fetched.
type Plan struct {
	Number    uint64      `json:"number"` // of its head
	Hash      common.Hash `json:"hash"`
	Hashes    uint64      `json:"hashes"`     // that are known
	AllHashes bool        `json:"all_hashes"` // down to a block that is linked here
}

// Node is what a running node is doing.
type Node struct {
	Client string    `json:"client"`
	Since  time.Time `json:"since"`
	// Phase is that of the downloader: idle, head, hashes or blocks.
	Phase    string `json:"phase"`
	Peers    int    `json:"peers"`      // connected
	Late     int    `json:"late"`       // of them
	Links    int    `json:"links"`      // encrypted ones among all connections
	Fetched  uint64 `json:"fetched"`    // blocks, since it runs
	Bytes    uint64 `json:"bytes"`      // of them
	Received uint64 `json:"bytes_down"` // of all kinds, by all sessions so far
	Sync     *Sync  `json:"sync,omitempty"`
	// Waiting says what everything waits for, if it does.
	Waiting string `json:"waiting,omitempty"`
}

// Sync is how a chain that is being fetched comes along.
type Sync struct {
	Here         uint64  `json:"here"` // blocks of the chain that are here, the genesis block not counted
	All          uint64  `json:"all"`  // blocks of the whole chain, the same way
	BlocksPerSec float64 `json:"blocks_per_second"`
	BytesPerSec  float64 `json:"bytes_per_second"` // of blocks
	// Efficiency is how much of what the links of all peers could carry is at
	// work, as far as they have shown what they can, from 0 to 1.
	Efficiency float64 `json:"efficiency"`
	// Duplicates is how many bytes came twice for each useful one.
	Duplicates float64 `json:"duplicates"`
	ETA        *ETA    `json:"eta_seconds,omitempty"` // nil: cannot be said
	Hashes     uint64  `json:"hashes"`                // walked, since the process began or before
	Linked     uint64  `json:"linked"`                // number of the youngest linked block
	Why        Reason  `json:"why"`                   // where most of the peers' time goes
}

// ETA is when a sync will be done: between the two, if all goes on as it did within
// the last minute.
type ETA struct {
	Least float64 `json:"least"`          // seconds
	Most  float64 `json:"most,omitempty"` // 0: it has stood still for a while
}

// Peers is who a node deals with.
type Peers struct {
	Connected []Peer          `json:"connected"`
	Standings []node.Standing `json:"peers"`
}

// Peer is a peer that is connected.
type Peer struct {
	Name     string  `json:"name"` // its address
	Client   string  `json:"client"`
	Inbound  bool    `json:"inbound"`
	Key      string  `json:"key,omitempty"` // that it has proved to have, over an encrypted link
	Seconds  float64 `json:"seconds"`       // since it connected
	Received uint64  `json:"received"`
	Sent     uint64  `json:"sent"`
	Mark     string  `json:"mark,omitempty"`  // under which its blocks are counted, if it has brought some
	Score    float64 `json:"score,omitempty"` // of its standing, 0 without fault
	// These are there if it serves a chain.
	Head       *common.Hash `json:"head,omitempty"` // claimed
	TD         json.Number  `json:"td,omitempty"`
	Blocks     uint64       `json:"blocks"` // useful ones that it brought
	Bytes      uint64       `json:"bytes"`  // of them
	Duplicates uint64       `json:"duplicates"`
	Late       uint64       `json:"late"` // times
	Rate       float64      `json:"bytes_per_second"`
	RoundTrip  float64      `json:"round_trip_seconds"`
	InFlight   int          `json:"in_flight"` // blocks
	Why        Reason       `json:"why"`
	Spent      Spent        `json:"spent_seconds"`
}

// Why is where the time went since the node runs.
type Why struct {
	Total Spent     `json:"total_seconds"` // of all peers, those that have left too
	Peers []PeerWhy `json:"peers"`
}

// PeerWhy is where the time of one peer went.
type PeerWhy struct {
	Name  string `json:"name"`
	Now   Reason `json:"now"`
	Spent Spent  `json:"seconds"`
}
