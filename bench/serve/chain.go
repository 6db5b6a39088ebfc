package serve

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/shoalnet/shoal/chain"
	"github.com/shoalnet/shoal/internal/chaingen"
	"github.com/shoalnet/shoal/peer"
)

// shop is a chain with the faults of the peer that serves it.
type shop struct {
	peer.Chain
	*shaper
}

// AppendAncestors is that of the chain, within the peer's limits.
func (s shop) AppendAncestors(dst []common.Hash, hash common.Hash, most int) ([]common.Hash, error) {
	if s.Role.Hashes > 0 {
		most = min(most, s.Role.Hashes)
	}
	s.firstHashes.CompareAndSwap(0, int64(max(s.clock.since(), 1)))
	before := len(dst)
	dst, err := s.Chain.AppendAncestors(dst, hash, most)
	if n := len(dst) - before; n > 0 {
		s.lastHashes.Store(int64(s.clock.since()))
		s.hashes.Add(int64(n))
	}
	return dst, err
}

// AppendBlocks is that of the chain, within the peer's limits and when it has thought.
func (s shop) AppendBlocks(dst []byte, hashes []common.Hash, most, limit int) ([]byte, error) {
	s.firstBlocks.CompareAndSwap(0, int64(max(s.clock.since(), 1)))
	if s.Items > 0 {
		most = min(most, s.Items)
	}
	time.Sleep(s.Think)
	return s.Chain.AppendBlocks(dst, hashes, most, limit)
}

// lie is the chain of a liar: a head that is as it should be, so that the lie is
// found out as late as possible, and below it hashes of nothing, as many as its
// number promises.
type lie struct {
	head *chain.Block
	seed common.Hash
}

// newLie makes a lie that seems a little longer than an honest chain and claims
// twice its total difficulty. The head continues a block that nobody has.
func newLie(network *chain.Network, honest Head, parent *chain.Block) (*lie, peer.Status, error) {
	nowhere := *parent
	nowhere.Hash = chain.Keccak256([]byte("a block that nobody has"))
	g, err := chaingen.New(chaingen.Config{Network: network, Seed: lieSeed, Parent: &nowhere})
	if err != nil {
		return nil, peer.Status{}, err
	}
	l := &lie{head: g.Next(), seed: nowhere.Hash}
	var td uint256.Int
	td.Lsh(&honest.TD, 1)
	return l, peer.Status{TD: td, Head: l.head.Hash}, nil
}

const lieSeed = 30

// below returns the hash that the lie names for the n-th ancestor of its head.
func (l *lie) below(n uint64) common.Hash {
	if n == 1 {
		return l.head.Parent
	}
	h := l.seed
	binary.BigEndian.PutUint64(h[:], n)
	return h
}

// AppendAncestors names ancestors that do not exist. Where a list goes on is told by
// its last hash, which holds its place.
func (l *lie) AppendAncestors(dst []common.Hash, hash common.Hash, most int) ([]common.Hash, error) {
	var n uint64
	switch hash {
	case l.head.Hash:
	case l.head.Parent:
		n = 1
	default:
		if n = binary.BigEndian.Uint64(hash[:]); l.below(n) != hash {
			return dst, nil
		}
	}
	for range most {
		if n++; n >= l.head.Number {
			break
		}
		dst = append(dst, l.below(n))
	}
	return dst, nil
}

// AppendBlocks knows the head and nothing else.
func (l *lie) AppendBlocks(dst []byte, hashes []common.Hash, _, _ int) ([]byte, error) {
	if slices.Contains(hashes, l.head.Hash) {
		return append(dst, l.head.Raw()...), nil
	}
	return dst, nil
}
