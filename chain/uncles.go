package chain

import (
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
)

// The rules for uncles. [Network.CheckUncles] applies them. The error names the
// block that lists the uncle, for it is the one that is refused.
const (
	// RuleUncleCount: a block lists at most two uncles (Yellow Paper, section
	// 11.1). In 2014 there was no limit.
	RuleUncleCount Rule = "number of uncles"
	// RuleUncleTwice: no header is an uncle twice, in one block or in a chain
	// (Yellow Paper, section 11.1).
	RuleUncleTwice Rule = "uncle that was listed before"
	// RuleUncleAncestor: an ancestor is no uncle (Yellow Paper, section 11.1).
	RuleUncleAncestor Rule = "uncle that is an ancestor"
	// RuleUncleDepth: an uncle is the child of an ancestor, from the second to
	// the seventh generation before the block (Yellow Paper, section 11.1: a
	// sibling of one of the last six).
	RuleUncleDepth Rule = "parent of an uncle"
	// RuleUncleHeader: the header of an uncle is itself valid (Yellow Paper,
	// section 11.1). The error wraps the *[RuleError] of the uncle.
	RuleUncleHeader Rule = "header of an uncle"
)

const (
	maxUncles = 2
	// UncleDepth is how many generations of ancestors [Network.CheckUncles]
	// looks at: the parents of uncles are among them.
	UncleDepth = 7
)

// CheckUncles checks the uncles of a block that has passed
// [Network.CheckBlock], except for their seals. Ancestors are the block's
// parent, its grandparent and so on, [UncleDepth] of them or as many as there
// are down to the genesis block. They may be left out if the block has no uncles
// ([Header.HasUncles]).
//
// Errors are *[RuleError], or *[FormatError] for an uncle that is no header. Any
// other error says that ancestors are not what they should be, and nothing about
// the block.
func (n *Network) CheckUncles(b *Block, ancestors []*Block) error {
	if !b.HasUncles() {
		return nil
	}
	if err := checkAncestors(b, ancestors); err != nil {
		return err
	}
	ancestors = ancestors[:min(len(ancestors), UncleDepth)]

	var before []common.Hash // listed by an ancestor or earlier in the block
	for _, a := range ancestors {
		if !a.HasUncles() {
			continue
		}
		for u, err := range a.Uncles() {
			if err != nil {
				// The caller vouches for it: nobody is to be blamed.
				return fmt.Errorf("chain: uncles of ancestor %d (%x…): %v", a.Number, a.Hash[:4], err)
			}
			before = append(before, u.Hash)
		}
	}
	count := 0
	for u, err := range b.Uncles() {
		if err != nil {
			return err
		}
		// cpp-ethereum of 2014, State::enact, counted none.
		if count++; count > maxUncles && n.Format != FormatPoC6 {
			return b.breaks(RuleUncleCount, fmt.Sprintf("over %d", maxUncles), fmt.Sprintf("at most %d", maxUncles))
		}
		if slices.Contains(before, u.Hash) {
			return b.breaks(RuleUncleTwice, u.Hash.Hex(), "another")
		}
		before = append(before, u.Hash)
		if err := n.checkUncle(b, u, ancestors); err != nil {
			return err
		}
	}
	return nil
}

// checkAncestors checks what CheckUncles asks of its caller.
func checkAncestors(b *Block, ancestors []*Block) error {
	if want := min(b.Number, UncleDepth); uint64(len(ancestors)) < want {
		return fmt.Errorf("chain: the uncles of block %d (%x…) need %d ancestors, got %d", b.Number, b.Hash[:4], want, len(ancestors))
	}
	child := &b.Header
	for i, a := range ancestors {
		if i == UncleDepth {
			break
		}
		if a.Hash != child.Parent {
			return fmt.Errorf("chain: ancestor %d of block %d (%x…) is %x…, want %x…", i+1, b.Number, b.Hash[:4], a.Hash[:4], child.Parent[:4])
		}
		child = &a.Header
	}
	return nil
}

// checkUncle checks one uncle against the ancestors of the block b that lists it.
func (n *Network) checkUncle(b *Block, u *Header, ancestors []*Block) error {
	parent := -1
	for i, a := range ancestors {
		switch a.Hash {
		case u.Hash:
			return b.breaks(RuleUncleAncestor, u.Hash.Hex(), "no ancestor")
		case u.Parent:
			parent = i
		}
	}
	switch parent {
	case -1:
		return b.breaks(RuleUncleDepth, u.Parent.Hex(), fmt.Sprintf("an ancestor, at most %d generations back", UncleDepth))
	case 0:
		return b.breaks(RuleUncleDepth, u.Parent.Hex(), "not the parent of the block itself")
	}
	// The block has another one in the place of an uncle: known hashes do not
	// apply.
	err := n.CheckLink(&ancestors[parent].Header, u)
	if err == nil {
		err = n.checkAlone(u)
	}
	if err != nil {
		return &RuleError{Rule: RuleUncleHeader, Number: b.Number, Hash: b.Hash, Have: u.Hash.Hex(), Want: "a valid one", Err: err}
	}
	return nil
}
