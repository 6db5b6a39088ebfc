// Package txindex finds transactions by their hash.
//
// An [Index] follows the canonical chain of a store: it reads each block once and notes
// under the hash of each transaction the number of the block. A note is a hint, which the
// canonical block of that number confirms or not, so that a reorg takes nothing back: it
// only adds.
//
// It costs some 14 bytes of disk for a transaction, and reading every block once; this is
// why nobody does it who is not asked to.
package txindex
