package chain

import (
	"errors"
	"fmt"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"
	"golang.org/x/crypto/sha3"
)

// RuleSeal: the header's nonce (and mix digest) prove that the work which its
// difficulty states was done for it. The seal is part of the header and so of
// the hash: a violation convicts the source of the hash as well as everybody
// who builds on it.
const RuleSeal Rule = "seal"

// Sealer checks the seal of a header: the proof of work. It looks at nothing
// but the header, so headers may come in any order; whether number and
// difficulty are those that the chain asks for is a matter of other rules,
// which cost nothing and had better be checked first.
//
// Implementations are safe for concurrent use. An error is a *[RuleError] with
// [RuleSeal] if the header is at fault. Any other error is about the call: the
// header is of another format, or detached ([Header.Detach]).
type Sealer interface {
	CheckSeal(h *Header) error
}

// NewSealer returns what checks the seals of a format: an [Ethash] of its own
// for [FormatFrontier], a [PoC6Seal] for [FormatPoC6], where cfg means nothing.
func NewSealer(f Format, cfg EthashConfig) Sealer {
	if f == FormatPoC6 {
		return PoC6Seal{}
	}
	return NewEthash(cfg)
}

// errNotSealed blames nobody but the caller of CheckSeal.
var errNotSealed = errors.New("chain: seal: the header is detached from its bytes or of another format")

// PoC6Seal checks the seals of 2014 (protocol 30 specification, section 4.1),
// a stand-in from before Ethash was ready:
//
//	keccak256( keccak256(RLP of the header without nonce) || nonce ) <= 2^256 / difficulty
//
// The zero value is ready for use, and a check costs two hashes.
type PoC6Seal struct{}

// CheckSeal implements [Sealer].
func (PoC6Seal) CheckSeal(h *Header) error {
	s := sealing.Get().(*sealScratch)
	defer sealing.Put(s)
	if len(h.Nonce) != 32 || !s.sealHash(h, 12, 1) {
		return errNotSealed
	}
	s.result = s.sum256(s.hash[:], h.Nonce)
	return checkTarget(h, &s.result)
}

// checkTarget checks that the result of the work is at most 2^256/difficulty
// (Yellow Paper section 4.3.4, and so since 2014).
func checkTarget(h *Header, result *common.Hash) error {
	if h.Difficulty.IsZero() {
		// There is no quotient, and no block needs no work at all.
		return &RuleError{Rule: RuleSeal, Number: h.Number, Hash: h.Hash, Have: "for difficulty 0", Want: "for at least 1"}
	}
	if h.Difficulty.IsUint64() && h.Difficulty.Uint64() == 1 {
		return nil // 2^256 does not fit, and is above every result
	}
	// 2^256/d = (2^256-d)/d + 1, where 2^256-d is -d in 256 bits.
	var target, x uint256.Int
	target.Neg(&h.Difficulty)
	target.Div(&target, &h.Difficulty)
	target.AddUint64(&target, 1)
	if x.SetBytes32(result[:]); x.Gt(&target) {
		return &RuleError{
			Rule: RuleSeal, Number: h.Number, Hash: h.Hash, Have: result.Hex(),
			Want: fmt.Sprintf("at most %#x for difficulty %s", target.Bytes32(), h.Difficulty.Dec()),
		}
	}
	return nil
}

// sealScratch is the working memory of one check: about 2 KB, which is taken
// from a pool so that a check allocates nothing.
type sealScratch struct {
	k256, k512 keccakState
	head       [9]byte     // list header of the header without seal
	hash       common.Hash // of the header without seal
	digest     common.Hash // what Ethash makes of it: the mix digest
	result     common.Hash // what must not exceed the target
	nonce      [8]byte     // little endian
	seed       [64]byte
	buf        [64]byte // a row on its way through keccak512
	mix        [32]uint32
	a, b       row // two items of the dataset in the making
}

var sealing = sync.Pool{New: func() any {
	return &sealScratch{
		k256: sha3.NewLegacyKeccak256().(keccakState),
		k512: sha3.NewLegacyKeccak512().(keccakState),
	}
}}

// sum256 is the Keccak-256 digest of both parts. Like every slice that a hash
// is given here they belong to the heap or to s, or they would be moved there.
func (s *sealScratch) sum256(a, b []byte) common.Hash {
	s.k256.Reset()
	s.k256.Write(a)
	s.k256.Write(b)
	s.k256.Read(s.result[:])
	return s.result
}

// sealHash sets s.hash to the hash of the header without its seal, the cut
// items that follow the first keep: what the work was done for. The items around
// the seal are hashed where they stand, behind a list header of their own. It
// reports whether there were as many items.
func (s *sealScratch) sealHash(h *Header, keep, cut int) bool {
	content, _, err := rlp.SplitList(h.raw)
	if err != nil {
		return false
	}
	skip := func(from []byte, n int) (rest []byte, ok bool) {
		for range n {
			if _, _, from, err = rlp.Split(from); err != nil {
				return nil, false
			}
		}
		return from, true
	}
	seal, ok := skip(content, keep)
	if !ok {
		return false
	}
	rest, ok := skip(seal, cut)
	if !ok {
		return false
	}
	before := content[:len(content)-len(seal)]
	s.k256.Reset()
	s.k256.Write(appendListHead(s.head[:0], len(before)+len(rest)))
	s.k256.Write(before)
	s.k256.Write(rest)
	s.k256.Read(s.hash[:])
	return true
}
