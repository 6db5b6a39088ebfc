package chain

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
)

// The rules for a header on its own. [Network.CheckBlock] applies them.
const (
	// RuleItems: a header has 16 items since London and 15 before (EIP-1559;
	// Yellow Paper, section 4.3).
	RuleItems Rule = "number of header items"
	// RuleExtraData: extra data has at most 32 bytes (Yellow Paper, section
	// 4.3), in 2014 at most 1024 (protocol 30 specification, section 4.1).
	RuleExtraData Rule = "size of extra data"
	// RuleDAOExtra: the extra data of the ten blocks from the DAO fork on is
	// "dao-hard-fork" on the side that forked and is not on the other (EIP-779).
	RuleDAOExtra Rule = "extra data at the DAO fork"
	// RuleGasUsed: gas used does not exceed the gas limit (Yellow Paper, section
	// 4.3.4). That it is right takes execution.
	RuleGasUsed Rule = "gas used"
	// RuleLastBlock: nothing comes after the network's last proof-of-work block
	// (EIP-3675).
	RuleLastBlock Rule = "last proof-of-work block"
	// RuleKnownHash: where a network knows the hash of a block, such as at the
	// DAO fork (EIP-779) and at the end of proof of work (EIP-3675), the block
	// of that number is that one.
	RuleKnownHash Rule = "hash of a known block"
)

// The rules between a header and its parent. [Network.CheckLink] applies them.
const (
	// RuleTimestamp: a block is younger than its parent (Yellow Paper, section
	// 4.3.4). In protocol 30 it may also be as old: cpp-ethereum asked for more
	// only later.
	RuleTimestamp Rule = "timestamp"
	// RuleGasLimit: the gas limit differs from the parent's by less than 1/1024
	// of it and is at least 5000 (Yellow Paper, section 4.3.4) and below 2^63
	// (EIP-1985); at the London block twice the parent's counts (EIP-1559). In
	// 2014 it follows from the parent (protocol 30 specification, section 4.1).
	RuleGasLimit Rule = "gas limit"
	// RuleDifficulty: difficulty follows from the parent and the time (Yellow
	// Paper, section 4.3.4; EIP-2, EIP-100 and the delays of the bomb, EIP-649,
	// 1234, 2384, 3554, 4345 and 5133; on Classic ECIP-1010 and ECIP-1041;
	// protocol 30 specification, section 4.1).
	RuleDifficulty Rule = "difficulty"
	// RuleBaseFee: the base fee follows from the parent (EIP-1559).
	RuleBaseFee Rule = "base fee"
)

// RuleFuture: a block is not from the future. No specification says so; every
// client refuses what is more than 15 seconds ahead of its clock, and takes it
// later. It says nothing about the chain, so blame for it must not last.
const RuleFuture Rule = "timestamp ahead of the clock"

const (
	// futureLimit is how far ahead of our clock a block may be (the Yellow Paper leaves it
	// open, section 4.3.4): what clocks may differ by, as in go-ethereum. At ten times of it
	// miners can date blocks forward to lower the difficulty; at a tenth a good block is lost
	// by a clock that is off a little.
	futureLimit = 15 * time.Second

	extraLimit     = 32   // bytes
	poc6ExtraLimit = 1024 // bytes

	// daoExtraBlocks is how many blocks the DAO fork marks (EIP-779).
	daoExtraBlocks = 10
	daoExtra       = "dao-hard-fork"
)

// breaks is the error for a header that breaks a rule.
func (h *Header) breaks(r Rule, have, want string) error {
	return &RuleError{Rule: r, Number: h.Number, Hash: h.Hash, Have: have, Want: want}
}

// HasUncles reports whether the header commits to a body with uncles.
func (h *Header) HasUncles() bool { return h.UnclesHash != types.EmptyUncleHash }

// checkAlone applies the rules that need nothing but the header. A genesis block
// follows none: it is what its hash says, and nothing else with number 0 has a
// parent.
func (n *Network) checkAlone(h *Header) error {
	if h.Number == 0 {
		return nil
	}
	if n.Format == FormatFrontier && !n.Forks.LondonAsParent {
		want := 15
		if n.Forks.London.Active(h.Number) {
			want = 16
		}
		if h.Items != want {
			return h.breaks(RuleItems, fmt.Sprint(h.Items), fmt.Sprint(want))
		}
	}
	if limit := n.extraLimit(); len(h.Extra) > limit {
		return h.breaks(RuleExtraData, fmt.Sprintf("%d bytes", len(h.Extra)), fmt.Sprintf("at most %d", limit))
	}
	if fork, ok := n.Forks.DAO.Block(); ok && h.Number >= fork && h.Number-fork < daoExtraBlocks {
		// EIP-779.
		if marked := bytes.Equal(h.Extra, []byte(daoExtra)); marked == n.Forks.RefuseDAO {
			want := fmt.Sprintf("%q", daoExtra)
			if n.Forks.RefuseDAO {
				want = "anything else"
			}
			return h.breaks(RuleDAOExtra, fmt.Sprintf("%q", h.Extra), want)
		}
	}
	if h.GasUsed > h.GasLimit {
		return h.breaks(RuleGasUsed, fmt.Sprint(h.GasUsed), fmt.Sprintf("at most the gas limit, %d", h.GasLimit))
	}
	if last := n.LastBlock.Number; last != 0 && h.Number > last {
		return h.breaks(RuleLastBlock, fmt.Sprintf("before number %d", h.Number), fmt.Sprintf("number %d", last))
	}
	return nil
}

