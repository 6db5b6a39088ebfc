// Package chaingen generates block chains for tests, the demo and benchmarks:
// quickly, without end, and the same ones for the same seed.
//
// What it makes passes everything that [chain.Network.CheckBlock] and
// [chain.Network.CheckLink] ask for: numbers, parents, transactions roots and
// uncles hashes are right, times increase, and difficulty, gas limit and base
// fee follow the rules of the network. A generator holds one block, its head.
// [Receipts] gives the receipts of a block.
//
// A block depends on its parent, the seed and the shape asked for, and on
// nothing else. Therefore a chain can be continued from any of its blocks, and
// a fork is a chain with another seed from a block in the middle:
//
//	trunk  := chaingen.Config{Seed: 1, Blocks: 100}
//	branch := chaingen.Config{Seed: 2, Blocks: 50}.From(block60)
//
// What it does not do: it does not seal, execute or sign. State roots, mix
// digests, nonces and signatures are random bytes, and transactions are
// well-formed lists with random content.
package chaingen
