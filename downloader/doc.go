// Package downloader is the engine: it brings the heaviest chain that the
// connected peers offer into the store, from all of them at once.
//
// One loop owns all decisions. It picks the peer whose chain claims the highest
// total difficulty above ours, fetches that chain's head block, walks the hashes
// from the head down to a block that is linked here, and fetches the blocks
// through the work pool (package pool) while the walk is still going on:
//
//	Join, Leave, ──▶ ┌──────┐ ──▶ Peer.GetBlocks, Peer.GetHashes
//	Hashes, Blocks   │ loop │ ──▶ checkers (all cores) ──┐
//	checked ───────▶ │      │ ◀───────────────────────── ┘
//	stored ────────▶ │      │ ──▶ writer ──▶ store: blocks by hash
//	linked ────────▶ └──────┘     linker ──▶ store: total difficulty, head
//
// Blocks are checked and stored by hash in whatever order they come; nothing
// waits in memory for an older one. The linker follows from the oldest block
// upwards, computes total difficulties, and moves the canonical chain in atomic
// steps. The chain of hashes is written to the store's plan as it is walked, so a
// restart goes on where it was, and what is stored is not fetched again.
//
// What this package does not do: it knows no sockets and no files. It asks
// through the [Peer] interface and writes through the [Store] interface.
package downloader