func (n *Network) extraLimit() int {
	switch {
	case n.ExtraLimit > 0:
		return n.ExtraLimit
	case n.Format == FormatPoC6:
		return poc6ExtraLimit
	}
	return extraLimit
}

// checkKnown refuses a block in the place of one that is known. Uncles are such
// blocks, and are in order.
func (n *Network) checkKnown(h *Header) error {
	if last := n.LastBlock; h.Number == last.Number && last.Number != 0 && h.Hash != last.Hash {
		return h.breaks(RuleKnownHash, h.Hash.Hex(), last.Hash.Hex())
	}
	for _, known := range n.Known {
		if h.Number == known.Number && h.Hash != known.Hash {
			return h.breaks(RuleKnownHash, h.Hash.Hex(), known.Hash.Hex())
		}
	}
	return nil
}

// CheckHeader checks everything that can be said about a header next to its
// parent's: what [Network.CheckBlock] checks of a header, and
// [Network.CheckLink]. It needs all of h, and of parent no more than CheckLink.
// Errors are *[RuleError].
func (n *Network) CheckHeader(parent, h *Header) error {
	if err := n.CheckLink(parent, h); err != nil {
		return err
	}
	if err := n.checkAlone(h); err != nil {
		return err
	}
	return n.checkKnown(h)
}

// CheckLink checks what must hold between a block and its parent: hash, number,
// timestamp, gas limit, difficulty and base fee. Headers may be detached
// ([Header.Detach]). The parent counts as checked: what follows from it is
// only as good as it is. Errors are *[RuleError].
func (n *Network) CheckLink(parent, b *Header) error {
	if b.Parent != parent.Hash {
		return b.breaks(RuleParent, b.Parent.Hex(), parent.Hash.Hex())
	}
	// Yellow Paper, section 4.3.4.
	if b.Number != parent.Number+1 || b.Number == 0 {
		want := fmt.Sprint(parent.Number + 1)
		if parent.Number == math.MaxUint64 {
			want = "over 64 bits: its parent has the last number there is"
		}
		return b.breaks(RuleNumber, fmt.Sprint(b.Number), want)
	}
	// Yellow Paper, section 4.3.4; BlockInfo::verifyParent of cpp-ethereum in
	// September 2014.
	switch {
	case n.Format == FormatPoC6 && b.Time < parent.Time:
		return b.breaks(RuleTimestamp, fmt.Sprint(b.Time), fmt.Sprintf("at least its parent's, %d", parent.Time))
	case n.Format != FormatPoC6 && b.Time <= parent.Time:
		return b.breaks(RuleTimestamp, fmt.Sprint(b.Time), fmt.Sprintf("over its parent's, %d", parent.Time))
	}
	if want := n.Difficulty(parent, b.Time); want != b.Difficulty {
		return b.breaks(RuleDifficulty, b.Difficulty.Dec(), want.Dec())
	}
	if err := n.checkGasLimit(parent, b); err != nil {
		return err
	}
	london := n.Forks.London.Active(b.Number)
	if n.Forks.LondonAsParent && n.Format == FormatFrontier {
		if b.Items != parent.Items {
			return b.breaks(RuleItems, fmt.Sprint(b.Items), fmt.Sprintf("%d, as its parent", parent.Items))
		}
		london = b.Items == 16
	}
	if london && n.Format == FormatFrontier {
		return n.checkBaseFee(parent, b)
	}
	return nil
}

// Latest returns the youngest time that a block may have, as seen at now: one that has
// just been mined may be 15 seconds ahead.
func Latest(now time.Time) uint64 { return uint64(max(now.Add(futureLimit).Unix(), 0)) }

// CheckTime checks that a block is not from the future, see [Latest]. What is refused can be
// in order later. Errors are *[RuleError].
func (n *Network) CheckTime(h *Header, now time.Time) error {
	limit := Latest(now)
	if h.Time > limit {
		return h.breaks(RuleFuture, fmt.Sprint(h.Time), fmt.Sprintf("at most %d", limit))
	}
	return nil
}
