package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// accumulatorDepth is the depth of the tree: 2^13 leaves are maxEra1Blocks.
const accumulatorDepth = 13

// accumulator computes the root that an era1 file ends with, one block at a
// time and in constant space. It is the SSZ hash tree root of
//
//	List[Record(block_hash: Bytes32, total_difficulty: Uint256), 8192]
//
// that is, a binary tree of SHA-256 over the records' own roots, filled up with
// zeros, hashed together with the number of records
// (consensus-specs, ssz/simple-serialize.md, "Merkleization").
type accumulator struct {
	n uint64
	// full[i] is the root of the last 2^i leaves, if bit i of n is set.
	full [accumulatorDepth + 1][32]byte
}

// add appends the record of a block. At most maxEra1Blocks may be added.
func (a *accumulator) add(hash common.Hash, td *uint256.Int) {
	le := td.Bytes32()
	slices.Reverse(le[:])
	node, i := pair(hash, le), 0
	for n := a.n; n&1 == 1; n >>= 1 {
		node = pair(a.full[i], node)
		i++
	}
	a.full[i] = node
	a.n++
}

// root returns the root over the blocks so far.
func (a *accumulator) root() common.Hash {
	root := a.full[accumulatorDepth]
	if a.n < maxEra1Blocks {
		// At step i, root covers what is left of the leaves in the subtree of
		// height i behind the full ones, and zero is such a subtree of zeros.
		var zero [32]byte
		root = zero
		for i := range accumulatorDepth {
			if a.n>>i&1 == 1 {
				root = pair(a.full[i], root)
			} else {
				root = pair(root, zero)
			}
			zero = pair(zero, zero)
		}
	}
	var length [32]byte
	binary.LittleEndian.PutUint64(length[:], a.n)
	return pair(root, length)
}

func pair(a, b [32]byte) [32]byte {
	var buf [64]byte
	copy(buf[:32], a[:])
	copy(buf[32:], b[:])
	return sha256.Sum256(buf[:])
}
