package chain

import (
	"hash"
	"io"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"golang.org/x/crypto/sha3"
)

// keccakState is what sha3.NewLegacyKeccak256 returns: reading the digest out
// avoids the allocation that Sum makes.
type keccakState interface {
	hash.Hash
	io.Reader
}

// keccaks reuses hash states: a state is 400 bytes and is needed once a block.
var keccaks = sync.Pool{New: func() any { return sha3.NewLegacyKeccak256().(keccakState) }}

// Keccak256 is the digest of all parts one after the other: Keccak-256 with
// the original padding, the hash function of every protocol version.
func Keccak256(parts ...[]byte) (h common.Hash) {
	k := keccaks.Get().(keccakState)
	k.Reset()
	for _, p := range parts {
		k.Write(p)
	}
	k.Read(h[:])
	keccaks.Put(k)
	return h
}
