// Package chain is what a block is and what must hold for it: the raw RLP of
// a block with a parsed view over the same bytes, the two block formats that
// Shoal speaks, the rules of proof of work as pure functions, the verification
// of seals, total difficulty, and the presets of known networks.
//
// A block arrives as bytes, is viewed, checked and stored as the same bytes.
// Nothing here re-encodes a block:
//
//	block   = [ header, transactions, uncles ]
//	header  = 13 items (2014) or 15 and 16 items (Frontier to London)
//	hash    = keccak256(RLP of the header)
//
// The hash covers the header only. A block under the right hash can carry any
// body at all, therefore [Network.CheckBlock] recomputes both body roots and
// must pass before a block is accepted from anybody.
//
// Parsing is strict: sizes and integers must be canonical, nothing may follow
// the block. So two different byte strings that pass CheckBlock are two
// different blocks.
//
// What this package does not do: it does no I/O, keeps no state but the caches of
// an [Ethash], which its caller owns, starts no goroutine and reads no clock. It
// does not execute transactions, so state root, receipts root and gas used are
// only read, never confirmed.
package chain
